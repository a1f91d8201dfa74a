//! [`Pattern`]: what sessions subscribe to and listeners listen on.

use alloc::sync::Arc;
use core::fmt;

use super::name::{check_segments, count_segments, kind_of, normalize};
use super::{ChannelKind, ChannelName, NameError};

/// One channel, or all channels below a prefix.
///
/// `/foo/*` matches exactly one further segment, `/foo/**` one or more; neither matches `/foo`
/// (Bayeux §2.2.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    /// The pattern's own name: each pattern in use is also a channel, with its own listeners,
    /// settings and subscribers.
    text: Arc<str>,
    reach: Reach,
}

/// How far below its prefix a pattern reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Reach {
    /// The name itself.
    Exact,
    /// `/*`: one further segment.
    One,
    /// `/**`: one or more further segments.
    Deep,
}

impl Pattern {
    /// Parses a channel name or wildcard.
    ///
    /// # Errors
    ///
    /// When `text` is neither.
    ///
    /// ```
    /// use bayeux_core::{ChannelName, Pattern};
    /// let pattern = Pattern::parse("/chat/*")?;
    /// assert!(pattern.matches(&ChannelName::parse("/chat/room-1")?));
    /// assert!(!pattern.matches(&ChannelName::parse("/chat")?));
    /// # Ok::<(), bayeux_core::NameError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = normalize(text);
        check_segments(text)?;
        let reach = match text.rsplit('/').next() {
            Some("*") => Reach::One,
            Some("**") => Reach::Deep,
            _ => Reach::Exact,
        };
        Ok(Self { text: text.into(), reach })
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is `…/*` or `…/**`.
    pub fn is_wild(&self) -> bool {
        self.reach != Reach::Exact
    }

    /// Whether a message published on `name` concerns this pattern.
    pub fn matches(&self, name: &ChannelName) -> bool {
        let name = name.as_str();
        match self.reach {
            Reach::Exact => name == &*self.text,
            Reach::One => match self.below(name) {
                Some(rest) => !rest.contains('/'),
                None => false,
            },
            Reach::Deep => self.below(name).is_some(),
        }
    }

    /// Whether everything that `other` matches is matched by this pattern, too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self.reach, other.reach) {
            (Reach::Exact, _) => self == other,
            (Reach::One, Reach::Exact | Reach::One) => match self.below(&other.text) {
                Some(rest) => !rest.contains('/'),
                None => false,
            },
            (Reach::One, Reach::Deep) => false,
            (Reach::Deep, _) => self.below(&other.text).is_some(),
        }
    }

    /// What kind of channel the prefix belongs to: `/meta/**` is [`ChannelKind::Meta`].
    pub fn kind(&self) -> ChannelKind {
        kind_of(&self.text)
    }

    /// How many segments the pattern has, its wildcard included.
    pub fn segments(&self) -> usize {
        count_segments(&self.text)
    }

    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    /// The pattern's text without its wildcard segment: `/foo` for `/foo/*`, empty for `/**`, the
    /// whole name for an exact pattern.
    pub(crate) fn prefix(&self) -> &str {
        match self.reach {
            Reach::Exact => &self.text,
            Reach::One => &self.text[..self.text.len() - 2],
            Reach::Deep => &self.text[..self.text.len() - 3],
        }
    }

    /// The part of `name` below the prefix.
    fn below<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(self.prefix())?.strip_prefix('/')
    }
}

impl From<ChannelName> for Pattern {
    fn from(name: ChannelName) -> Self {
        Self { text: name.as_str().into(), reach: Reach::Exact }
    }
}

impl TryFrom<&str> for Pattern {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_as_bayeux_says() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("/foo", &["/foo"], &["/foo/bar", "/foobar"]),
            ("/foo/*", &["/foo/bar"], &["/foo", "/foo/bar/baz", "/foobar/x"]),
            ("/foo/**", &["/foo/bar", "/foo/bar/baz"], &["/foo", "/foobar/x"]),
            ("/*", &["/foo"], &["/foo/bar"]),
            ("/**", &["/foo", "/foo/bar"], &[]),
        ];
        for (pattern, yes, no) in table {
            let pattern = Pattern::parse(pattern).unwrap();
            for name in *yes {
                assert!(pattern.matches(&ChannelName::parse(name).unwrap()), "{pattern} {name}");
            }
            for name in *no {
                assert!(!pattern.matches(&ChannelName::parse(name).unwrap()), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn covers_what_is_narrower() {
        let covers = |one: &str, other: &str| {
            Pattern::parse(one).unwrap().covers(&Pattern::parse(other).unwrap())
        };
        for (one, other) in [
            ("/a", "/a"),
            ("/a/*", "/a/b"),
            ("/a/*", "/a/*"),
            ("/a/**", "/a/*"),
            ("/a/**", "/a/b/**"),
            ("/**", "/a/b/c"),
        ] {
            assert!(covers(one, other), "{one} {other}");
        }
        for (one, other) in
            [("/a", "/a/*"), ("/a/*", "/a/**"), ("/a/*", "/a"), ("/a/**", "/**"), ("/a/**", "/a")]
        {
            assert!(!covers(one, other), "{one} {other}");
        }
    }

    #[test]
    fn the_prefix_is_what_stands_before_the_wildcard() {
        for (text, prefix) in [("/**", ""), ("/*", ""), ("/a/b/*", "/a/b"), ("/a/**", "/a")] {
            assert_eq!(Pattern::parse(text).unwrap().prefix(), prefix);
        }
    }

    #[test]
    fn wildcards_stand_only_at_the_end() {
        for text in ["/foo/*/*", "/foo/*/**", "/foo/**/*", "/*/x", "*", "/"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
