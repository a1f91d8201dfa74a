//! The target `channels`: names, patterns and templates.

use bayeux_core::{ChannelName, Pattern, Template};

use super::input::Input;
use super::names;

/// Lines: a pattern, another pattern, a template, and up to sixteen names.
///
/// - Each is taken or refused as a naive reader of segments says, and is what that one finds. Its
///   text reads back as the same.
/// - A pattern matches, and a template binds with the values, that the naive matchers find.
/// - One pattern covers another exactly if it matches all that the other one matches; tried with
///   the input's names and with names made for the purpose.
/// - Where a template listens is a pattern that matches all of its channels.
///
/// # Panics
///
/// When one of these does not hold.
pub fn channels(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let patterns = [input.text(), input.text()];
    let patterns: Vec<Pattern> = patterns.iter().filter_map(|it| pattern(it)).collect();
    let text = input.text();
    let template = template(&text);
    let lines: Vec<_> = input.lines().into_iter().take(16).map(String::from_utf8_lossy).collect();
    let mut all: Vec<ChannelName> = lines.iter().filter_map(|it| name(it)).collect();

    for other in &patterns {
        all.extend(instances(other, &patterns));
    }
    for one in &patterns {
        for name in &all {
            let expected = names::matches(&segments(one.as_str()), &segments(name.as_str()));
            assert_eq!(one.matches(name), expected, "{one} and {name}");
        }
        for other in &patterns {
            // What the other one matches is matched by this one if its own instances are.
            let expected = instances(other, &patterns).iter().all(|it| one.matches(it));
            assert_eq!(one.covers(other), expected, "{one} and {other}");
            if one.covers(other) {
                let holds = |name: &ChannelName| one.matches(name) || !other.matches(name);
                assert!(all.iter().all(holds), "{one} covers {other}");
            }
        }
    }
    if let Some(template) = template {
        all.iter().for_each(|name| bind(&template, name));
    }
}

fn segments(text: &str) -> Vec<&str> {
    names::segments(text).expect("what was parsed has segments")
}

fn name(text: &str) -> Option<ChannelName> {
    let expected = names::channel(text);
    let found = ChannelName::parse(text).ok();
    assert_eq!(found.is_some(), expected.is_some(), "{text:?} as a name: {found:?}");
    let (found, expected) = (found?, expected?);
    assert_eq!(found.as_str(), names::join(&expected), "of {text:?}");
    assert_eq!(found.segments(), expected.len(), "of {text:?}");
    assert_eq!(found.kind(), names::kind(&expected), "of {text:?}");
    let again = ChannelName::parse(&found.to_string());
    assert_eq!(again.as_ref(), Ok(&found), "{text:?} reads back");

    let exact = Pattern::from(found.clone());
    assert_eq!(Pattern::parse(found.as_str()).as_ref(), Ok(&exact), "a name is a pattern");
    assert!(exact.matches(&found) && exact.covers(&exact) && !exact.is_wild(), "{text:?}");
    Some(found)
}

fn pattern(text: &str) -> Option<Pattern> {
    let expected = names::segments(text);
    let found = Pattern::parse(text).ok();
    assert_eq!(found.is_some(), expected.is_some(), "{text:?} as a pattern: {found:?}");
    let (found, expected) = (found?, expected?);
    assert_eq!(found.as_str(), names::join(&expected), "of {text:?}");
    assert_eq!(found.segments(), expected.len(), "of {text:?}");
    assert_eq!(found.kind(), names::kind(&expected), "of {text:?}");
    assert_eq!(found.is_wild(), names::ends_wild(&expected), "of {text:?}");
    assert_eq!(found.is_wild(), ChannelName::parse(text).is_err(), "{text:?}: name or wildcard");
    assert_eq!(Pattern::parse(&found.to_string()).as_ref(), Ok(&found), "{text:?} reads back");
    Some(found)
}

fn template(text: &str) -> Option<Template> {
    let expected = names::segments(text).filter(|it| names::is_template(it));
    let found = Template::parse(text).ok();
    assert_eq!(found.is_some(), expected.is_some(), "{text:?} as a template: {found:?}");
    let (found, expected) = (found?, expected?);
    assert_eq!(found.as_str(), names::join(&expected), "of {text:?}");
    assert_eq!(found.kind(), names::kind(&expected), "of {text:?}");
    let again = Template::parse(&found.to_string());
    assert_eq!(again.as_ref(), Ok(&found), "{text:?} reads back");

    let is_variable = |it: &&str| !matches!(names::variable(it), Ok(None));
    let listens = match expected.iter().position(is_variable) {
        None => expected,
        Some(at) if at + 1 == expected.len() => [&expected[..at], &["*"]].concat(),
        Some(at) => [&expected[..at], &["**"]].concat(),
    };
    assert_eq!(found.pattern().as_str(), names::join(&listens), "where {text:?} listens");
    Some(found)
}

/// Names that the pattern matches, and that none does that is narrower: with a segment that is in
/// none of `all`, once and twice.
fn instances(pattern: &Pattern, all: &[Pattern]) -> Vec<ChannelName> {
    let longest = all.iter().map(|it| it.as_str().len()).max().unwrap_or_default();
    let new = &*"x".repeat(longest);
    let mut prefix = segments(pattern.as_str());
    let names = match prefix.pop() {
        Some("*") => vec![[&prefix[..], &[new]].concat()],
        Some("**") => vec![[&prefix[..], &[new]].concat(), [&prefix[..], &[new, new]].concat()],
        last => vec![prefix.into_iter().chain(last).collect()],
    };
    let parse = |it: Vec<&str>| ChannelName::parse(&names::join(&it)).expect("segments of a name");
    names.into_iter().map(parse).collect()
}

fn bind(template: &Template, name: &ChannelName) {
    let (wanted, found) = (segments(template.as_str()), segments(name.as_str()));
    let variables: Vec<Option<&str>> =
        wanted.iter().map(|it| names::variable(it).unwrap_or_default()).collect();
    let bound = variables.iter().any(Option::is_some);
    let fits = if bound {
        let same = |(at, one): (usize, &Option<&str>)| one.is_some() || wanted[at] == found[at];
        wanted.len() == found.len() && variables.iter().enumerate().all(same)
    } else {
        names::matches(&wanted, &found)
    };
    let expected = fits && names::kind(&wanted) == names::kind(&found);
    let params = template.bind(name);
    assert_eq!(params.is_some(), expected, "{template} and {name}");
    let Some(params) = params else { return };
    assert!(template.pattern().matches(name), "{template} listens for {name}");
    let values: Vec<(&str, &str)> =
        variables.iter().zip(&found).filter_map(|(one, value)| Some(((*one)?, *value))).collect();
    assert_eq!(params.iter().collect::<Vec<_>>(), values, "{template} and {name}");
    for (variable, value) in values {
        assert_eq!(params.get(variable), Some(value), "{template} and {name}");
    }
    assert_eq!(params.get("{"), None, "no variable has this name");
    assert_eq!(params.template(), template.as_str());
}
