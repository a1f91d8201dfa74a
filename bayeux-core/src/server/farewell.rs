//! What is left of a session that is gone: its last events and replies, on their way out.
//!
//! The events were taken out of its queue, and wait in the payload that ended it, in an answer, or for
//! a socket that is still written to. The replies are those of payloads that are being processed. Until all
//! of that has left, or cannot any more, the session is not forgotten: [`Output::Forget`] says when it is.

use super::keys::SessionKey;
use super::payload::Payload;
use super::session::Session;
use super::{Output, Server};
use crate::id::SessionId;
use crate::message::Events;

impl Server {
    /// These are the last events of a session, and are to leave without it.
    pub(super) fn owe_farewell(&mut self, session: SessionId, events: &Events) {
        if !events.is_empty() {
            *self.farewells.entry(session).or_default() += 1;
        }
    }

    /// They have left.
    pub(super) fn said_farewell(&mut self, session: Option<SessionId>, events: &Events) {
        if let Some(session) = session.filter(|_| !events.is_empty()) {
            self.settle_farewell(session);
        }
    }

    /// One thing less is left of a session that is gone.
    fn settle_farewell(&mut self, session: SessionId) {
        let Some(left) = self.farewells.get_mut(&session) else { return };
        *left -= 1;
        if *left == 0 {
            self.farewells.remove(&session);
            self.forgotten(session);
        }
    }

    /// The payload is of this session, whose client is owed the replies.
    pub(super) fn own(&mut self, payload: &mut Payload, key: SessionKey, owner: SessionId) {
        if payload.owner != Some(owner) {
            self.disown(payload);
            payload.owner = Some(owner);
            payload.counted = self.owe_answer(key);
        }
    }

    /// There is no reply to the payload.
    pub(super) fn disown(&mut self, payload: &mut Payload) {
        if core::mem::take(&mut payload.counted) {
            self.settle_answer(payload.session, payload.owner);
        }
    }

    /// A reply to this session's client is on its way from here on. Whether that is counted.
    pub(super) fn owe_answer(&mut self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return false };
        // As many requests of one session at a time are none of a client's; no harm is done if one is
        // not counted.
        let answers = session.answers.checked_add(1);
        session.answers = answers.unwrap_or(session.answers);
        answers.is_some()
    }

    /// A reply that was counted has left, or will never leave.
    pub(super) fn settle_answer(&mut self, key: Option<SessionKey>, owner: Option<SessionId>) {
        let Some(owner) = owner else { return };
        match self.owner(key, owner) {
            Some(session) => session.answers = session.answers.saturating_sub(1),
            None => self.settle_farewell(owner),
        }
    }

    /// The session of this id; nearly always it is the one of this key.
    fn owner(&mut self, key: Option<SessionKey>, owner: SessionId) -> Option<&mut Session> {
        let key = key
            .filter(|&key| self.session_id(key) == Some(owner))
            .or_else(|| self.sessions.find(owner));
        key.and_then(|key| self.sessions.get_mut(key))
    }

    /// They will never leave.
    pub(super) fn lose_farewell(&mut self, session: Option<SessionId>, events: &Events) {
        self.stats.events_lost += events.published() as u64;
        self.said_farewell(session, events);
    }

    /// Says that nothing is left of a session, if so it is.
    pub(super) fn forgotten(&mut self, session: SessionId) {
        if self.sessions.find(session).is_none() && !self.farewells.contains_key(&session) {
            self.outbox.push(Output::Forget { session });
        }
    }
}
