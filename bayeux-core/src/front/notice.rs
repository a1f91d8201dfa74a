//! Events: what happened, told to the application one after another.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;

use super::guard::{Guarded, Handling};
use super::runtime::{Report, Runtime};
use super::session::Session;
use super::trace::SessionSpan;
use crate::server::{Event, EventKind, RemovedReason};

/// Something that happened, with the session that it happened to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notice {
    /// What happened.
    pub event: Event,
    /// The session, if it happened to one. Of a session that is gone the attributes are still
    /// there.
    pub session: Option<Session>,
}

/// An event handler behind a pointer, with what it wants to hear of.
#[derive(Clone)]
pub(super) struct EventHandler {
    kinds: Kinds,
    handle: Arc<dyn Fn(Notice) -> Handling<()> + Send + Sync>,
}

impl EventHandler {
    /// Whether it is to be told of such events.
    pub(super) fn hears(&self, kind: EventKind) -> bool {
        self.kinds.0 & Kinds::of(kind).0 != 0
    }
}

/// Kinds of events.
#[derive(Clone, Copy)]
pub(super) struct Kinds(u32);

impl Kinds {
    pub(super) const ALL: Self = Self(u32::MAX);

    const fn of(kind: EventKind) -> Self {
        Self(1 << kind as u32)
    }
}

impl FromIterator<EventKind> for Kinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |all, kind| all | Self::of(kind).0))
    }
}

/// What one session's end calls.
pub(super) type RemovedHandler = Box<dyn FnOnce(Session, RemovedReason) -> Handling<()> + Send>;

pub(super) fn boxed<H, F>(kinds: Kinds, handler: H) -> EventHandler
where
    H: Fn(Notice) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    EventHandler { kinds, handle: Arc::new(move |notice| Box::pin(handler(notice))) }
}

/// A notice and those who are to be told.
pub(super) struct Telling {
    pub(super) notice: Notice,
    pub(super) handlers: Vec<EventHandler>,
    pub(super) on_removed: Vec<RemovedHandler>,
    pub(super) span: SessionSpan,
}

impl Telling {
    /// Tells everybody, one after another.
    pub(super) async fn run(self, runtime: &dyn Runtime) {
        for handler in self.handlers {
            let notice = self.notice.clone();
            contain(runtime, &"event handler", Guarded::new(|| (handler.handle)(notice))).await;
        }
        let Event::SessionRemoved { reason, .. } = self.notice.event else { return };
        let Some(session) = self.notice.session else { return };
        for handler in self.on_removed {
            let session = session.clone();
            let handling = Guarded::new(|| handler(session, reason));
            contain(runtime, &"removal handler", handling).await;
        }
    }
}

async fn contain(runtime: &dyn Runtime, handler: &dyn SyncDisplay, handling: Guarded<()>) {
    if let Err(message) = handling.await {
        runtime.report(Report::HandlerPanicked { handler: &handler, message: &message });
    }
}

/// Held across an await, so it has to be `Sync`.
trait SyncDisplay: fmt::Display + Sync {}
impl<T: fmt::Display + Sync> SyncDisplay for T {}
