//! [`Request`]: one message from a client, decoded.
//!
//! The decoder turns whatever a peer sent into these types, so the machine never sees JSON: names
//! are parsed, ids are ids, and what is wrong with a message is a value ([`RequestKind::Faulty`])
//! that the machine answers like anything else.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::{BayeuxError, ExtensionFields, Message};
use crate::channel::Pattern;
use crate::id::SessionId;
use crate::json::Json;
use crate::transport::Transport;

/// One message from a client.
#[derive(Clone, Debug)]
pub struct Request {
    /// The client's id for the message: a short JSON string or number, echoed as it came.
    pub id: Option<Json>,
    /// The session that the message claims to belong to. An id that this server cannot have issued
    /// is `None`, like a missing one: both are unknown.
    pub client: Option<SessionId>,
    /// Extension data.
    pub ext: Option<Json>,
    /// What `ext` of a meta message says to the built-in extensions.
    pub extensions: Option<Box<ExtensionFields>>,
    /// What the client wants.
    pub kind: RequestKind,
}

/// Bayeux's own channels that clients send to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `/meta/handshake`
    Handshake,
    /// `/meta/connect`
    Connect,
    /// `/meta/subscribe`
    Subscribe,
    /// `/meta/unsubscribe`
    Unsubscribe,
    /// `/meta/disconnect`
    Disconnect,
}

impl Verb {
    /// All verbs.
    pub const ALL: &'static [Self] =
        &[Self::Handshake, Self::Connect, Self::Subscribe, Self::Unsubscribe, Self::Disconnect];

    /// The channel's name.
    pub const fn channel(self) -> &'static str {
        match self {
            Self::Handshake => "/meta/handshake",
            Self::Connect => "/meta/connect",
            Self::Subscribe => "/meta/subscribe",
            Self::Unsubscribe => "/meta/unsubscribe",
            Self::Disconnect => "/meta/disconnect",
        }
    }

    /// The verb of this channel name, which must match exactly: a near miss such as
    /// `/meta/subscribe/x` must never reach what guards the real one (CVE-2020-11020 in Faye).
    pub fn from_channel(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.channel() == name)
    }
}

/// What a client wants.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RequestKind {
    /// A new session.
    Handshake {
        /// Whether the client insists on a version of Bayeux above 1.0.
        too_new: bool,
        /// The connection types that the client can use, as far as they are known here; `None` if
        /// it did not say.
        transports: Option<Vec<Transport>>,
    },
    /// The heartbeat that is held.
    Connect {
        /// What the client asks for, if it sent an `advice` at all: that alone makes the server
        /// repeat its own.
        advice: Option<ClientAdvice>,
    },
    /// To get the messages of channels.
    Subscribe(Subscription),
    /// To get them no longer.
    Unsubscribe(Subscription),
    /// The session's end.
    Disconnect,
    /// A message for a broadcast or service channel.
    Publish {
        /// What subscribers will get, already encoded.
        message: Arc<Message>,
        /// The channel as the client wrote it, for the reply.
        echo: Json,
    },
    /// A message that cannot be processed.
    Faulty {
        /// The channel as the client wrote it, for the reply.
        echo: Option<Json>,
        /// What is wrong.
        error: BayeuxError,
    },
}

/// The `subscription` of a subscribe or unsubscribe.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// What was asked for; or what is wrong with it, which is answered only after the session was
    /// found, as the Java server does.
    pub patterns: Result<Vec<Pattern>, BayeuxError>,
    /// The member as it came, for the reply.
    pub echo: Option<Json>,
}

/// The `advice` of a client's connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClientAdvice {
    /// How long the client wants to be held this time.
    pub timeout: Option<Duration>,
    /// How long the client will pause before the next connect.
    pub interval: Option<Duration>,
}

impl Request {
    /// Takes over what an extension may change of a message: its `ext`, and the data of a publish.
    pub(crate) fn replace(&mut self, by: Self) {
        let Self { ext, extensions, kind, .. } = by;
        (self.ext, self.extensions) = (ext, extensions);
        if let (RequestKind::Publish { message, .. }, RequestKind::Publish { message: by, .. }) =
            (&mut self.kind, kind)
        {
            if by.channel() == message.channel() {
                *message = by;
            }
        }
    }

    /// The meta channel that the message was sent to, if it was one.
    pub fn verb(&self) -> Option<Verb> {
        match self.kind {
            RequestKind::Handshake { .. } => Some(Verb::Handshake),
            RequestKind::Connect { .. } => Some(Verb::Connect),
            RequestKind::Subscribe(_) => Some(Verb::Subscribe),
            RequestKind::Unsubscribe(_) => Some(Verb::Unsubscribe),
            RequestKind::Disconnect => Some(Verb::Disconnect),
            RequestKind::Publish { .. } | RequestKind::Faulty { .. } => None,
        }
    }
}
