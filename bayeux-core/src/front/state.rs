//! [`State`]: what the front's one lock protects.
//!
//! The machine, and around it what makes it concurrent: a mailbox for each link with the waker of
//! whoever waits for the answer, the application's handlers, and what is to be done as soon as the
//! lock is released ([`After`]). Nothing in here awaits, calls the application or formats.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::task::Waker;

use smallvec::SmallVec;

use super::Bayeux;
use super::attributes::Attributes;
use super::authorizer::{AnyAuthorizer, Authorizers};
use super::caller::Calls;
use super::context::Context;
use super::extension::{AnyExtension, ExtensionId, Extensions};
use super::listener::{AnyListener, Listeners};
use super::mailbox::Mailboxes;
use super::notice::{EventHandler, Notice, RemovedHandler, Telling};
use super::passage::{DequeueHook, Passage};
use super::policy::{AnyPolicy, NewSession};
use super::registered::Registered;
use super::session::{Session, SessionNotes, Shaping};
use super::thinking::Withdrawal;
use super::trace::{self, SessionSpan};
use crate::id::SessionId;
use crate::server::{Due, Event, Input, Output, Question, QuestionId, Receipt, Server};
use crate::time::Time;
use crate::transport::Transport;

pub(super) struct State {
    pub(super) server: Server,
    pub(super) mailboxes: Mailboxes,
    /// Tasks that think about a question.
    pub(super) thinking: BTreeMap<QuestionId, Arc<Withdrawal>>,
    /// Outcomes of the application's own publishes.
    pub(super) publishes: BTreeMap<Receipt, Publishing>,
    pub(super) receipts: u64,
    pub(super) listeners: Listeners,
    pub(super) authorizers: Authorizers,
    /// The extensions of the server.
    pub(super) extensions: Extensions,
    /// How often something was registered that may be removed.
    registered: u64,
    pub(super) calls: Calls,
    pub(super) policy: Option<Arc<dyn AnyPolicy>>,
    pub(super) event_handlers: Registered<EventHandler>,
    pub(super) notes: SessionNotes,
    tellings: VecDeque<Telling>,
    /// Who is telling the application, and since when the current telling is under way.
    teller: Option<(Teller, Time)>,
    tellers: u64,
    pub(super) timer: Timer,
    /// Those who wait until no link is open.
    pub(super) idle_wakers: Vec<Waker>,
}

pub(super) enum Publishing {
    Waiting(Option<Waker>),
    Done { published: bool },
}

/// A task that tells the application what happened. There is one at a time; one that is stuck in a
/// handler is replaced, and has nothing more to tell when it comes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Teller(u64);

/// Events that wait to be told. Beyond, those that only say how connects are doing are left out:
/// clients cause them at will, and nobody's bookkeeping depends on them.
const WAITING_TELLINGS: usize = 10_000;

/// The deadline that the driver sleeps until.
#[derive(Default)]
pub(super) struct Timer {
    pub(super) until: Option<Time>,
    pub(super) waker: Option<Waker>,
}

/// What is to be done after the lock is released.
#[derive(Default)]
pub(super) struct After {
    pub(super) wakers: Vec<Waker>,
    pub(super) questions: Vec<Asked>,
    pub(super) tell: Option<Teller>,
    /// Whether a teller had to be replaced.
    pub(super) stuck: bool,
    pub(super) log: trace::Log,
    pub(super) leftovers: Leftovers,
}

impl After {
    /// Whether there is nothing to do, and nothing was allocated for it either.
    #[inline]
    pub(super) fn is_nothing(&self) -> bool {
        let Self { wakers, questions, tell, stuck, log, leftovers } = self;
        wakers.capacity() == 0
            && questions.capacity() == 0
            && tell.is_none()
            && !stuck
            && log.is_nothing()
            && leftovers.0.is_empty()
            && !leftovers.0.spilled()
    }
}

/// What may only be dropped after the lock is released: values of the application, or of its
/// runtime, whose `Drop` may do anything, call back into the server for example.
///
/// One list for all of them: there is one of these for each turn, and nearly always it is empty, or
/// has the context of one request.
#[derive(Default)]
pub(super) struct Leftovers(SmallVec<[Leftover; 1]>);

/// It is never looked at, only dropped.
#[expect(dead_code, reason = "what is in it is only to be dropped")]
pub(super) enum Leftover {
    Attributes(Attributes),
    Authorizer(Arc<dyn AnyAuthorizer>),
    Context(Arc<Context>),
    EventHandler(EventHandler),
    Extension(Arc<dyn AnyExtension>),
    Hook(DequeueHook),
    Listener(AnyListener),
    NewSession(NewSession),
    RemovedHandler(RemovedHandler),
    Shaping(Box<Shaping>),
    Waker(Waker),
}

impl Leftovers {
    pub(super) fn push(&mut self, leftover: Leftover) {
        self.0.push(leftover);
    }

    pub(super) fn extend<T>(
        &mut self,
        values: impl IntoIterator<Item = T>,
        leftover: impl Fn(T) -> Leftover,
    ) {
        // One or none, nearly always.
        values.into_iter().for_each(|value| self.0.push(leftover(value)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A question with what its handlers need beside it.
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) context: Option<Arc<Context>>,
    pub(super) new_session: NewSession,
    /// The span of the session whose message it is about.
    pub(super) span: SessionSpan,
}

impl State {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            mailboxes: Mailboxes::default(),
            thinking: BTreeMap::new(),
            publishes: BTreeMap::new(),
            receipts: 0,
            listeners: Listeners::default(),
            authorizers: Authorizers::default(),
            extensions: Extensions::default(),
            registered: 0,
            calls: Calls::default(),
            policy: None,
            event_handlers: Registered::default(),
            notes: SessionNotes::default(),
            tellings: VecDeque::new(),
            teller: None,
            tellers: 0,
            timer: Timer::default(),
            idle_wakers: Vec::new(),
        }
    }

    /// Gives the machine an input and takes what it wants done.
    pub(super) fn turn(&mut self, bayeux: &Bayeux, now: Time, input: Input, after: &mut After) {
        self.server.handle(now, input);
        self.drain(bayeux, after);
    }

    pub(super) fn drain(&mut self, bayeux: &Bayeux, after: &mut After) {
        // When all is out that was about them.
        let mut forgotten = Vec::new();
        while let Some(due) = self.server.poll_due() {
            let output = match due {
                Due::Output(output) => output,
                Due::Answer(link) => {
                    self.post(link, after, |notes| notes.due = true);
                    continue;
                }
            };
            match output {
                // `poll_due` leaves parcels with the machine.
                Output::Send { .. } => debug_assert!(false, "a parcel that nobody has asked for"),
                Output::Refuse { link, refusal } => {
                    self.post(link, after, |notes| notes.refusal = Some(refusal));
                }
                Output::Resume { link } => self.post(link, after, |notes| notes.resumed = true),
                Output::Ping { link } => self.post(link, after, |notes| notes.ping = true),
                Output::Ask(question) => self.ask(question, after),
                Output::Withdraw(question) => {
                    let withdrawal = self.thinking.remove(&question);
                    after.wakers.extend(withdrawal.and_then(|it| it.withdraw()));
                }
                Output::Tell(event) => self.tell(bayeux, event, after),
                Output::Forget { session } => forgotten.push(session),
                // Nobody is on the other side yet: `relay` is off in a front's configuration.
                Output::Relay(_) => {}
            }
        }
        forgotten.into_iter().for_each(|session| self.forget(session, after));
        if !self.tellings.is_empty() {
            self.start_telling(bayeux.now(), after);
        }
        if let Some(due) = self.due() {
            if self.timer.until.is_none_or(|until| due < until) {
                after.wakers.extend(self.timer.waker.take());
            }
        }
    }

    /// Adds an extension to the server, or to a session.
    pub(super) fn add_extension(
        &mut self,
        session: Option<SessionId>,
        extension: Arc<dyn AnyExtension>,
    ) -> ExtensionId {
        let number = self.next_number();
        let extensions = match session {
            Some(session) => &mut self.notes.shaping.entry(session).or_default().extensions,
            None => &mut self.extensions,
        };
        extensions.add(number, extension);
        ExtensionId(number)
    }

    /// A number for something that is registered.
    pub(super) fn next_number(&mut self) -> u64 {
        self.registered += 1;
        self.registered
    }

    /// Nothing is left of a session.
    fn forget(&mut self, session: SessionId, after: &mut After) {
        let SessionNotes { shaping, spans, ended, .. } = &mut self.notes;
        after.leftovers.extend(shaping.remove(&session).map(Box::new), Leftover::Shaping);
        after.leftovers.extend(ended.remove(&session), Leftover::Attributes);
        spans.end(session, &mut after.log);
    }

    /// A handle on a session, which may be gone: then its attributes are still there.
    fn handle_on(&self, bayeux: &Bayeux, id: SessionId) -> Session {
        Session::new(bayeux.clone(), id, self.notes.ended.get(&id).cloned())
    }

    /// What the parcels of a session go through, if there is anything.
    pub(super) fn passage(
        &self,
        bayeux: &Bayeux,
        session: Option<SessionId>,
    ) -> Option<Arc<Passage>> {
        let shaping = session.and_then(|id| self.notes.shaping.get(&id));
        let shaping = shaping.filter(|it| it.looks_at_parcels());
        if shaping.is_none() && self.extensions.sending().next().is_none() {
            return None;
        }
        let span = self.notes.spans.of(session);
        let session = session.map(|id| self.handle_on(bayeux, id));
        Some(Arc::new(Passage {
            session,
            hooks: shaping.map(|it| it.hooks.iter().cloned().collect()).unwrap_or_default(),
            server: self.extensions.sending().cloned().collect(),
            own: shaping.map(|it| it.extensions.sending().cloned().collect()).unwrap_or_default(),
            span,
        }))
    }

    fn ask(&mut self, question: Question, after: &mut After) {
        let (link, session) = match &question {
            Question::Handshake(it) => (Some(it.link), None),
            Question::Create(it) => (Some(it.link), Some(it.session)),
            Question::Subscribe(it) => (Some(it.link), Some(it.session)),
            Question::Publish(it) => (Some(it.link), Some(it.session)),
            Question::Listen(it) => (it.link, it.session),
            Question::Extend(it) => (Some(it.link), it.session),
        };
        let mailbox = link.and_then(|link| self.mailboxes.get_mut(link));
        let new_session = NewSession::default();
        let context = mailbox.and_then(|mailbox| {
            if matches!(question, Question::Handshake(_)) {
                // Over WebSocket there may have been a handshake before, which was denied.
                let before = mailbox.new_session.replace(new_session.clone());
                after.leftovers.extend(before, Leftover::NewSession);
            }
            mailbox.context.clone()
        });
        let span = self.notes.spans.of(session);
        after.questions.push(Asked { question, context, new_session, span });
    }

    fn tell(&mut self, bayeux: &Bayeux, event: Event, after: &mut After) {
        let transport = self.transport_of(&event);
        self.notes.spans.note(&event, transport, &mut after.log);
        let mut on_removed = Vec::new();
        let session = match &event {
            Event::SessionAdded { session, link } => {
                let mailbox = self.mailboxes.get_mut(*link);
                if let Some(new_session) = mailbox.and_then(|mailbox| mailbox.new_session.take()) {
                    let attributes = new_session.attributes();
                    if !attributes.is_empty() {
                        self.notes.attributes.insert(*session, attributes);
                    }
                    for extension in new_session.take_extensions() {
                        self.add_extension(Some(*session), extension);
                    }
                    after.leftovers.push(Leftover::NewSession(new_session));
                }
                Some(*session)
            }
            Event::SessionRemoved { session, .. } => {
                if let Some(attributes) = self.notes.attributes.remove(session) {
                    // Its last events are still to leave, and to be told.
                    self.notes.ended.insert(*session, attributes);
                }
                let handlers = self.notes.on_removed.remove(session);
                on_removed = handlers.map(Registered::into_vec).unwrap_or_default();
                Some(*session)
            }
            Event::Suspended { session, link, .. } => {
                // An idle session costs as little as can be: nobody asks about this request again.
                let mailbox = self.mailboxes.get_mut(*link).filter(|it| !it.is_socket);
                let context = mailbox.and_then(|it| it.context.take());
                after.leftovers.extend(context, Leftover::Context);
                Some(*session)
            }
            Event::Subscribed { session, .. }
            | Event::Unsubscribed { session, .. }
            | Event::Resumed { session, .. }
            | Event::EventsDropped { session, .. } => Some(*session),
            Event::Published { receipt, published } => {
                let done = Publishing::Done { published: *published };
                if let Some(publishing) = self.publishes.get_mut(receipt) {
                    if let Publishing::Waiting(Some(waker)) = mem::replace(publishing, done) {
                        after.wakers.push(waker);
                    }
                }
                return;
            }
            Event::ChannelAdded { .. } | Event::ChannelRemoved { .. } => None,
        };
        let kind = event.kind();
        let heard = self.event_handlers.iter().any(|it| it.hears(kind));
        if !heard && on_removed.is_empty() {
            return;
        }
        let passing = matches!(event, Event::Suspended { .. } | Event::Resumed { .. });
        if passing && self.tellings.len() >= WAITING_TELLINGS {
            return;
        }
        let span = self.notes.spans.of(session);
        let session = session.map(|id| self.handle_on(bayeux, id));
        let notice = Notice { event, session };
        let handlers = self.event_handlers.iter().filter(|it| it.hears(kind)).cloned().collect();
        self.tellings.push_back(Telling { notice, handlers, on_removed, span });
    }

    /// Sees to it that somebody tells what there is to tell.
    fn start_telling(&mut self, now: Time, after: &mut After) {
        if self.telling_due().is_some_and(|due| now < due) {
            return;
        }
        after.stuck |= self.teller.is_some();
        self.tellers += 1;
        let teller = Teller(self.tellers);
        self.teller = Some((teller, now));
        after.tell = Some(teller);
    }

    /// How many events handlers were not told yet.
    pub(super) fn untold_events(&self) -> usize {
        self.tellings.len()
    }

    /// When another teller has to take over from one that is stuck, if something waits for that.
    fn telling_due(&self) -> Option<Time> {
        let (_, since) = self.teller.filter(|_| !self.tellings.is_empty())?;
        Some(since + self.server.config().question_timeout)
    }

    /// When the driver has to look again.
    pub(super) fn due(&self) -> Option<Time> {
        self.server.poll_timeout().into_iter().chain(self.telling_due()).min()
    }

    /// The transport that a session begins on, if somebody wants to know.
    fn transport_of(&self, event: &Event) -> Option<Transport> {
        let Event::SessionAdded { session, link } = event else { return None };
        if !trace::makes_spans() {
            return None;
        }
        let session = self.server.session(*session).map(|it| it.transport());
        // One that is gone already has left its link.
        let mailbox = || self.mailboxes.get(*link);
        session.or_else(|| Some(mailbox()?.context.as_ref()?.transport()))
    }

    /// The next thing that `teller` is to tell the application. When there is none, or another one
    /// has taken over, it is to end.
    pub(super) fn next_telling(&mut self, teller: Teller, now: Time) -> Option<Telling> {
        if !self.is_telling(teller) {
            return None;
        }
        let telling = self.tellings.pop_front();
        self.teller = telling.is_some().then_some((teller, now));
        telling
    }

    /// `teller` ended, perhaps by a panic: the next event starts another one.
    pub(super) fn end_teller(&mut self, teller: Teller) {
        if self.is_telling(teller) {
            self.teller = None;
        }
    }

    fn is_telling(&self, teller: Teller) -> bool {
        self.teller.is_some_and(|(it, _)| it == teller)
    }
}

/// Puts `waker` where it will be found; the one that was there, if it was another.
pub(super) fn register(place: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    match place {
        Some(registered) if registered.will_wake(waker) => None,
        _ => place.replace(waker.clone()),
    }
}
