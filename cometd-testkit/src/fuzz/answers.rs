//! What holds for every HTTP answer of the server, whatever the request.

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, request};

use super::setups::Setup;

/// An answer must be one that can be written, not be kept by caches or taken for something else,
/// and only be read by pages that may.
pub(super) fn check_answer(answer: &Response<Bytes>, head: &request::Parts, setup: &Setup) {
    check_written(answer);
    let headers = answer.headers();
    assert_eq!(one(headers, "cache-control"), Some(&b"no-store"[..]), "no cache keeps it");
    assert_eq!(one(headers, "x-content-type-options"), Some(&b"nosniff"[..]), "no guesses");
    check_cors(headers, head, setup);
    if answer.body().is_empty() {
        assert!(!headers.contains_key(header::CONTENT_TYPE), "no type of nothing");
    } else if answer.status() != StatusCode::OK {
        assert_eq!(one(headers, "content-type"), Some(&b"text/plain;charset=UTF-8"[..]));
        // Markup, double quotes and what a client might have sent in escapes are in none of our words.
        let plain = |it: &u8| it.is_ascii_alphanumeric() || b" -./:,`'".contains(it);
        assert!(answer.body().iter().all(plain), "words of ours: {:?}", answer.body());
        assert!(answer.body().len() < 80, "a line: {:?}", answer.body());
    }
    if answer.status() != StatusCode::OK {
        assert!(!headers.contains_key(header::SET_COOKIE), "only who is served gets a cookie");
    }
}

/// The header fields of an answer are lines, and as many as it has fields.
pub(super) fn check_written(answer: &Response<Bytes>) {
    let mut text = Vec::new();
    for (name, value) in answer.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let control = |it: &&u8| it.is_ascii_control();
    let controls = text.iter().filter(control).count();
    assert_eq!(controls, 2 * answer.headers().len(), "no field has a line's end in it: {answer:?}");
}

/// Who may read the answer, by the rules of `HttpConfig::allowed_origins`.
fn check_cors(headers: &HeaderMap, head: &request::Parts, setup: &Setup) {
    let readers = one(headers, "access-control-allow-origin");
    let trusted = one(headers, "access-control-allow-credentials").is_some();
    let origin = single(&head.headers, "origin");
    match origin.filter(|it| setup.lists(it)) {
        Some(listed) => assert!(readers == Some(listed) && trusted, "{listed:?} is listed"),
        None => {
            let any = setup.lists_any() && origin.is_some();
            assert_eq!(readers, any.then_some(&b"*"[..]), "{origin:?} is not listed");
            assert!(!trusted, "no credentials for {origin:?}");
        }
    }
    let configured = !setup.config.allowed_origins.is_empty();
    assert_eq!(one(headers, "vary"), configured.then_some(&b"Origin"[..]));

    let asked = head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let preflight = head.method == http::Method::OPTIONS && asked && readers.is_some();
    for name in ["methods", "headers"] {
        let allowed = one(headers, &format!("access-control-allow-{name}"));
        assert_eq!(allowed.is_some(), preflight, "a granted preflight alone says which {name}");
    }
    let remembered = one(headers, "access-control-max-age");
    assert_eq!(remembered.is_some(), preflight, "a granted preflight alone is remembered");
}

/// The value of a field of an answer, which has it once at most.
pub(super) fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let count = headers.get_all(name).iter().count();
    assert!(count <= 1, "`{name}` is there {count} times");
    headers.get(name).map(|it| it.as_bytes())
}

/// The value of a field of a request, if it has it once.
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none()).map(|it| it.as_bytes())
}
