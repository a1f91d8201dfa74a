//! [`encode`]: a parcel to the text of a payload.

use alloc::vec::Vec;
use core::fmt::Write;
use core::time::Duration;

use crate::json::write_string;
use crate::message::{Advice, Parcel, Reply, ReplyChannel, Verb};
use crate::transport::Transport;

/// Appends `parcel` as a JSON array: a handshake's reply, the events, the other replies.
///
/// `offered` is what a successful handshake's reply lists as `supportedConnectionTypes`.
pub fn encode(parcel: &Parcel, offered: &[Transport], out: &mut Vec<u8>) {
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
        encode_reply(reply, offered, out);
    }
    for event in &parcel.events {
        next(out);
        out.extend_from_slice(event.as_bytes());
    }
    for reply in rest {
        next(out);
        encode_reply(reply, offered, out);
    }
    if separator == b'[' {
        out.push(b'[');
    }
    out.push(b']');
}

/// Appends one reply as a JSON object.
pub(crate) fn encode_reply(reply: &Reply, offered: &[Transport], out: &mut Vec<u8>) {
    let mut object = Object { out, separator: b'{' };
    if let Some(id) = &reply.id {
        object.raw("id", id.as_bytes());
    }
    match &reply.channel {
        ReplyChannel::Meta(verb) => object.text("channel", verb.channel()),
        ReplyChannel::Echo(name) => object.raw("channel", name.as_bytes()),
        ReplyChannel::Missing => {}
    }
    if let Some(subscription) = &reply.subscription {
        object.raw("subscription", subscription.as_bytes());
    }
    object.raw("successful", if reply.is_successful() { b"true" } else { b"false" });
    if let Err(Some(error)) = &reply.outcome {
        object.text("error", &alloc::format!("{error}"));
    }
    if let Some(client) = &reply.client {
        object.raw("clientId", &quoted(&client.text()));
        object.raw("version", b"\"1.0\"");
        object.raw("minimumVersion", b"\"1.0\"");
        encode_transports(offered, object.member("supportedConnectionTypes"));
    } else if reply.answers(Verb::Handshake) {
        // A client that found nothing in common learns what there is.
        encode_transports(offered, object.member("supportedConnectionTypes"));
    }
    if let Some(count) = reply.messages {
        object.number("x-messages", count as u128);
    }
    if let Some(advice) = &reply.advice {
        encode_advice(advice, object.member("advice"));
    }
    if let Some(ext) = &reply.ext {
        object.raw("ext", ext.as_bytes());
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
    let mut object = Object { out, separator: b'{' };
    if let Some(reconnect) = advice.reconnect {
        object.text("reconnect", reconnect.name());
    }
    for (name, duration) in [("interval", advice.interval), ("timeout", advice.timeout)] {
        if let Some(duration) = duration {
            object.number(name, millis(duration));
        }
    }
    if advice.multiple_clients {
        object.raw("multiple-clients", b"true");
    }
    object.close();
}

fn millis(duration: Duration) -> u128 {
    duration.as_millis()
}

fn quoted(text: &[u8; 36]) -> [u8; 38] {
    let mut quoted = [b'"'; 38];
    quoted[1..37].copy_from_slice(text);
    quoted
}

/// An object under construction: knows whether a comma is due.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl Object<'_> {
    /// Writes a member's name; the value is for the caller to append.
    fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.push(self.separator);
        self.separator = b',';
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn raw(&mut self, name: &str, value: &[u8]) {
        self.member(name).extend_from_slice(value);
    }

    fn text(&mut self, name: &str, value: &str) {
        write_string(self.member(name), value);
    }

    fn number(&mut self, name: &str, value: u128) {
        // Formatting into a `Vec` that grows cannot fail.
        let _ = write!(Sink(self.member(name)), "{value}");
    }

    fn close(self) {
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
