//! [`Link`]: one HTTP exchange, from its request to the fate of its response; or one WebSocket.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Server;
use super::keys::{SessionKey, SocketKey};
use super::payload::Payload;
use super::queue::Flight;
use super::socket::Socket;
use crate::id::{BrowserId, LinkId, SessionId};
use crate::json::Json;
use crate::message::{Events, Reply, ReplyChannel, TimesyncReply, Verb};
use crate::transport::Transport;

/// What the driver knows about a link when it opens it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LinkInfo {
    /// The transport that carries the link.
    pub transport: Transport,
    /// The browser cookie that came with the request.
    pub browser: Option<BrowserId>,
    /// Whether the request came over HTTP/2, where held connects do not use up the browser's
    /// connections.
    pub http2: bool,
}

impl LinkInfo {
    /// A link of this transport, without a cookie, over HTTP/1.
    pub fn new(transport: Transport) -> Self {
        Self { transport, browser: None, http2: false }
    }

    /// Sets the browser cookie that came with the request.
    #[must_use]
    pub fn browser(mut self, browser: Option<BrowserId>) -> Self {
        self.browser = browser;
        self
    }

    /// Says whether the request came over HTTP/2.
    #[must_use]
    pub fn http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }
}

pub(super) struct Link {
    pub(super) info: LinkInfo,
    pub(super) state: LinkState,
}

pub(super) enum LinkState {
    /// Open, nothing received.
    Open,
    /// The payload is being processed, or its current message waits for an answer.
    Working(Box<Payload>),
    /// The payload was a connect that is held.
    Held { session: SessionKey, connect: HeldConnect },
    /// The connect was held, and is to be answered with what is queued when that is collected.
    Resumed(Resumed),
    /// There is an answer, which leaves when it is collected.
    Answering(Box<Answering>),
    /// The link is a WebSocket, which goes through the above again and again.
    Socket(SocketKey),
    /// The answer was handed over; whether it got out is not known yet.
    Sent {
        session: Option<SessionKey>,
        /// The events that left with it, if it could carry any.
        flight: Option<Flight>,
        /// Whether the answer was one after which the session's expiry counts.
        starts_expiry: bool,
    },
}

impl LinkState {
    /// The socket that the link is, if it is one.
    pub(super) fn socket(&self) -> Option<SocketKey> {
        if let Self::Socket(socket) = self { Some(*socket) } else { None }
    }
}

/// What is left of a connect that is held: what its reply needs.
#[derive(Default)]
pub(super) struct HeldConnect {
    /// As a text that nobody shares: half the size, for as long as a connect is held.
    id: Option<Box<[u8]>>,
    timesync: Option<Box<TimesyncReply>>,
}

/// A connect whose reply is made up when it is collected. (A publish to many resumes many, and to make up
/// their replies there and then is to have them all in memory before the first is written.)
pub(super) struct Resumed {
    pub(super) session: SessionKey,
    pub(super) connect: HeldConnect,
    /// The session, also when it is gone.
    pub(super) owner: SessionId,
    /// The number of this connect among those of its session.
    pub(super) number: u32,
    /// Whether the owner counts this among what is on its way to its client.
    pub(super) counted: bool,
    /// Whether the client wants a timestamp on each message.
    pub(super) timestamp: bool,
}

impl Resumed {
    /// It is about to be answered.
    pub(super) fn take(&mut self) -> Self {
        Self { connect: core::mem::take(&mut self.connect), ..*self }
    }
}

impl HeldConnect {
    /// What is needed of this reply, which is written when the connect is resumed.
    pub(super) fn new(reply: Reply) -> Self {
        Self { id: reply.id.map(Json::into_bytes), timesync: reply.timesync }
    }

    pub(super) fn into_reply(self) -> Reply {
        let id = self.id.map(|text| Json::trusted(text.into()));
        let mut reply = Reply::new(ReplyChannel::Meta(Verb::Connect), id);
        reply.timesync = self.timesync;
        reply
    }
}

impl Server {
    /// Whether the link was waiting for a payload, which it takes now.
    pub(super) fn take_payload(&mut self, link: LinkId) -> bool {
        match self.links.get(&link).map(|it| &it.state) {
            Some(LinkState::Open) => true,
            Some(&LinkState::Socket(socket)) => {
                self.sockets.get_mut(socket).is_some_and(Socket::take_payload)
            }
            Some(
                LinkState::Working(_)
                | LinkState::Held { .. }
                | LinkState::Resumed(_)
                | LinkState::Answering(_)
                | LinkState::Sent { .. },
            )
            | None => false,
        }
    }

    /// Keeps a payload whose message in progress waits for the application.
    pub(super) fn park(&mut self, payload: Payload) {
        let Some(it) = self.links.get_mut(&payload.link) else { return };
        match it.state {
            LinkState::Socket(socket) => {
                if let Some(socket) = self.sockets.get_mut(socket) {
                    socket.park(payload);
                }
            }
            LinkState::Open
            | LinkState::Working(_)
            | LinkState::Held { .. }
            | LinkState::Resumed(_)
            | LinkState::Answering(_)
            | LinkState::Sent { .. } => it.state = LinkState::Working(payload.into()),
        }
    }

    /// Gives the parked payload of a link back, to go on with it.
    pub(super) fn unpark(&mut self, link: LinkId) -> Option<Box<Payload>> {
        let it = self.links.get_mut(&link)?;
        match &mut it.state {
            LinkState::Socket(socket) => self.sockets.get_mut(*socket)?.unpark(),
            LinkState::Working(_) => {
                let working = core::mem::replace(&mut it.state, LinkState::Open);
                if let LinkState::Working(payload) = working { Some(payload) } else { None }
            }
            LinkState::Open
            | LinkState::Held { .. }
            | LinkState::Resumed(_)
            | LinkState::Answering(_)
            | LinkState::Sent { .. } => None,
        }
    }
}

/// An answer that waits to be collected. Events are added only then, so that whatever is
/// queued until that moment leaves with it.
#[derive(Default)]
pub(super) struct Answering {
    pub(super) session: Option<SessionKey>,
    pub(super) replies: Vec<Reply>,
    /// The number of the connect that is answered among those of its session.
    pub(super) connect: u32,
    /// The last events of a session that is gone already.
    pub(super) last_events: Events,
    pub(super) browser: Option<BrowserId>,
    /// Whether the payload's batch is still open on the session.
    pub(super) in_batch: bool,
    /// The session that is answered, also when it is gone.
    pub(super) owner: Option<SessionId>,
    /// Whether the owner counts this among what is on its way to its client.
    pub(super) counted: bool,
    /// Whether the client wants a timestamp on each message; of a session that is there it is known.
    pub(super) timestamp: bool,
}
