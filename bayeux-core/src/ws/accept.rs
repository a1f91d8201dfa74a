//! [`accept`]: from a request's head to the answer that makes it a WebSocket.
//!
//! Browsers let any page open a WebSocket to any server, and send the server's cookies along; no
//! preflight asks first. The only protection is the `Origin` that they name, so a foreign one is
//! refused unless it is listed: the same list as for CORS. Clients that are no browsers name none.
//!
//! An origin is *not* foreign if its authority is the request's `Host`. Behind a proxy that changes
//! the host, what the browser itself says counts (`Sec-Fetch-Site: same-origin`, over TLS); where
//! that is missing, list the origin.

use alloc::string::String;
use alloc::vec::Vec;

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::{Method, Response, StatusCode, Version, request};
use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::config::WebSocketConfig;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const THIRTEEN: HeaderValue = HeaderValue::from_static("13");

/// What RFC 6455 §1.3 adds to the client's key before it is hashed.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A mark for the extensions of a `CONNECT` request over HTTP/2 whose `:protocol` is `websocket`
/// (RFC 8441). HTTP's types have no place for that pseudo-header, so the adapter looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtendedConnect;

/// A request that becomes a WebSocket.
#[derive(Debug)]
pub struct Upgrade {
    pub(crate) response: Response<Bytes>,
    pub(crate) max_message_size: usize,
}

impl Upgrade {
    /// The answer to send; when it is out, the connection (or HTTP/2's stream) is a WebSocket.
    pub fn into_response(self) -> Response<Bytes> {
        self.response
    }

    /// Bytes that a message may have; a longer one ends the connection with
    /// [`Close::TOO_LARGE`](super::Close::TOO_LARGE).
    pub fn max_message_size(&self) -> usize {
        self.max_message_size
    }
}

/// Why an upgrade is refused: a status, headers that go with it, words.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) what: &'static str,
}

/// Whether a request asks to become a WebSocket, well or badly.
pub(crate) fn wants_upgrade(head: &request::Parts) -> bool {
    match head.method {
        Method::GET => has_token(&head.headers, &header::UPGRADE, "websocket"),
        Method::CONNECT => head.extensions.get::<ExtendedConnect>().is_some(),
        _ => false,
    }
}

/// The answer to a request that [`wants_upgrade`]; `listed` says whether its origin may do
/// anything.
pub(crate) fn accept(
    head: &request::Parts,
    listed: bool,
    config: &WebSocketConfig,
) -> Result<Response<Bytes>, Rejection> {
    let reject = |status, what| Rejection { status, headers: Vec::new(), what };
    let bad = |what| reject(StatusCode::BAD_REQUEST, what);
    if !listed && !is_own_origin(head) {
        return Err(reject(StatusCode::FORBIDDEN, "this site's origin is not allowed"));
    }
    let headers = &head.headers;
    let mut response = Response::new(Bytes::new());
    if head.method == Method::GET {
        // HTTP/1.0 has no upgrades, and HTTP/2 another way to ask for one.
        if head.version != Version::HTTP_11 || !has_token(headers, &header::CONNECTION, "upgrade") {
            return Err(bad("an upgrade needs HTTP/1.1 and `Connection: Upgrade`"));
        }
    }
    if single(headers, &header::SEC_WEBSOCKET_VERSION) != Some(&THIRTEEN) {
        let version = Some((header::SEC_WEBSOCKET_VERSION, THIRTEEN));
        // HTTP/2 has no `Upgrade`, which 426 has to name.
        let upgrade = (head.method == Method::GET).then_some((header::UPGRADE, WEBSOCKET));
        let status = match upgrade {
            Some(_) => StatusCode::UPGRADE_REQUIRED,
            None => StatusCode::BAD_REQUEST,
        };
        let headers = version.into_iter().chain(upgrade).collect();
        return Err(Rejection { status, headers, what: "Sec-WebSocket-Version must be 13" });
    }
    if head.method == Method::GET {
        let key = single(headers, &header::SEC_WEBSOCKET_KEY)
            .and_then(accept_key)
            .ok_or_else(|| bad("Sec-WebSocket-Key is missing, or not 16 bytes in Base64"))?;
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, WEBSOCKET);
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    }
    if let Some(protocol) = choose(headers, config.protocol.as_deref()).map_err(bad)? {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Whether no page, or one of this very server, asks.
fn is_own_origin(head: &request::Parts) -> bool {
    let headers = &head.headers;
    if !headers.contains_key(header::ORIGIN) {
        return true;
    }
    if single(headers, &SEC_FETCH_SITE).is_some_and(|it| it == "same-origin") {
        return true;
    }
    let Some(origin) = single(headers, &header::ORIGIN).and_then(|it| it.to_str().ok()) else {
        return false;
    };
    let host = single(headers, &header::HOST).and_then(|it| it.to_str().ok());
    let host = host.or_else(|| head.uri.authority().map(|it| it.as_str()));
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|it| host.is_some_and(|host| host.eq_ignore_ascii_case(it)))
}

/// The sub-protocol to name in the answer.
fn choose(
    headers: &HeaderMap,
    required: Option<&str>,
) -> Result<Option<HeaderValue>, &'static str> {
    let mut offers = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|it| !it.is_empty());
    let chosen = match required {
        None => offers.next(),
        Some(required) => {
            Some(offers.find(|it| *it == required).ok_or("the sub-protocol is not offered")?)
        }
    };
    // It came as a header's value, so it is one.
    Ok(chosen.and_then(|it| HeaderValue::from_str(it).ok()))
}

/// The proof that the key was read (RFC 6455 §4.2.2); `None` if it is no key.
fn accept_key(key: &HeaderValue) -> Option<HeaderValue> {
    let decoded = data_encoding::BASE64.decode(key.as_bytes()).ok()?;
    if decoded.len() != 16 {
        return None;
    }
    let digest = Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize();
    let text: String = data_encoding::BASE64.encode(&digest);
    HeaderValue::try_from(text).ok()
}

/// A header's value, if it is there once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether a header lists `token`.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Request;

    type Header<'a> = (&'a str, &'a str);

    const KEY: Header<'_> = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    const VERSION: Header<'_> = ("sec-websocket-version", "13");
    const CONNECTION: Header<'_> = ("connection", "keep-alive, Upgrade");
    const UPGRADE: Header<'_> = ("upgrade", "WebSocket");

    fn head(headers: &[Header<'_>]) -> request::Parts {
        let mut request = Request::get("http://server.example:8080/cometd");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn ask(headers: &[Header<'_>], listed: bool) -> Result<Response<Bytes>, Rejection> {
        accept(&head(headers), listed, &WebSocketConfig::default())
    }

    #[test]
    fn answers_the_key_of_the_rfc() {
        let answer = ask(&[KEY, VERSION, CONNECTION, UPGRADE], false).unwrap();
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(answer.headers()["upgrade"], "websocket");
        assert_eq!(answer.headers()["connection"], "Upgrade");
        assert!(!answer.headers().contains_key("sec-websocket-protocol"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let table: &[(&[Header<'_>], u16)] = &[
            (&[VERSION, CONNECTION, UPGRADE], 400),
            (&[KEY, KEY, VERSION, CONNECTION, UPGRADE], 400),
            (&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ"), VERSION, CONNECTION, UPGRADE], 400),
            (&[("sec-websocket-key", "AAAA"), VERSION, CONNECTION, UPGRADE], 400),
            (&[("sec-websocket-key", ""), VERSION, CONNECTION, UPGRADE], 400),
            (&[KEY, VERSION, UPGRADE], 400),
            (&[KEY, VERSION, ("connection", "close"), UPGRADE], 400),
            (&[KEY, CONNECTION, UPGRADE], 426),
            (&[KEY, ("sec-websocket-version", "8"), CONNECTION, UPGRADE], 426),
            (&[KEY, ("sec-websocket-version", "13, 8"), CONNECTION, UPGRADE], 426),
        ];
        for (headers, status) in table {
            let rejection = ask(headers, false).unwrap_err();
            assert_eq!(rejection.status, *status, "{headers:?}: {}", rejection.what);
            assert_eq!(rejection.headers.len(), if *status == 426 { 2 } else { 0 });
        }
        let mut old = head(&[KEY, VERSION, CONNECTION, UPGRADE]);
        old.version = Version::HTTP_10;
        let rejection = accept(&old, false, &WebSocketConfig::default()).unwrap_err();
        assert_eq!(rejection.status, 400);
    }

    #[test]
    fn foreign_origins_are_refused_unless_they_are_listed() {
        let table: &[(&[Header<'_>], bool)] = &[
            (&[], true),
            (&[("origin", "http://server.example:8080"), ("host", "server.example:8080")], true),
            (&[("origin", "http://server.example:8080")], true),
            (&[("origin", "https://server.example"), ("host", "Server.Example")], true),
            (&[("origin", "https://server.example"), ("host", "server.example:8080")], false),
            (&[("origin", "https://evil.example"), ("host", "server.example")], false),
            (&[("origin", "https://a.example"), ("sec-fetch-site", "same-origin")], true),
            (&[("origin", "https://a.example"), ("sec-fetch-site", "same-site")], false),
            (&[("origin", "https://a.example"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "null"), ("host", "null")], false),
            (&[("origin", ""), ("host", "")], false),
            (&[("origin", "http://a"), ("origin", "http://b"), ("host", "a")], false),
            (&[("origin", "http://a"), ("host", "a"), ("host", "b")], false),
        ];
        for (headers, own) in table {
            let all: Vec<_> =
                headers.iter().chain(&[KEY, VERSION, CONNECTION, UPGRADE]).copied().collect();
            let status = ask(&all, false).map_or_else(|it| it.status, |it| it.status());
            assert_eq!(status, if *own { 101 } else { 403 }, "{headers:?}");
            assert_eq!(ask(&all, true).unwrap().status(), 101, "{headers:?}");
        }
    }

    #[test]
    fn a_sub_protocol_is_required_or_the_first_one_taken() {
        let offer: &[Header<'_>] = &[
            KEY,
            VERSION,
            CONNECTION,
            UPGRADE,
            ("sec-websocket-protocol", "other, bayeux"),
            ("sec-websocket-protocol", "third"),
        ];
        let protocol = |headers: &[Header<'_>], required: Option<&str>| {
            let config = WebSocketConfig {
                protocol: required.map(Into::into),
                ..WebSocketConfig::default()
            };
            let answer = accept(&head(headers), false, &config).map_err(|it| it.status)?;
            let chosen = answer.headers().get("sec-websocket-protocol");
            Ok(chosen.map(|it| it.to_str().unwrap().into()))
        };
        let chosen = |text: &str| Ok(Some(String::from(text)));
        assert_eq!(protocol(offer, None), chosen("other"));
        assert_eq!(protocol(offer, Some("bayeux")), chosen("bayeux"));
        assert_eq!(protocol(offer, Some("third")), chosen("third"));
        assert_eq!(protocol(offer, Some("Bayeux")), Err(StatusCode::BAD_REQUEST));
        assert_eq!(protocol(&offer[..4], Some("bayeux")), Err(StatusCode::BAD_REQUEST));
        assert_eq!(protocol(&offer[..4], None), Ok(None));
    }

    #[test]
    fn extended_connect_needs_no_key() {
        let (mut head, ()) = Request::connect("https://server.example/cometd")
            .version(Version::HTTP_2)
            .header("sec-websocket-version", "13")
            .header("origin", "https://server.example")
            .body(())
            .unwrap()
            .into_parts();
        assert!(!wants_upgrade(&head));
        head.extensions.insert(ExtendedConnect);
        assert!(wants_upgrade(&head));
        let answer = accept(&head, false, &WebSocketConfig::default()).unwrap();
        assert_eq!((answer.status(), answer.headers().len()), (StatusCode::OK, 0));
        head.headers.insert("origin", HeaderValue::from_static("https://evil.example"));
        let rejection = accept(&head, false, &WebSocketConfig::default()).unwrap_err();
        assert_eq!(rejection.status, 403);
    }

    #[test]
    fn only_what_asks_for_a_websocket_is_an_upgrade() {
        assert!(wants_upgrade(&head(&[UPGRADE])));
        assert!(wants_upgrade(&head(&[("upgrade", "h2c, websocket")])));
        assert!(!wants_upgrade(&head(&[("upgrade", "h2c")])));
        assert!(!wants_upgrade(&head(&[])));
        let mut post = head(&[UPGRADE]);
        post.method = Method::POST;
        assert!(!wants_upgrade(&post));
    }
}
