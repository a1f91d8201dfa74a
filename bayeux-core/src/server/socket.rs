//! [`Socket`]: one WebSocket, from its upgrade to its end.
//!
//! Where an HTTP exchange takes one payload and gives one answer, a socket takes payloads one after
//! another and is written to whenever there is something to say. Two kinds of credit keep it in
//! bounds. The driver gives the next payload only after [`Output::Resume`]: when the replies of the
//! one before were handed over, or its connect is held. And the machine hands over the next parcel
//! only after [`Input::Sent`](super::Input::Sent): what is queued meanwhile stays in the session's
//! queue, where it is counted, and leaves together.
//!
//! A socket is bound to the session whose handshake or whose first message came in on it. The
//! session's events are *pushed* there, also before its first connect; a held connect stays held.
//! (Unless events are to travel with connect replies only: then it is as over HTTP.)
//!
//! The session follows its client to another socket, and by a connect to HTTP. Clients do that when
//! they have given the old socket up, which may well be dead without anybody knowing; and what still
//! comes there was said before they did. So the socket that a session has left takes no further
//! payload, and is closed when it owes nothing: the session cannot be carried back to it. (What it
//! was writing counts for what becomes of it; its peer is given as long as any other to take it.)
//!
//! Since a socket can stay quiet for as long as it likes, the machine looks after it: a peer that
//! is silent is pinged, and one that stays silent is given up. One timer entry for each socket, and
//! none that goes off more often than pings are due.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::keys::{SessionKey, SocketKey};
use super::link::{Answering, HeldConnect, Link, LinkInfo, LinkState};
use super::payload::Payload;
use super::queue::Flight;
use super::timers::TimerKey;
use super::{Output, Refusal, RemovedReason, ResumeCause, Server};
use crate::id::LinkId;
use crate::message::{Parcel, Verb};
use crate::time::Time;
use crate::transport::Transport;

/// In this order: what a delivery looks at is together, as in a session.
#[repr(C)]
pub(super) struct Socket {
    link: LinkId,
    /// The session whose messages come in here, and whose events go out.
    pub(super) session: Option<SessionKey>,
    /// The parcel that was handed over, until it is known what became of it.
    sent: Option<Sent>,
    /// Whether the socket stands in the outbox, or was named and has not been collected.
    due: bool,
    /// Whether the peer was pinged since it was last heard.
    pinged: bool,
    /// Why the socket is closed as soon as it owes nothing, if it is.
    ending: Option<Refusal>,
    /// What is owed besides events, until it is collected, when the parcel before it is out: one
    /// answer for each session, since the application may have an eye on the parcels of one.
    owed: Vec<Answering>,
    intake: Intake,
    /// The connect of the session that is held here.
    held: Option<HeldConnect>,
    /// When the peer last gave a sign of life.
    heard: Time,
    /// The moment of the socket's entry in the timers.
    armed: Time,
}

/// What has become of the latest payload.
enum Intake {
    /// It is dealt with, and the next one may come.
    Ready,
    /// It is being walked.
    Walking,
    /// Its message in progress waits for the application.
    Parked(Box<Payload>),
    /// Its replies are among what is owed.
    Answered,
}

struct Sent {
    /// The session that was answered, for whom silence counts from when the parcel is out.
    answered: Option<SessionKey>,
    flight: Option<(SessionKey, Flight)>,
}

impl Socket {
    fn new(link: LinkId, now: Time) -> Self {
        Self {
            link,
            session: None,
            sent: None,
            due: false,
            pinged: false,
            ending: None,
            owed: Vec::new(),
            intake: Intake::Ready,
            held: None,
            heard: now,
            armed: Time::FAR_FUTURE,
        }
    }

    /// The link that it is, as the driver knows it.
    pub(super) fn link(&self) -> LinkId {
        self.link
    }

    pub(super) fn take_payload(&mut self) -> bool {
        let ready = matches!(self.intake, Intake::Ready);
        if ready {
            self.intake = Intake::Walking;
        }
        ready
    }

    pub(super) fn park(&mut self, payload: Payload) {
        self.intake = Intake::Parked(payload.into());
    }

    pub(super) fn unpark(&mut self) -> Option<Box<Payload>> {
        if !matches!(self.intake, Intake::Parked(_)) {
            return None;
        }
        let parked = core::mem::replace(&mut self.intake, Intake::Walking);
        if let Intake::Parked(payload) = parked { Some(payload) } else { None }
    }

    /// The payload is a connect, which is held.
    pub(super) fn hold(&mut self, connect: HeldConnect) {
        self.held = Some(connect);
    }

    /// Lets go of the held connect, if there is one.
    pub(super) fn release(&mut self) -> Option<HeldConnect> {
        self.held.take()
    }

    /// Whether there is somebody to wait for: a session, or an application that decides.
    fn is_engaged(&self) -> bool {
        self.session.is_some() || matches!(self.intake, Intake::Parked(_))
    }

    /// Whether a parcel is about to leave, or is leaving.
    pub(super) fn is_writing(&self) -> bool {
        self.due || self.sent.is_some()
    }

    /// Whether its session has moved to another link.
    pub(super) fn is_left(&self) -> bool {
        self.ending == Some(Refusal::Moved)
    }

    fn owes_nothing(&self) -> bool {
        let ready = matches!(self.intake, Intake::Ready);
        ready && !self.due && self.owed.is_empty() && self.sent.is_none()
    }
}

impl Server {
    pub(super) fn open_socket(&mut self, link: LinkId, info: LinkInfo) {
        let socket = self.sockets.insert(Socket::new(link, self.now));
        let local = info.transport == Transport::Local;
        self.links.insert(link, Link { info, state: LinkState::Socket(socket) });
        self.websockets += usize::from(info.transport == Transport::WebSocket);
        if self.draining.is_some() {
            return self.refuse(link, Refusal::Draining);
        }
        if !local {
            self.look_after(socket);
        }
    }

    /// The socket that a link is, if it is one.
    pub(super) fn socket_key(&self, link: LinkId) -> Option<SocketKey> {
        self.links.get(&link)?.state.socket()
    }

    pub(super) fn socket(&mut self, link: LinkId) -> Option<&mut Socket> {
        let socket = self.socket_key(link)?;
        self.sockets.get_mut(socket)
    }

    /// Whether the link is a WebSocket that is open.
    pub(super) fn is_socket(&self, link: LinkId) -> bool {
        self.socket_key(link).is_some()
    }

    /// Binds a session to the socket that a message of it came in on.
    pub(super) fn attach(&mut self, key: SessionKey, link: LinkId) {
        let Some(at) = self.socket_key(link) else { return };
        let Some(socket) = self.sockets.get_mut(at) else { return };
        if socket.session == Some(key) {
            return;
        }
        drop(socket.release());
        if let Some(other) = socket.session.take() {
            self.detach(other, link);
        }
        self.leave_socket(key);
        let draining = self.draining.is_some();
        if let Some(socket) = self.sockets.get_mut(at) {
            socket.session = Some(key);
            // A handshake that was decided about while the session before it left.
            if socket.is_left() {
                socket.ending = draining.then_some(Refusal::Draining);
            }
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.socket = Some(at);
            session.moves = session.moves.wrapping_add(1);
        }
        self.wake(key);
    }

    /// Unbinds a session from its socket, because it is on another link from here on. A connect
    /// that is held on the socket is not answered.
    pub(super) fn leave_socket(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(at) = session.socket.take() else { return };
        session.moves = session.moves.wrapping_add(1);
        let held = session.held;
        let Some(socket) = self.sockets.get_mut(at) else { return };
        socket.session = None;
        if held == Some(socket.link) {
            self.supersede(key);
        }
        self.end(at, Refusal::Moved);
    }

    /// The socket of a session is gone, or somebody else's. The session lives on until its
    /// deadline.
    fn detach(&mut self, key: SessionKey, link: LinkId) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.socket.take().is_some() && session.held == Some(link) {
            self.release(key, ResumeCause::ConnectionLost);
        }
    }

    /// The session is gone: its socket is nobody's. A local link ends with its session, when that has
    /// been told what it is owed.
    pub(super) fn unbind(&mut self, at: SocketKey) {
        let Some(socket) = self.sockets.get_mut(at) else { return };
        socket.session = None;
        let link = self.links.get(&socket.link);
        if link.is_some_and(|it| it.info.transport == Transport::Local) {
            self.end(at, Refusal::Draining);
        }
    }

    /// Sees to it that the driver writes to the socket.
    pub(super) fn push(&mut self, socket: SocketKey) {
        let Some(socket) = self.sockets.get_mut(socket) else { return };
        if !socket.due && socket.sent.is_none() {
            socket.due = true;
            self.outbox.push_answer(socket.link);
        }
    }

    /// Adds replies to what the socket owes.
    pub(super) fn owe(&mut self, at: SocketKey, answering: Answering) {
        let Some(socket) = self.sockets.get_mut(at) else { return };
        match socket.owed.last_mut() {
            Some(owed) if owed.owner == answering.owner || answering.owner.is_none() => {
                owed.session = answering.session.or(owed.session);
                owed.timestamp |= answering.timestamp;
                owed.replies.extend(answering.replies);
                owed.last_events.append(answering.last_events);
                let both = owed.counted && answering.counted;
                owed.counted |= answering.counted;
                if both {
                    // They are one from here on.
                    self.settle_answer(answering.session, answering.owner);
                }
            }
            _ => {
                socket.owed.reserve_exact(1);
                socket.owed.push(answering);
            }
        }
        self.push(at);
    }

    /// The socket's payload is answered.
    pub(super) fn owe_replies(&mut self, at: SocketKey, answering: Answering) {
        if let Some(socket) = self.sockets.get_mut(at) {
            socket.intake = Intake::Answered;
        }
        self.owe(at, answering);
    }

    /// The socket's payload is dealt with, and needs no answer now.
    pub(super) fn resume_intake(&mut self, at: SocketKey) {
        let Some(socket) = self.sockets.get_mut(at) else { return };
        if !socket.owed.is_empty() {
            // A peer that does not read could go on connecting, and each connect that times out
            // adds a reply. So the next payload waits until what is owed was handed over.
            socket.intake = Intake::Answered;
            return;
        }
        socket.intake = Intake::Ready;
        if socket.ending.is_none() {
            self.outbox.push(Output::Resume { link: socket.link });
        }
        self.end_if_done(at);
    }

    /// Hands over what the socket owes: replies, and the events that may leave with them.
    pub(super) fn dispatch_socket(&mut self, at: SocketKey) -> Option<Parcel> {
        let socket = self.sockets.get_mut(at)?;
        // While one is out nothing is due; when that is known to have arrived, `socket_sent` looks
        // again.
        if !core::mem::take(&mut socket.due) || socket.sent.is_some() {
            return None;
        }
        let bound = socket.session;
        // An idle socket has no room for what it does not owe.
        let owed = match socket.owed.len() {
            0 => return self.dispatch_events(at, bound),
            1 => core::mem::take(&mut socket.owed).pop().unwrap_or_default(),
            _ => socket.owed.remove(0),
        };
        let is_last = socket.owed.is_empty();
        let Answering {
            session,
            mut replies,
            last_events: mut events,
            mut owner,
            mut timestamp,
            counted,
            ..
        } = owed;
        let answered = is_last && matches!(socket.intake, Intake::Answered);
        let answers = |verb| replies.iter().any(|reply| reply.answers(verb));
        let (connect, handshake) = (answers(Verb::Connect), answers(Verb::Handshake));
        let mut flight = None;
        self.said_farewell(owner, &events);
        if counted {
            self.settle_answer(session, owner);
        }
        let bound = bound.filter(|&key| owner.is_none() || owner == self.session_id(key));
        if let Some(key) = bound.filter(|&key| self.may_carry_events(key, &replies, true)) {
            if let Some(session) = self.sessions.get(key) {
                (owner, timestamp) = (Some(session.id), timestamp | session.timestamp);
            }
            let bytes = self.config.limits.socket_bytes;
            let (queued, taken) = self.take_events(key, bytes, &mut replies);
            events.append(queued);
            flight = taken.map(|flight| (key, flight));
        }
        if replies.is_empty() && events.is_empty() {
            self.end_if_done(at);
            return None;
        }
        if let (true, Some(first), false) = (handshake, replies.first_mut(), events.is_empty()) {
            first.details_mut().messages = Some(events.len());
        }
        self.stats.events_sent += events.published() as u64;
        let starts_expiry = session.filter(|_| connect || handshake);
        if let Some(socket) = self.sockets.get_mut(at) {
            socket.sent = Some(Sent { answered: starts_expiry, flight });
            if answered {
                socket.intake = Intake::Ready;
            }
            // A socket that is about to be closed takes no further payload.
            if answered && socket.ending.is_none() {
                self.outbox.push_first(Output::Resume { link: socket.link });
            }
        }
        if let Some(key) = starts_expiry {
            self.answered(key);
        }
        self.leave(&mut replies);
        Some(Parcel { replies, events, browser: None, timestamp, session: owner })
    }

    /// The same when it owes nothing but events, as nearly always in a burst.
    fn dispatch_events(&mut self, at: SocketKey, bound: Option<SessionKey>) -> Option<Parcel> {
        let carrier = bound.filter(|&key| self.may_carry_events(key, &[], true));
        let parcel = carrier.and_then(|key| {
            let session = self.sessions.get(key)?;
            let (owner, timestamp) = (session.id, session.timestamp);
            let bytes = self.config.limits.socket_bytes;
            let (events, flight) = self.take_events(key, bytes, &mut []);
            if events.is_empty() {
                return None;
            }
            self.stats.events_sent += events.published() as u64;
            if let Some(socket) = self.sockets.get_mut(at) {
                let flight = flight.map(|flight| (key, flight));
                socket.sent = Some(Sent { answered: None, flight });
            }
            let (replies, session) = (Vec::new(), Some(owner));
            Some(Parcel { replies, events, browser: None, timestamp, session })
        });
        if parcel.is_none() {
            self.end_if_done(at);
        }
        parcel
    }

    /// What became of the parcel that the socket was last given.
    pub(super) fn socket_sent(&mut self, at: SocketKey, delivered: bool) {
        let Some(sent) = self.sockets.get_mut(at).and_then(|socket| socket.sent.take()) else {
            self.stats.ignored_inputs += 1;
            return;
        };
        self.conclude(sent, delivered);
        let Some(socket) = self.sockets.get_mut(at) else { return };
        if !socket.owed.is_empty() {
            self.push(at);
        } else if let Some(key) = socket.session {
            self.wake(key);
        }
        self.end_if_done(at);
    }

    fn conclude(&mut self, sent: Sent, delivered: bool) {
        if let Some((key, flight)) = sent.flight {
            self.land(key, flight, delivered);
            if !delivered {
                // What came back is for whichever link the session is on by now.
                self.wake(key);
            }
        }
        if let Some(key) = sent.answered {
            // The time that a large parcel took to leave does not count as silence.
            self.answered(key);
        }
    }

    /// Takes a socket out of the machine: the peer is gone, or the machine gives it up.
    ///
    /// `delivered` says what is believed of a parcel that is being written.
    pub(super) fn close_socket(&mut self, at: SocketKey, delivered: bool) {
        let Some(mut socket) = self.sockets.remove(at) else { return };
        let link = socket.link;
        let Some(Link { info, .. }) = self.links.remove(&link) else { return };
        self.websockets -= usize::from(info.transport == Transport::WebSocket);
        self.timers.disarm(socket.armed, TimerKey::Socket(at));
        if let Some(key) = socket.session.take() {
            self.detach(key, link);
            if info.transport == Transport::Local {
                // Nobody can come back to it.
                self.remove_session(key, RemovedReason::Disconnected);
                self.forget(key);
            }
        }
        if let Some(sent) = socket.sent.take() {
            self.conclude(sent, delivered);
        }
        for owed in socket.owed {
            self.abandon(&owed);
        }
        if let Intake::Parked(mut payload) = socket.intake {
            // What was accepted is processed to its end; only the answer has nowhere to go.
            payload.closed = true;
            self.links.insert(link, Link { info, state: LinkState::Working(payload) });
        }
    }

    /// The peer gave a sign of life.
    pub(super) fn heard(&mut self, at: SocketKey) {
        let now = self.now;
        let ping_interval = self.config.ws_ping_interval;
        let Some(socket) = self.sockets.get_mut(at) else { return };
        socket.heard = now;
        if core::mem::take(&mut socket.pinged) && now + ping_interval < socket.armed {
            self.look_after(at);
        }
    }

    /// The peer gave a sign of life that is no message. Somebody who never makes a session cannot
    /// keep a socket with that.
    pub(super) fn alive(&mut self, link: LinkId) {
        let Some(at) = self.socket_key(link) else {
            self.stats.ignored_inputs += 1;
            return;
        };
        if self.sockets.get(at).is_some_and(Socket::is_engaged) {
            self.heard(at);
        }
    }

    /// Arms the socket's timer for the next thing to do about a silent peer.
    fn look_after(&mut self, at: SocketKey) {
        let (ping, idle) = (self.config.ws_ping_interval, self.config.ws_idle_timeout);
        let Some(socket) = self.sockets.get_mut(at) else { return };
        let due = if socket.pinged || ping >= idle { idle } else { ping };
        let (before, next) = (socket.armed, socket.heard + due);
        socket.armed = next;
        self.timers.disarm(before, TimerKey::Socket(at));
        self.timers.arm(next, TimerKey::Socket(at));
    }

    pub(super) fn socket_due(&mut self, at: SocketKey) {
        let (ping, idle) = (self.config.ws_ping_interval, self.config.ws_idle_timeout);
        let now = self.now;
        let Some(socket) = self.sockets.get_mut(at) else { return };
        let link = socket.link;
        socket.armed = Time::FAR_FUTURE;
        if matches!(socket.intake, Intake::Parked(_)) {
            // The client has spoken; it is the application's turn. (The driver may have a further
            // payload by now, and then it does not read, and hears no answer to a ping.)
            socket.heard = now;
        }
        let silence = now.since(socket.heard);
        if silence >= idle {
            self.stats.idle_sockets += 1;
            return self.refuse(link, Refusal::Idle);
        }
        if silence >= ping && !socket.pinged {
            socket.pinged = true;
            if socket.is_engaged() {
                self.outbox.push(Output::Ping { link });
            }
        }
        self.look_after(at);
    }

    /// The server is draining: every socket is closed when it has been told what it is owed.
    pub(super) fn end_sockets(&mut self) {
        let sockets: Vec<_> = self.sockets.keys().collect();
        for at in sockets {
            self.end(at, Refusal::Draining);
        }
    }

    /// The socket is asked for no further payload, and is closed when it owes nothing.
    fn end(&mut self, at: SocketKey, why: Refusal) {
        if let Some(socket) = self.sockets.get_mut(at) {
            // Who is left need not be told of the drain, and has nothing to say.
            let left = why == Refusal::Moved;
            socket.ending = socket.ending.filter(|_| !left).or(Some(why));
        }
        self.end_if_done(at);
    }

    fn end_if_done(&mut self, at: SocketKey) {
        let Some(socket) = self.sockets.get(at) else { return };
        let (link, ending) = (socket.link, socket.ending);
        if let Some(why) = ending.filter(|_| socket.owes_nothing()) {
            self.refuse(link, why);
        }
    }

    /// Drops a payload that came too late. What is being written goes on to be written, and what
    /// becomes of it counts: what does not arrive is delivered elsewhere.
    pub(super) fn drop_late_payload(&mut self, at: SocketKey) {
        if let Some(socket) = self.sockets.get_mut(at) {
            socket.intake = Intake::Ready;
        }
        self.end_if_done(at);
    }
}
