//! [`Event`]: facts for the application that need no answer.

use core::time::Duration;

use super::input::Receipt;
use crate::channel::Pattern;
use crate::id::{LinkId, SessionId};

/// Something that the application may want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A handshake was accepted.
    SessionAdded {
        /// The new session.
        session: SessionId,
        /// The link that carried the handshake.
        link: LinkId,
    },
    /// A session is gone. The end of its subscriptions is told afterwards.
    SessionRemoved {
        /// The session.
        session: SessionId,
        /// Why.
        reason: RemovedReason,
    },
    /// A channel was made.
    ChannelAdded {
        /// The channel or wildcard.
        channel: Pattern,
    },
    /// A channel is gone: idle for too long, or removed by the application.
    ChannelRemoved {
        /// The channel or wildcard.
        channel: Pattern,
    },
    /// A session subscribed to something that it was not subscribed to before.
    Subscribed {
        /// The session.
        session: SessionId,
        /// The channel or wildcard.
        channel: Pattern,
    },
    /// A subscription ended, by a message, by the application, or with its session.
    Unsubscribed {
        /// The session.
        session: SessionId,
        /// The channel or wildcard.
        channel: Pattern,
    },
    /// A connect is held.
    Suspended {
        /// The session.
        session: SessionId,
        /// The link that is held.
        link: LinkId,
        /// For how long, at most.
        timeout: Duration,
    },
    /// A connect is held no longer.
    Resumed {
        /// The session.
        session: SessionId,
        /// The link that was held.
        link: LinkId,
        /// Why.
        cause: ResumeCause,
    },
    /// A session's queue was full, and events for it were dropped as the channel's policy says.
    EventsDropped {
        /// The session.
        session: SessionId,
        /// How many.
        count: usize,
    },
    /// What became of a server-side publish with a receipt.
    Published {
        /// The receipt.
        receipt: Receipt,
        /// False if a listener vetoed the message.
        published: bool,
    },
}

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// [`Event::SessionAdded`].
    SessionAdded,
    /// [`Event::SessionRemoved`].
    SessionRemoved,
    /// [`Event::ChannelAdded`].
    ChannelAdded,
    /// [`Event::ChannelRemoved`].
    ChannelRemoved,
    /// [`Event::Subscribed`].
    Subscribed,
    /// [`Event::Unsubscribed`].
    Unsubscribed,
    /// [`Event::Suspended`]: once for each connect.
    Suspended,
    /// [`Event::Resumed`]: once for each connect.
    Resumed,
    /// [`Event::EventsDropped`].
    EventsDropped,
    /// [`Event::Published`]: told to whoever published, and to no handler.
    Published,
}

impl Event {
    /// What it is about.
    pub const fn kind(&self) -> EventKind {
        match self {
            Self::SessionAdded { .. } => EventKind::SessionAdded,
            Self::SessionRemoved { .. } => EventKind::SessionRemoved,
            Self::ChannelAdded { .. } => EventKind::ChannelAdded,
            Self::ChannelRemoved { .. } => EventKind::ChannelRemoved,
            Self::Subscribed { .. } => EventKind::Subscribed,
            Self::Unsubscribed { .. } => EventKind::Unsubscribed,
            Self::Suspended { .. } => EventKind::Suspended,
            Self::Resumed { .. } => EventKind::Resumed,
            Self::EventsDropped { .. } => EventKind::EventsDropped,
            Self::Published { .. } => EventKind::Published,
        }
    }
}

/// Why a session is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RemovedReason {
    /// Its client said so.
    Disconnected,
    /// The application said so.
    DisconnectedByServer,
    /// Its client was silent for too long.
    Expired,
    /// Its queue was full.
    Overflowed,
    /// It was not used for too long (see [`Activity`](super::Activity)).
    Inactive,
}

/// Why a connect is held no longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ResumeCause {
    /// It was held for as long as it may be.
    Timeout,
    /// There are events to deliver.
    Events,
    /// The session is gone.
    Removed,
    /// The session's client sent another connect.
    Superseded,
    /// The client's connection is gone.
    ConnectionLost,
    /// The server is draining.
    Draining,
}
