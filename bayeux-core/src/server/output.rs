//! [`Output`]: everything that a server wants, in one order.

use alloc::sync::Arc;

use super::event::Event;
use super::question::Question;
use crate::id::LinkId;
use crate::message::{Message, Parcel};

/// Something to do. Deliberately exhaustive: a driver that ignores one of these has a bug.
#[derive(Debug)]
pub enum Output {
    /// Answer the link with this parcel, then say [`Input::Sent`](super::Input::Sent).
    Send {
        /// The link; this is its last output.
        link: LinkId,
        /// What it is owed.
        parcel: Parcel,
    },
    /// Answer the link with an error of its transport. The link is closed.
    Refuse {
        /// The link; this is its last output.
        link: LinkId,
        /// Why.
        refusal: Refusal,
    },
    /// Ask the application, and bring its answer back.
    Ask(Question),
    /// Tell the application.
    Tell(Event),
    /// Publish this on the other shards or nodes; only if `relay` is on.
    Relay(Arc<Message>),
}

/// Why a link gets no Bayeux answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The session sent another connect while this one was held.
    Superseded,
    /// A handshake travelled with other messages.
    HandshakeNotAlone,
    /// There were no messages.
    Empty,
}

impl Refusal {
    /// The refusal in words that can be sent to the peer.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Superseded => "another /meta/connect of the same session took over",
            Self::HandshakeNotAlone => "a /meta/handshake must be the only message of its payload",
            Self::Empty => "the payload has no messages",
        }
    }
}
