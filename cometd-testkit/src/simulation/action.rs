//! [`Action`]: what is done in a run besides what clients do by themselves; a line of a script.

use std::fmt;

/// How a client talks to the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Via {
    /// POSTs.
    LongPolling,
    /// JSONP.
    CallbackPolling,
    /// A WebSocket.
    WebSocket,
}

/// Something that happens to one client, or that it does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Deed {
    /// Subscribes to these, in one message.
    Subscribe(Vec<String>),
    /// Ends these subscriptions, in one message.
    Unsubscribe(Vec<String>),
    /// Publishes so many messages in one payload.
    Publish(String, u64),
    /// Says goodbye.
    Disconnect,
    /// Crashes, and is back after so many milliseconds with what it knew.
    Crash(u64),
    /// Crashes, and is back after so many milliseconds as somebody new.
    Forget(u64),
    /// Is gone for good, and nobody notices.
    Vanish,
    /// Its connections break; both sides notice.
    Break,
    /// Its connections are dead; neither side notices.
    HalfOpen,
    /// Reads nothing for so many milliseconds.
    Stall(u64),
    /// Goes on over another transport.
    Switch(Via),
    /// Sends another connect while one is out.
    Again,
    /// Publishes in the name of somebody else's session.
    Steal(String),
    /// Sends what is no JSON.
    Garbage,
    /// Publishes and connects in one payload.
    Mix(String),
    /// Sends a handshake with other messages.
    Crowd,
    /// Connects with a number of acknowledgement that is as old as can be.
    Stale,
    /// Sends messages that are none.
    Nonsense,
}

/// What the application does; clients are named by their numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Work {
    /// Publishes.
    Publish(String),
    /// Delivers a message to one client's session.
    Deliver(usize),
    /// Ends a client's session.
    Disconnect(usize),
    /// Begins (or ends) a batch.
    Batch(usize, bool),
    /// Subscribes a client's session, or ends its subscription.
    Subscribe(usize, String, bool),
    /// Ends a client's session when it is not used for so many milliseconds, or never.
    Activity(usize, Option<u64>),
    /// Holds a client's connects for so many milliseconds.
    Timeout(usize, u64),
    /// Extensions come or go.
    Extend(bool),
    /// Listeners come or go.
    Listen(String, bool),
    /// Authorizers come or go.
    Authorize(String, bool),
    /// Removes a channel.
    Remove(String),
    /// Prepares for the end; clients scatter over so many milliseconds.
    Drain(u64),
}

/// One line of a script.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Action {
    /// A client's.
    Client(usize, Deed),
    /// The application's.
    App(Work),
    /// The server's clock jumps ahead by so many milliseconds.
    Jump(u64),
}

impl Via {
    pub(super) const ALL: [Self; 3] = [Self::LongPolling, Self::CallbackPolling, Self::WebSocket];

    /// As Bayeux calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LongPolling => "long-polling",
            Self::CallbackPolling => "callback-polling",
            Self::WebSocket => "websocket",
        }
    }
}

impl Action {
    /// The client that it is about, if it is about one.
    pub(super) fn client(&self) -> Option<usize> {
        match self {
            Self::Client(who, _) => Some(*who),
            Self::App(
                Work::Deliver(who)
                | Work::Disconnect(who)
                | Work::Batch(who, _)
                | Work::Subscribe(who, ..)
                | Work::Activity(who, _)
                | Work::Timeout(who, _),
            ) => Some(*who),
            Self::App(_) | Self::Jump(_) => None,
        }
    }
}

impl Deed {
    /// Makes less of it.
    pub(super) fn simplify(&mut self) {
        match self {
            Self::Subscribe(patterns) | Self::Unsubscribe(patterns) => patterns.truncate(1),
            Self::Publish(_, count) => *count = 1,
            _ => {}
        }
    }
}

struct OnOff(bool);

impl fmt::Display for OnOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "on" } else { "off" })
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscribe(to) => write!(f, "subscribe {}", to.join(" ")),
            Self::Unsubscribe(from) => write!(f, "unsubscribe {}", from.join(" ")),
            Self::Publish(on, count) => write!(f, "publish {on} {count}"),
            Self::Disconnect => f.write_str("disconnect"),
            Self::Crash(millis) => write!(f, "crash {millis}"),
            Self::Forget(millis) => write!(f, "forget {millis}"),
            Self::Vanish => f.write_str("vanish"),
            Self::Break => f.write_str("break"),
            Self::HalfOpen => f.write_str("half-open"),
            Self::Stall(millis) => write!(f, "stall {millis}"),
            Self::Switch(via) => write!(f, "switch {}", via.name()),
            Self::Again => f.write_str("again"),
            Self::Steal(on) => write!(f, "steal {on}"),
            Self::Garbage => f.write_str("garbage"),
            Self::Mix(on) => write!(f, "mix {on}"),
            Self::Crowd => f.write_str("crowd"),
            Self::Stale => f.write_str("stale"),
            Self::Nonsense => f.write_str("nonsense"),
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish(on) => write!(f, "publish {on}"),
            Self::Deliver(to) => write!(f, "deliver c{to}"),
            Self::Disconnect(whom) => write!(f, "disconnect c{whom}"),
            Self::Batch(whose, on) => write!(f, "batch c{whose} {}", OnOff(*on)),
            Self::Subscribe(whom, to, on) => write!(f, "subscribe c{whom} {to} {}", OnOff(*on)),
            Self::Activity(whose, Some(millis)) => write!(f, "activity c{whose} {millis}"),
            Self::Activity(whose, None) => write!(f, "activity c{whose} off"),
            Self::Timeout(whose, millis) => write!(f, "timeout c{whose} {millis}"),
            Self::Extend(on) => write!(f, "extend {}", OnOff(*on)),
            Self::Listen(on, yes) => write!(f, "listen {on} {}", OnOff(*yes)),
            Self::Authorize(on, yes) => write!(f, "authorize {on} {}", OnOff(*yes)),
            Self::Remove(it) => write!(f, "remove {it}"),
            Self::Drain(millis) => write!(f, "drain {millis}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(who, deed) => write!(f, "c{who} {deed}"),
            Self::App(work) => write!(f, "app {work}"),
            Self::Jump(millis) => write!(f, "jump {millis}"),
        }
    }
}
