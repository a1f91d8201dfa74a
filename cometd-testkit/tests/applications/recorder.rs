//! A `tracing` subscriber that writes down what it is told, one record for each thread.
//!
//! It is the one subscriber of the whole process and passes on to the recorder of the thread, if
//! there is one: which callsites are of interest is remembered for the process, and subscribers
//! that come and go with the tests would spoil that for each other.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static HERE: RefCell<Option<Arc<Recorder>>> = const { RefCell::new(None) };
}

/// What a thread's subscriber does beside writing down.
type Reaction = Arc<dyn Fn(&str) + Send + Sync>;

/// What was logged on this thread.
pub(crate) struct Recorder {
    level: Level,
    record: Mutex<Recorded>,
    reaction: Mutex<Option<Reaction>>,
}

#[derive(Default)]
struct Recorded {
    spans: Vec<Span>,
    entered: Vec<Id>,
    lines: Vec<String>,
}

struct Span {
    id: Id,
    text: String,
    copies: usize,
}

/// Records until it is dropped.
pub(crate) struct Recording(Arc<Recorder>);

impl Recording {
    /// Starts to record what this thread logs at `level` and above.
    pub(crate) fn start(level: Level) -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Router).unwrap());
        let recorder = Recorder { level, record: Mutex::default(), reaction: Mutex::default() };
        let recorder = Arc::new(recorder);
        HERE.set(Some(Arc::clone(&recorder)));
        Self(recorder)
    }

    /// Does something whenever the subscriber is called: with the line that is written down, if
    /// one is.
    pub(crate) fn react(&self, reaction: impl Fn(&str) + Send + Sync + 'static) {
        *self.0.reaction.lock().unwrap() = Some(Arc::new(reaction));
    }

    /// What was logged since this was last asked: spans that were opened and closed, and events
    /// with the spans that they were in.
    pub(crate) fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.record().lines)
    }

    /// The spans that are open.
    pub(crate) fn open(&self) -> Vec<String> {
        self.0.record().spans.iter().map(|it| it.text.clone()).collect()
    }

    /// How many spans are entered; none when nothing runs.
    pub(crate) fn entered(&self) -> usize {
        self.0.record().entered.len()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        HERE.take();
    }
}

impl Recorder {
    fn record(&self) -> MutexGuard<'_, Recorded> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line, and reacts when nothing is locked.
    fn told(&self, line: String) {
        self.record().lines.push(line.clone());
        self.called(&line);
    }

    fn called(&self, line: &str) {
        let reaction = self.reaction.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(reaction) = reaction {
            reaction(line);
        }
    }
}

fn here<T>(act: impl FnOnce(&Recorder) -> T) -> Option<T> {
    let recorder = HERE.try_with(|it| it.borrow().clone()).ok().flatten()?;
    Some(act(&recorder))
}

struct Router;

static SPANS: AtomicU64 = AtomicU64::new(1);

impl Subscriber for Router {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        here(|it| *metadata.level() <= it.level).unwrap_or_default()
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = Id::from_u64(SPANS.fetch_add(1, Ordering::Relaxed));
        here(|it| {
            let metadata = attributes.metadata();
            let mut text = Text(format!("{}:{}", metadata.target(), metadata.name()));
            attributes.record(&mut text);
            let Text(text) = text;
            let parent = if attributes.is_root() { "" } else { " with a parent" };
            let line = format!("open {text}{parent}");
            it.record().spans.push(Span { id: id.clone(), text, copies: 1 });
            it.told(line);
        });
        id
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        here(|it| {
            let metadata = event.metadata();
            let mut text = Text(format!("{} {}", metadata.level(), metadata.target()));
            {
                let record = it.record();
                if let Some(id) = record.entered.last() {
                    let span = record.spans.iter().find(|span| span.id == *id);
                    write!(text.0, " [{}]", span.map_or("?", |span| &span.text)).unwrap();
                }
            }
            event.record(&mut text);
            it.told(text.0);
        });
    }

    fn enter(&self, span: &Id) {
        here(|it| {
            it.record().entered.push(span.clone());
            it.called("");
        });
    }

    fn exit(&self, span: &Id) {
        here(|it| {
            let left = it.record().entered.pop();
            assert_eq!(left.as_ref(), Some(span), "spans are left in the order of a stack");
            it.called("");
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        here(|it| {
            let mut record = it.record();
            let span = record.spans.iter_mut().find(|span| span.id == *id);
            span.unwrap().copies += 1;
            drop(record);
            it.called("");
        });
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let closed = here(|it| {
            let mut record = it.record();
            let at = record.spans.iter().position(|span| span.id == id)?;
            record.spans[at].copies -= 1;
            let gone = record.spans[at].copies == 0;
            let span = gone.then(|| record.spans.remove(at))?;
            drop(record);
            it.told(format!("close {}", span.text));
            Some(())
        });
        closed.flatten().is_some()
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            write!(self.0, " {value:?}").unwrap();
        } else {
            write!(self.0, " {}={value:?}", field.name()).unwrap();
        }
    }
}
