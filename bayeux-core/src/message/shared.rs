//! [`Message`]: one published message, encoded once and shared by every queue.
//!
//! This is where "encode once" happens. The object that subscribers will receive is written when
//! the message is made (for a client's publish: by the decoder, before any lock is taken), and from
//! then on it is one immutable buffer behind an `Arc`. It is written as a payload of one message,
//! so that a WebSocket can send the buffer as it is; others leave the brackets out. The parts that
//! listeners ask for (`data`, `ext`, `id`) are ranges of that buffer. Copying them out of the request's body on the way is
//! deliberate: a queue must not keep a 64 KiB body alive for the sake of ten bytes in it.
//!
//! Subscribers get `channel`, `data` and `ext` of a client's message and nothing else: other
//! members, its `clientId` above all, are the publisher's own.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use bytes::Bytes;

use crate::channel::{ChannelKind, ChannelName};
use crate::json::{Json, write_string};

/// A message on its way to subscribers: immutable, encoded, cheap to share.
#[derive(Clone)]
pub struct Message {
    channel: ChannelName,
    /// An array with the message in it.
    text: Bytes,
    id: Span,
    data: Span,
    ext: Span,
    /// How many bytes further members take that extensions have set, in front of the others.
    added: u32,
    lazy: bool,
}

/// Everything that a message may carry beside its channel and data.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct MessageParts {
    /// The application's data. Without it `null` is sent: clients tell an event from a reply by
    /// the presence of `data` (Bayeux §5.2, "deliver event message").
    pub data: Option<Json>,
    /// Extension data.
    pub ext: Option<Json>,
    /// The id of the request that this message answers, as a remote call's result has it.
    pub id: Option<Json>,
    /// Whether a remote call succeeded.
    pub successful: Option<bool>,
    /// Whether the message may wait for the next reason to answer the client.
    pub lazy: bool,
}

impl MessageParts {
    /// Parts that are only data.
    pub fn data(data: Json) -> Self {
        Self { data: Some(data), ..Self::default() }
    }

    /// Sets the extension data.
    #[must_use]
    pub fn ext(mut self, ext: Json) -> Self {
        self.ext = Some(ext);
        self
    }

    /// Sets the id of the request that the message answers.
    #[must_use]
    pub fn id(mut self, id: Option<Json>) -> Self {
        self.id = id;
        self
    }

    /// Says whether a remote call succeeded.
    #[must_use]
    pub fn successful(mut self, successful: bool) -> Self {
        self.successful = Some(successful);
        self
    }

    /// Lets the message wait for the next reason to answer the client.
    #[must_use]
    pub fn lazy(mut self, lazy: bool) -> Self {
        self.lazy = lazy;
        self
    }
}

/// Where members that extensions set begin: behind `[{`.
#[cfg(any(feature = "front", test))]
const ADDED: usize = 2;

/// A range of the encoded text; empty when the member is absent, since no JSON value is.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn moved(self, by: i64) -> Self {
        let at = |it: u32| u32::try_from(i64::from(it) + by).unwrap_or_default();
        Self { start: at(self.start), end: at(self.end) }
    }

    fn range(self) -> Option<Range<usize>> {
        (self.start != self.end).then_some(self.start as usize..self.end as usize)
    }
}

impl Message {
    /// A message with `data` on `channel`.
    pub fn new(channel: ChannelName, data: Json) -> Self {
        Self::with(channel, &MessageParts::data(data))
    }

    /// A message with all its parts.
    pub fn with(channel: ChannelName, parts: &MessageParts) -> Self {
        let length = |part: &Option<Json>| part.as_ref().map_or(0, |it| it.as_bytes().len() + 8);
        let mut text = Vec::with_capacity(
            channel.as_str().len()
                + length(&parts.data)
                + length(&parts.ext)
                + length(&parts.id)
                + if parts.successful.is_some() { 50 } else { 26 },
        );
        text.extend_from_slice(b"[{");
        let id = parts.id.as_ref().map_or_else(Span::default, |id| {
            let span = write_member(&mut text, "\"id\":", id);
            text.push(b',');
            span
        });
        text.extend_from_slice(b"\"channel\":");
        write_string(&mut text, channel.as_str());
        if let Some(successful) = parts.successful {
            text.extend_from_slice(b",\"successful\":");
            text.extend_from_slice(if successful { b"true" } else { b"false" });
        }
        let data =
            write_member(&mut text, ",\"data\":", parts.data.as_ref().unwrap_or(&Json::NULL));
        let ext = parts
            .ext
            .as_ref()
            .map_or_else(Span::default, |ext| write_member(&mut text, ",\"ext\":", ext));
        text.extend_from_slice(b"}]");
        Self { channel, text: text.into(), id, data, ext, added: 0, lazy: parts.lazy }
    }

    /// The message that tells a client that the server ended its session: no event of the
    /// application, but delivered like one (`ServerSessionImpl.disconnect` of the Java server).
    pub(crate) fn disconnect(channel: ChannelName) -> Self {
        Self {
            channel,
            text: Bytes::from_static(br#"[{"channel":"/meta/disconnect","successful":true}]"#),
            id: Span::default(),
            data: Span::default(),
            ext: Span::default(),
            added: 0,
            lazy: false,
        }
    }

    /// The same message with other data. (The message that tells a client of its session's end has
    /// none, and keeps none.)
    #[must_use]
    pub fn replace_data(&self, data: &Json) -> Self {
        match self.data.range() {
            Some(range) => self.spliced(range, data.as_bytes()),
            None => self.clone(),
        }
    }

    /// The same message with other extension data, a JSON object.
    #[must_use]
    pub fn replace_ext(&self, ext: &Json) -> Self {
        if let Some(range) = self.ext.range() {
            return self.spliced(range, ext.as_bytes());
        }
        let end = self.text.len() - 2;
        let mut member = Vec::with_capacity(ext.as_bytes().len() + 8);
        let value = write_member(&mut member, ",\"ext\":", ext);
        let mut message = self.spliced(end..end, &member);
        message.ext = value.moved(end as i64);
        message
    }

    /// The same message with one more member that is none of Bayeux's own, or with another value of
    /// it.
    #[must_use]
    #[cfg(any(feature = "front", test))]
    pub(crate) fn with_member(&self, name: &str, value: &Json) -> Self {
        let mut members = Vec::with_capacity(name.len() + value.as_bytes().len() + 8);
        let mut write = |name: &str, value: &[u8]| {
            write_string(&mut members, name);
            members.push(b':');
            members.extend_from_slice(value);
            members.push(b',');
        };
        write(name, value.as_bytes());
        let end = ADDED + self.added as usize;
        if self.added > 0 {
            // Between them, in braces, the members that were set before make an object.
            let mut object = Vec::with_capacity(self.added as usize + 1);
            object.push(b'{');
            object.extend_from_slice(&self.text[ADDED..end - 1]);
            object.push(b'}');
            for (other, value) in
                crate::json::members(&object).iter().filter(|(other, _)| *other != name)
            {
                write(other, value.get().as_bytes());
            }
        }
        let mut message = self.spliced(ADDED..end, &members);
        message.added = u32::try_from(members.len()).unwrap_or_default();
        message
    }

    /// The same message with `range` of its text replaced.
    fn spliced(&self, range: Range<usize>, by: &[u8]) -> Self {
        let mut text = Vec::with_capacity(self.text.len() - range.len() + by.len());
        text.extend_from_slice(&self.text[..range.start]);
        text.extend_from_slice(by);
        text.extend_from_slice(&self.text[range.end..]);
        let change = by.len() as i64 - range.len() as i64;
        let moved = |span: Span| {
            let mut span = span;
            if span.start as usize == range.start && !range.is_empty() {
                span.end = span.moved(change).end;
                span
            } else if span.start as usize >= range.end && span.range().is_some() {
                span.moved(change)
            } else {
                span
            }
        };
        let (id, data, ext) = (moved(self.id), moved(self.data), moved(self.ext));
        let (channel, text) = (self.channel.clone(), text.into());
        Self { channel, text, id, data, ext, added: self.added, lazy: self.lazy }
    }

    /// Whether it was published or delivered, and is not the server's own `/meta/disconnect`.
    pub(crate) fn is_published(&self) -> bool {
        self.channel.kind() != ChannelKind::Meta
    }

    /// The channel that the message is published on.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The application's data; `null` when the publisher sent none.
    pub fn data(&self) -> Json {
        self.part(self.data).unwrap_or(Json::NULL)
    }

    /// The publisher's extension data.
    pub fn ext(&self) -> Option<Json> {
        self.part(self.ext)
    }

    /// The id of the request that the message answers, on messages that do.
    pub fn id(&self) -> Option<Json> {
        self.part(self.id)
    }

    /// Whether the message may wait for the next reason to answer the client.
    pub fn is_lazy(&self) -> bool {
        self.lazy
    }

    /// The whole message as JSON.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[1..self.text.len() - 1]
    }

    /// A payload with only this message in it, as JSON: the buffer that all queues share.
    pub fn as_payload(&self) -> &Bytes {
        &self.text
    }

    /// What the message costs a queue: the bytes of its text plus a flat sum for its bookkeeping,
    /// so that a million empty messages are not free.
    pub(crate) fn cost(&self) -> usize {
        self.text.len() + 64
    }

    fn part(&self, span: Span) -> Option<Json> {
        span.range().map(|range| Json::trusted(self.text.slice(range)))
    }
}

/// Appends `name` and `value`; the span of the value.
fn write_member(text: &mut Vec<u8>, name: &str, value: &Json) -> Span {
    text.extend_from_slice(name.as_bytes());
    let start = text.len();
    text.extend_from_slice(value.as_bytes());
    // A payload is far below 4 GiB; a message of the application that is not would be refused
    // by every queue, so its parts may as well read as absent.
    let offset = |at: usize| u32::try_from(at).unwrap_or_default();
    Span { start: offset(start), end: offset(text.len()) }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(self.as_bytes()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn channel() -> ChannelName {
        ChannelName::parse("/foo").unwrap()
    }

    fn json(text: &str) -> Json {
        Json::from_text(text).unwrap()
    }

    #[test]
    fn is_encoded_when_made_and_keeps_data_raw() {
        let message = Message::new(channel(), json(r#"{"b":1.0,"a":"\u00e9"}"#));
        assert_eq!(format!("{message:?}"), r#"{"channel":"/foo","data":{"b":1.0,"a":"\u00e9"}}"#);
        assert_eq!(message.data().as_str(), r#"{"b":1.0,"a":"\u00e9"}"#);
        assert_eq!(message.ext(), None);
        assert_eq!(message.id(), None);
    }

    #[test]
    fn carries_all_parts() {
        let parts =
            MessageParts::data(json("1")).ext(json("{}")).id(Some(json("\"7\""))).successful(false);
        let message = Message::with(channel(), &parts);
        assert_eq!(
            format!("{message:?}"),
            r#"{"id":"7","channel":"/foo","successful":false,"data":1,"ext":{}}"#
        );
        assert_eq!(message.id(), Some(json("\"7\"")));
        assert_eq!(message.ext(), Some(json("{}")));
    }

    #[test]
    fn its_parts_can_be_replaced_and_members_added() {
        let parts =
            MessageParts::data(json("1")).ext(json("{}")).id(Some(json("\"7\""))).successful(false);
        let message = Message::with(channel(), &parts)
            .with_member("x", &json("[1]"))
            .with_member("\"", &json("1e400"))
            .with_member("x", &json("[0]"))
            .replace_data(&json("[2,3]"))
            .replace_ext(&json(r#"{"a":1}"#))
            .replace_data(&json("4"));
        assert_eq!(
            format!("{message:?}"),
            concat!(
                r#"{"x":[0],"\"":1e400,"id":"7","channel":"/foo","successful":false,"data":4,"#,
                r#""ext":{"a":1}}"#
            )
        );
        let found = (message.id(), message.data(), message.ext());
        assert_eq!(found, (Some(json("\"7\"")), json("4"), Some(json(r#"{"a":1}"#))));
        let message = Message::new(channel(), json("1")).replace_ext(&json("{}"));
        let message = message.replace_data(&json("22")).replace_ext(&json("[]"));
        assert_eq!(format!("{message:?}"), r#"{"channel":"/foo","data":22,"ext":[]}"#);
        assert_eq!((message.data(), message.ext()), (json("22"), Some(json("[]"))));
    }

    #[test]
    fn an_event_always_has_data() {
        let message = Message::with(channel(), &MessageParts::default());
        assert_eq!(format!("{message:?}"), r#"{"channel":"/foo","data":null}"#);
    }
}
