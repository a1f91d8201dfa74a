//! What a body is, by its `Content-Type`, and whether its `Content-Length` is too much.
//!
//! Besides JSON and forms, this tells apart what a page of another site can send without asking
//! (no preflight: CORS's "safelisted" types). Those are forms, plain text, and, by a `Blob` without
//! a type, bodies with no type at all. The cookie may travel with such a request although the page
//! never sees the answer, so [`plan`](super::plan) takes plain text from listed origins only, and
//! forms and untyped bodies not from a page that the browser says is foreign.

use ::http::header::{self, HeaderMap};

/// The kind of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Media {
    /// `application/json`, `text/json` or a type with the suffix `+json`.
    Json,
    /// No type given; some clients never do, and it is JSON then.
    Untyped,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `text/plain`. Faye's browser client sends a form's text under this type when it talks to
    /// another origin, since it does not set one; nobody sends JSON so.
    Text,
}

/// Reads `Content-Type`. Parameters are ignored but for a charset, which must be UTF-8 or a part
/// of it: everything behind this point takes the bytes as UTF-8.
///
/// # Errors
///
/// What to tell the client with 415.
pub(super) fn classify(headers: &HeaderMap) -> Result<Media, &'static str> {
    const UNKNOWN: &str = "Content-Type must be application/json";
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let Some(value) = values.next() else { return Ok(Media::Untyped) };
    if values.next().is_some() {
        return Err("more than one Content-Type");
    }
    if let b"application/json" | b"application/json;charset=UTF-8" = value.as_bytes() {
        // What nearly all of them say, cometd.js the second.
        return Ok(Media::Json);
    }
    let Ok(text) = value.to_str() else { return Err(UNKNOWN) };
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    if !parts.all(charset_ok) {
        return Err("the charset must be UTF-8");
    }
    if text.trim().is_empty() {
        return Ok(Media::Untyped);
    }
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    if is("application/json") || is("text/json") || has_json_suffix(essence) {
        Ok(Media::Json)
    } else if is("application/x-www-form-urlencoded") {
        Ok(Media::Form)
    } else if is("text/plain") {
        Ok(Media::Text)
    } else {
        Err(UNKNOWN)
    }
}

/// Whether `Content-Length` announces more than `limit` bytes. One that is no number is left to
/// whoever frames the message.
pub(super) fn announces_more(request: &HeaderMap, limit: usize) -> bool {
    let length = request.get(header::CONTENT_LENGTH).map(|it| it.as_bytes().trim_ascii());
    length.is_some_and(|digits| {
        let mut value = Some(0_usize);
        for &digit in digits {
            if !digit.is_ascii_digit() {
                return false;
            }
            let add = usize::from(digit - b'0');
            value = value.and_then(|it| it.checked_mul(10)?.checked_add(add));
        }
        value.is_none_or(|it| it > limit)
    })
}

/// Whether one parameter is anything but a charset other than UTF-8. Splitting at every `;` finds
/// at worst a charset inside another parameter's quotes, and refuses a request that nobody sends.
fn charset_ok(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return true };
    let value = value.trim().trim_matches('"');
    !name.trim().eq_ignore_ascii_case("charset")
        || ["utf-8", "utf8", "us-ascii"].iter().any(|it| value.eq_ignore_ascii_case(it))
}

/// `type/subtype+json` (RFC 6839 §3.1).
fn has_json_suffix(essence: &str) -> bool {
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let Some((name, suffix)) = subtype.rsplit_once('+') else { return false };
    is_token(kind) && is_token(name) && suffix.eq_ignore_ascii_case("json")
}

/// Whether `text` is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    fn of(values: &[&[u8]]) -> Result<Media, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_bytes(value).unwrap());
        }
        classify(&headers)
    }

    #[test]
    fn types_that_are_served() {
        let table: &[(&str, Media)] = &[
            ("application/json", Media::Json),
            ("application/json;charset=UTF-8", Media::Json),
            ("Application/JSON ; Charset = \"utf-8\"; q=1", Media::Json),
            ("application/json; charset=us-ascii", Media::Json),
            ("application/json;", Media::Json),
            ("application/json; x", Media::Json),
            ("text/json", Media::Json),
            ("application/vnd.x+json", Media::Json),
            ("application/a+b+JSON", Media::Json),
            ("", Media::Untyped),
            (" ", Media::Untyped),
            ("application/x-www-form-urlencoded", Media::Form),
            ("APPLICATION/X-WWW-FORM-URLENCODED; charset=UTF-8", Media::Form),
            ("text/plain;charset=UTF-8", Media::Text),
        ];
        for (value, media) in table {
            assert_eq!(of(&[value.as_bytes()]), Ok(*media), "{value}");
        }
        assert_eq!(of(&[]), Ok(Media::Untyped));
    }

    #[test]
    fn types_that_are_not() {
        for value in [
            &b"multipart/form-data; boundary=x"[..],
            b"application/xml",
            b"application/javascript",
            b"application/jsonp",
            b"application/json, text/plain",
            b"text/plain, application/x+json",
            b"application/+json",
            b"/x+json",
            b"json",
            b"*/*",
            b";",
            b"; charset=utf-8",
            b"constructor",
            b"application/json; charset=iso-8859-1",
            b"application/json; charset=utf-16",
            b"application/json; charset=utf-8; charset=utf-7",
            b"application/json; charset=",
            b"application/x-www-form-urlencoded; charset=latin1",
            b"application/json\xff",
            b"\xff\xfe",
        ] {
            assert!(of(&[value]).is_err(), "{value:?}");
        }
        assert!(of(&[b"application/json", b"text/plain"]).is_err());
    }

    #[test]
    fn announced_lengths() {
        let table: &[(&[u8], bool)] = &[
            (b"0", false),
            (b"100", false),
            (b" 0000000000000000000000000000100 ", false),
            (b"101", true),
            (b"99999999999999999999999999999999", true),
            (b"", false),
            (b"-1", false),
            (b"0x999", false),
            (b"999,999", false),
            (b"\xff", false),
        ];
        for (value, more) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_bytes(value).unwrap());
            assert_eq!(announces_more(&headers, 100), *more, "{value:?}");
        }
        assert!(!announces_more(&HeaderMap::new(), 0));
    }
}
