//! `/meta/connect`: the heartbeat, held until there is something to say (Bayeux §4.2).
//!
//! A connect is held when it is alone in its payload, nothing urgent is queued (or a batch is open
//! that will answer it), the session had a connect before, its browser has no other one held, and
//! the time to hold it is not zero. It is answered by the first of: an event, its timeout, the end
//! of the session, the end of the server. A second connect of the session takes its place, and
//! losing the client's connection ends it without an answer.

use core::time::Duration;

use super::keys::SessionKey;
use super::link::{Answering, HeldConnect, LinkState, Resumed};
use super::payload::{InProgress, Payload, Step};
use super::session::State;
use super::{Event, Refusal, ResumeCause, Server};
use crate::id::LinkId;
use crate::message::{Advice, Reconnect, Reply, RequestKind};

impl Server {
    pub(super) fn connect(&mut self, payload: &mut Payload, message: InProgress) -> Step {
        let InProgress { request, reply, .. } = message;
        let RequestKind::Connect { advice } = request.kind else { return Step::Done(reply) };
        let draining = self.draining.is_some();
        let (alone, closed, number) = (payload.alone, payload.closed, payload.connect);
        let moved = payload.session.is_some_and(|key| self.has_moved(payload, key));
        let Some((key, session)) = payload.live_session(self) else { return Step::Done(reply) };
        if alone && (session.connects != number || moved) {
            return Step::Overtaken;
        }
        if closed || moved {
            // Nobody is connected by it: the client has gone, or has spoken elsewhere since.
            return Step::Done(reply);
        }
        let was_connected = session.state == State::Connected;
        if !was_connected {
            self.sessions.change(key, |session| session.state = State::Connected);
        }
        let Some(session) = self.sessions.get_mut(key) else { return Step::Done(reply) };
        session.client_interval = advice.and_then(|it| it.interval);
        session.advise |= advice.is_some();
        // A socket's events do not wait for the answer to a connect.
        let pushes = session.socket.is_some() && !session.delivers_with_connect_only();
        let may_wait = pushes || !session.queue.is_urgent() || session.batches > 0;
        if draining {
            return Step::Done(self.connect_reply(key, reply));
        }
        if alone && may_wait {
            if !self.has_room_to_hold(key, payload.link) {
                return Step::Done(self.surplus_reply(key, reply));
            }
            self.leave_surplus(key);
            let timeout = self.hold_time(key, advice.and_then(|it| it.timeout));
            if was_connected && !timeout.is_zero() {
                self.set_deadline(key, self.now + timeout);
                return Step::Hold(HeldConnect::new(reply));
            }
        }
        Step::Done(self.connect_reply(key, reply))
    }

    fn hold_time(&self, key: SessionKey, asked: Option<Duration>) -> Duration {
        asked
            .or_else(|| self.sessions.get(key).map(|session| session.timeout(&self.config)))
            .unwrap_or_default()
    }

    /// Whether the browser of this session may have one more connect held.
    fn has_room_to_hold(&mut self, key: SessionKey, link: LinkId) -> bool {
        if self.is_socket(link) {
            return true;
        }
        let http2 = self.links.get(&link).is_some_and(|link| link.info.http2);
        let limit = if http2 {
            self.config.http2_max_sessions_per_browser
        } else {
            self.config.max_sessions_per_browser
        };
        let Some(limit) = limit else { return true };
        let browser = self.sessions.get(key).and_then(|session| session.browser);
        match browser.and_then(|browser| self.sessions.browser_mut(browser)) {
            Some(browser) => browser.held < limit,
            None => true,
        }
    }

    /// The reply to a connect that is not held because its browser has too many: poll.
    fn surplus_reply(&mut self, key: SessionKey, mut reply: Reply) -> Reply {
        let interval = self.config.multi_session_interval;
        if interval.is_zero() {
            reply.outcome = Err(None);
            let advice = Advice { multiple_clients: true, ..Advice::reconnect(Reconnect::None) };
            self.start_expiry(key);
            return reply.advise(advice);
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.surplus = true;
        }
        let told = self.connect_reply(key, reply.clone());
        let mut advice = told.details().advice.unwrap_or_default();
        advice.reconnect = Some(Reconnect::Retry);
        advice.interval = Some(interval);
        advice.multiple_clients = true;
        reply.advise(advice)
    }

    /// The session may be held (again): clients keep the last interval they were advised, so one
    /// that was told to poll must be told to stop it (cometd.js replaces advice, never resets it).
    fn leave_surplus(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.advise |= core::mem::take(&mut session.surplus);
        }
    }

    /// Holds a connect; its deadline is set.
    pub(super) fn hold(&mut self, payload: &Payload, connect: HeldConnect) {
        let link = payload.link;
        let Some(key) = payload.session else { return };
        let socket = self.socket_key(link);
        let Some(session) = self.sessions.get(key) else { return };
        let (session, timeout, browser) =
            (session.id, session.deadline.since(self.now), session.browser);
        self.sessions.change(key, |session| {
            session.held = Some(link);
            session.takes_place = socket.is_none();
        });
        if let Some(socket) = socket.and_then(|socket| self.sockets.get_mut(socket)) {
            socket.hold(connect);
        } else if let Some(it) = self.links.get_mut(&link) {
            it.state = LinkState::Held { session: key, connect };
        }
        if let Some(socket) = socket {
            self.resume_intake(socket);
            // What waited for a connect reply while events travelled with those only.
            self.wake(key);
        } else if let Some(browser) = browser.and_then(|it| self.sessions.browser_mut(it)) {
            browser.held += 1;
        }
        self.tell(Event::Suspended { session, link, timeout });
    }

    /// Lets go of the held connect: the browser's place, the link. The session's deadline becomes
    /// its expiry.
    pub(super) fn release(&mut self, key: SessionKey, cause: ResumeCause) -> Option<LinkId> {
        let link = self.sessions.change(key, |session| session.held.take())??;
        let session = self.sessions.get(key)?;
        let browser = session.browser.filter(|_| session.takes_place);
        let session = session.id;
        if let Some(browser) = browser.and_then(|it| self.sessions.browser_mut(it)) {
            browser.held -= 1;
        }
        self.start_expiry(key);
        self.tell(Event::Resumed { session, link, cause });
        Some(link)
    }

    /// Answers the held connect, if there is one. Events join when the answer leaves.
    pub(super) fn resume(&mut self, key: SessionKey, cause: ResumeCause) {
        let Some((link, resumed)) = self.take_held(key, cause) else { return };
        match self.links.get_mut(&link) {
            Some(it) if matches!(it.state, LinkState::Held { .. }) => {
                it.state = LinkState::Resumed(resumed);
                self.outbox.push_answer(link);
            }
            _ => {
                let answering = self.answer_resumed(resumed);
                self.answer_link(link, answering);
            }
        }
    }

    /// The same with a say in what is answered. Whether there was one.
    pub(super) fn resume_with(
        &mut self,
        key: SessionKey,
        cause: ResumeCause,
        adjust: impl FnOnce(&mut Answering),
    ) -> bool {
        let Some((link, resumed)) = self.take_held(key, cause) else { return false };
        let mut answering = self.answer_resumed(resumed);
        adjust(&mut answering);
        self.answer_link(link, answering);
        true
    }

    /// Takes the held connect, which is to be answered.
    fn take_held(&mut self, key: SessionKey, cause: ResumeCause) -> Option<(LinkId, Resumed)> {
        let link = self.release(key, cause)?;
        let connect = match &mut self.links.get_mut(&link)?.state {
            LinkState::Held { connect, .. } => core::mem::take(connect),
            LinkState::Socket(socket) => self.sockets.get_mut(*socket)?.release()?,
            LinkState::Open
            | LinkState::Working(_)
            | LinkState::Resumed(_)
            | LinkState::Answering(_)
            | LinkState::Sent { .. } => return None,
        };
        let counted = self.owe_answer(key);
        let session = self.sessions.get(key)?;
        let (owner, number, timestamp) = (session.id, session.connects, session.timestamp);
        Some((link, Resumed { session: key, connect, owner, number, counted, timestamp }))
    }

    /// The answer to a connect that was resumed.
    pub(super) fn answer_resumed(&mut self, resumed: Resumed) -> Answering {
        let Resumed { session, connect, owner, number, counted, timestamp } = resumed;
        let mut reply = connect.into_reply();
        // The answer to an older connect than the latest may arrive nowhere: the advice is for that one.
        let is_latest = self.sessions.get(session).is_some_and(|it| it.connects == number);
        if is_latest || self.draining.is_some() {
            reply = self.advised(session, reply);
        }
        Answering {
            session: Some(session),
            replies: alloc::vec![reply],
            connect: number,
            owner: Some(owner),
            counted,
            timestamp,
            ..Answering::default()
        }
    }

    /// Makes the answer of a link due.
    pub(super) fn answer_link(&mut self, link: LinkId, answering: Answering) {
        let Some(it) = self.links.get_mut(&link) else { return };
        if let LinkState::Socket(socket) = it.state {
            return self.owe(socket, answering);
        }
        it.state = LinkState::Answering(answering.into());
        self.outbox.push_answer(link);
    }

    /// Another connect of the session arrived, or the session has moved on: the held one is
    /// refused, or over a WebSocket just forgotten.
    pub(super) fn supersede(&mut self, key: SessionKey) {
        let Some(link) = self.release(key, ResumeCause::Superseded) else { return };
        self.stats.superseded_connects += 1;
        match self.socket(link) {
            Some(socket) => drop(socket.release()),
            None => self.refuse(link, Refusal::Superseded),
        }
    }

    /// The connection of a held connect is gone.
    pub(super) fn lose(&mut self, key: SessionKey, link: LinkId) {
        if self.sessions.get(key).is_some_and(|session| session.held == Some(link)) {
            self.release(key, ResumeCause::ConnectionLost);
        }
    }

    /// Completes a successful connect reply, with advice if it is due.
    fn connect_reply(&mut self, key: SessionKey, reply: Reply) -> Reply {
        self.start_expiry(key);
        self.advised(key, reply)
    }

    /// A reply to a connect with the advice that is due.
    fn advised(&mut self, key: SessionKey, mut reply: Reply) -> Reply {
        let Some(session) = self.sessions.get_mut(key) else { return reply };
        if core::mem::take(&mut session.advise) || self.draining.is_some() {
            reply.details_mut().advice = self.advice(key);
        }
        reply
    }

    /// The server's full advice for a session.
    pub(super) fn advice(&mut self, key: SessionKey) -> Option<Advice> {
        let session = self.sessions.get(key)?;
        let mut advice = Advice::reconnect(Reconnect::Retry);
        advice.interval = Some(session.interval(&self.config));
        advice.timeout = Some(session.timeout(&self.config));
        if self.config.handshake_reconnect {
            advice.max_interval = Some(session.max_interval(&self.config));
        }
        if let Some(spread) = self.draining {
            advice.interval = Some(self.scatter(spread));
        }
        Some(advice)
    }
}
