//! [`encode`]: a parcel to the text of a payload.

use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use super::extensions;
use crate::json::write_string;
use crate::message::{Advice, Message, Parcel, Reply, ReplyChannel, Verb};
use crate::time::WallTime;
use crate::transport::Transport;

/// What encoding a parcel takes besides the parcel.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    /// What a handshake's reply lists as `supportedConnectionTypes`.
    pub offered: &'a [Transport],
    /// What time it is, for clients that want to know.
    pub wall: WallTime,
}

/// Appends `parcel` as a JSON array: a handshake's reply, the events, the other replies.
pub fn encode(parcel: &Parcel, with: Encoding<'_>, out: &mut Vec<u8>) {
    let events: usize = parcel.events.iter().map(|event| event.as_bytes().len() + 1).sum();
    out.reserve(events + parcel.replies.len() * 128 + 2);
    let mut separator = b'[';
    let mut next = |out: &mut Vec<u8>| {
        out.push(separator);
        separator = b',';
    };
    let (first, rest) = match parcel.replies.split_first() {
        Some((first, rest)) if first.answers(Verb::Handshake) => (Some(first), rest),
        _ => (None, &parcel.replies[..]),
    };
    if let Some(reply) = first {
        next(out);
        encode_reply(reply, parcel.timestamp, with, out);
    }
    for event in &parcel.events {
        next(out);
        encode_event(event, parcel.timestamp, with, out);
    }
    for reply in rest {
        next(out);
        encode_reply(reply, parcel.timestamp, with, out);
    }
    if separator == b'[' {
        out.push(b'[');
    }
    out.push(b']');
}

/// Appends one event as a JSON object.
pub(crate) fn encode_event(
    event: &Message,
    timestamp: bool,
    with: Encoding<'_>,
    out: &mut Vec<u8>,
) {
    if timestamp {
        extensions::write_stamped(event.as_bytes(), with.wall, out);
    } else {
        out.extend_from_slice(event.as_bytes());
    }
}

/// Appends one reply as a JSON object.
pub(crate) fn encode_reply(reply: &Reply, timestamp: bool, with: Encoding<'_>, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    if let Some(id) = &reply.id {
        object.raw("id", id.as_bytes());
    }
    match &reply.channel {
        ReplyChannel::Meta(verb) => object.text("channel", verb.channel()),
        ReplyChannel::Echo(name) => object.raw("channel", name.as_bytes()),
        ReplyChannel::Missing => {}
    }
    let details = reply.details();
    if let Some(subscription) = &details.subscription {
        object.raw("subscription", subscription.as_bytes());
    }
    object.raw("successful", if reply.is_successful() { b"true" } else { b"false" });
    if let Err(Some(error)) = &reply.outcome {
        object.text("error", &alloc::format!("{error}"));
    }
    if let Some(client) = &details.client {
        object.raw("clientId", &quoted(&client.text()));
        object.raw("version", b"\"1.0\"");
        object.raw("minimumVersion", b"\"1.0\"");
        encode_transports(with.offered, object.member("supportedConnectionTypes"));
    } else if reply.answers(Verb::Handshake) {
        // A client that found nothing in common learns what there is.
        encode_transports(with.offered, object.member("supportedConnectionTypes"));
    }
    if let Some(count) = details.messages {
        object.number("x-messages", count as i128);
    }
    if let Some(advice) = &details.advice {
        encode_advice(advice, object.member("advice"));
    }
    extensions::write(reply, with.wall, &mut object);
    if let Some(members) = &details.members {
        object.splice(members.as_bytes());
    }
    // The Java server stamps replies to meta messages and events, but not those to a publish.
    if timestamp && matches!(reply.channel, ReplyChannel::Meta(_)) {
        object.text("timestamp", &alloc::format!("{}", with.wall));
    }
    object.close();
}

fn encode_transports(offered: &[Transport], out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, transport) in offered.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(out, transport.name());
    }
    out.push(b']');
}

fn encode_advice(advice: &Advice, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    if let Some(reconnect) = advice.reconnect {
        object.text("reconnect", reconnect.name());
    }
    for (name, duration) in [
        ("interval", advice.interval),
        ("timeout", advice.timeout),
        ("maxInterval", advice.max_interval),
    ] {
        if let Some(duration) = duration {
            object.number(name, millis(duration));
        }
    }
    if advice.multiple_clients {
        object.raw("multiple-clients", b"true");
    }
    object.close();
}

fn millis(duration: Duration) -> i128 {
    i128::try_from(duration.as_millis()).unwrap_or(i128::MAX)
}

fn quoted(text: &[u8; 36]) -> [u8; 38] {
    let mut quoted = [b'"'; 38];
    quoted[1..37].copy_from_slice(text);
    quoted
}

/// An object under construction: knows whether a comma is due.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl<'a> Object<'a> {
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        Self { out, separator: b'{' }
    }

    /// Adds all members of `object`, the text of an object. Empty is as good as one without any.
    pub(super) fn splice(&mut self, object: &[u8]) {
        let inside = object.get(1..object.len().saturating_sub(1)).unwrap_or_default();
        let inside = inside.trim_ascii();
        if !inside.is_empty() {
            self.out.push(self.separator);
            self.separator = b',';
            self.out.extend_from_slice(inside);
        }
    }

    /// Writes a member's name; the value is for the caller to append.
    pub(super) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.push(self.separator);
        self.separator = b',';
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(super) fn raw(&mut self, name: &str, value: &[u8]) {
        self.member(name).extend_from_slice(value);
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        write_string(self.member(name), value);
    }

    pub(super) fn number(&mut self, name: &str, value: i128) {
        // Formatting into a `Vec` that grows cannot fail.
        let _ = write!(Sink(self.member(name)), "{value}");
    }

    pub(super) fn close(self) {
        if self.separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }
}

/// `core::fmt` into bytes, which `alloc` alone does not offer.
struct Sink<'a>(&'a mut Vec<u8>);

impl Write for Sink<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
