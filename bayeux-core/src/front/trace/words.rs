//! [`Log`]: what happened, until it may be said; and how it is said.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use tracing::{debug, info_span, trace, warn};

use super::spans::SessionSpan;
use crate::channel::Pattern;
use crate::id::SessionId;
use crate::message::{BayeuxError, ReplyChannel};
use crate::server::{RemovedReason, ResumeCause};
use crate::transport::Transport;

/// What subscribers filter by.
const TARGET: &str = "bayeux";

/// What is to be logged after the lock is released.
#[derive(Default)]
pub(in crate::front) struct Log(Vec<Entry>);

struct Entry {
    session: Option<SessionId>,
    span: SessionSpan,
    what: What,
}

/// What happened to a session. Never with anything out of `data` or `ext`.
pub(super) enum What {
    Added {
        transport: Option<Transport>,
    },
    Removed {
        reason: RemovedReason,
    },
    Subscribed {
        channel: Pattern,
    },
    Unsubscribed {
        channel: Pattern,
    },
    Suspended {
        timeout: Duration,
    },
    Resumed {
        cause: ResumeCause,
    },
    Dropped {
        count: usize,
        first: bool,
    },
    Refused {
        channel: ReplyChannel,
        error: Option<BayeuxError>,
    },
    /// Nothing more will happen to it: its span leaves with this entry.
    Ended,
}

impl Log {
    pub(super) fn add(&mut self, session: Option<SessionId>, span: SessionSpan, what: What) {
        self.0.push(Entry { session, span, what });
    }

    pub(in crate::front) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is not even room for anything.
    pub(in crate::front) fn is_nothing(&self) -> bool {
        self.0.capacity() == 0
    }

    /// Makes the spans, says what happened within them, and closes them. Not under the lock.
    pub(in crate::front) fn write(self) {
        self.0.into_iter().for_each(Entry::write);
    }
}

impl Entry {
    fn write(self) {
        let Self { session, span, what } = self;
        if let (What::Added { transport }, Some(id)) = (&what, session) {
            let (session, transport) = (id.short(), transport.map(Transport::name));
            // Whatever is being done where the session begins, a request say, ends before it.
            span.make(|| info_span!(target: TARGET, parent: None, "session", %session, transport));
        }
        let _within = span.enter();
        match what {
            What::Added { .. } => debug!(target: TARGET, "session added"),
            What::Removed { reason: RemovedReason::Overflowed } => {
                // Said with warnings: where no more than these are wanted, there are no spans.
                let session = session.map(|id| tracing::field::display(id.short()));
                let reason = RemovedReason::Overflowed;
                warn!(target: TARGET, session, ?reason, "session removed: its queue is full");
            }
            What::Removed { reason } => debug!(target: TARGET, ?reason, "session removed"),
            What::Subscribed { channel } => {
                debug!(target: TARGET, channel = channel.as_str(), "subscribed");
            }
            What::Unsubscribed { channel } => {
                debug!(target: TARGET, channel = channel.as_str(), "unsubscribed");
            }
            What::Suspended { timeout } => trace!(target: TARGET, ?timeout, "connect suspended"),
            What::Resumed { cause } => trace!(target: TARGET, ?cause, "connect resumed"),
            What::Dropped { count, first: true } => {
                let session = session.map(|id| tracing::field::display(id.short()));
                warn!(target: TARGET, session, count, "events dropped: the queue is full");
            }
            What::Dropped { count, first: false } => {
                debug!(target: TARGET, count, "more events dropped");
            }
            What::Refused { channel, error } => {
                let (channel, error) = (name(&channel), error.map(|it| it.to_string()));
                let (channel, error) = (channel.as_deref(), error.as_deref());
                debug!(target: TARGET, channel, error, "message refused");
            }
            What::Ended => {}
        }
    }
}

/// How much is shown of what a client took for a channel, in characters.
const CHANNEL: usize = 100;

fn name(channel: &ReplyChannel) -> Option<String> {
    match channel {
        ReplyChannel::Meta(verb) => Some(verb.channel().to_string()),
        ReplyChannel::Echo(name) => {
            let name: String = name.read().ok()?;
            Some(name.chars().take(CHANNEL).collect())
        }
        ReplyChannel::Missing => None,
    }
}
