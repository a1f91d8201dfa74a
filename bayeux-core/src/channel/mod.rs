//! Channel names, patterns, templates, and the settings of a channel.

pub(crate) mod name;
mod pattern;
mod settings;
mod template;

pub use name::{ChannelKind, ChannelName};
pub use pattern::Pattern;
pub(crate) use pattern::Reach;
pub use settings::{ChannelSettings, Overflow};
pub use template::{Params, Template};

/// Why a text is no channel name, pattern or template.
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
    /// `{}` in a template.
    #[error("a variable has a name")]
    EmptyVariable,
    /// A brace in a template that belongs to no variable, or a name in braces that is none.
    #[error("a variable is a whole segment: letters, digits and '_' in braces")]
    BadVariable,
    /// Two variables of a template have the same name.
    #[error("a template has each variable once")]
    DuplicateVariable,
    /// A template has variables and ends with `*` or `**`.
    #[error("a template with variables is no wildcard")]
    WildTemplate,
}
