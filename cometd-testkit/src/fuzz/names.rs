//! Channel names, patterns and templates as lists of segments, to compare the server's with.

use bayeux_core::ChannelKind;

/// The segments of a channel name or wildcard, and `None` for anything else.
///
/// White space around it and one trailing `/` are removed; it starts with `/`; no segment is blank,
/// and `*` and `**` only stand at the end.
pub(super) fn segments(text: &str) -> Option<Vec<&str>> {
    let text = text.trim();
    let text = text.strip_suffix('/').unwrap_or(text).trim();
    let segments: Vec<&str> = text.strip_prefix('/')?.split('/').collect();
    let (_, before) = segments.split_last()?;
    let blank = segments.iter().any(|it| it.trim().is_empty());
    let inside = before.iter().any(|it| is_wild(it));
    (!blank && !inside).then_some(segments)
}

/// The segments of one channel's name.
pub(super) fn channel(text: &str) -> Option<Vec<&str>> {
    segments(text).filter(|it| !ends_wild(it))
}

/// The text of these segments.
pub(super) fn join(segments: &[&str]) -> String {
    segments.iter().map(|segment| format!("/{segment}")).collect()
}

pub(super) fn ends_wild(segments: &[&str]) -> bool {
    segments.last().is_some_and(|it| is_wild(it))
}

fn is_wild(segment: &str) -> bool {
    matches!(segment, "*" | "**")
}

/// Whether a message on the channel `name` is one for `pattern`.
pub(super) fn matches(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) | (["*"], [_]) | (["**"], [_, ..]) => true,
        ([one, pattern @ ..], [other, name @ ..]) => one == other && matches(pattern, name),
        _ => false,
    }
}

pub(super) fn kind(segments: &[&str]) -> ChannelKind {
    match segments {
        ["meta", _, ..] => ChannelKind::Meta,
        ["service", _, ..] => ChannelKind::Service,
        _ => ChannelKind::Broadcast,
    }
}

/// The variable that a segment of a template is: `Err` if it has a brace and is none.
pub(super) fn variable(segment: &str) -> Result<Option<&str>, ()> {
    if !segment.contains(['{', '}']) {
        return Ok(None);
    }
    let name = segment.strip_prefix('{').and_then(|it| it.strip_suffix('}')).ok_or(())?;
    let plain = name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    if plain && !name.is_empty() { Ok(Some(name)) } else { Err(()) }
}

/// Whether these segments are a template: its variables are whole segments, all different, and it
/// does not end with a wildcard if it has any.
pub(super) fn is_template(segments: &[&str]) -> bool {
    let Ok(variables) = segments.iter().map(|it| variable(it)).collect::<Result<Vec<_>, ()>>()
    else {
        return false;
    };
    let mut names: Vec<&str> = variables.into_iter().flatten().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    names.len() == count && (count == 0 || !ends_wild(segments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lists_of_segments() {
        assert_eq!(segments(" /a/ b/ /"), None);
        assert_eq!(segments(" /a/ b/ "), Some(vec!["a", " b"]));
        for text in ["", "/", "a", "//", "/a//b", "/*/a", "/**/*"] {
            assert_eq!(segments(text), None, "{text}");
        }
        assert_eq!((channel("/a/**"), channel("/a/***")), (None, Some(vec!["a", "***"])));
        assert_eq!(join(&["a", "b"]), "/a/b");
        assert_eq!(kind(&["meta"]), ChannelKind::Broadcast);
        assert!(matches(&["a", "**"], &["a", "b", "c"]) && !matches(&["a", "**"], &["a"]));
        assert!(matches(&["a", "*"], &["a", "b"]) && !matches(&["a", "*"], &["a", "b", "c"]));
        assert!(is_template(&["{a}", "{b}", "c"]) && is_template(&["a", "*"]));
        for segments in [&["{a}", "{a}"][..], &["{a}", "*"], &["{}"], &["a{b}"], &["{"]] {
            assert!(!is_template(segments), "{segments:?}");
        }
    }
}
