//! What is left of a session that is gone: its last events, on their way out.
//!
//! They were taken out of its queue, and wait in the payload that ended it, in an answer, or for a
//! socket that is still written to. Until they have left, or cannot any more, the session is not
//! forgotten: [`Output::Forget`] says when it is.

use super::{Outgoing, Output, Server};
use crate::id::SessionId;
use crate::message::Events;

impl Server {
    /// These are the last events of a session, and are to leave without it.
    pub(super) fn owe_farewell(&mut self, session: SessionId, events: &Events) {
        if !events.is_empty() {
            self.farewells.insert(session);
        }
    }

    /// They have left.
    pub(super) fn said_farewell(&mut self, session: Option<SessionId>, events: &Events) {
        if let Some(session) = session.filter(|_| !events.is_empty()) {
            self.farewells.remove(&session);
            self.forgotten(session);
        }
    }

    /// They will never leave.
    pub(super) fn lose_farewell(&mut self, session: Option<SessionId>, events: &Events) {
        self.stats.events_lost += events.published() as u64;
        self.said_farewell(session, events);
    }

    /// Says that nothing is left of a session, if so it is.
    pub(super) fn forgotten(&mut self, session: SessionId) {
        if self.sessions.find(session).is_none() && !self.farewells.contains(&session) {
            self.outbox.push_back(Outgoing::Ready(Output::Forget { session }));
        }
    }
}
