//! [`Coverage`]: what a run has met with, so that one can see what the runs do not reach.

use std::collections::BTreeMap;
use std::fmt;

use super::action::Action;
use super::host::Removal;

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
                let (code, last) = (parts.next().unwrap_or_default(), parts.last());
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
