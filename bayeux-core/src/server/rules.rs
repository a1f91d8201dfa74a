//! [`Rules`]: decisions that never leave the server.
//!
//! Most deployments can say beforehand who may do what with which channels. What they say is data,
//! looked up inside the server: no question, no waiting, no turn of the application.

use alloc::vec::Vec;

use super::question::Denial;
use crate::channel::{ChannelName, Pattern};

/// What a rule says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Ruling {
    /// It may.
    Allow,
    /// It may not.
    Deny(Denial),
    /// The application decides, as a [`Question`](super::Question).
    Ask,
}

/// The rules of one operation on channels: the first that concerns the channel counts.
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

    /// Adds a rule behind those that are there.
    ///
    /// A rule concerns a wildcard, too, when it covers everything that the wildcard matches; for
    /// subscribing, a rule that denies or asks already when it covers any of it.
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

    /// The ruling about making a channel or wildcard: a wildcard is a channel of its own, and
    /// making it makes none of those that it matches.
    pub(super) fn find_covering(&self, channel: &Pattern) -> &Ruling {
        self.rules
            .iter()
            .find(|(pattern, _)| pattern.covers(channel))
            .map_or(&self.otherwise, |(_, ruling)| ruling)
    }

    /// The ruling about hearing what is said on a channel or wildcard.
    pub(super) fn find_reaching(&self, channel: &Pattern) -> &Ruling {
        let concerns = |(pattern, ruling): &&(Pattern, Ruling)| match ruling {
            Ruling::Allow => pattern.covers(channel),
            // Whoever subscribes to `/**` hears what is said on `/secret/x`.
            Ruling::Deny(_) | Ruling::Ask => pattern.covers(channel) || channel.covers(pattern),
        };
        self.rules.iter().find(concerns).map_or(&self.otherwise, |(_, ruling)| ruling)
    }
}

/// What is to be done about an operation, now that rules and authorizers are known.
pub(super) enum Course {
    Allow,
    Deny(Denial),
    /// The application decides: its policy if the rules say so, then these channels' authorizers.
    Ask(Asking),
}

/// Who is to be asked.
pub(super) struct Asking {
    pub(super) policy: bool,
    pub(super) authorizers: Vec<Pattern>,
    /// Channels whose authorizers can only deny.
    pub(super) below: Vec<Pattern>,
}

impl Course {
    pub(super) fn new(ruling: &Ruling, authorizers: Vec<Pattern>) -> Self {
        Self::with_below(ruling, authorizers, Vec::new())
    }

    /// The same for a subscription to a wildcard that has authorizers below it.
    pub(super) fn with_below(
        ruling: &Ruling,
        authorizers: Vec<Pattern>,
        below: Vec<Pattern>,
    ) -> Self {
        match ruling {
            Ruling::Deny(denial) => Self::Deny(denial.clone()),
            Ruling::Allow if authorizers.is_empty() && below.is_empty() => Self::Allow,
            Ruling::Allow => Self::Ask(Asking { policy: false, authorizers, below }),
            Ruling::Ask => Self::Ask(Asking { policy: true, authorizers, below }),
        }
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

    fn outcome(list: &RuleList, channel: &str) -> &'static str {
        match list.find_reaching(&pattern(channel)) {
            Ruling::Allow => "allow",
            Ruling::Deny(_) => "deny",
            Ruling::Ask => "ask",
        }
    }

    #[test]
    fn the_first_rule_that_concerns_a_channel_counts() {
        let list = RuleList::new(Ruling::Allow)
            .rule(pattern("/a/b"), Ruling::Allow)
            .rule(pattern("/a/**"), Ruling::Ask);
        for (channel, expected) in
            [("/a/b", "allow"), ("/a/c", "ask"), ("/a/*", "ask"), ("/**", "ask"), ("/c", "allow")]
        {
            assert_eq!(outcome(&list, channel), expected, "{channel}");
        }
    }

    #[test]
    fn a_wildcard_does_not_get_around_a_denial() {
        let deny = || Ruling::Deny(Denial::default());
        let list = RuleList::new(Ruling::Allow).rule(pattern("/secret/**"), deny());
        for channel in ["/secret/x", "/secret/*", "/secret/x/**", "/**"] {
            assert_eq!(outcome(&list, channel), "deny", "{channel}");
        }
        assert!(matches!(list.find_covering(&pattern("/**")), Ruling::Allow));
        for channel in ["/*", "/secret", "/public/**"] {
            assert_eq!(outcome(&list, channel), "allow", "{channel}");
        }
        let list = RuleList::new(deny()).rule(pattern("/public/**"), Ruling::Allow);
        assert_eq!(outcome(&list, "/public/*"), "allow");
        assert_eq!(outcome(&list, "/**"), "deny");
    }
}
