//! The end of a session, from whichever side (Bayeux §4.5).

use alloc::sync::Arc;

use super::keys::SessionKey;
use super::payload::{InProgress, Payload, Step};
use super::session::State;
use super::timers::TimerKey;
use super::{Event, RemovedReason, ResumeCause, Server};
use crate::channel::ChannelName;
use crate::message::{Advice, BayeuxError, Events, Message, Reconnect, Verb};

impl Server {
    /// A client's own disconnect.
    pub(super) fn disconnect(&mut self, payload: &mut Payload, message: InProgress) -> Step {
        // The payload's own answer is none that the session is owed: it must not take the farewell
        // from a connect that is still being decided about.
        if let Some(key) = payload.session.take() {
            let session = self.sessions.get(key);
            if session.is_some_and(|session| !session.delivers_with_connect_only()) {
                let taken = self.take_from_queue(key, usize::MAX);
                payload.last_events = taken.map(|(events, _)| events).unwrap_or_default();
                if let Some(id) = self.session_id(key) {
                    self.owe_farewell(id, &payload.last_events);
                }
                // What is on its way elsewhere and comes back would come behind these.
                self.sessions.change(key, |session| session.queue.clear());
            }
            self.remove_session(key, RemovedReason::Disconnected);
        }
        Step::Done(message.reply)
    }

    /// Ends a session: answers its held connect, ends its subscriptions, tells the application.
    pub(super) fn remove_session(&mut self, key: SessionKey, reason: RemovedReason) {
        let Some(session) = self.sessions.get(key) else { return };
        if session.state == State::Farewell {
            // The application was told; what is left is the end of the wait for the client.
            return self.forget(key);
        }
        let (id, is_held) = (session.id, session.held.is_some());
        self.stats.removed.count(reason, session.state());
        if matches!(reason, RemovedReason::DisconnectedByServer | RemovedReason::Inactive) {
            if let Ok(channel) = ChannelName::parse(Verb::Disconnect.channel()) {
                let (message, now) = (Arc::new(Message::disconnect(channel)), self.now);
                self.sessions.change(key, |session| session.queue.push(message, false, now));
            }
        }
        let last_events = match reason {
            RemovedReason::Overflowed | RemovedReason::Expired => Events::new(),
            RemovedReason::Disconnected
            | RemovedReason::DisconnectedByServer
            | RemovedReason::Inactive => {
                let taken = is_held.then(|| self.take_from_queue(key, usize::MAX)).flatten();
                taken.map(|(events, _)| events).unwrap_or_default()
            }
        };
        self.owe_farewell(id, &last_events);
        let answered = self.resume_with(key, ResumeCause::Removed, |answering| {
            answering.session = None;
            answering.last_events = last_events;
            if let Some(reply) = answering.replies.first_mut() {
                match reason {
                    RemovedReason::Disconnected
                    | RemovedReason::DisconnectedByServer
                    | RemovedReason::Inactive => {
                        reply.details_mut().advice = Some(Advice::reconnect(Reconnect::None));
                    }
                    RemovedReason::Overflowed | RemovedReason::Expired => {
                        reply.outcome = Err(Some(BayeuxError::SESSION_UNKNOWN));
                        reply.details_mut().advice = Some(Advice::HANDSHAKE);
                    }
                }
            }
        });
        self.tell(Event::SessionRemoved { session: id, reason });
        self.end_subscriptions(key);
        let waits_for_client = match reason {
            RemovedReason::DisconnectedByServer | RemovedReason::Inactive => !answered,
            // A connect of this session is being decided about: it is to learn that the session
            // was ended on purpose.
            RemovedReason::Disconnected => self.sessions.get(key).is_some_and(|session| {
                // Or one is answered, and takes what is left. (The disconnect itself is owed an answer.)
                let leaves = session.answers > 1 && session.queue.is_urgent();
                session.questions > 0 || leaves
            }),
            RemovedReason::Expired | RemovedReason::Overflowed => false,
        };
        if waits_for_client {
            self.disarm_lazy(key);
            self.unwatch(key);
            self.sessions.change(key, |session| {
                session.state = State::Farewell;
                session.batches = 0;
            });
            self.wake(key);
        } else {
            self.forget(key);
        }
    }

    fn end_subscriptions(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let id = session.id;
        for channel_key in core::mem::take(&mut session.subscriptions) {
            let Some(channel) = self.channels.get_mut(channel_key) else { continue };
            channel.subscribers.remove(&key);
            let channel = channel.pattern.clone();
            self.watch_channel(channel_key);
            self.tell(Event::Unsubscribed { session: id, channel });
        }
    }

    /// Drops the last trace of a session.
    pub(super) fn forget(&mut self, key: SessionKey) {
        self.disarm_lazy(key);
        self.unwatch(key);
        if let Some(session) = self.sessions.remove(key) {
            self.stats.events_lost += session.queue.unsent_published() as u64;
            self.timers.disarm(session.armed, TimerKey::Session(key));
            if let Some(socket) = session.socket {
                self.unbind(socket);
            }
            if session.answers > 0 {
                *self.farewells.entry(session.id).or_default() += u32::from(session.answers);
            }
            self.forgotten(session.id);
        }
    }
}
