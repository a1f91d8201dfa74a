//! The transports by their Bayeux names.

use serde::{Deserialize, Serialize};

/// How a client talks to the server: Bayeux's "connection type".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Transport {
    /// `websocket`: a connection that both sides write to whenever they have something to say.
    #[serde(rename = "websocket")]
    WebSocket,
    /// `long-polling`: JSON in the body of a POST, answered when there is something to say.
    #[serde(rename = "long-polling")]
    LongPolling,
    /// `callback-polling`: the same through a `<script>` element (JSONP).
    #[serde(rename = "callback-polling")]
    CallbackPolling,
    /// `local`: a client inside the server's own process. It is never offered to others.
    #[serde(skip)]
    Local,
}

impl Transport {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::LongPolling => "long-polling",
            Self::CallbackPolling => "callback-polling",
            Self::Local => "local",
        }
    }

    /// Whether a link of this transport takes payloads again and again, and is written to at any
    /// time.
    pub(crate) const fn is_stream(self) -> bool {
        matches!(self, Self::WebSocket | Self::Local)
    }

    /// The transport of this name, if it is one of ours.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::WebSocket, Self::LongPolling, Self::CallbackPolling]
            .into_iter()
            .find(|it| it.name() == name)
    }
}
