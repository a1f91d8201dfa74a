//! [`Template`]: a channel name with variables, such as `/service/room/{name}`.
//!
//! A template stands for the channels that have something else in the places of its variables, and
//! says what that is. Nobody can subscribe to one: whoever listens on a template listens on the
//! narrowest wildcard above its channels, and leaves alone what it does not match.

use alloc::sync::Arc;
use core::fmt;

use super::name::{check_segments, kind_of, normalize};
use super::{ChannelKind, ChannelName, NameError, Pattern};

/// A channel name whose segments may be variables, parsed once.
///
/// A variable is a whole segment: a name of letters, digits and `_` in braces, as in CometD's
/// `ChannelId`. Without variables a template is a channel or wildcard. Braces elsewhere, which
/// CometD takes for ordinary characters, are refused: they are nearly always a slip.
///
/// A template is about channels of its own kind: `/{a}/{b}` and `/**` match no `/meta/…` and no
/// `/service/…`, so that a service on them does not get to see the protocol's own messages.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Template {
    text: Arc<str>,
    pattern: Pattern,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    ///
    /// When `text` is no template.
    ///
    /// ```
    /// use bayeux_core::{ChannelName, Template};
    /// let template = Template::parse("/service/room/{name}")?;
    /// assert_eq!(template.pattern().as_str(), "/service/room/*");
    ///
    /// let params = template.bind(&ChannelName::parse("/service/room/lobby")?);
    /// assert_eq!(params.and_then(|it| it.get("name").map(str::to_owned)), Some("lobby".to_owned()));
    /// assert!(template.bind(&ChannelName::parse("/service/room")?).is_none());
    /// # Ok::<(), bayeux_core::NameError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = normalize(text);
        check_segments(text)?;
        let pattern = match prefix_and_reach(text)? {
            None => Pattern::parse(text)?,
            Some((prefix, wildcard)) => Pattern::parse(&alloc::format!("{prefix}{wildcard}"))?,
        };
        Ok(Self { text: text.into(), pattern })
    }

    /// The template as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where to listen for its channels, as CometD does: without variables it is the channel or
    /// wildcard itself, with one at the end `/…/*`, with any others `/…/**` below what stands
    /// before the first.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// What kind of channels it is about.
    pub fn kind(&self) -> ChannelKind {
        kind_of(&self.text)
    }

    /// What its variables are in this name; `None` if that is none of its channels.
    pub fn bind(&self, name: &ChannelName) -> Option<Params> {
        if name.kind() != self.kind() || !self.pattern.matches(name) {
            return None;
        }
        // A pattern that matches says it all, unless it had to be wider than the template.
        if self.has_variables() {
            let (mut wanted, mut found) = (self.text.split('/'), name.as_str().split('/'));
            loop {
                match (wanted.next(), found.next()) {
                    (None, None) => break,
                    (Some(one), Some(other)) if one == other || variable(one).is_some() => {}
                    _ => return None,
                }
            }
        }
        Some(Params { template: Arc::clone(&self.text), name: name.clone() })
    }

    fn has_variables(&self) -> bool {
        self.text.contains('{')
    }
}

/// The name in braces, if the segment is a variable.
fn variable(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// What stands before the first variable, and the wildcard that covers the rest; `None` if there
/// are no variables. Checks them on the way.
fn prefix_and_reach(text: &str) -> Result<Option<(&str, &'static str)>, NameError> {
    let mut before = 0;
    let mut found = None;
    for segment in text[1..].split('/') {
        let end = before + 1 + segment.len();
        if segment.contains(['{', '}']) {
            let name = variable(segment).ok_or(NameError::BadVariable)?;
            if name.is_empty() {
                return Err(NameError::EmptyVariable);
            }
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(NameError::BadVariable);
            }
            if text[..before].split('/').any(|earlier| variable(earlier) == Some(name)) {
                return Err(NameError::DuplicateVariable);
            }
            let alone = found.is_none() && end == text.len();
            let (prefix, _) = found.unwrap_or((&text[..before], ""));
            found = Some((prefix, if alone { "/*" } else { "/**" }));
        } else if matches!(segment, "*" | "**") && found.is_some() {
            return Err(NameError::WildTemplate);
        }
        before = end;
    }
    Ok(found)
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<&str> for Template {
    type Error = NameError;

    fn try_from(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

/// What the variables of a [`Template`] are in a channel's name. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Params {
    template: Arc<str>,
    name: ChannelName,
}

impl Params {
    /// The value of a variable; `None` if the template has none of this name.
    pub fn get(&self, variable: &str) -> Option<&str> {
        self.iter().find_map(|(name, value)| (name == variable).then_some(value))
    }

    /// The variables and their values, in the order of the name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let segments = self.template.split('/').zip(self.name.as_str().split('/'));
        segments.filter_map(|(segment, value)| Some((variable(segment)?, value)))
    }

    /// The template.
    pub fn template(&self) -> &str {
        &self.template
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Each template with where it listens, what it matches with which values, and what not.
    type Row<'r> = (&'r str, &'r str, &'r [(&'r str, &'r [(&'r str, &'r str)])], &'r [&'r str]);

    #[test]
    fn listens_and_binds_as_cometd_does() {
        let table: &[Row<'_>] = &[
            ("/foo", "/foo", &[("/foo", &[])], &["/bar", "/foo/bar"]),
            ("/foo/*", "/foo/*", &[("/foo/a", &[])], &["/foo", "/foo/a/b"]),
            ("/foo/**", "/foo/**", &[("/foo/a", &[]), ("/foo/a/b", &[])], &["/foo"]),
            ("/{a}", "/*", &[("/x", &[("a", "x")])], &["/x/y"]),
            ("/foo/{a}", "/foo/*", &[("/foo/x", &[("a", "x")])], &["/foo", "/foo/x/y", "/bar/x"]),
            (
                "/foo/{a}/bar",
                "/foo/**",
                &[("/foo/x/bar", &[("a", "x")])],
                &["/foo/x", "/foo/x/baz", "/foo/x/bar/y", "/foo"],
            ),
            (
                "/foo/{a}/{b_2}",
                "/foo/**",
                &[
                    ("/foo/x/y", &[("a", "x"), ("b_2", "y")]),
                    ("/foo/{a}/*x", &[("a", "{a}"), ("b_2", "*x")]),
                ],
                &["/foo/x", "/foo/x/y/z"],
            ),
            ("/{a}/foo/{B}", "/**", &[("/x/foo/y", &[("a", "x"), ("B", "y")])], &["/x/bar/y"]),
            ("/service/{a}/", "/service/*", &[("/service/x", &[("a", "x")])], &["/service"]),
        ];
        for (text, pattern, yes, no) in table {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.pattern().as_str(), *pattern, "{text}");
            for (name, values) in *yes {
                let params = template.bind(&ChannelName::parse(name).unwrap()).unwrap();
                assert_eq!(params.iter().collect::<Vec<_>>(), *values, "{text} {name}");
                for (variable, value) in *values {
                    assert_eq!(params.get(variable), Some(*value), "{text} {name}");
                }
                assert_eq!(params.get("other"), None);
            }
            for name in *no {
                assert_eq!(
                    template.bind(&ChannelName::parse(name).unwrap()),
                    None,
                    "{text} {name}"
                );
            }
        }
    }

    #[test]
    fn matches_channels_of_its_own_kind_only() {
        for text in ["/{a}/{b}", "/**"] {
            let template = Template::parse(text).unwrap();
            for name in ["/meta/connect", "/service/x"] {
                assert_eq!(
                    template.bind(&ChannelName::parse(name).unwrap()),
                    None,
                    "{text} {name}"
                );
            }
            assert!(template.bind(&ChannelName::parse("/a/b").unwrap()).is_some());
        }
    }

    #[test]
    fn rejects_what_is_no_template() {
        let table = [
            ("", NameError::NoSlash),
            ("/", NameError::NoSlash),
            ("foo/{a}", NameError::NoSlash),
            ("/foo//{a}", NameError::EmptySegment),
            ("/foo/*/*", NameError::WildcardInside),
            ("/foo/*/**", NameError::WildcardInside),
            ("/foo/**/*", NameError::WildcardInside),
            ("/foo/*/{v}", NameError::WildcardInside),
            ("/foo/{v}/*", NameError::WildTemplate),
            ("/foo/{v}/**", NameError::WildTemplate),
            ("/foo/{}", NameError::EmptyVariable),
            ("/foo/{a}/{a}", NameError::DuplicateVariable),
            ("/foo/{a}/b/{a}", NameError::DuplicateVariable),
            ("/foo/x{a}", NameError::BadVariable),
            ("/foo/{a}x", NameError::BadVariable),
            ("/foo/{a}{b}", NameError::BadVariable),
            ("/foo/{a", NameError::BadVariable),
            ("/foo/a}", NameError::BadVariable),
            ("/foo/{a-b}", NameError::BadVariable),
            ("/foo/{a b}", NameError::BadVariable),
            ("/foo/{é}", NameError::BadVariable),
        ];
        for (text, error) in table {
            assert_eq!(Template::parse(text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn normalizes_as_names_do() {
        assert_eq!(Template::parse(" /foo/{a}/ ").unwrap().as_str(), "/foo/{a}");
    }
}
