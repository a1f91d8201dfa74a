//! [`Passage`]: what the application does with a parcel before it leaves.
//!
//! Applied where the parcel is encoded: outside the lock, on the task of its connection. Only the
//! parcels of sessions that somebody is interested in have one.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use super::extension::{AnyExtension, Content, ServerMessage};
use super::guard;
use super::runtime::{Report, Runtime};
use super::session::Session;
use super::trace::SessionSpan;
use crate::message::{Message, Parcel};

/// What the application does with the events that are about to leave.
pub(super) type DequeueHook = Arc<dyn Fn(&Session, &mut Vec<Arc<Message>>) + Send + Sync>;

/// What the parcels of a session go through.
pub(super) struct Passage {
    /// `None` for replies to somebody who has none.
    pub(super) session: Option<Session>,
    pub(super) hooks: Vec<DequeueHook>,
    /// The server's extensions, in the order in which messages go out.
    pub(super) server: Vec<Arc<dyn AnyExtension>>,
    /// Those of the session.
    pub(super) own: Vec<Arc<dyn AnyExtension>>,
    pub(super) span: SessionSpan,
}

impl Passage {
    /// Lets a parcel through.
    pub(super) fn apply(&self, parcel: &mut Parcel, runtime: &dyn Runtime) {
        let _within = self.span.enter();
        let mut events: Vec<_> = parcel.events.iter().cloned().collect();
        if let (Some(session), false) = (&self.session, events.is_empty()) {
            for hook in &self.hooks {
                let mut kept = events.clone();
                let called = contained("dequeue hook", runtime, || hook(session, &mut kept));
                events = if called.is_some() { kept } else { events };
            }
        }
        events.retain_mut(|event| {
            self.own.iter().all(|it| self.pass(&**it, Content::Event(event), runtime))
        });
        for reply in &mut parcel.replies {
            if reply.details().messages.is_some() {
                reply.details_mut().messages = Some(events.len());
            }
        }
        parcel.events = events.into_iter().collect();
        parcel.replies.retain_mut(|reply| {
            let all = self.server.iter().chain(&self.own);
            all.into_iter().all(|it| self.pass(&**it, Content::Reply(reply), runtime))
        });
    }

    /// Lets a message through that is delivered to the session alone. Whether it goes on.
    pub(super) fn deliver(&self, event: &mut Arc<Message>, runtime: &dyn Runtime) -> bool {
        let _within = self.span.enter();
        self.server.iter().all(|it| self.pass(&**it, Content::Event(event), runtime))
    }

    fn pass(&self, extension: &dyn AnyExtension, content: Content<'_>, by: &dyn Runtime) -> bool {
        send(extension, ServerMessage { content, session: self.session.as_ref() }, by)
    }
}

/// Lets one extension see a message. Whether it goes on; one that panics counts as "it does".
pub(super) fn send(
    extension: &dyn AnyExtension,
    mut message: ServerMessage<'_>,
    runtime: &dyn Runtime,
) -> bool {
    contained("extension", runtime, || extension.send(&mut message)).unwrap_or(true)
}

fn contained<T>(name: &str, runtime: &dyn Runtime, call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => Some(result),
        Err(panic) => {
            let message: String = guard::message(&*panic);
            runtime.report(Report::HandlerPanicked { handler: &name, message: &message });
            None
        }
    }
}
