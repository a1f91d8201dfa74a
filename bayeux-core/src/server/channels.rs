//! [`Channels`]: the channels in use, found by name or by what they match.
//!
//! Every pattern in use is a channel of its own, with settings, listeners and subscribers. They
//! stand in three maps by how far they reach, keyed by their prefix, so that a publish finds all of
//! its channels with two look-ups for each segment of its name, on slices of that name, whatever
//! else the server holds.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use smallvec::SmallVec;

use super::keyed::{Keyed, Map};
use super::keys::{ChannelKey, SessionKey};
use crate::channel::{ChannelName, ChannelSettings, Pattern, Reach};
use crate::entropy::Entropy;
use crate::time::Time;

/// The channels that concern one message.
pub(super) type Matches = SmallVec<[ChannelKey; 8]>;

pub(super) struct Channel {
    pub(super) pattern: Pattern,
    pub(super) settings: ChannelSettings,
    pub(super) subscribers: BTreeSet<SessionKey>,
    /// Whether the application wants to see this channel's messages before they are delivered.
    pub(super) listened: bool,
    /// Whether the application has authorizers for this channel.
    pub(super) authorized: bool,
    /// When the channel was last used.
    pub(super) used: Time,
    /// Whether a timer will look after this channel.
    pub(super) watched: bool,
}

fn is_meta(name: &str) -> bool {
    name.starts_with("/meta/")
}

impl Channel {
    /// Whether there are messages on meta channels that it matches.
    fn concerns_meta(&self) -> bool {
        let text = self.pattern.as_str();
        is_meta(text) || self.pattern.prefix().is_empty()
    }

    /// Whether nothing but its settings would be lost with the channel, and these may be.
    pub(super) fn is_idle(&self) -> bool {
        self.subscribers.is_empty()
            && !self.listened
            && !self.authorized
            && !self.settings.persistent
    }
}

pub(super) struct Channels {
    table: slotmap::SlotMap<ChannelKey, Channel>,
    exact: Map<ChannelText, ChannelKey>,
    /// `/a/*` under `/a`.
    one: Map<ChannelText, ChannelKey>,
    /// `/a/**` under `/a`.
    deep: Map<ChannelText, ChannelKey>,
    /// How many channels are listened to.
    listened: usize,
    /// How many of them concern meta channels.
    meta_listened: usize,
    /// The channels that have authorizers.
    authorized: BTreeSet<ChannelKey>,
}

type ChannelText = alloc::boxed::Box<str>;

impl Channels {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        let mut map = || Map::with_hasher(Keyed::new(entropy));
        Self {
            table: slotmap::SlotMap::with_key(),
            exact: map(),
            one: map(),
            deep: map(),
            listened: 0,
            meta_listened: 0,
            authorized: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn get(&self, key: ChannelKey) -> Option<&Channel> {
        self.table.get(key)
    }

    pub(super) fn get_mut(&mut self, key: ChannelKey) -> Option<&mut Channel> {
        self.table.get_mut(key)
    }

    pub(super) fn find(&self, pattern: &Pattern) -> Option<ChannelKey> {
        self.map(pattern.reach()).get(pattern.prefix()).copied()
    }

    pub(super) fn find_name(&self, name: &ChannelName) -> Option<ChannelKey> {
        self.exact.get(name.as_str()).copied()
    }

    /// Makes a channel that is not there yet.
    pub(super) fn insert(&mut self, pattern: Pattern, now: Time) -> ChannelKey {
        let (reach, prefix) = (pattern.reach(), pattern.prefix().into());
        let key = self.table.insert(Channel {
            pattern,
            settings: ChannelSettings::default(),
            subscribers: BTreeSet::new(),
            listened: false,
            authorized: false,
            used: now,
            watched: false,
        });
        self.map_mut(reach).insert(prefix, key);
        key
    }

    pub(super) fn remove(&mut self, key: ChannelKey) -> Option<Channel> {
        let channel = self.table.remove(key)?;
        self.listened -= usize::from(channel.listened);
        self.meta_listened -= usize::from(channel.listened && channel.concerns_meta());
        self.authorized.remove(&key);
        let (reach, prefix) = (channel.pattern.reach(), channel.pattern.prefix());
        match reach {
            Reach::Exact => self.exact.remove(prefix),
            Reach::One => self.one.remove(prefix),
            Reach::Deep => self.deep.remove(prefix),
        };
        Some(channel)
    }

    /// The channels that concern a message on `name`, from the root to the leaf: `/**`, `/a/**`,
    /// `/a/*`, `/a/b` for `/a/b`. Listeners run in this order.
    pub(super) fn matching(&self, name: &str) -> Matches {
        let mut matches = Matches::new();
        let last = name.rfind('/').unwrap_or_default();
        if !self.deep.is_empty() {
            let slashes = name.bytes().enumerate().filter(|&(_, byte)| byte == b'/');
            matches.extend(slashes.filter_map(|(at, _)| self.deep.get(&name[..at]).copied()));
        }
        if !self.one.is_empty() {
            matches.extend(self.one.get(&name[..last]).copied());
        }
        matches.extend(self.exact.get(name).copied());
        matches
    }

    /// Sets whether the application wants to see this channel's messages.
    pub(super) fn set_listened(&mut self, key: ChannelKey, listened: bool) {
        let Some(channel) = self.table.get_mut(key) else { return };
        if channel.listened == listened {
            return;
        }
        channel.listened = listened;
        let (all, meta) = (1, usize::from(channel.concerns_meta()));
        if listened {
            (self.listened, self.meta_listened) = (self.listened + all, self.meta_listened + meta);
        } else {
            (self.listened, self.meta_listened) = (self.listened - all, self.meta_listened - meta);
        }
    }

    /// The channels that are listened to and concern a message on `name`, from root to leaf.
    pub(super) fn listening(&self, name: &str) -> Vec<Pattern> {
        // Each connect asks, and nearly nobody listens to those.
        let any = if is_meta(name) { self.meta_listened } else { self.listened };
        if any == 0 {
            return Vec::new();
        }
        let channels = self.matching(name);
        let listened = channels.iter().filter_map(|&key| self.get(key)).filter(|it| it.listened);
        listened.map(|it| it.pattern.clone()).collect()
    }

    /// Sets whether the application has authorizers for this channel.
    pub(super) fn set_authorized(&mut self, key: ChannelKey, authorized: bool) {
        let Some(channel) = self.table.get_mut(key) else { return };
        channel.authorized = authorized;
        if authorized {
            self.authorized.insert(key);
        } else {
            self.authorized.remove(&key);
        }
    }

    /// The channels that have authorizers and concern what is done with `name`, from root to leaf.
    pub(super) fn authorizing_name(&self, name: &str) -> Vec<Pattern> {
        if self.authorized.is_empty() {
            return Vec::new();
        }
        self.authorizing_among(&self.matching(name))
    }

    /// The same for a channel or wildcard. A wildcard is a channel of its own, for which its own
    /// authorizers count and those of the deep wildcards above it (`ServerChannel` of the Java
    /// server), not those of the channels below.
    pub(super) fn authorizing(&self, pattern: &Pattern) -> Vec<Pattern> {
        if self.authorized.is_empty() {
            return Vec::new();
        }
        let mut matches = self.matching(pattern.as_str());
        if pattern.is_wild() {
            // `/a/*` and `/a/**` themselves are in the maps under their prefix.
            matches.retain(|key| {
                let channel = self.table.get(*key);
                channel.is_some_and(|it| it.pattern.reach() == Reach::Deep)
            });
            matches.extend(self.find(pattern).filter(|_| pattern.reach() == Reach::One));
        }
        self.authorizing_among(&matches)
    }

    /// The channels with authorizers that a wildcard covers: whoever subscribes to it hears what is
    /// said on them.
    pub(super) fn authorizing_below(&self, pattern: &Pattern) -> Vec<Pattern> {
        if !pattern.is_wild() {
            return Vec::new();
        }
        let all = self.authorized.iter().filter_map(|&key| self.get(key));
        let below = all.filter(|it| it.pattern != *pattern && pattern.covers(&it.pattern));
        below.map(|it| it.pattern.clone()).collect()
    }

    fn authorizing_among(&self, channels: &Matches) -> Vec<Pattern> {
        let found = channels.iter().filter_map(|&key| self.get(key)).filter(|it| it.authorized);
        found.map(|it| it.pattern.clone()).collect()
    }

    /// All channels, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        self.table.values()
    }

    fn map(&self, reach: Reach) -> &Map<ChannelText, ChannelKey> {
        match reach {
            Reach::Exact => &self.exact,
            Reach::One => &self.one,
            Reach::Deep => &self.deep,
        }
    }

    fn map_mut(&mut self, reach: Reach) -> &mut Map<ChannelText, ChannelKey> {
        match reach {
            Reach::Exact => &mut self.exact,
            Reach::One => &mut self.one,
            Reach::Deep => &mut self.deep,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    struct Zero;
    impl Entropy for Zero {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    #[test]
    fn finds_what_matches_from_root_to_leaf() {
        let mut channels = Channels::new(&mut Zero);
        let all = ["/a/b/c", "/a/b/*", "/a/**", "/**", "/a/b/**", "/*", "/a/*", "/a/b", "/x/**"];
        for text in all {
            channels.insert(Pattern::parse(text).unwrap(), Time::ZERO);
        }
        let names = |name: &str| -> Vec<String> {
            let keys = channels.matching(name);
            keys.iter().map(|&key| channels.get(key).unwrap().pattern.to_string()).collect()
        };
        assert_eq!(names("/a/b/c"), ["/**", "/a/**", "/a/b/**", "/a/b/*", "/a/b/c"]);
        assert_eq!(names("/a/b"), ["/**", "/a/**", "/a/*", "/a/b"]);
        assert_eq!(names("/a"), ["/**", "/*"]);
    }

    #[test]
    fn the_same_as_matching_one_by_one() {
        let mut channels = Channels::new(&mut Zero);
        let patterns = ["/a", "/a/*", "/a/**", "/a/b", "/a/b/*", "/a/b/**", "/*", "/**", "/b/**"];
        let patterns: Vec<_> = patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        for pattern in &patterns {
            channels.insert(pattern.clone(), Time::ZERO);
        }
        for name in ["/a", "/b", "/a/b", "/a/c", "/a/b/c", "/a/b/c/d", "/b/x", "/aa/b"] {
            let name = ChannelName::parse(name).unwrap();
            let mut found: Vec<_> = channels
                .matching(name.as_str())
                .iter()
                .map(|&key| channels.get(key).unwrap().pattern.clone())
                .collect();
            let mut expected: Vec<_> =
                patterns.iter().filter(|it| it.matches(&name)).cloned().collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn authorizers_of_a_wildcard_are_its_own_and_those_of_deep_wildcards_above() {
        let mut channels = Channels::new(&mut Zero);
        for text in ["/**", "/a/**", "/a/*", "/a/b", "/a/b/*", "/a/b/**", "/a/b/c"] {
            let key = channels.insert(Pattern::parse(text).unwrap(), Time::ZERO);
            channels.set_authorized(key, true);
        }
        let names = |text: &str| -> Vec<String> {
            let found = channels.authorizing(&Pattern::parse(text).unwrap());
            found.iter().map(ToString::to_string).collect()
        };
        assert_eq!(names("/a/b/*"), ["/**", "/a/**", "/a/b/**", "/a/b/*"]);
        assert_eq!(names("/a/b/**"), ["/**", "/a/**", "/a/b/**"]);
        assert_eq!(names("/**"), ["/**"]);
        assert_eq!(names("/a/b"), ["/**", "/a/**", "/a/*", "/a/b"]);
        assert_eq!(names("/a/x"), ["/**", "/a/**", "/a/*"]);
    }

    #[test]
    fn a_removed_channel_is_found_no_more() {
        let mut channels = Channels::new(&mut Zero);
        let pattern = Pattern::parse("/a/*").unwrap();
        let key = channels.insert(pattern.clone(), Time::ZERO);
        assert_eq!(channels.find(&pattern), Some(key));
        assert!(channels.remove(key).is_some());
        assert_eq!(channels.find(&pattern), None);
        assert!(channels.matching("/a/b").is_empty());
    }
}
