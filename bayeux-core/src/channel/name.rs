//! [`ChannelName`]: where messages are published.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::fmt;
use core::hash::{Hash, Hasher};

use super::NameError;

/// The name of one channel, such as `/chat/room-1`: parsed once, then trusted.
///
/// A name starts with `/` and has at least one segment; no segment is empty or blank, and none is
/// `*` or `**` (those make a [`Pattern`](super::Pattern)). White space around the name and one
/// trailing `/` are removed, as the Java server does (`ChannelId`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelName(Arc<str>);

/// What a channel is for, decided by its name's prefix (Bayeux §2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChannelKind {
    /// `/meta/…`: the protocol's own channels.
    Meta,
    /// `/service/…`: messages for the server alone, which nobody can subscribe to.
    Service,
    /// Everything else: messages go to all subscribers.
    Broadcast,
}

impl ChannelName {
    /// Parses a name.
    ///
    /// # Errors
    ///
    /// When `text` is no channel name; a wildcard is none.
    ///
    /// ```
    /// use bayeux_core::ChannelName;
    /// assert_eq!(ChannelName::parse("/foo/bar/")?.as_str(), "/foo/bar");
    /// assert!(ChannelName::parse("foo").is_err());
    /// assert!(ChannelName::parse("/foo/*").is_err());
    /// # Ok::<(), bayeux_core::NameError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = normalize(text);
        check_segments(text)?;
        match text.rsplit('/').next() {
            Some("*" | "**") => Err(NameError::Wildcard),
            _ => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the channel is for.
    pub fn kind(&self) -> ChannelKind {
        kind_of(&self.0)
    }

    /// How many segments the name has.
    pub fn segments(&self) -> usize {
        count_segments(&self.0)
    }
}

pub(super) fn count_segments(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'/').count()
}

pub(super) fn kind_of(text: &str) -> ChannelKind {
    if text.starts_with("/meta/") {
        ChannelKind::Meta
    } else if text.starts_with("/service/") {
        ChannelKind::Service
    } else {
        ChannelKind::Broadcast
    }
}

/// Removes white space around the name and one trailing slash.
///
/// Also the space that stood before the slash: otherwise `/foo/* /` would be one channel whose text
/// reads back as a wildcard.
pub(super) fn normalize(text: &str) -> &str {
    let text = text.trim();
    text.strip_suffix('/').map_or(text, str::trim_end)
}

/// Checks everything about a normalized name but whether its last segment is a wildcard.
pub(super) fn check_segments(text: &str) -> Result<(), NameError> {
    let rest = text.strip_prefix('/').ok_or(NameError::NoSlash)?;
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.trim().is_empty() {
            return Err(NameError::EmptySegment);
        }
        if matches!(segment, "*" | "**") && segments.peek().is_some() {
            return Err(NameError::WildcardInside);
        }
    }
    Ok(())
}

/// Whether every byte is one of those that the Java server's validator lets through: letters,
/// digits and `` space!#$()*+-./@_{}~ ``.
pub(crate) fn plain_characters(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" !#$()*+-./@_{}~".contains(&byte))
}

impl Hash for ChannelName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for ChannelName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<&str> for ChannelName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes_like_the_java_server() {
        for text in ["/foo/bar", "/foo/bar/", " /foo/bar ", "/foo/bar/ ", "/foo/bar /"] {
            assert_eq!(ChannelName::parse(text).unwrap().as_str(), "/foo/bar", "{text:?}");
        }
    }

    #[test]
    fn no_name_reads_back_as_a_wildcard() {
        for text in ["/foo/* /", "/foo/**\u{a0}/ "] {
            assert_eq!(ChannelName::parse(text).unwrap_err(), NameError::Wildcard, "{text}");
        }
    }

    #[test]
    fn stars_inside_a_segment_are_ordinary() {
        for text in ["/a*b", "/a/b*", "/***"] {
            assert!(ChannelName::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn rejects_what_is_no_name() {
        let table = [
            ("", NameError::NoSlash),
            ("foo", NameError::NoSlash),
            ("/", NameError::NoSlash),
            ("//", NameError::EmptySegment),
            ("/foo//bar", NameError::EmptySegment),
            ("/ ", NameError::NoSlash),
            ("/foo/ /bar", NameError::EmptySegment),
            ("/foo/ /", NameError::EmptySegment),
            ("/foo/*/bar", NameError::WildcardInside),
            ("/**/x", NameError::WildcardInside),
            ("/foo/*", NameError::Wildcard),
            ("/**", NameError::Wildcard),
        ];
        for (text, error) in table {
            assert_eq!(ChannelName::parse(text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn the_prefix_decides_the_kind() {
        let table = [
            ("/meta/connect", ChannelKind::Meta),
            ("/service/x", ChannelKind::Service),
            ("/meta", ChannelKind::Broadcast),
            ("/service", ChannelKind::Broadcast),
            ("/metafoo", ChannelKind::Broadcast),
            ("/foo/meta/x", ChannelKind::Broadcast),
        ];
        for (text, kind) in table {
            assert_eq!(ChannelName::parse(text).unwrap().kind(), kind, "{text}");
        }
    }
}
