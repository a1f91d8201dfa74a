//! [`Timers`]: everything that waits for a moment, in the order of the moments.
//!
//! Ties are broken by the key, so that the order is the same in every run. Whoever arms a timer
//! remembers the moment it armed (its own field says until when), since that is what disarming
//! needs; an entry that went off early because its owner's deadline moved on is simply armed again.

use alloc::collections::BTreeSet;

use super::keys::ChannelKey;
use super::keys::{SessionKey, SocketKey};
use crate::id::LinkId;
use crate::time::Time;

/// Who waits, and for what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum TimerKey {
    /// A session's deadline: its held connect is answered, or it expires.
    Session(SessionKey),
    /// A session's lazy events are due.
    Lazy(SessionKey),
    /// A session may have been unused for long enough.
    Activity(SessionKey),
    /// The peer of a WebSocket may have been silent for long.
    Socket(SocketKey),
    /// A channel may have been idle for long enough.
    Channel(ChannelKey),
    /// The application has not answered this question.
    Question(u64),
    /// A payload has let others go first.
    Payload(LinkId),
}

#[derive(Default)]
pub(super) struct Timers {
    entries: BTreeSet<(Time, TimerKey)>,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Time, key: TimerKey) {
        self.entries.insert((at, key));
    }

    pub(super) fn disarm(&mut self, at: Time, key: TimerKey) {
        self.entries.remove(&(at, key));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.entries.first().map(|(at, _)| *at)
    }

    /// Takes the first entry that is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<TimerKey> {
        if self.next()? > now {
            return None;
        }
        self.entries.pop_first().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pops_in_order_and_only_what_is_due() {
        let mut timers = Timers::default();
        timers.arm(Time::from_millis(2), TimerKey::Question(1));
        timers.arm(Time::from_millis(1), TimerKey::Question(3));
        timers.arm(Time::from_millis(1), TimerKey::Question(2));
        timers.arm(Time::from_millis(3), TimerKey::Question(4));
        timers.disarm(Time::from_millis(2), TimerKey::Question(1));
        assert_eq!(timers.next(), Some(Time::from_millis(1)));
        let now = Time::from_millis(2);
        assert_eq!(timers.pop_due(now), Some(TimerKey::Question(2)));
        assert_eq!(timers.pop_due(now), Some(TimerKey::Question(3)));
        assert_eq!(timers.pop_due(now), None);
        assert_eq!(timers.next(), Some(Time::from_millis(3)));
    }
}
