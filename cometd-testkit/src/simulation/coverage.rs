//! [`Coverage`]: what a run has met with, so that one can see what the runs do not reach.

use std::collections::BTreeMap;
use std::fmt;

use super::action::Action;
use super::host::Removal;

/// What runs can meet with: a run of many seeds that misses one of these has lost something.
const KNOWN: [&str; 87] = [
    "app activity",
    "app authorize",
    "app batch",
    "app deliver",
    "app disconnect",
    "app drain",
    "app extend",
    "app listen",
    "app publish",
    "app remove",
    "app subscribe",
    "app timeout",
    "callback-polling",
    "client again",
    "client asks for other times",
    "client break",
    "client crash",
    "client crowd",
    "client disconnect",
    "client forget",
    "client garbage",
    "client half-open",
    "client mix",
    "client nonsense",
    "client publish",
    "client stale",
    "client stall",
    "client steal",
    "client subscribe",
    "client switch",
    "client unsubscribe",
    "client vanish",
    "clock jumps",
    "close 1000",
    "close 1001",
    "close 1002",
    "close 1007",
    "cut",
    "duplicate",
    "events dropped",
    "events received",
    "greeting",
    "impatience",
    "late-poll",
    "late-tick",
    "long-polling",
    "lose-request",
    "lose-response",
    "multiple clients",
    "ping",
    "reply /meta/connect 402:session_unknown",
    "reply /meta/connect 404:message_deleted",
    "reply /meta/connect failed",
    "reply /meta/connect ok",
    "reply /meta/disconnect 402:session_unknown",
    "reply /meta/disconnect 404:message_deleted",
    "reply /meta/disconnect ok",
    "reply /meta/handshake 403:handshake_denied",
    "reply /meta/handshake 404:message_deleted",
    "reply /meta/handshake 503:draining",
    "reply /meta/handshake 503:too_many_sessions",
    "reply /meta/handshake ok",
    "reply /meta/subscribe 402:session_unknown",
    "reply /meta/subscribe 403:create_denied",
    "reply /meta/subscribe 403:subscribe_denied",
    "reply /meta/subscribe 404:message_deleted",
    "reply /meta/subscribe ok",
    "reply /meta/unsubscribe 402:session_unknown",
    "reply /meta/unsubscribe 404:message_deleted",
    "reply /meta/unsubscribe ok",
    "reply publish 402:session_unknown",
    "reply publish 403:channel_create_denied",
    "reply publish 403:publish_denied",
    "reply publish 404:message_deleted",
    "reply publish ok",
    "session Disconnected",
    "session DisconnectedByServer",
    "session Expired",
    "session Inactive",
    "session Overflowed",
    "slow",
    "status 200",
    "status 400",
    "status 500",
    "swallow-response",
    "think",
    "websocket",
];

/// How often what was met with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<String, u64>,
}

impl Coverage {
    /// Notes that something was met with.
    pub fn hit(&mut self, what: &str) {
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(what.to_owned(), 1);
            }
        }
    }

    pub(super) fn hit_action(&mut self, action: &Action) {
        let text = action.to_string();
        let word = |at: usize| text.split(' ').nth(at).unwrap_or_default();
        match action {
            Action::Client(..) => self.hit(&format!("client {}", word(1))),
            Action::App(_) => self.hit(&format!("app {}", word(1))),
            Action::Jump(_) => self.hit("clock jumps"),
        }
    }

    pub(super) fn hit_reply(&mut self, channel: &str, error: Option<&str>, done: bool) {
        let channel = if channel.starts_with("/meta/") { channel } else { "publish" };
        match error {
            Some(error) => {
                let mut parts = error.split(':');
                let (code, last) = (parts.next().unwrap_or_default(), parts.next_back());
                self.hit(&format!("reply {channel} {code}:{}", last.unwrap_or_default()));
            }
            None => self.hit(&format!("reply {channel} {}", if done { "ok" } else { "failed" })),
        }
    }

    pub(super) fn hit_status(&mut self, status: u16) {
        self.hit(&format!("status {status}"));
    }

    pub(super) fn hit_close(&mut self, code: u16) {
        self.hit(&format!("close {code}"));
    }

    pub(super) fn hit_removal(&mut self, reason: Removal) {
        self.hit(&format!("session {reason:?}"));
    }

    /// How often something was met with.
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Adds what another run has met with.
    pub fn merge(&mut self, other: &Self) {
        for (what, count) in &other.counts {
            *self.counts.entry(what.clone()).or_default() += count;
        }
    }

    /// What runs can meet with, and these have not.
    pub fn missed(&self) -> impl Iterator<Item = &'static str> {
        KNOWN.into_iter().filter(|what| self.count(what) == 0)
    }

    /// Everything that was met with, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(what, count)| (what.as_str(), *count))
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all().try_for_each(|(what, count)| writeln!(f, "{count:>12}  {what}"))
    }
}
