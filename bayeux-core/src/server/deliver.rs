//! Delivery: into a session's queue, past its held connect, out in a parcel.

use alloc::sync::Arc;

use super::keys::SessionKey;
use super::link::{Answering, LinkState, Resumed};
use super::queue::{Flight, Offered};
use super::timers::TimerKey;
use super::{Event, RemovedReason, ResumeCause, Server};
use crate::channel::Overflow;
use crate::id::LinkId;
use crate::message::{AckReply, Advice, Events, Message, Parcel, Reconnect, Reply, Verb};
use crate::time::Time;

/// How one message is to be queued.
#[derive(Clone, Copy)]
struct Manner {
    /// When the message must leave at the latest, if it may wait.
    lazy: Option<Time>,
    overflow: Overflow,
}

/// Whether there is the reply to a connect that was successful.
fn has_connected(replies: &[Reply]) -> bool {
    replies.iter().any(|reply| reply.answers(Verb::Connect) && reply.is_successful())
}

impl Server {
    /// Queues a message for everybody who subscribes to its channel or to a wildcard that matches
    /// it: one copy for each session, however many of its subscriptions match.
    pub(super) fn fan_out(&mut self, message: &Arc<Message>, from: Option<SessionKey>) {
        let matches = self.channels.matching(message.channel().as_str());
        if matches.is_empty() {
            return;
        }
        self.fan_outs += 1;
        let fan_out = self.fan_outs;
        let mut reached = core::mem::take(&mut self.reached);
        let (mut lazy, mut lazy_timeout, mut overflow) = (message.is_lazy(), None, None);
        let mut to_publisher = None;
        for channel in matches.iter().filter_map(|&key| self.channels.get(key)) {
            let settings = &channel.settings;
            // From root to leaf, so the most specific channel that says something has its way.
            lazy |= settings.lazy;
            lazy_timeout = settings.lazy_timeout.or(lazy_timeout);
            overflow = settings.overflow.or(overflow);
            to_publisher = settings.broadcast_to_publisher.or(to_publisher);
        }
        let own = from.filter(|&key| {
            let wanted = self.sessions.get(key).is_some_and(|it| it.broadcast_to_publisher);
            !(to_publisher.unwrap_or(true) && wanted)
        });
        let channels = matches.iter().filter_map(|&key| self.channels.get(key));
        let mut channels = channels.filter(|channel| !channel.subscribers.is_empty());
        match (channels.next(), channels.next()) {
            (Some(only), None) => {
                // Whoever is reached is reached once, and need not be looked at for that.
                reached.extend(only.subscribers.iter().filter(|&&it| Some(it) != own));
            }
            (first, second) => {
                for channel in first.into_iter().chain(second).chain(channels) {
                    for &subscriber in &channel.subscribers {
                        let Some(session) = self.sessions.get_mut(subscriber) else { continue };
                        if Some(subscriber) != own && session.reached_by != fan_out {
                            session.reached_by = fan_out;
                            reached.push(subscriber);
                        }
                    }
                }
            }
        }
        let wait = lazy_timeout.unwrap_or(self.config.max_lazy_timeout);
        let manner = Manner {
            lazy: (lazy && !wait.is_zero()).then(|| self.now + wait),
            overflow: overflow.unwrap_or(self.config.overflow),
        };
        for subscriber in reached.drain(..) {
            self.enqueue(subscriber, message, manner);
        }
        self.reached = reached;
    }

    /// Queues a message for one session.
    pub(super) fn deliver(&mut self, key: SessionKey, message: &Arc<Message>) {
        let wait = self.config.max_lazy_timeout;
        let lazy = (message.is_lazy() && !wait.is_zero()).then(|| self.now + wait);
        self.enqueue(key, message, Manner { lazy, overflow: self.config.overflow });
    }

    fn enqueue(&mut self, key: SessionKey, message: &Arc<Message>, manner: Manner) {
        self.burst += 1;
        let (limits, now) = (&self.config.limits, self.now);
        let Some(session) = self.sessions.get(key) else { return };
        let overflow = session.overflow.unwrap_or(manner.overflow);
        let (message, lazy) = (Arc::clone(message), manner.lazy.is_some());
        let offered = self.sessions.change_queue(key, |queue| {
            (queue.is_urgent(), queue.offer(message, lazy, overflow, limits, now))
        });
        let Some((was_urgent, offered)) = offered else { return };
        let displaced = match offered {
            Offered::Queued => 0,
            Offered::Displaced(count) => count,
            Offered::Dropped => {
                self.stats.events_dropped += 1;
                return self.tell_dropped(key, 1);
            }
            Offered::Overflowed => {
                self.stats.events_dropped += 1;
                return self.remove_session(key, RemovedReason::Overflowed);
            }
        };
        self.stats.events_queued += 1;
        if displaced > 0 {
            self.stats.events_displaced += displaced as u64;
            self.tell_dropped(key, displaced);
        }
        match manner.lazy {
            Some(at) => self.arm_lazy(key, at),
            // Something else is on its way out already, or waits for the same as this.
            None if was_urgent => debug_assert!(self.is_attended(key), "nobody delivers"),
            None => self.wake(key),
        }
    }

    fn tell_dropped(&mut self, key: SessionKey, count: usize) {
        if let Some(session) = self.session_id(key) {
            self.tell(Event::EventsDropped { session, count });
        }
    }

    /// Whether what is queued urgently will leave without being asked for again: that it has been, or that
    /// a batch has to end, or a connect to come.
    fn is_attended(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else { return true };
        let pushes = !session.delivers_with_connect_only();
        match session.socket.and_then(|socket| self.sockets.get(socket)) {
            _ if session.batches > 0 || !session.is_live() => true,
            Some(socket) if pushes => socket.is_writing(),
            _ => session.held.is_none(),
        }
    }

    /// If something urgent is queued and no batch is open, pushes it to the session's socket or
    /// answers the held connect with it.
    pub(super) fn wake(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        if session.batches > 0 || !session.queue.is_urgent() {
            return;
        }
        match session.socket {
            Some(socket) if !session.delivers_with_connect_only() => self.push(socket),
            // A farewell takes the first chance, unless a connect has to say what has arrived.
            Some(socket) if !session.is_live() && !session.queue.is_acknowledged() => {
                self.push(socket);
            }
            _ if session.held.is_some() => self.resume(key, ResumeCause::Events),
            _ => {}
        }
    }

    /// Makes sure that lazy events leave at `at`; an earlier date stays.
    fn arm_lazy(&mut self, key: SessionKey, at: Time) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.lazy <= at {
            return;
        }
        let armed = core::mem::replace(&mut session.lazy, at);
        if armed < Time::FAR_FUTURE {
            self.timers.disarm(armed, TimerKey::Lazy(key));
        }
        self.timers.arm(at, TimerKey::Lazy(key));
    }

    pub(super) fn disarm_lazy(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            let armed = core::mem::replace(&mut session.lazy, Time::FAR_FUTURE);
            if armed < Time::FAR_FUTURE {
                self.timers.disarm(armed, TimerKey::Lazy(key));
            }
        }
    }

    pub(super) fn lazy_due(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.lazy = Time::FAR_FUTURE;
        if session.queue.hurry() {
            self.wake(key);
        }
    }

    /// Ends a batch.
    pub(super) fn end_batch(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.batches = session.batches.saturating_sub(1);
            self.wake(key);
        }
    }

    /// Hands over the answer of a link, with the events that may leave with it.
    pub(super) fn dispatch(&mut self, link: LinkId) -> Option<Parcel> {
        let it = self.links.get_mut(&link)?;
        let answering = match &mut it.state {
            LinkState::Socket(socket) => {
                let socket = *socket;
                return self.dispatch_socket(socket);
            }
            LinkState::Resumed(resumed) => {
                let resumed = resumed.take();
                self.answer_resumed(resumed)
            }
            LinkState::Answering(answering) => core::mem::take(&mut **answering),
            LinkState::Open
            | LinkState::Working(_)
            | LinkState::Held { .. }
            | LinkState::Sent { .. } => return None,
        };
        let Answering { session, mut replies, last_events, browser, in_batch, mut owner, .. } =
            answering;
        let (number, timestamp, counted) =
            (answering.connect, answering.timestamp, answering.counted);
        let answers = |verb| replies.iter().any(|reply| reply.answers(verb));
        let (connect, handshake) = (answers(Verb::Connect), answers(Verb::Handshake));

        self.said_farewell(owner, &last_events);
        if counted {
            self.settle_answer(session, owner);
        }
        let (mut events, mut flight) = (last_events, None);
        let carrier = session.filter(|&key| {
            // What goes with an older connect than the latest may arrive nowhere, and the number
            // that goes with the latest would acknowledge it.
            let latest = self.sessions.get(key).is_some_and(|session| {
                session.connects == number || !session.queue.is_acknowledged()
            });
            self.may_carry_events(key, &replies, latest)
        });
        if let Some(key) = carrier {
            // A farewell goes with the answer to a payload that has no session any more.
            owner = owner.or_else(|| self.session_id(key));
            (events, flight) = self.take_events(key, usize::MAX, &mut replies);
        }
        if let Some(it) = self.links.get_mut(&link) {
            it.state = LinkState::Sent { session, flight, starts_expiry: connect || handshake };
        }
        if let (true, Some(first), false) = (handshake, replies.first_mut(), events.is_empty()) {
            first.details_mut().messages = Some(events.len());
        }
        self.stats.events_sent += events.published() as u64;
        if let Some(key) = session {
            if in_batch {
                self.end_batch(key);
            }
            if connect || handshake {
                self.answered(key);
            }
        }
        self.leave(&mut replies);
        Some(Parcel { replies, events, browser, timestamp, session: owner })
    }

    /// The replies are handed over now.
    pub(super) fn leave(&mut self, replies: &mut [Reply]) {
        for reply in &*replies {
            self.stats.replies.count(&reply.outcome);
        }
        for timesync in replies.iter_mut().filter_map(|reply| reply.timesync.as_deref_mut()) {
            timesync.leave(self.now);
        }
    }

    /// Whether a session's queue may leave with these replies: with one to a connect (that was
    /// successful, since clients take no number from another one) it always may. `latest` says
    /// whether there is no newer connect.
    pub(super) fn may_carry_events(
        &self,
        key: SessionKey,
        replies: &[Reply],
        latest: bool,
    ) -> bool {
        let Some(session) = self.sessions.get(key) else { return false };
        let answers = |verb| replies.iter().any(|reply| reply.answers(verb));
        if answers(Verb::Handshake) {
            self.config.allow_message_delivery_during_handshake
        } else if session.is_live() {
            (latest && has_connected(replies)) || !session.delivers_with_connect_only()
        } else {
            // A farewell takes the first chance: its client may never connect again. But only a
            // connect says which of the events that were sent have arrived.
            !session.queue.is_acknowledged() || answers(Verb::Connect)
        }
    }

    /// Takes events that fit into `bytes` for a parcel with `replies`, which say what there is to
    /// acknowledge. With a farewell the session is forgotten.
    pub(super) fn take_events(
        &mut self,
        key: SessionKey,
        bytes: usize,
        replies: &mut [Reply],
    ) -> (Events, Option<Flight>) {
        self.disarm_lazy(key);
        let Some(session) = self.sessions.get(key) else { return (Events::new(), None) };
        let (farewell, acknowledged) = (!session.is_live(), session.queue.is_acknowledged());
        let bytes = if farewell { usize::MAX } else { bytes };
        let Some((events, flight)) = self.take_from_queue(key, bytes) else {
            return (Events::new(), None);
        };
        if acknowledged && !farewell {
            for reply in &mut *replies {
                if reply.answers(Verb::Connect) && reply.is_successful() {
                    reply.ack = Some(AckReply::Batch(flight.number()));
                } else if reply.ack.is_some() {
                    reply.ack = Some(AckReply::Enabled(Some(flight.number())));
                }
            }
        }
        if farewell {
            // A connect that was to be answered before the session was ended says so, too.
            for reply in replies.iter_mut() {
                if reply.answers(Verb::Connect) && reply.is_successful() {
                    reply.details_mut().advice = Some(Advice::reconnect(Reconnect::None));
                }
            }
            self.forget(key);
            return (events, None);
        }
        if !events.is_empty() || replies.iter().any(|reply| !reply.answers(Verb::Connect)) {
            self.note_activity(key, true);
        }
        (events, Some(flight))
    }

    /// Takes events out of a session's queue, and notes how long they have waited.
    pub(super) fn take_from_queue(
        &mut self,
        key: SessionKey,
        bytes: usize,
    ) -> Option<(Events, Flight)> {
        let (now, waits) = (self.now, &mut self.stats.delivery);
        self.sessions
            .change_queue(key, |queue| queue.take(bytes, |queued| waits.record(now.since(queued))))
    }

    /// The flight's parcel is out, or was lost.
    pub(super) fn land(&mut self, key: SessionKey, flight: Flight, delivered: bool) {
        let returned = self.sessions.change_queue(key, |queue| {
            if delivered {
                queue.confirm(flight);
                0
            } else {
                queue.fail(flight)
            }
        });
        self.stats.events_returned += returned.unwrap_or(0) as u64;
    }

    /// What became of a parcel.
    pub(super) fn sent(&mut self, link: LinkId, delivered: bool) {
        match self.links.get(&link).map(|it| &it.state) {
            Some(&LinkState::Socket(socket)) => self.socket_sent(socket, delivered),
            Some(&LinkState::Sent { session, flight, starts_expiry }) => {
                self.links.remove(&link);
                let Some(key) = session else { return };
                if let Some(flight) = flight {
                    self.land(key, flight, delivered);
                }
                if starts_expiry {
                    // The time that a large response took to leave does not count as silence.
                    self.answered(key);
                }
                self.wake(key);
            }
            _ => self.stats.ignored_inputs += 1,
        }
    }

    /// The client was answered: its silence counts from here, unless another connect is held or
    /// the application is deciding about another message (which has a later deadline already).
    pub(super) fn answered(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        if session.held.is_none() {
            let at = session.expiry(self.now, &self.config).max(session.deadline);
            self.set_deadline(key, at);
        }
    }

    /// The client of a link is gone.
    pub(super) fn close(&mut self, link: LinkId) {
        let Some(it) = self.links.get_mut(&link) else {
            self.stats.ignored_inputs += 1;
            return;
        };
        match &mut it.state {
            LinkState::Open => {
                self.links.remove(&link);
            }
            // What was accepted is processed to its end; only the answer has nowhere to go.
            LinkState::Working(payload) => payload.closed = true,
            LinkState::Held { session, .. } => {
                let session = *session;
                self.links.remove(&link);
                self.lose(session, link);
            }
            LinkState::Resumed(Resumed { session, owner, counted, .. }) => {
                let (session, owner, counted) = (*session, *owner, *counted);
                self.links.remove(&link);
                if counted {
                    self.settle_answer(Some(session), Some(owner));
                }
            }
            LinkState::Answering(answering) => {
                let answering = core::mem::take(&mut **answering);
                self.links.remove(&link);
                self.abandon(&answering);
            }
            LinkState::Sent { .. } => self.sent(link, false),
            LinkState::Socket(socket) => {
                let socket = *socket;
                self.close_socket(socket, false);
            }
        }
    }

    /// An answer that nobody will get, before any event was taken for it.
    pub(super) fn abandon(&mut self, answering: &Answering) {
        if let (Some(key), true) = (answering.session, answering.in_batch) {
            self.end_batch(key);
        }
        let advises = answering.replies.iter().any(|reply| reply.details().advice.is_some());
        let session = answering.session.and_then(|key| self.sessions.get_mut(key));
        if let (Some(session), true) = (session, advises) {
            // Clients keep the last advice that they were given, so they must get this one.
            session.advise = true;
        }
        self.lose_farewell(answering.owner, &answering.last_events);
        if answering.counted {
            self.settle_answer(answering.session, answering.owner);
        }
    }
}
