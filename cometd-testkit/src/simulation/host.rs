//! [`Host`]: a server as its clients see it, and what passes between the two.
//!
//! The simulated world and the server know each other by these words only, so that the same world
//! runs against the bare machine, against the front with its HTTP and WebSocket mapping, and
//! against an adapter.

use std::fmt;
use std::time::Duration;

use bayeux_core::{LinkId, Time};

/// One HTTP request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Whether the messages come in the query of a JSONP request.
    pub callback: bool,
    /// Whether it comes over HTTP/2.
    pub http2: bool,
    /// The browser's cookie, as it was set.
    pub cookie: Option<String>,
    /// The messages.
    pub body: String,
}

/// Something that reaches the server.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Up {
    /// A request, on a link of its own.
    Request {
        /// Its link.
        link: LinkId,
        /// The request.
        request: Request,
    },
    /// A WebSocket is opened.
    Dial {
        /// Its link.
        link: LinkId,
        /// The browser's cookie, as it was set.
        cookie: Option<String>,
    },
    /// A text message on a WebSocket.
    Text {
        /// Its link.
        link: LinkId,
        /// The messages.
        text: String,
    },
    /// A pong on a WebSocket.
    Pong {
        /// Its link.
        link: LinkId,
    },
    /// The connection is gone, and the server notices. What it was writing is lost.
    Gone {
        /// Its link.
        link: LinkId,
    },
    /// The network has taken all of the response, or the oldest text of the socket that it had not
    /// taken yet.
    Taken {
        /// Its link.
        link: LinkId,
    },
    /// The client has received what was sent on the link, counted from zero. The server does not
    /// hear of it; it is for those who check.
    Received {
        /// Its link.
        link: LinkId,
        /// Which of the texts of the socket; zero for a response.
        number: u64,
    },
    /// The application wants something.
    Wish(Wish),
    /// The server's clock jumps ahead.
    Jump(Duration),
}

/// Something that reaches the clients.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Down {
    /// The response to a request; the link's last one.
    Response {
        /// Its link.
        link: LinkId,
        /// The status.
        status: u16,
        /// The cookie that it sets.
        cookie: Option<String>,
        /// The body: messages if the status is 200.
        body: String,
    },
    /// A text message on a WebSocket. The next one comes in any case, whether this one was taken or
    /// not.
    Text {
        /// Its link.
        link: LinkId,
        /// The messages.
        text: String,
    },
    /// A ping on a WebSocket.
    Ping {
        /// Its link.
        link: LinkId,
    },
    /// The server closes a WebSocket; the link's last one.
    Closed {
        /// Its link.
        link: LinkId,
        /// The code.
        code: u16,
    },
    /// A session is gone as far as the application can see, for this reason.
    Removed {
        /// The session.
        session: String,
        /// The reason, in a word.
        reason: Removal,
    },
    /// What became of a message that the application published.
    Published {
        /// Its number.
        number: u64,
        /// Whether it went to its subscribers.
        done: bool,
    },
    /// The application has a session of its own, inside the server's process, which subscribes.
    Subscribed {
        /// The session.
        session: String,
        /// The channel or wildcard.
        pattern: String,
    },
    /// A session of the application's own has received the message of this number.
    Heard {
        /// The session.
        session: String,
        /// The number.
        number: u64,
        /// The channel that it came on.
        channel: String,
    },
    /// Events for a session were dropped because its queue was full, as the application can see.
    Dropped {
        /// The session.
        session: String,
        /// How many.
        count: usize,
    },
}

/// Why a session is gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Removal {
    /// Its client said so.
    Disconnected,
    /// The application said so.
    DisconnectedByServer,
    /// Its client was silent.
    Expired,
    /// Its queue was full.
    Overflowed,
    /// It was not used.
    Inactive,
}

/// What the application wants. Sessions are named by their ids.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Wish {
    /// Publish the message of this number.
    Publish {
        /// Where.
        channel: String,
        /// Its number.
        number: u64,
    },
    /// Deliver the message of this number to one session.
    Deliver {
        /// The session.
        session: String,
        /// Its number.
        number: u64,
    },
    /// End a session.
    Disconnect {
        /// The session.
        session: String,
    },
    /// Hold back a session's events, or hold them back no longer.
    Batch {
        /// The session.
        session: String,
        /// Whether the batch begins.
        begin: bool,
    },
    /// Subscribe a session, or end its subscription.
    Subscribe {
        /// The session.
        session: String,
        /// The channel or wildcard.
        pattern: String,
        /// Whether it is to be subscribed.
        on: bool,
    },
    /// End a session when it is not used for so long, or never.
    Activity {
        /// The session.
        session: String,
        /// For how long.
        period: Option<Duration>,
    },
    /// Hold a session's connects for another time.
    Timeout {
        /// The session.
        session: String,
        /// For how long.
        timeout: Duration,
    },
    /// See all messages that come in and go out, or no longer.
    Extend {
        /// Whether to see them.
        on: bool,
    },
    /// See the messages of a channel, or no longer.
    Listen {
        /// The channel or wildcard.
        pattern: String,
        /// Whether to see them.
        on: bool,
    },
    /// Have authorizers on a channel, or no longer.
    Authorize {
        /// The channel or wildcard.
        pattern: String,
        /// Whether to have them.
        on: bool,
    },
    /// Remove a channel.
    Remove {
        /// The channel or wildcard.
        pattern: String,
    },
    /// Prepare for the end.
    Drain {
        /// The time over which clients are to scatter.
        spread: Duration,
    },
}

/// What a server still holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gauges {
    /// Sessions.
    pub sessions: usize,
    /// Browsers.
    pub browsers: usize,
    /// Channels.
    pub channels: usize,
    /// Exchanges and sockets.
    pub links: usize,
    /// Questions without an answer.
    pub questions: usize,
    /// Events in queues, and their bytes.
    pub queued: (usize, usize),
    /// Tasks that are running beside those that always do.
    pub tasks: usize,
}

/// What must hold, and does not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// What happened.
    pub what: String,
}

impl Violation {
    /// A violation of `invariant`.
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

impl std::error::Error for Violation {}

/// A server, at one of the levels.
pub trait Host {
    /// Lets something reach the server at a moment of virtual time.
    ///
    /// # Errors
    ///
    /// What the host itself has seen that must not be.
    fn up(&mut self, now: Time, up: Up) -> Result<(), Violation>;

    /// The next thing that the server has for its clients.
    fn poll_down(&mut self) -> Option<Down>;

    /// When to call [`tick`](Self::tick) if nothing reaches the server before.
    fn poll_timeout(&self) -> Option<Time>;

    /// Lets the server do what is due.
    ///
    /// # Errors
    ///
    /// What the host itself has seen that must not be.
    fn tick(&mut self, now: Time) -> Result<(), Violation>;

    /// What the server still holds.
    fn gauges(&self) -> Gauges;

    /// What is said about the run in the trace, since the last time.
    fn take_notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Everything has been delivered that can be: what is still owed to sessions that are there is
    /// a violation.
    ///
    /// # Errors
    ///
    /// What is owed.
    fn check_settled(&mut self) -> Result<(), Violation> {
        Ok(())
    }

    /// All clients are gone, and nothing happens any more.
    ///
    /// # Errors
    ///
    /// What is left, beyond what the [`gauges`](Self::gauges) tell.
    fn check_over(&mut self) -> Result<(), Violation> {
        Ok(())
    }
}
