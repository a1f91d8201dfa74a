//! HTTP as the front wants it: real requests out of what the clients say, and back.

use bayeux_core::LinkId;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, Version, header};

use super::host::{Down, Request};

/// The function that JSONP requests want to be called.
const CALLBACK: &str = "_sim.reply-1";

/// A request's head and body; `as_form` if a POST is one, as some clients send them.
pub(super) fn request(request: Request, as_form: bool) -> (Parts, Bytes) {
    let mut built = http::Request::new(());
    let mut body = Bytes::new();
    if request.callback {
        let query = format!("/cometd?jsonp={CALLBACK}&message={}", encoded(&request.body));
        // What is not accepted has no query, which the server says.
        *built.uri_mut() = query.parse().unwrap_or_default();
    } else {
        *built.method_mut() = Method::POST;
        let media = if as_form {
            body = format!("message={}", encoded(&request.body)).into();
            "application/x-www-form-urlencoded"
        } else {
            body = request.body.into();
            "application/json;charset=UTF-8"
        };
        built.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    if request.http2 {
        *built.version_mut() = Version::HTTP_2;
    }
    let (mut head, ()) = built.into_parts();
    add_cookie(&mut head, request.cookie.as_deref());
    (head, body)
}

/// The head of a request for a WebSocket.
pub(super) fn upgrade(cookie: Option<&str>) -> Parts {
    let (mut head, ()) = http::Request::new(()).into_parts();
    for (name, value) in [
        (header::HOST, "server.example"),
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        head.headers.insert(name, HeaderValue::from_static(value));
    }
    add_cookie(&mut head, cookie);
    head
}

fn add_cookie(head: &mut Parts, cookie: Option<&str>) {
    // Other cookies of the same site go along, as they do.
    let cookie = cookie.map(|it| format!("theme=dark; {it}; lang=de"));
    if let Some(cookie) = cookie.and_then(|it| it.parse().ok()) {
        head.headers.insert(header::COOKIE, cookie);
    }
}

/// Encodes what is not unreserved in a URL.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    out
}

/// A response as its client sees it. A script that does not call what it should stays as it is:
/// then it is no array of messages, which the client finds out.
pub(super) fn response(link: LinkId, callback: bool, response: Response<Bytes>) -> Down {
    let (head, body) = response.into_parts();
    let set = head.headers.get(header::SET_COOKIE).and_then(|value| value.to_str().ok());
    let pair = set.and_then(|set| set.split(';').next());
    let text = String::from_utf8_lossy(&body);
    let called = text.strip_prefix("/**/").and_then(|it| it.strip_prefix(CALLBACK));
    let argument = called.and_then(|it| it.strip_prefix('(')?.strip_suffix(')'));
    let body = match argument.filter(|_| callback && head.status == 200) {
        Some(argument) => argument.to_owned(),
        None => text.into_owned(),
    };
    Down::Response { link, status: head.status.as_u16(), cookie: pair.map(str::to_owned), body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_s_messages_travel_in_the_query() {
        let body = "[{\"data\":\"Grüße & +\"}]".to_owned();
        let made = Request { callback: true, http2: false, cookie: Some("a=b".to_owned()), body };
        let (head, body) = request(made, true);
        assert!(body.is_empty());
        let expected = "message=%5B%7B%22data%22%3A%22Gr%C3%BC%C3%9Fe%20%26%20%2B%22%7D%5D";
        assert!(head.uri.query().is_some_and(|query| query.ends_with(expected)), "{head:?}");
        assert_eq!(head.headers[header::COOKIE], "theme=dark; a=b; lang=de");
    }

    #[test]
    fn a_script_is_unwrapped() {
        let script = Bytes::from(format!("/**/{CALLBACK}([1])"));
        let down = response(LinkId(3), true, Response::new(script));
        let (cookie, body) = (None, "[1]".to_owned());
        assert_eq!(down, Down::Response { link: LinkId(3), status: 200, cookie, body });
    }
}
