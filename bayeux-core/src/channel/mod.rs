//! Channel names, patterns, and the settings of a channel.

pub(crate) mod name;
mod pattern;
mod settings;

pub use name::{ChannelKind, ChannelName};
pub use pattern::Pattern;
pub(crate) use pattern::Reach;
pub use settings::{ChannelSettings, Overflow};

/// Why a text is no channel name or pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name does not start with `/`, or there is nothing after it.
    #[error("a channel name starts with '/' and has at least one segment")]
    NoSlash,
    /// A segment is empty or blank, as in `/foo//bar`.
    #[error("a channel name has no empty segments")]
    EmptySegment,
    /// `*` or `**` stands before another segment.
    #[error("a wildcard can only be the last segment")]
    WildcardInside,
    /// `/…/*` or `/…/**` where one channel was asked for.
    #[error("a wildcard is not one channel")]
    Wildcard,
}
