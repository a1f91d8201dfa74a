//! JSONP: a response as a script that calls a function of the page (callback-polling).
//!
//! Whoever asks chooses the first bytes of a file that comes from our origin, and that has been
//! abused often. So: the function's name is from a short alphabet and short; a comment stands in
//! front of it, so that the file cannot pass for one of another kind (a Flash movie was built from
//! plain letters that way); the browser may not guess the type (`nosniff`); and a person who opens
//! the address gets a download with a fixed, harmless name. The last has no effect on `<script>`
//! elements, and it matters because any path suffix is accepted: without it `…/setup.bat?jsonp=…`
//! would download under that name.
//!
//! Two things in which JSON is no JavaScript: U+2028 and U+2029 end a line in scripts older than
//! ES2019, so they are escaped. The key `__proto__` sets an object's prototype; that stays, since
//! rewriting `data` is not ours to do, and is one more reason why this transport is off by default.

use alloc::vec::Vec;

use bytes::Bytes;

/// Whether `name` is a function's name that may be written into a script: CometD's rule,
/// `[A-Za-z0-9._-]+`, at most `max` characters.
pub(super) fn is_callback(name: &str, max: usize) -> bool {
    (1..=max).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The script that calls `callback` with the JSON text `payload`.
pub(super) fn script(callback: &str, payload: &[u8]) -> Bytes {
    const PREFIX: &[u8] = b"/**/";
    let mut out = Vec::with_capacity(PREFIX.len() + callback.len() + payload.len() + 2);
    out.extend_from_slice(PREFIX);
    out.extend_from_slice(callback.as_bytes());
    out.push(b'(');
    push_escaped(&mut out, payload);
    out.push(b')');
    out.into()
}

/// Copies JSON with U+2028 (`E2 80 A8`) and U+2029 (`E2 80 A9`) as escapes. In JSON both can occur
/// only inside strings, where an escape means the same.
fn push_escaped(out: &mut Vec<u8>, mut json: &[u8]) {
    while let Some(at) =
        json.windows(3).position(|it| matches!(it, b"\xe2\x80\xa8" | b"\xe2\x80\xa9"))
    {
        let (before, rest) = json.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(if rest[2] == 0xa8 { br"\u2028" } else { br"\u2029" });
        json = &rest[3..];
    }
    out.extend_from_slice(json);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn callbacks_are_short_and_plain() {
        let longest = "x".repeat(64);
        for name in ["_cometd_jsonp_1", "__jsonp1__", "a.b-c_9", "constructor", "-", &longest] {
            assert!(is_callback(name, 64), "{name}");
        }
        let too_long = "x".repeat(65);
        for name in [
            "",
            "a b",
            "a\n",
            "a\r\nX: y",
            "a\u{2028}b",
            "a(b",
            "a;b",
            "a/*",
            "a:b",
            "a[0]",
            "<script>",
            "é",
            "a\0",
            &too_long,
        ] {
            assert!(!is_callback(name, 64), "{name:?}");
        }
    }

    #[test]
    fn scripts_are_wrapped_and_escaped() {
        let table = [
            ("[]", "/**/cb([])"),
            (r#"[{"data":"é\/"}]"#, r#"/**/cb([{"data":"é\/"}])"#),
            ("[\"\u{2028}\u{2029}\"]", r#"/**/cb(["\u2028\u2029"])"#),
            ("[\"a\u{2028}b\u{2027}\u{202a}\"]", "/**/cb([\"a\\u2028b\u{2027}\u{202a}\"])"),
        ];
        for (payload, expected) in table {
            let found = script("cb", payload.as_bytes());
            assert_eq!(String::from_utf8(found.to_vec()).unwrap(), expected);
        }
    }
}
