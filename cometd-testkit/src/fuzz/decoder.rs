//! The target `decoder`: what the decoder makes of a payload, and what subscribers get of it.

use std::sync::LazyLock;

use bayeux_core::{
    Config, DecodeError, Decoder, Encoding, Message, Parcel, Pattern, Request, RequestKind,
    SessionId, WallTime, encode,
};
use bytes::Bytes;

use super::json::{self, Failure, Node, Value};
use super::names;

/// A decoder and the options that it was made with.
struct Setup {
    config: Config,
    decoder: Decoder,
}

static SETUPS: LazyLock<[Setup; 3]> = LazyLock::new(|| {
    let setup = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        Setup { decoder: Decoder::new(&config), config }
    };
    [
        setup(|_| ()),
        setup(|config| {
            config.limits.payload_messages = 2;
            config.limits.json_depth = 4;
            config.limits.id_bytes = 4;
            config.limits.channel_bytes = 12;
            config.limits.channel_segments = 3;
        }),
        setup(|config| {
            config.validate_message_fields = false;
            config.limits.json_depth = 300;
            config.limits.id_bytes = 10_000;
            config.limits.channel_bytes = 10_000;
            config.limits.channel_segments = 10_000;
        }),
    ]
});

/// A payload, through decoders with wide, default and narrow limits.
///
/// - What is no array of objects or lone object, or beyond a limit, is refused, and for that
///   reason; everything else is taken.
/// - Each message becomes what its members say: a naive model says which verb, which publish, or
///   which error it is.
/// - `data`, `ext`, `subscription` and ids are the bytes that came; the last of two members counts.
/// - The message for subscribers is JSON with its channel, data, ext and nothing else (on a service
///   channel with its id), alone, in a parcel, with a timestamp, and when it is decoded again.
///
/// # Panics
///
/// When one of these does not hold.
pub fn decoder(bytes: &[u8]) {
    let body = Bytes::copy_from_slice(bytes);
    for setup in &*SETUPS {
        let found = setup.decoder.decode(&body);
        match expected(bytes, &setup.config) {
            Ok(messages) => {
                let requests = found.expect("a payload within the limits is taken");
                assert_eq!(requests.len(), messages.len(), "each message is one request");
                for (request, message) in requests.iter().zip(&messages) {
                    check_request(request, message, &setup.config);
                }
                check_parcel(&requests);
            }
            Err(reasons) => {
                let error = found.err();
                assert!(
                    error.is_some_and(|it| reasons.contains(&it)),
                    "{error:?}, not {reasons:?}"
                );
            }
        }
    }
}

/// The payload's messages, or the reasons for which it can be refused.
fn expected<'t>(bytes: &'t [u8], config: &Config) -> Result<Vec<Value<'t>>, Vec<DecodeError>> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Err(vec![DecodeError::NotUtf8]) };
    let value = match json::parse(text, config.limits.json_depth) {
        Ok(value) => value,
        Err(Failure::TooDeep) => return Err(vec![DecodeError::TooDeep]),
        // Behind the mistake may be another one, and what is in front too much.
        Err(Failure::NoJson) => {
            let any =
                [DecodeError::NotMessages, DecodeError::TooDeep, DecodeError::TooManyMessages];
            return Err(any.to_vec());
        }
    };
    let messages = match value.node {
        Node::Array(messages) => messages,
        Node::Object(_) => vec![value],
        _ => return Err(vec![DecodeError::NotMessages]),
    };
    let is_message = |it: &Value<'_>| match &it.node {
        Node::Object(members) => members.iter().all(|(name, _)| name.is_some()),
        _ => false,
    };
    let mut reasons = Vec::new();
    if messages.is_empty() {
        reasons.push(DecodeError::Empty);
    }
    if !messages.iter().all(is_message) {
        reasons.push(DecodeError::NotMessages);
    }
    if messages.len() > config.limits.payload_messages {
        reasons.push(DecodeError::TooManyMessages);
    }
    if reasons.is_empty() { Ok(messages) } else { Err(reasons) }
}

fn check_request(request: &Request, message: &Value<'_>, config: &Config) {
    let raw = |name| present(message, name).map(|it| it.raw);
    if let Some(id) = &request.id {
        assert_eq!(Some(id.as_str()), raw("id"), "an id is echoed as it came");
    }
    assert_eq!(request.ext.as_ref().map(|it| it.as_str()), raw("ext"), "`ext` is kept as it came");
    let client = present(message, "clientId").and_then(Value::text).filter(|it| is_credential(it));
    let found = request.client.map(|it| it.to_string());
    assert_eq!(found.as_deref(), client, "the session that the message names");

    let found = match &request.kind {
        RequestKind::Handshake { .. } => "/meta/handshake".to_owned(),
        RequestKind::Connect { .. } => "/meta/connect".to_owned(),
        RequestKind::Subscribe(it) | RequestKind::Unsubscribe(it) => {
            let echo = it.echo.as_ref().map(|it| it.as_str());
            assert_eq!(echo, message.member("subscription").map(|it| it.raw), "echoed as it came");
            let verb = request.verb().map_or("", |it| it.channel());
            check_patterns(&it.patterns, message, config);
            verb.to_owned()
        }
        RequestKind::Disconnect => "/meta/disconnect".to_owned(),
        RequestKind::Publish { message: published, echo } => {
            assert_eq!(Some(echo.as_str()), raw("channel"), "the channel is echoed as it came");
            check_published(published, message, config);
            "publish".to_owned()
        }
        RequestKind::Faulty { echo, error } => {
            let channel = message.member("channel").map(|it| it.raw);
            assert_eq!(echo.as_ref().map(|it| it.as_str()), channel, "the channel is echoed");
            error.to_string()
        }
        other => panic!("the model does not know {other:?}"),
    };
    let expected = verdict(message, config);
    // What the options of these two may be is for the tests beside the code.
    let options = match expected.as_str() {
        "/meta/handshake" => &["version", "minimumVersion", "supportedConnectionTypes"][..],
        "/meta/connect" => &["connectionType", "advice"],
        _ => &[],
    };
    let options = options.iter().any(|name| present(message, name).is_some());
    let excused = options && found == "400::message_invalid";
    assert!(found == expected || excused, "{found}, not {expected}, is {}", message.raw);
    if !found.starts_with("405::message_id") {
        assert_eq!(request.id.is_some(), raw("id").is_some(), "an id that is taken is kept");
    }
}

/// The meta channel that a message is for, `publish`, or the error that it is answered with.
fn verdict(message: &Value<'_>, config: &Config) -> String {
    let string = |it: &Value<'_>| it.text().is_some();
    if !present(message, "id").is_none_or(|id| is_id(id, config)) {
        return "405::message_id_invalid".to_owned();
    }
    let object = |it: &Value<'_>| matches!(it.node, Node::Object(_));
    if !present(message, "clientId").is_none_or(string)
        || !present(message, "ext").is_none_or(object)
    {
        return "400::message_invalid".to_owned();
    }
    let Some(channel) = present(message, "channel") else {
        return "400::channel_missing".to_owned();
    };
    match channel.text() {
        None => "400::message_invalid",
        Some("") => "400::channel_missing",
        Some(
            verb @ ("/meta/handshake" | "/meta/connect" | "/meta/subscribe" | "/meta/unsubscribe"
            | "/meta/disconnect"),
        ) => verb,
        Some(text) => match names::channel(text).filter(|it| is_within(it, config)) {
            None => "405::channel_invalid",
            Some(name) if name[0] == "meta" && name.len() > 1 => "404::meta_channel_unknown",
            Some(_) => "publish",
        },
    }
    .to_owned()
}

/// A number, or a string of letters and digits, not too long.
fn is_id(id: &Value<'_>, config: &Config) -> bool {
    let limit = config.limits.id_bytes;
    match &id.node {
        Node::Number => id.raw.len() <= limit,
        Node::Text(_) => {
            let inner = &id.raw[1..id.raw.len() - 1];
            let plain = !inner.is_empty() && inner.chars().all(|it| it.is_ascii_alphanumeric());
            inner.len() <= limit && (plain || !config.validate_message_fields)
        }
        _ => false,
    }
}

fn is_within(segments: &[&str], config: &Config) -> bool {
    let text = names::join(segments);
    let plain = |it: char| it.is_ascii_alphanumeric() || " !#$()*+-./@_{}~".contains(it);
    text.len() <= config.limits.channel_bytes
        && segments.len() <= config.limits.channel_segments
        && (!config.validate_message_fields || text.chars().all(plain))
}

fn check_patterns(
    patterns: &Result<Vec<Pattern>, bayeux_core::BayeuxError>,
    message: &Value<'_>,
    config: &Config,
) {
    let expected = match present(message, "subscription") {
        None => Err("403::subscription_missing"),
        Some(it) if it.raw == "\"\"" => Err("403::subscription_missing"),
        Some(it) => {
            let all = if let Node::Array(all) = &it.node { all } else { std::slice::from_ref(it) };
            let pattern = |it: &Value<'_>| {
                let segments = names::segments(it.text()?)?;
                is_within(&segments, config).then(|| names::join(&segments))
            };
            let patterns: Option<Vec<String>> = all.iter().map(pattern).collect();
            patterns.ok_or("403::subscription_invalid")
        }
    };
    match (patterns, expected) {
        (Ok(found), Ok(expected)) => {
            assert!(found.iter().map(Pattern::as_str).eq(expected), "patterns of {}", message.raw);
        }
        (Err(found), Err(expected)) => assert_eq!(found.to_string(), expected, "{}", message.raw),
        (found, expected) => panic!("{found:?}, not {expected:?}: {}", message.raw),
    }
}

fn check_published(published: &Message, message: &Value<'_>, config: &Config) {
    let sent = message.member("channel").and_then(Value::text).and_then(names::channel);
    let sent = sent.expect("only a channel is published on");
    let channel = published.channel();
    assert_eq!(channel.as_str(), names::join(&sent), "the channel is the one that was named");
    let service = sent[0] == "service" && sent.len() > 1;

    let data = message.member("data").map_or("null", |it| it.raw);
    let ext = present(message, "ext").map(|it| it.raw);
    let id = present(message, "id").map(|it| it.raw).filter(|_| service);
    let found = (published.data(), published.ext(), published.id());
    assert_eq!(found.0.as_str(), data, "`data` comes through byte for byte");
    assert_eq!(found.1.as_ref().map(|it| it.as_str()), ext, "and so does `ext`");
    assert_eq!(found.2.as_ref().map(|it| it.as_str()), id, "only services see the id");

    let text = std::str::from_utf8(published.as_bytes()).expect("JSON is UTF-8");
    let payload = std::str::from_utf8(published.as_payload()).expect("JSON is UTF-8");
    assert_eq!(payload, format!("[{text}]"), "a payload of this message alone");
    // The list around it may be one level more than came.
    let deepest = config.limits.json_depth + 1;
    let written = json::parse(payload, deepest).expect("subscribers get JSON");
    let written = &written.elements()[0];
    let member = |name| written.member(name).map(|it| it.raw);
    assert_eq!(written.member("channel").and_then(Value::text), Some(channel.as_str()));
    assert_eq!((member("data"), member("ext"), member("id")), (Some(data), ext, id));
    let members = 2 + usize::from(ext.is_some()) + usize::from(id.is_some());
    assert_eq!(written.names().len(), members, "subscribers get nothing else: {text}");
    check_again(published, config);
}

/// What was written is a payload that says the same.
fn check_again(published: &Message, config: &Config) {
    let mut config = config.clone();
    config.limits.json_depth += 1;
    let requests = Decoder::new(&config).decode(published.as_payload());
    let requests = requests.expect("what subscribers get is a payload");
    let [Request { kind: RequestKind::Publish { message: again, .. }, .. }] = &requests[..] else {
        panic!("what was published is a publish: {published:?}");
    };
    assert_eq!(again.as_payload(), published.as_payload(), "written, read, and written again");
}

/// All messages in one parcel, as a session gets them that subscribed to everything.
fn check_parcel(requests: &[Request]) {
    let events = requests.iter().filter_map(|request| match &request.kind {
        RequestKind::Publish { message, .. } => Some(message.clone()),
        _ => None,
    });
    let mut parcel = Parcel::default();
    parcel.events = events.collect();
    for timestamp in [false, true] {
        parcel.timestamp = timestamp;
        let with = Encoding { offered: &[], wall: WallTime::from_millis(0) };
        let mut text = Vec::new();
        encode(&parcel, with, &mut text);
        let text = String::from_utf8(text).expect("JSON is UTF-8");
        let list = json::parse(&text, 400).expect("a parcel is JSON");
        assert_eq!(list.elements().len(), parcel.events.len(), "each event is in it");
        for (found, event) in list.elements().iter().zip(&parcel.events) {
            let stamp = found.member("timestamp").and_then(Value::text);
            assert_eq!(stamp, timestamp.then_some("Thu Jan 01 00:00:00 UTC 1970"));
            let data = event.data();
            assert_eq!(found.member("data").map(|it| it.raw), Some(data.as_str()));
            assert!(timestamp || found.raw.as_bytes() == event.as_bytes(), "encoded once");
        }
    }
}

/// A member that is there and not `null`.
fn present<'m, 't>(message: &'m Value<'t>, name: &str) -> Option<&'m Value<'t>> {
    message.member(name).filter(|it| !matches!(it.node, Node::Null))
}

/// Whether this has the form of a session's or browser's id: 36 lower-case hexadecimal digits.
fn is_credential(text: &str) -> bool {
    let digits = text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    let right = text.len() == 36 && digits;
    assert_eq!(SessionId::parse(text).is_some(), right, "an id has one form: {text}");
    right
}
