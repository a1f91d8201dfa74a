//! [`Input`] and [`Command`]: everything that can happen to a server, as data.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::link::LinkInfo;
use super::question::Answer;
use super::rules::Rules;
use super::setup::{Activity, Delivery};
use crate::channel::{ChannelSettings, Pattern};
use crate::id::{LinkId, SessionId};
use crate::message::{Message, Request};

/// Something that happened. A run of a server is a list of `(Time, Input)`.
#[derive(Debug)]
pub enum Input {
    /// A request arrived, or a WebSocket was opened. `link` must not have been used before.
    Open {
        /// The driver's handle for the exchange or the socket.
        link: LinkId,
        /// What is known from the request's head.
        info: LinkInfo,
    },
    /// The link's payload. A WebSocket gets the next one after
    /// [`Output::Resume`](super::Output::Resume).
    Receive {
        /// The link, which was opened before.
        link: LinkId,
        /// The messages in their order.
        payload: Vec<Request>,
    },
    /// What became of the parcel that the link was last sent. A WebSocket is sent its next parcel
    /// after this.
    ///
    /// Handing a response over is not delivering it: a driver can only say that all of it was
    /// taken, or that the connection was lost before. In the second case the parcel's events go
    /// back to the head of the session's queue.
    Sent {
        /// The link.
        link: LinkId,
        /// Whether all of the parcel was taken.
        delivered: bool,
    },
    /// The peer is gone, or the driver gave the link up. Not needed after [`Input::Sent`] or
    /// [`Output::Refuse`](super::Output::Refuse), but always needed for a WebSocket that was not
    /// refused. A parcel that is not confirmed by then counts as lost.
    Close {
        /// The link.
        link: LinkId,
    },
    /// The peer of a WebSocket gave a sign of life that is no payload: a ping, or the answer to
    /// one.
    Alive {
        /// The link.
        link: LinkId,
    },
    /// The application answers a question.
    Answer(Answer),
    /// The application wants something.
    Command(Command),
    /// Another shard or node published a message, which was authorised and listened to there.
    Relay(Arc<Message>),
    /// Time passed; at or after [`Server::poll_timeout`](super::Server::poll_timeout).
    Tick,
}

/// The driver's handle for a server-side publish, echoed in
/// [`Event::Published`](super::Event::Published).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Receipt(pub u64);

/// What the application wants. Commands about sessions that are gone have no effect.
#[derive(Debug)]
#[non_exhaustive]
pub enum Command {
    /// Publishes on a broadcast channel to its subscribers, or on a service channel to its
    /// listeners. Neither rules nor policy are asked; listeners are.
    Publish {
        /// What is published, and where.
        message: Arc<Message>,
        /// The session in whose name it is published; it gets no copy where
        /// `broadcast_to_publisher` is off.
        from: Option<SessionId>,
        /// Whether to tell the outcome.
        receipt: Option<Receipt>,
    },
    /// Queues a message for one session, whether it subscribed to the channel or not. Neither
    /// rules, policy nor listeners are asked.
    Deliver {
        /// The session.
        session: SessionId,
        /// The message.
        message: Arc<Message>,
    },
    /// Ends a session; its client is told as soon as there is a response to tell it with.
    Disconnect {
        /// The session.
        session: SessionId,
    },
    /// Holds back the session's events until the matching [`Command::EndBatch`]. Nests.
    BeginBatch {
        /// The session.
        session: SessionId,
    },
    /// Ends a batch.
    EndBatch {
        /// The session.
        session: SessionId,
    },
    /// Subscribes a session, without asking rules or policy.
    Subscribe {
        /// The session.
        session: SessionId,
        /// The channel or wildcard; meta and service channels are ignored.
        pattern: Pattern,
    },
    /// Ends a subscription of a session.
    Unsubscribe {
        /// The session.
        session: SessionId,
        /// The channel or wildcard.
        pattern: Pattern,
    },
    /// Changes a session's times; the client is told with its next connect reply.
    SetTiming {
        /// The session.
        session: SessionId,
        /// The times.
        timing: Timing,
    },
    /// Changes how a session gets its events.
    SetDelivery {
        /// The session.
        session: SessionId,
        /// What changes.
        delivery: Delivery,
    },
    /// Sets when a session ends for want of activity; it counts from now.
    SetActivity {
        /// The session.
        session: SessionId,
        /// `None`: never.
        activity: Option<Activity>,
    },
    /// Says whether the application wants to see a session's messages before anything is done with
    /// them.
    ExtendSession {
        /// The session.
        session: SessionId,
        /// Whether it wants to.
        incoming: bool,
    },
    /// Says what the application's extensions want to see of all sessions.
    Extend {
        /// Clients' messages before anything is done with them.
        incoming: bool,
        /// Published messages before they go to their subscribers.
        outgoing: bool,
    },
    /// Makes sure that a channel exists.
    CreateChannel {
        /// The channel or wildcard.
        pattern: Pattern,
    },
    /// Sets a channel's settings, making the channel if need be.
    ConfigureChannel {
        /// The channel or wildcard.
        pattern: Pattern,
        /// All of its settings.
        settings: ChannelSettings,
    },
    /// Says whether the application wants to see a channel's messages before they are delivered,
    /// making the channel if need be.
    ListenChannel {
        /// The channel or wildcard.
        pattern: Pattern,
        /// Whether it wants to.
        listen: bool,
    },
    /// Says whether the application has authorizers for a channel, making the channel if need be.
    AuthorizeChannel {
        /// The channel or wildcard.
        pattern: Pattern,
        /// Whether it has.
        authorize: bool,
    },
    /// Removes a channel with its subscriptions, settings and listening; channels below it stay.
    RemoveChannel {
        /// The channel or wildcard.
        pattern: Pattern,
    },
    /// Replaces the static rules.
    SetRules(Box<Rules>),
    /// Prepares for the end: held connects are answered, no further one is held, and no session
    /// is made any more.
    Drain {
        /// Clients are advised to come back after a random time below this, so that the next
        /// server does not meet all of them at once; but not before a tenth of a second.
        spread: Duration,
    },
}

/// The times of one session. `None` is as the configuration says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Timing {
    /// How long connects are held, from the next one on.
    pub timeout: Option<Duration>,
    /// How long the client is advised to pause between connects.
    pub interval: Option<Duration>,
    /// How long the session may be silent, beyond its interval; at least a millisecond.
    pub max_interval: Option<Duration>,
}

impl Timing {
    /// As the configuration says.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long connects are held.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long the client is advised to pause between connects.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// Sets how long the session may be silent, beyond its interval.
    #[must_use]
    pub fn max_interval(mut self, max_interval: Duration) -> Self {
        self.max_interval = Some(max_interval);
        self
    }
}
