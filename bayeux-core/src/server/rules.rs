//! [`Rules`]: decisions that never leave the server.
//!
//! Most deployments can say beforehand who may do what with which channels. What they say is data,
//! looked up inside the server: no question, no waiting, no turn of the application.

use alloc::vec::Vec;

use super::question::Denial;
use crate::channel::{ChannelName, Pattern};

/// What a rule says.
#[derive(Clone, Debug)]
pub enum Ruling {
    /// It may.
    Allow,
    /// It may not.
    Deny(Denial),
    /// The application decides, as a [`Question`](super::Question).
    Ask,
}

/// The rules of one operation on channels: the first that covers the channel counts.
#[derive(Clone, Debug)]
pub struct RuleList {
    rules: Vec<(Pattern, Ruling)>,
    otherwise: Ruling,
}

impl RuleList {
    /// No rules but this one, for every channel.
    pub fn new(otherwise: Ruling) -> Self {
        Self { rules: Vec::new(), otherwise }
    }

    /// Adds a rule behind those that are there. It covers a wildcard when it covers everything
    /// that the wildcard matches.
    #[must_use]
    pub fn rule(mut self, pattern: Pattern, ruling: Ruling) -> Self {
        self.rules.push((pattern, ruling));
        self
    }

    /// Sets what counts when no rule covers a channel.
    #[must_use]
    pub fn otherwise(mut self, ruling: Ruling) -> Self {
        self.otherwise = ruling;
        self
    }

    /// The ruling about one channel.
    pub(super) fn find_name(&self, name: &ChannelName) -> &Ruling {
        self.rules
            .iter()
            .find(|(pattern, _)| pattern.matches(name))
            .map_or(&self.otherwise, |(_, ruling)| ruling)
    }

    /// The ruling about a channel or wildcard.
    pub(super) fn find(&self, channel: &Pattern) -> &Ruling {
        self.rules
            .iter()
            .find(|(pattern, _)| pattern.covers(channel))
            .map_or(&self.otherwise, |(_, ruling)| ruling)
    }
}

/// The static rules. By default everything is allowed that Bayeux allows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rules {
    /// Who may have a session.
    pub handshake: Ruling,
    /// Which channels clients may create by publishing or subscribing.
    pub create: RuleList,
    /// What clients may subscribe to.
    pub subscribe: RuleList,
    /// Where clients may publish.
    pub publish: RuleList,
}

impl Default for Rules {
    fn default() -> Self {
        let allow = || RuleList::new(Ruling::Allow);
        Self { handshake: Ruling::Allow, create: allow(), subscribe: allow(), publish: allow() }
    }
}

impl Rules {
    /// Everything that Bayeux allows.
    pub fn new() -> Self {
        Self::default()
    }

    /// The application decides about everything.
    pub fn ask() -> Self {
        let ask = || RuleList::new(Ruling::Ask);
        Self { handshake: Ruling::Ask, create: ask(), subscribe: ask(), publish: ask() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn the_first_rule_that_covers_counts() {
        let list = RuleList::new(Ruling::Allow)
            .rule(pattern("/a/b"), Ruling::Allow)
            .rule(pattern("/a/**"), Ruling::Ask);
        let asks = |text: &str| matches!(list.find(&pattern(text)), Ruling::Ask);
        assert!(!asks("/a/b"));
        assert!(asks("/a/c"));
        assert!(asks("/a/*"), "a wildcard is covered by a wider one");
        assert!(!asks("/**"), "but not by a narrower one");
        assert!(!asks("/c"));
    }
}
