//! [`Output`]: everything that a server wants, in one order.

use alloc::sync::Arc;

use super::event::Event;
use super::question::{Question, QuestionId};
use crate::id::{LinkId, SessionId};
use crate::message::{Message, Parcel};

/// Something to do. Deliberately exhaustive: a driver that ignores one of these has a bug.
#[derive(Debug)]
pub enum Output {
    /// Answer the link with this parcel, then say [`Input::Sent`](super::Input::Sent).
    Send {
        /// The link; this is its last output, unless it is a WebSocket.
        link: LinkId,
        /// What it is owed.
        parcel: Parcel,
    },
    /// Answer the link with an error of its transport: an HTTP status, or the closing of the
    /// socket. The machine has let go of the link.
    Refuse {
        /// The link; this is its last output.
        link: LinkId,
        /// Why.
        refusal: Refusal,
    },
    /// The WebSocket may give its next payload. There is one of these for each payload that it gave
    /// before, until it is refused.
    Resume {
        /// The link.
        link: LinkId,
    },
    /// Ping the peer of this WebSocket: it has been silent for long.
    Ping {
        /// The link.
        link: LinkId,
    },
    /// Ask the application, and bring its answer back.
    Ask(Question),
    /// The question met its deadline, and what it was about was denied or deleted. Nobody waits for
    /// the answer any more: whoever thinks about it may be stopped.
    Withdraw(QuestionId),
    /// Nothing is left of the session: it was removed before, and its last events and replies have left,
    /// or cannot any more. What is remembered about it may be forgotten.
    Forget {
        /// The session.
        session: SessionId,
    },
    /// Tell the application.
    Tell(Event),
    /// Publish this on the other shards or nodes; only if `relay` is on.
    Relay(Arc<Message>),
}

/// What [`Server::poll_due`](super::Server::poll_due) says.
#[derive(Debug)]
pub enum Due {
    /// Something to do; never [`Output::Send`], since parcels are collected.
    Output(Output),
    /// This link has an answer: [`Server::collect`](super::Server::collect) gives it.
    Answer(LinkId),
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
    /// The peer of a WebSocket was silent for too long, pings notwithstanding.
    Idle,
    /// The server is draining, and the WebSocket has been told what it was owed.
    Draining,
    /// The session of a WebSocket has spoken on another link since, and this one has been told what
    /// it was owed.
    Moved,
}

impl Refusal {
    /// The refusal in words that can be sent to the peer.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Superseded => "another /meta/connect of the same session took over",
            Self::HandshakeNotAlone => "a /meta/handshake must be the only message of its payload",
            Self::Empty => "the payload has no messages",
            Self::Idle => "idle for too long",
            Self::Draining => "the server is going away",
            Self::Moved => "the session has moved to another connection",
        }
    }
}
