//! [`Payload`]: the messages of one request, walked one after another.
//!
//! A message takes several steps (see [`Stage`]), and at some of them the application may have to
//! be asked. Then the whole payload is parked in its link: the message in progress with the reply
//! under construction, and the messages behind it. The answer (or its deadline) takes it up again.
//! On resumption nothing that was true before is believed: the session may be gone, the client may
//! be gone.
//!
//! While a payload is open that does not begin with a connect, its session's events are batched:
//! what the payload causes shall leave with its own response instead of waking the held connect.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::{self, Vec};
use core::time::Duration;

use super::denial::{BUSY, deleted, denied};
use super::keys::SessionKey;
use super::link::{Answering, HeldConnect, LinkState};
use super::question::{AskExtend, AskListen, ListenVerdict, Question, Ticket, Verdict};
use super::questions::{Asker, Decision};
use super::session::State;
use super::setup::Setup;
use super::timers::TimerKey;
use super::{Refusal, Server};
use crate::channel::{ChannelName, Pattern};
use crate::config::Extensions;
use crate::id::{BrowserId, LinkId, SessionId};
use crate::message::{
    AckField, Advice, BayeuxError, Events, Message, MessageParts, Reconnect, Reply, Request,
    RequestKind, TimesyncReply, Verb,
};
use crate::time::Time;
use crate::transport::Transport;

/// The messages of one request that are not answered yet, and the replies of those that are.
pub(super) struct Payload {
    pub(super) link: LinkId,
    rest: vec::IntoIter<Request>,
    /// Whether there is only one message: a connect is held only on its own.
    pub(super) alone: bool,
    /// The session of the first message that has one; the others must belong to the same.
    pub(super) session: Option<SessionKey>,
    replies: Vec<Reply>,
    /// The message that waits for the application. Most payloads never have one.
    parked: Option<Box<Parked>>,
    /// Whether a batch of the session is open for the sake of this payload.
    in_batch: bool,
    /// Whether the client is gone. What was accepted is still processed.
    pub(super) closed: bool,
    /// The cookie that a handshake in this payload needs to have set.
    pub(super) browser: Option<BrowserId>,
    /// What the session was owed when a disconnect in this payload ended it.
    pub(super) last_events: Events,
    /// How often the session had moved when the payload came in, or when a message of it last moved
    /// it. The client spoke then; what it did since counts more than what is left of the payload.
    moves: Option<u32>,
    /// The number of the connect in this payload among those of its session.
    pub(super) connect: u32,
    /// Whether the client wants a timestamp on each message.
    pub(super) timestamp: bool,
    /// The session that the messages belong to, also when it is gone.
    pub(super) owner: Option<SessionId>,
    /// Whether the owner counts this among what is on its way to its client.
    pub(super) counted: bool,
}

pub(super) struct Parked {
    message: InProgress,
    stage: Stage,
}

/// A message with the reply under construction.
pub(super) struct InProgress {
    pub(super) request: Request,
    pub(super) reply: Reply,
    /// When it came.
    pub(super) received: Time,
}

/// What is decided next about a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// The application's extensions.
    Extend,
    /// Listeners of the meta channel.
    ListenMeta,
    /// May the client have a session?
    Handshake,
    /// May the subscription's n-th channel be created?
    SubscribeCreate(usize),
    /// May the session subscribe to the n-th channel?
    Subscribe(usize),
    /// May the channel to publish on be created?
    PublishCreate,
    /// May the session publish?
    Publish,
    /// Listeners of the channel and of the wildcards that match it.
    ListenPublish,
}

/// Where a step left its message.
pub(super) enum Step {
    /// Answered.
    Done(Reply),
    /// Waiting for the application.
    Wait(Box<Parked>),
    /// A connect that is held.
    Hold(HeldConnect),
    /// A connect on its own that a newer one has overtaken.
    Overtaken,
}

impl Step {
    /// The message waits for the application at this stage.
    pub(super) fn wait(message: InProgress, stage: Stage) -> Self {
        Self::Wait(Parked { message, stage }.into())
    }
}

impl Server {
    pub(super) fn receive(&mut self, link: LinkId, requests: Vec<Request>) {
        if !self.take_payload(link) {
            self.stats.ignored_inputs += 1;
            return;
        }
        let socket = self.socket_key(link);
        if let Some(socket) = socket {
            if self.sockets.get(socket).is_some_and(|it| it.is_left()) {
                return self.drop_late_payload(socket);
            }
            self.heard(socket);
        }
        self.stats.messages_received += requests.len() as u64;
        let Some(first) = requests.first() else { return self.refuse(link, Refusal::Empty) };
        let is_handshake =
            |request: &Request| matches!(request.kind, RequestKind::Handshake { .. });
        if requests.len() > 1 && requests.iter().any(is_handshake) {
            return self.refuse(link, Refusal::HandshakeNotAlone);
        }
        // The first message that says whose it is decides for all; one that does not say is
        // unknown on its own.
        let owner = requests.iter().find_map(|request| request.client);
        let session = owner.filter(|_| !is_handshake(first)).and_then(|id| self.resolve(link, id));
        let waits = socket.is_none() && !matches!(first.kind, RequestKind::Connect { .. });
        let in_batch = match session.and_then(|key| self.sessions.get_mut(key)) {
            Some(session) if waits => {
                session.batches += 1;
                true
            }
            _ => false,
        };
        let payload = Payload {
            link,
            alone: requests.len() == 1,
            replies: Vec::new(),
            rest: requests.into_iter(),
            session,
            parked: None,
            in_batch,
            closed: false,
            browser: None,
            last_events: Events::new(),
            moves: session.and_then(|key| self.sessions.get(key)).map(|it| it.moves),
            connect: 0,
            timestamp: false,
            owner: None,
            counted: false,
        };
        self.walk(payload, None);
    }

    /// The session that a payload belongs to: over HTTP the browser's cookie has to be that of the
    /// session, since an id alone can be stolen.
    fn resolve(&self, link: LinkId, id: SessionId) -> Option<SessionKey> {
        let key = self.sessions.find(id)?;
        let session = self.sessions.get(key)?;
        let it = self.links.get(&link)?;
        let local = it.info.transport == Transport::Local;
        if local != (session.transport == Transport::Local) {
            return None;
        }
        if let LinkState::Socket(socket) = it.state {
            // A session is bound to its socket: messages of another one do not belong there. On a
            // socket that has none the id is enough, since it is how clients come back.
            return match self.sockets.get(socket)?.session {
                Some(bound) => (bound == key).then_some(key),
                None => (!self.config.ws_require_handshake_per_connection).then_some(key),
            };
        }
        let browser = it.info.browser;
        let same_browser = browser.is_some() && browser == session.browser;
        (same_browser || self.config.trust_client_session).then_some(key)
    }

    /// Goes on with the parked message of a link.
    pub(super) fn resume_payload(&mut self, link: LinkId, decision: Decision) {
        let Some(mut payload) = self.unpark(link) else { return };
        let Some(parked) = payload.parked.take() else { return };
        let Parked { message, stage } = *parked;
        let step = self.decide(&mut payload, message, stage, decision);
        self.walk(*payload, Some(step));
    }

    /// Walks until a message has to wait, a connect is held, or all are answered.
    fn walk(&mut self, mut payload: Payload, mut step: Option<Step>) {
        loop {
            match step {
                Some(Step::Done(reply)) => {
                    if payload.replies.is_empty() {
                        // A connect that is held has none.
                        payload.replies.reserve_exact(payload.rest.len() + 1);
                    }
                    payload.replies.push(reply);
                }
                Some(Step::Wait(parked)) => {
                    payload.parked = Some(parked);
                    return self.park(payload);
                }
                Some(Step::Hold(connect)) => {
                    self.disown(&mut payload);
                    return self.hold(&payload, connect);
                }
                Some(Step::Overtaken) => {
                    self.disown(&mut payload);
                    self.stats.superseded_connects += 1;
                    if payload.closed {
                        self.links.remove(&payload.link);
                    } else if let Some(socket) = self.socket_key(payload.link) {
                        self.resume_intake(socket);
                    } else {
                        self.refuse(payload.link, Refusal::Superseded);
                    }
                    return;
                }
                None => {}
            }
            if payload.rest.len() > 0 && self.burst >= self.config.limits.burst_events {
                return self.pause(payload);
            }
            let Some(request) = payload.rest.next() else { return self.finish(payload) };
            step = Some(self.begin(&mut payload, request));
        }
    }

    /// Lets others go first: a payload of publishes to many subscribers is much work, and nothing
    /// else happens meanwhile.
    fn pause(&mut self, payload: Payload) {
        let link = payload.link;
        if self.links.contains_key(&link) {
            self.park(payload);
            // Not at this very moment, which has seen enough.
            self.timers.arm(self.now + Duration::from_micros(1), TimerKey::Payload(link));
        }
    }

    pub(super) fn payload_due(&mut self, link: LinkId) {
        if let Some(payload) = self.unpark(link) {
            self.walk(*payload, None);
        }
    }

    /// All messages are answered: the answer is due.
    fn finish(&mut self, payload: Payload) {
        let link = payload.link;
        let answering = Answering {
            session: payload.session,
            in_batch: payload.in_batch,
            replies: payload.replies,
            connect: payload.connect,
            browser: payload.browser,
            last_events: payload.last_events,
            timestamp: payload.timestamp,
            owner: payload.owner,
            counted: payload.counted,
        };
        if payload.closed {
            self.links.remove(&link);
            self.abandon(&answering);
        } else if let Some(socket) = self.socket_key(link) {
            self.owe_replies(socket, answering);
        } else {
            self.answer_link(link, answering);
        }
    }

    /// What is checked of every message before it means anything.
    fn begin(&mut self, payload: &mut Payload, mut request: Request) -> Step {
        let reply = Reply::to(&mut request);
        if let RequestKind::Faulty { error, .. } = request.kind {
            return Step::Done(reply.fail(error));
        }
        let is_handshake = matches!(request.kind, RequestKind::Handshake { .. });
        let found = if is_handshake { None } else { Some(self.session_of(payload, &request)) };
        let message = InProgress { request, reply, received: self.now };
        if let Some(Ok(key)) = found {
            self.sign_of_life(payload, key, &message.request);
        } else if let Some(Err(_)) = found {
            // What its client has not received leaves with the farewell.
            self.acknowledge(payload, &message.request);
        }
        // Extensions see messages of unknown sessions, too, as on the Java server.
        if self.is_extended(found.and_then(Result::ok)) {
            return self.ask_extensions(payload, message);
        }
        if let Some(Err(advice)) = found {
            return Step::Done(self.unknown_session(message.reply, advice));
        }
        self.go_on(payload, message)
    }

    /// The extensions have seen the message.
    fn go_on(&mut self, payload: &mut Payload, mut message: InProgress) -> Step {
        self.acknowledge(payload, &message.request);
        self.synchronize(payload, &mut message);
        match message.request.verb() {
            Some(verb) => self.listen_meta(payload, message, verb),
            None => self.publish(payload, message),
        }
    }

    /// What the client says about the time, and wants to know.
    fn synchronize(&mut self, payload: &Payload, message: &mut InProgress) {
        let Extensions { timesync: true, timesync_tolerance, .. } = self.config.extensions else {
            return;
        };
        let field = message.request.extensions.as_mut().and_then(|it| it.timesync.take());
        let Some(field) = field else { return };
        let session = payload.session.and_then(|key| self.sessions.get_mut(key));
        if let (Some(session), Some(lag)) = (session, field.lag) {
            session.lag = u32::try_from(lag).ok();
        }
        let reply = TimesyncReply::new(field, message.received, timesync_tolerance);
        message.reply.timesync = Some(reply.into());
    }

    fn is_extended(&self, key: Option<SessionKey>) -> bool {
        self.extended.incoming
            || key.and_then(|key| self.sessions.get(key)).is_some_and(|session| session.extended)
    }

    fn ask_extensions(&mut self, payload: &Payload, message: InProgress) -> Step {
        let (link, request) = (payload.link, Box::new(message.request.clone()));
        let session = payload.session.and_then(|key| self.session_id(key));
        let session = session.filter(|id| request.client == Some(*id));
        // A question about somebody unknown takes the place of one about a handshake.
        let known = payload.session.filter(|_| session.is_some());
        let id = message.reply.id.clone();
        let asked = self.ask(Asker::Payload(link), known, |number| {
            let ticket = Ticket::new(number);
            Question::Extend(AskExtend { ticket, link, session, id, request })
        });
        if asked {
            Step::wait(message, Stage::Extend)
        } else {
            Step::Done(deleted(message.reply, Some(BUSY)))
        }
    }

    /// A connect says which batch of events its client has received. All others are unsent again,
    /// since a client connects only when it does not expect them any more.
    fn acknowledge(&mut self, payload: &Payload, request: &Request) {
        let Some(key) = payload.session else { return };
        if !matches!(request.kind, RequestKind::Connect { .. })
            || payload.closed
            || self.has_moved(payload, key)
        {
            return;
        }
        let Some(session) = self.sessions.get(key) else { return };
        if request.client != Some(session.id) || !session.queue.is_acknowledged() {
            return;
        }
        if session.is_live() && session.connects != payload.connect {
            // A newer one has said what it has received.
            return;
        }
        let received = match request.extensions.as_ref().and_then(|it| it.ack) {
            Some(AckField::Received(batch)) => batch,
            Some(AckField::Wanted) | None => 0,
        };
        let again = self.sessions.change(key, |session| session.queue.acknowledge(received));
        self.stats.events_returned += again.unwrap_or(0) as u64;
    }

    /// The live session that `request` belongs to, or what to advise its client.
    fn session_of(&self, payload: &Payload, request: &Request) -> Result<SessionKey, Advice> {
        let found = payload
            .session
            .and_then(|key| self.sessions.get(key).map(|session| (key, session)))
            .filter(|(_, session)| request.client == Some(session.id));
        match found {
            Some((key, session)) if session.is_live() => Ok(key),
            // The application ended the session: its client is not to come back by itself.
            Some(_) => Err(Advice::reconnect(Reconnect::None)),
            None => Err(Advice::HANDSHAKE),
        }
    }

    fn unknown_session(&mut self, reply: Reply, advice: Advice) -> Reply {
        self.stats.unknown_sessions += 1;
        let connect = reply.answers(Verb::Connect);
        let reply = reply.fail(BayeuxError::SESSION_UNKNOWN);
        if connect { reply.advise(advice) } else { reply }
    }

    fn sign_of_life(&mut self, payload: &mut Payload, key: SessionKey, request: &Request) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.heard = self.now;
            payload.timestamp = session.timestamp;
            let owner = session.id;
            self.own(payload, key, owner);
        }
        if !matches!(request.kind, RequestKind::Connect { .. }) {
            self.note_activity(key, false);
        }
        if payload.closed || self.has_moved(payload, key) {
            return self.postpone_expiry(key);
        }
        let connect = matches!(request.kind, RequestKind::Connect { .. });
        self.follow(key, payload.link, connect);
        payload.moves = self.sessions.get(key).map(|session| session.moves);
        if connect {
            // Before anything else is done with it: whatever becomes of the new connect, the old
            // one is not to be answered any more.
            self.supersede(key);
            self.start_expiry(key);
            if let Some(session) = self.sessions.get_mut(key) {
                session.connects = session.connects.wrapping_add(1);
                payload.connect = session.connects;
            }
        } else {
            self.postpone_expiry(key);
        }
    }

    /// Whether the session has come to a socket, or left one, since a message of the payload was
    /// last begun: while the application thought about it, the client has spoken elsewhere.
    pub(super) fn has_moved(&self, payload: &Payload, key: SessionKey) -> bool {
        let session = self.sessions.get(key);
        payload.moves.is_some_and(|moves| session.is_some_and(|it| it.moves != moves))
    }

    /// The session's client has spoken on `link`, and is to be answered there from here on. Only a
    /// connect takes a session off its socket: what else comes over HTTP is answered on its own.
    fn follow(&mut self, key: SessionKey, link: LinkId, connect: bool) {
        let Some(transport) = self.links.get(&link).map(|link| link.info.transport) else { return };
        let is_socket = transport.is_stream();
        if connect && !is_socket {
            self.leave_socket(key);
        }
        let Some(session) = self.sessions.get(key) else { return };
        let stays = session.socket.is_some() && !is_socket;
        if session.transport != transport && !stays {
            self.sessions.change(key, |session| {
                session.transport = transport;
                session.advise = true;
            });
        }
        if is_socket {
            self.attach(key, link);
        }
    }

    /// Shows a meta message to those who listen on its channel.
    fn listen_meta(&mut self, payload: &mut Payload, message: InProgress, verb: Verb) -> Step {
        let channels = self.channels.listening(verb.channel());
        if channels.is_empty() {
            return self.after_meta(payload, message, verb);
        }
        let Ok(name) = ChannelName::parse(verb.channel()) else {
            return self.after_meta(payload, message, verb);
        };
        let parts = MessageParts { ext: message.request.ext.clone(), ..MessageParts::default() };
        let seen = Arc::new(Message::with(name, &parts));
        self.ask_listeners(payload, message, Stage::ListenMeta, seen, channels)
    }

    /// Parks `message` until the listeners have seen it in the form of `seen`.
    pub(super) fn ask_listeners(
        &mut self,
        payload: &Payload,
        message: InProgress,
        stage: Stage,
        seen: Arc<Message>,
        channels: Vec<Pattern>,
    ) -> Step {
        let link = payload.link;
        let session = payload.session.and_then(|key| self.session_id(key));
        let asked = self.ask(Asker::Payload(link), payload.session, |number| {
            let (ticket, link) = (Ticket::new(number), Some(link));
            Question::Listen(AskListen { ticket, link, session, message: seen, channels })
        });
        if asked {
            Step::wait(message, stage)
        } else {
            Step::Done(deleted(message.reply, Some(BUSY)))
        }
    }

    /// Does what a meta message asks for, now that its listeners have seen it.
    fn after_meta(&mut self, payload: &mut Payload, message: InProgress, verb: Verb) -> Step {
        match verb {
            Verb::Handshake => self.handshake(payload, message),
            Verb::Connect => self.connect(payload, message),
            Verb::Subscribe => self.subscribe(payload, message, 0),
            Verb::Unsubscribe => self.unsubscribe(payload, message),
            Verb::Disconnect => self.disconnect(payload, message),
        }
    }

    /// Goes on with a message whose question was answered, or was not in time.
    fn decide(
        &mut self,
        payload: &mut Payload,
        mut message: InProgress,
        stage: Stage,
        decision: Decision,
    ) -> Step {
        // A publish that its listeners have seen was accepted, whatever they did to its session;
        // a handshake has no session yet. Anything else needs one that is still there.
        let needs_session = !matches!(stage, Stage::Handshake | Stage::ListenPublish)
            && !message.reply.answers(Verb::Handshake);
        if needs_session {
            if let Err(advice) = self.session_of(payload, &message.request) {
                return Step::Done(self.unknown_session(message.reply, advice));
            }
        }
        let mut setup = Setup::default();
        let verdict = match (stage, decision) {
            (Stage::Extend, Decision::Extend(Some(changed))) => {
                message.request.replace(*changed);
                return self.go_on(payload, message);
            }
            // An extension that took too long has not let the message through.
            (Stage::Extend, _) => return Step::Done(deleted(message.reply, None)),
            // Whether the listeners and extensions behind one that takes too long would have let the
            // message through is not known.
            (
                Stage::ListenMeta | Stage::ListenPublish,
                Decision::Listen(ListenVerdict::Veto) | Decision::Expired,
            ) => {
                return Step::Done(deleted(message.reply, None));
            }
            (Stage::ListenPublish, Decision::Listen(ListenVerdict::Replace(by))) => {
                if let RequestKind::Publish { message, .. } = &mut message.request.kind {
                    if by.channel() == message.channel() {
                        *message = by;
                    }
                }
                return self.published(payload, message);
            }
            // A listener that failed counts as "continue".
            (Stage::ListenPublish, _) => return self.published(payload, message),
            (Stage::ListenMeta, _) => {
                return match message.request.verb() {
                    Some(verb) => self.after_meta(payload, message, verb),
                    None => Step::Done(message.reply),
                };
            }
            (_, Decision::Verdict(verdict)) => verdict,
            (_, Decision::Handshake(verdict, its)) => {
                setup = *its;
                verdict
            }
            // A policy that failed or took too long counts as "no".
            (_, Decision::Expired | Decision::Listen(_) | Decision::Extend(_)) => Verdict::deny(),
        };
        match verdict {
            Verdict::Deny(denial) => Step::Done(denied(message.reply, stage, *denial)),
            Verdict::Allow => match stage {
                Stage::Handshake => self.accept(payload, message, setup),
                Stage::SubscribeCreate(at) => self.subscribe_created(payload, message, at),
                Stage::Subscribe(at) => self.subscribe(payload, message, at + 1),
                Stage::PublishCreate => self.publish_created(payload, message),
                Stage::Publish => self.publish_allowed(payload, message),
                Stage::Extend | Stage::ListenMeta | Stage::ListenPublish => {
                    Step::Done(message.reply)
                }
            },
        }
    }
}

impl Payload {
    /// Whether the session is still in a state where `State::Connected` means anything.
    pub(super) fn live_session<'s>(
        &self,
        server: &'s mut Server,
    ) -> Option<(SessionKey, &'s mut super::session::Session)> {
        let key = self.session?;
        let session = server.sessions.get_mut(key)?;
        (session.state != State::Farewell).then_some((key, session))
    }
}
