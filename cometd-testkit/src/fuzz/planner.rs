//! The target `planner`: what becomes of a request by its head, and then of its body.

use bayeux_core::http::{BodyError, Exchange, Plan};
use bayeux_core::ws::ExtendedConnect;
use bayeux_core::{Config, Decoder, Encoding, Parcel, RequestKind, Transport, WallTime, encode};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Version, request};

use super::answers::{check_answer, check_written, one};
use super::form;
use super::input::Input;
use super::rules::{Fate, fate};
use super::setups::{SETUPS, Setup};

/// The number of a server's options, then a request as it looks in HTTP/1: a line with method,
/// target and version, the fields, an empty line, the body. The field `:protocol` makes it one that
/// HTTP/2 opens WebSockets with.
///
/// - Every answer is one of HTTP, with a status that the documentation of the planner has for this
///   request, and no field or body has anything in it that the client chose, but for what it may:
///   the sub-protocol of its own list, its own origin where that is configured.
/// - Who may read it (CORS) is decided by the list of origins alone, and a WebSocket from a foreign
///   page is refused.
/// - A body beyond the limit is refused; the texts in one are those that a naive reader finds.
/// - The answer to a request that is served has the payload as it is.
///
/// # Panics
///
/// When one of these does not hold.
pub fn planner(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let setup = input.choose(&*SETUPS);
    let Some(head) = head(&mut input) else { return };
    let body = Bytes::copy_from_slice(input.rest());
    let expected = fate(&head, setup);
    match setup.mapper.plan(&head) {
        Plan::Answer(answer) => {
            assert_eq!(expected, Fate::Answer(answer.status().as_u16()), "{head:?}");
            check_answer(&answer, &head, setup);
            let headers = answer.headers();
            let allow = matches!(answer.status().as_u16(), 204 | 405);
            assert_eq!(headers.contains_key("allow"), allow, "says which methods there are");
            let upgrade = answer.status() == 426;
            assert_eq!(headers.contains_key("upgrade"), upgrade, "426 says what to upgrade to");
            assert_eq!(answer.body().is_empty(), answer.status() == 204, "errors have words");
        }
        Plan::Upgrade(upgrade) => {
            assert_eq!(expected, Fate::Upgrade, "{head:?}");
            assert_eq!(upgrade.max_message_size(), setup.config.max_message_size);
            let answer = upgrade.into_response();
            check_written(&answer);
            let http1 = head.method == Method::GET;
            assert_eq!(answer.status(), if http1 { 101 } else { 200 });
            let accept = one(answer.headers(), "sec-websocket-accept");
            assert_eq!(accept.map(<[u8]>::len), http1.then_some(28), "the proof is a SHA-1");
            check_protocol(&head, one(answer.headers(), "sec-websocket-protocol"), setup);
            assert!(answer.body().is_empty() && !answer.headers().contains_key("set-cookie"));
        }
        Plan::Exchange(exchange) => {
            assert_eq!(expected, Fate::Exchange, "{head:?}");
            serve(exchange, &head, body, setup);
        }
    }
}

/// A request's head; `None` if the HTTP library would not let it through.
fn head(input: &mut Input<'_>) -> Option<request::Parts> {
    let line = input.text();
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let version = match words.next() {
        Some("HTTP/1.0") => Version::HTTP_10,
        Some("HTTP/2") => Version::HTTP_2,
        Some("HTTP/3") => Version::HTTP_3,
        _ => Version::HTTP_11,
    };
    let mut request = Request::builder().method(method).uri(target).version(version);
    loop {
        let line = input.line();
        if line.is_empty() {
            break;
        }
        if line == b":protocol: websocket" {
            request = request.extension(ExtendedConnect);
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        request = request.header(name, line[colon + 1..].trim_ascii());
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// The sub-protocol is the one that is required, else the first that the client offers.
fn check_protocol(head: &request::Parts, chosen: Option<&[u8]>, setup: &Setup) {
    let lists = head.headers.get_all("sec-websocket-protocol");
    let texts = lists.iter().filter_map(|it| it.to_str().ok());
    let mut offers = texts.flat_map(|it| it.split(',')).map(str::trim).filter(|it| !it.is_empty());
    let expected = setup.config.ws.protocol.as_deref().or_else(|| offers.next());
    assert_eq!(chosen, expected.map(str::as_bytes), "the sub-protocol");
}

fn serve(mut exchange: Exchange, head: &request::Parts, body: Bytes, setup: &Setup) {
    assert_eq!(exchange.http2(), matches!(head.version, Version::HTTP_2 | Version::HTTP_3));
    let post = head.method == Method::POST;
    let (transport, limit) = if post {
        (Transport::LongPolling, Some(setup.config.max_message_size))
    } else {
        (Transport::CallbackPolling, None)
    };
    assert_eq!((exchange.transport(), exchange.read_limit()), (transport, limit));
    let superseded = exchange.superseded();
    check_answer(&superseded, head, setup);
    let code = setup.config.duplicate_meta_connect_http_response_code;
    assert_eq!((superseded.status().as_u16(), superseded.body().len()), (code, 0));

    let expected = texts(head, &body, setup);
    let texts = match (exchange.texts(body), expected) {
        (Ok(texts), Ok(expected)) => {
            assert_eq!(texts[..], expected, "the texts of {head:?}");
            texts
        }
        (Err(error), Err(expected)) => {
            assert_eq!(error, expected, "{head:?}");
            let answer = exchange.error(error.status(), error.what());
            check_answer(&answer, head, setup);
            assert!(matches!(answer.status().as_u16(), 400 | 413));
            return;
        }
        (found, expected) => panic!("{found:?}, not {expected:?}, of {head:?}"),
    };
    let payload = payload(&texts);
    let answer = exchange.respond(payload.clone(), None);
    check_answer(&answer, head, setup);
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("set-cookie"), "there is no cookie to set");
    if post {
        let kind = one(answer.headers(), "content-type");
        assert_eq!(kind, Some(&b"application/json;charset=UTF-8"[..]));
        assert_eq!(answer.body(), &payload, "JSON goes out as it is");
    }
}

/// Where the messages are: the body, a form in it, or the query.
fn texts(head: &request::Parts, body: &[u8], setup: &Setup) -> Result<Vec<Bytes>, BodyError> {
    let form = if head.method == Method::GET {
        head.uri.query().unwrap_or_default().as_bytes()
    } else if body.len() > setup.config.max_message_size {
        return Err(BodyError::TooLarge);
    } else if super::rules::is_form(&head.headers) {
        body
    } else {
        return Ok(vec![Bytes::copy_from_slice(body)]);
    };
    let texts: Vec<Bytes> = form::values(form, "message").into_iter().map(Bytes::from).collect();
    if texts.is_empty() { Err(BodyError::NoMessage) } else { Ok(texts) }
}

/// A payload with what the texts publish, as if the client had subscribed to all of it.
pub(super) fn payload(texts: &[Bytes]) -> Bytes {
    let requests = Decoder::new(&Config::default()).decode_texts(texts).unwrap_or_default();
    let mut parcel = Parcel::default();
    parcel.events = requests
        .into_iter()
        .filter_map(|request| match request.kind {
            RequestKind::Publish { message, .. } => Some(message),
            _ => None,
        })
        .collect();
    let mut text = Vec::new();
    encode(&parcel, Encoding { offered: &[], wall: WallTime::from_millis(0) }, &mut text);
    text.into()
}
