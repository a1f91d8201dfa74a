//! [`Decoder`]: a request's body to [`Request`]s.
//!
//! Two kinds of mistakes are told apart. What is no payload at all (not JSON, no objects, too deep,
//! too many) is a [`DecodeError`]: there is nothing to reply to, and the transport answers with a
//! status of its own. What is a message with something wrong in it becomes a request that the
//! machine will answer with a Bayeux error, and the payload's other messages go on.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use super::envelope::{Envelope, Payload, TOO_MANY, Text};
use crate::channel::name::plain_characters;
use crate::channel::{ChannelKind, ChannelName, Pattern};
use crate::config::Config;
use crate::id::SessionId;
use crate::json::Json;
use crate::limits::Limits;
use crate::message::{
    BayeuxError, ClientAdvice, Message, MessageParts, Request, RequestKind, Subscription, Verb,
};
use crate::transport::Transport;

/// Why a body is no payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is not JSON, or something other than messages.
    NotMessages,
    /// The array is empty.
    Empty,
    /// More messages than `limits.payload_messages`.
    TooManyMessages,
    /// Deeper nesting than `limits.json_depth`.
    TooDeep,
}

impl DecodeError {
    /// The error in words that can be sent to the peer.
    pub const fn what(self) -> &'static str {
        match self {
            Self::NotUtf8 => "the payload is not UTF-8",
            Self::NotMessages => "the payload is not a JSON array of Bayeux messages",
            Self::Empty => "the payload has no messages",
            Self::TooManyMessages => "the payload has too many messages",
            Self::TooDeep => "the payload is nested too deeply",
        }
    }
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.what())
    }
}

impl core::error::Error for DecodeError {}

/// Turns bodies into requests; cheap to share, without state.
#[derive(Clone, Debug)]
pub struct Decoder {
    limits: Limits,
    validate_characters: bool,
}

impl Decoder {
    /// A decoder with the limits and the validation that `config` asks for.
    pub fn new(config: &Config) -> Self {
        Self { limits: config.limits.clone(), validate_characters: config.validate_message_fields }
    }

    /// Decodes one payload: an array of messages, or one message on its own.
    ///
    /// # Errors
    ///
    /// When `body` is no payload; see [`DecodeError`].
    pub fn decode(&self, body: &Bytes) -> Result<Vec<Request>, DecodeError> {
        self.decode_texts(core::slice::from_ref(body))
    }

    /// Decodes one payload that came in several texts, as forms have it; the limit on the number
    /// of messages is one for all of them.
    ///
    /// # Errors
    ///
    /// When one of `texts` is no payload, or there are none.
    pub fn decode_texts(&self, texts: &[Bytes]) -> Result<Vec<Request>, DecodeError> {
        let mut requests = Vec::new();
        for text in texts {
            self.decode_text(text, &mut requests)?;
        }
        if requests.is_empty() { Err(DecodeError::Empty) } else { Ok(requests) }
    }

    fn decode_text(&self, body: &Bytes, requests: &mut Vec<Request>) -> Result<(), DecodeError> {
        let text = core::str::from_utf8(body).map_err(|_| DecodeError::NotUtf8)?;
        let limit = self.limits.payload_messages.saturating_sub(requests.len());
        if opened(body) > self.limits.json_depth && nesting(body) > self.limits.json_depth {
            return Err(DecodeError::TooDeep);
        }
        let before = requests.len();
        let each = |envelope: Envelope<'_>| {
            if requests.capacity() == 0 {
                // Nearly always it is the only one.
                requests.reserve_exact(1);
            }
            requests.push(self.interpret(body, envelope));
        };
        let mut parser = serde_json::Deserializer::from_str(text);
        Payload { limit, each }.deserialize(&mut parser).and_then(|()| parser.end()).map_err(
            |error| {
                // The parser's own messages never contain this text: they quote no input.
                if error.is_data() && alloc::format!("{error}").starts_with(TOO_MANY) {
                    DecodeError::TooManyMessages
                } else {
                    DecodeError::NotMessages
                }
            },
        )?;
        if requests.len() == before { Err(DecodeError::Empty) } else { Ok(()) }
    }

    fn interpret(&self, body: &Bytes, envelope: Envelope<'_>) -> Request {
        let slice = |raw: &RawValue| Json::trusted(body.slice_ref(raw.get().as_bytes()));
        let (id, id_error) = match self.message_id(envelope.id) {
            Ok(id) => (id, None),
            Err(echo) => (echo, Some(BayeuxError::MESSAGE_ID_INVALID)),
        };
        let (client, client_ok) = match present(envelope.client_id).map(read_text) {
            None => (None, true),
            Some(Some(text)) => (SessionId::parse(&text), true),
            Some(None) => (None, false),
        };
        let ext = present(envelope.ext);
        let kind = match id_error {
            Some(error) => Err(error),
            None if !client_ok || !ext.is_none_or(is_object) => Err(BayeuxError::MESSAGE_INVALID),
            None => self.kind(body, &envelope),
        };
        let kind = kind.unwrap_or_else(|error| RequestKind::Faulty {
            echo: envelope.channel.map(slice),
            error,
        });
        let mut request = Request { id, client, ext: ext.map(slice), extensions: None, kind };
        request.read_extensions();
        request
    }

    /// The id to echo; `Err` with what may be echoed of an invalid one.
    fn message_id(&self, raw: Option<&RawValue>) -> Result<Option<Json>, Option<Json>> {
        let Some(raw) = present(raw) else { return Ok(None) };
        let text = raw.get();
        let quotes = if text.starts_with('"') { 2 } else { 0 };
        if text.len() - quotes > self.limits.id_bytes {
            return Err(None);
        }
        // A copy, since a held connect keeps its id for as long as it is held, and a slice would
        // keep the whole buffer that the request was read into.
        let copy = || Some(Json::trusted(Bytes::copy_from_slice(text.as_bytes())));
        match text.as_bytes()[0] {
            b'-' | b'0'..=b'9' => Ok(copy()),
            b'"' => {
                let inner = &text.as_bytes()[1..text.len() - 1];
                let plain = !inner.is_empty() && inner.iter().all(u8::is_ascii_alphanumeric);
                if plain || !self.validate_characters { Ok(copy()) } else { Err(copy()) }
            }
            _ => Err(None),
        }
    }

    fn kind(&self, body: &Bytes, envelope: &Envelope<'_>) -> Result<RequestKind, BayeuxError> {
        let raw = present(envelope.channel).ok_or(BayeuxError::CHANNEL_MISSING)?;
        let channel = read_text(raw).ok_or(BayeuxError::MESSAGE_INVALID)?;
        if channel.is_empty() {
            return Err(BayeuxError::CHANNEL_MISSING);
        }
        match Verb::from_channel(&channel) {
            Some(Verb::Handshake) => handshake(envelope),
            Some(Verb::Connect) => connect(envelope, &self.limits),
            Some(Verb::Subscribe) => {
                Ok(RequestKind::Subscribe(self.subscription(body, envelope.subscription)))
            }
            Some(Verb::Unsubscribe) => {
                Ok(RequestKind::Unsubscribe(self.subscription(body, envelope.subscription)))
            }
            Some(Verb::Disconnect) => Ok(RequestKind::Disconnect),
            None => self.publish(body, envelope, raw, &channel),
        }
    }

    fn publish(
        &self,
        body: &Bytes,
        envelope: &Envelope<'_>,
        raw: &RawValue,
        channel: &str,
    ) -> Result<RequestKind, BayeuxError> {
        let slice = |raw: &RawValue| Json::trusted(body.slice_ref(raw.get().as_bytes()));
        let name = self.name(channel).ok_or(BayeuxError::CHANNEL_INVALID)?;
        // Only a service channel's listeners see the publisher's id: they answer remote calls
        // with it. Subscribers of a broadcast channel must not mistake it for an id of their own.
        let id = match name.kind() {
            ChannelKind::Meta => return Err(BayeuxError::META_CHANNEL_UNKNOWN),
            ChannelKind::Service => present(envelope.id).map(slice),
            ChannelKind::Broadcast => None,
        };
        let parts = MessageParts {
            data: envelope.data.map(slice),
            ext: present(envelope.ext).map(slice),
            id,
            ..MessageParts::default()
        };
        let message = Arc::new(Message::with(name, &parts));
        Ok(RequestKind::Publish { message, echo: slice(raw) })
    }

    fn subscription(&self, body: &Bytes, raw: Option<&RawValue>) -> Subscription {
        let echo = raw.map(|raw| Json::trusted(body.slice_ref(raw.get().as_bytes())));
        Subscription { patterns: self.patterns(raw), echo }
    }

    fn patterns(&self, raw: Option<&RawValue>) -> Result<Vec<Pattern>, BayeuxError> {
        let raw = present(raw).ok_or(BayeuxError::SUBSCRIPTION_MISSING)?;
        let names: Vec<Text<'_>> = match raw.get().as_bytes()[0] {
            b'"' => read(raw).map(|name| alloc::vec![name]),
            b'[' => read(raw),
            _ => None,
        }
        .ok_or(BayeuxError::SUBSCRIPTION_INVALID)?;
        if raw.get() == "\"\"" {
            return Err(BayeuxError::SUBSCRIPTION_MISSING);
        }
        names
            .iter()
            .map(|Text(name)| self.pattern(name).ok_or(BayeuxError::SUBSCRIPTION_INVALID))
            .collect()
    }

    fn name(&self, text: &str) -> Option<ChannelName> {
        let name = ChannelName::parse(text).ok()?;
        self.within_limits(name.as_str(), name.segments()).then_some(name)
    }

    fn pattern(&self, text: &str) -> Option<Pattern> {
        let pattern = Pattern::parse(text).ok()?;
        self.within_limits(pattern.as_str(), pattern.segments()).then_some(pattern)
    }

    fn within_limits(&self, text: &str, segments: usize) -> bool {
        text.len() <= self.limits.channel_bytes
            && segments <= self.limits.channel_segments
            && (!self.validate_characters || plain_characters(text))
    }
}

fn handshake(envelope: &Envelope<'_>) -> Result<RequestKind, BayeuxError> {
    let text = |raw: Option<&RawValue>| match present(raw) {
        Some(raw) => match read_text(raw) {
            Some(text) => Ok(Some(text.into_owned())),
            None => Err(BayeuxError::MESSAGE_INVALID),
        },
        None => Ok(None),
    };
    text(envelope.version)?;
    let too_new = text(envelope.minimum_version)?.is_some_and(|version| above_one(&version));
    let transports = match present(envelope.connection_types) {
        Some(raw) => {
            let names: Vec<Text<'_>> = read(raw).ok_or(BayeuxError::MESSAGE_INVALID)?;
            Some(names.iter().filter_map(|Text(name)| Transport::from_name(name)).collect())
        }
        None => None,
    };
    Ok(RequestKind::Handshake { too_new, transports })
}

fn connect(envelope: &Envelope<'_>, limits: &Limits) -> Result<RequestKind, BayeuxError> {
    // The connection type must be a string, but which one does not matter: the transport that
    // carries a connect is known, and like the Java server this one believes what it sees.
    if let Some(raw) = present(envelope.connection_type) {
        read_text(raw).ok_or(BayeuxError::MESSAGE_INVALID)?;
    }
    let advice = match present(envelope.advice) {
        Some(raw) if is_object(raw) => {
            let advice: RawAdvice<'_> = read(raw).ok_or(BayeuxError::MESSAGE_INVALID)?;
            Some(ClientAdvice {
                timeout: milliseconds(advice.timeout, limits.client_timeout)?,
                interval: milliseconds(advice.interval, limits.client_interval)?,
            })
        }
        Some(_) => return Err(BayeuxError::MESSAGE_INVALID),
        None => None,
    };
    Ok(RequestKind::Connect { advice })
}

/// The members of a client's advice that mean something to a server.
#[derive(Deserialize)]
struct RawAdvice<'a> {
    #[serde(borrow, default)]
    timeout: Option<&'a RawValue>,
    #[serde(borrow, default)]
    interval: Option<&'a RawValue>,
}

/// A number of milliseconds, clamped; negative means "not set", as in CometD.
fn milliseconds(raw: Option<&RawValue>, most: Duration) -> Result<Option<Duration>, BayeuxError> {
    let Some(raw) = present(raw) else { return Ok(None) };
    let millis: f64 = read(raw).ok_or(BayeuxError::MESSAGE_INVALID)?;
    if millis < 0.0 {
        return Ok(None);
    }
    // A cast saturates, and a number that is no number is none of JSON's.
    Ok(Some(Duration::from_millis(millis as u64).min(most)))
}

/// Whether a version such as `1.0` is later than 1.0. What is no version is not.
fn above_one(version: &str) -> bool {
    let mut elements = version.split('.').map(str::parse::<u64>);
    match elements.next() {
        Some(Ok(0)) => false,
        Some(Ok(1)) => elements.any(|element| element.is_ok_and(|number| number > 0)),
        Some(Ok(_)) => true,
        Some(Err(_)) | None => false,
    }
}

/// A member that is there and not `null`.
fn present(raw: Option<&RawValue>) -> Option<&RawValue> {
    raw.filter(|raw| raw.get() != "null")
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

fn read<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// A string's text.
fn read_text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.as_bytes().contains(&b'\\') {
        return read(raw).map(|Text(text)| text);
    }
    // What it says is what is written.
    Some(Cow::Borrowed(inner))
}

/// How many arrays and objects there are at most: they cannot be nested deeper than that, and counting
/// takes many bytes at once.
fn opened(text: &[u8]) -> usize {
    // In bytes, which cannot overflow, so that one instruction counts sixteen of them.
    let count = |piece: &[u8]| piece.iter().map(|&byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    text.chunks(128).map(|piece| usize::from(count(piece))).sum()
}

/// How deep arrays and objects are nested, at most: counted on the bytes, since the parser would
/// have to be asked at each level, and skipping a value (as it does with `data`) asks nobody.
fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut core::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}
