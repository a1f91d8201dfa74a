//! The planner's rules as its documentation has them, one after another, to compare its plans with.

use bayeux_core::Transport;
use bayeux_core::ws::ExtendedConnect;
use http::{HeaderMap, Method, Version, request};

use super::answers::single;
use super::form;
use super::setups::Setup;

/// What is done with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It is answered with this status.
    Answer(u16),
    Exchange,
    Upgrade,
}

pub(super) fn fate(head: &request::Parts, setup: &Setup) -> Fate {
    if setup.has(Transport::WebSocket) && wants_upgrade(head) {
        return upgrade(head, setup);
    }
    match head.method {
        Method::OPTIONS => Fate::Answer(204),
        Method::POST => post(head, setup),
        Method::GET if setup.has(Transport::CallbackPolling) => get(head, setup),
        _ => Fate::Answer(405),
    }
}

fn post(head: &request::Parts, setup: &Setup) -> Fate {
    let Some(media) = media(&head.headers) else { return Fate::Answer(415) };
    let listed = single(&head.headers, "origin").is_some_and(|it| setup.lists(it));
    let foreign = head.headers.get_all("sec-fetch-site").iter().any(|it| it == "cross-site");
    match media {
        // What no page sends without being asked first.
        "json" => {}
        "plain" if !listed => return Fate::Answer(415),
        _ if foreign && !listed => return Fate::Answer(403),
        _ => {}
    }
    let length = head.headers.get("content-length").map(|it| it.as_bytes().trim_ascii());
    let length = length.filter(|it| it.iter().all(u8::is_ascii_digit)).unwrap_or_default();
    let digits = length.iter().skip_while(|it| **it == b'0').count();
    let number = std::str::from_utf8(length).ok().and_then(|it| it.parse::<u64>().ok());
    if digits > 18 || number.is_some_and(|it| it > setup.config.max_message_size as u64) {
        return Fate::Answer(413);
    }
    Fate::Exchange
}

/// Whether the body of a `POST` that is served has parameters.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    matches!(media(headers), Some("form" | "plain"))
}

/// What `Content-Type` says the body is, of the types that are known here; with no charset but
/// UTF-8 or a part of it.
fn media(headers: &HeaderMap) -> Option<&'static str> {
    if !headers.contains_key("content-type") {
        return Some("none");
    }
    let text = std::str::from_utf8(single(headers, "content-type")?).ok()?;
    let text = text.is_ascii().then(|| text.to_ascii_lowercase())?;
    let (kind, parameters) = text.split_once(';').unwrap_or((&text, ""));
    for parameter in parameters.split(';') {
        if let Some((name, value)) = parameter.split_once('=') {
            let value = value.trim().trim_matches('"');
            if name.trim() == "charset" && !matches!(value, "utf-8" | "utf8" | "us-ascii") {
                return None;
            }
        }
    }
    match kind.trim() {
        "" if text.trim().is_empty() => Some("none"),
        "application/json" | "text/json" => Some("json"),
        "application/x-www-form-urlencoded" => Some("form"),
        "text/plain" => Some("plain"),
        other => {
            let (kind, subtype) = other.strip_suffix("+json")?.split_once('/')?;
            let token = |it: &str| {
                let mark = |it: char| "!#$%&'*+-.^_`|~".contains(it);
                !it.is_empty() && it.chars().all(|it| it.is_ascii_alphanumeric() || mark(it))
            };
            (token(kind) && token(subtype)).then_some("json")
        }
    }
}

fn get(head: &request::Parts, setup: &Setup) -> Fate {
    let query = head.uri.query().unwrap_or_default();
    if query.len() > setup.config.max_message_size {
        return Fate::Answer(414);
    }
    let callbacks = form::values(query.as_bytes(), &setup.config.callback_parameter);
    let named = callbacks.first().is_some_and(|name| {
        let plain = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
        let length = name.chars().count();
        length > 0
            && length <= setup.config.callback_parameter_max_length
            && name.chars().all(plain)
    });
    if named && !form::values(query.as_bytes(), "message").is_empty() {
        Fate::Exchange
    } else {
        Fate::Answer(400)
    }
}

fn wants_upgrade(head: &request::Parts) -> bool {
    match head.method {
        Method::GET => lists(&head.headers, "upgrade", "websocket"),
        Method::CONNECT => head.extensions.get::<ExtendedConnect>().is_some(),
        _ => false,
    }
}

fn upgrade(head: &request::Parts, setup: &Setup) -> Fate {
    if !is_from_friend(head, setup) {
        return Fate::Answer(403);
    }
    let (headers, http1) = (&head.headers, head.method == Method::GET);
    if http1 && !(head.version == Version::HTTP_11 && lists(headers, "connection", "upgrade")) {
        return Fate::Answer(400);
    }
    if single(headers, "sec-websocket-version") != Some(b"13") {
        return Fate::Answer(if http1 { 426 } else { 400 });
    }
    if http1 && !single(headers, "sec-websocket-key").is_some_and(is_key) {
        return Fate::Answer(400);
    }
    let required = setup.config.ws.protocol.as_deref();
    let offers = headers.get_all("sec-websocket-protocol").iter();
    let mut offers = offers.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
    match required {
        Some(required) if !offers.any(|it| it.trim() == required) => Fate::Answer(400),
        _ => Fate::Upgrade,
    }
}

/// Whether no page asks, or one whose origin is listed or the server's own.
fn is_from_friend(head: &request::Parts, setup: &Setup) -> bool {
    let headers = &head.headers;
    if !headers.contains_key("origin") {
        return true;
    }
    let origin = single(headers, "origin");
    if origin.is_some_and(|it| setup.lists_any() || setup.lists(it)) {
        return true;
    }
    if single(headers, "sec-fetch-site") == Some(b"same-origin") {
        return true;
    }
    // Authorities are ASCII; what is not is nobody's.
    let text = |it: &[u8]| String::from_utf8(it.to_vec()).ok().filter(|it| it.is_ascii());
    let origin = origin.and_then(text).map(|it| it.to_ascii_lowercase());
    let host = single(headers, "host").and_then(text);
    let host = host.or_else(|| Some(head.uri.authority()?.to_string()));
    let (Some(origin), Some(host)) = (origin, host) else { return false };
    origin.split_once("://").is_some_and(|(_, it)| it == host.to_ascii_lowercase())
}

/// Whether this is 16 bytes in Base64: 22 digits, the last of which has four bits to spare, and the
/// padding.
fn is_key(key: &[u8]) -> bool {
    let digit = |it: &u8| it.is_ascii_alphanumeric() || matches!(it, b'+' | b'/');
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(digit)
        && matches!(key[21], b'A' | b'Q' | b'g' | b'w')
}

/// Whether a field is a list with `word` in it.
fn lists(headers: &HeaderMap, name: &str, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|it| it.split(',')).any(|it| it.trim().eq_ignore_ascii_case(word))
}
