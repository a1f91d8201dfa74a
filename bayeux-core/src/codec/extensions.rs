//! The members of `ext` that the built-in extensions read, and those that they write.

use alloc::vec::Vec;
use bytes::Bytes;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::encode::Object;
use crate::json::Json;
use crate::message::{AckField, AckReply, ExtensionFields, Reply, Request, TimesyncField};
use crate::time::WallTime;

impl Request {
    /// Reads what `ext` of a meta message says to the built-in extensions. Whoever replaces `ext`
    /// has to do it again.
    pub fn read_extensions(&mut self) {
        let ext = self.ext.as_ref().filter(|_| self.verb().is_some());
        self.extensions = ext.and_then(|ext| read(ext.as_bytes()).boxed());
    }
}

/// What the built-in extensions find in an `ext`. What they cannot make sense of is not there.
fn read(ext: &[u8]) -> ExtensionFields {
    let Ok(raw) = serde_json::from_slice::<RawExt<'_>>(ext) else {
        return ExtensionFields::default();
    };
    ExtensionFields {
        ack: raw.ack.and_then(ack),
        timesync: raw.timesync.and_then(timesync),
        timestamp: raw.timestamp.is_some_and(is_true),
    }
}

#[derive(Deserialize)]
struct RawExt<'a> {
    #[serde(borrow, default)]
    ack: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timesync: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawTimesync<'a> {
    #[serde(borrow)]
    tc: &'a RawValue,
    #[serde(default)]
    l: Option<f64>,
    #[serde(default)]
    o: Option<f64>,
}

/// The longest number that is taken for a time: a held connect keeps it as it came.
const TIME_BYTES: usize = 32;

fn ack(raw: &RawValue) -> Option<AckField> {
    if is_true(raw) {
        return Some(AckField::Wanted);
    }
    // A cast saturates: what is negative is zero, and what is absurd stays absurd.
    number(raw).map(|number| AckField::Received(number as u64))
}

fn timesync(raw: &RawValue) -> Option<TimesyncField> {
    let RawTimesync { tc, l, o } = serde_json::from_str(raw.get()).ok()?;
    if tc.get().len() > TIME_BYTES {
        return None;
    }
    let sent_millis = number(tc)? as i64;
    // A copy, since a held connect keeps it, and a slice would keep the request's whole buffer.
    let sent = Json::trusted(Bytes::copy_from_slice(tc.get().as_bytes()));
    let whole = |it: f64| it as i64;
    Some(TimesyncField { sent, sent_millis, lag: l.map(whole), offset: o.map(whole) })
}

fn number(raw: &RawValue) -> Option<f64> {
    serde_json::from_str(raw.get()).ok()
}

fn is_true(raw: &RawValue) -> bool {
    raw.get() == "true"
}

/// Writes the `ext` of a reply, if there is anything in it: what the application put there, and
/// what the built-in extensions add.
pub(super) fn write(reply: &Reply, wall: WallTime, object: &mut Object<'_>) {
    let timesync = reply.timesync.as_deref().filter(|it| it.is_needed(wall));
    let members = reply.details().ext.as_ref().map(|ext| ext.as_bytes());
    if reply.ack.is_none() && timesync.is_none() {
        if let Some(ext) = members {
            object.raw("ext", ext);
        }
        return;
    }
    let mut ext = Object::open(object.member("ext"));
    ext.splice(members.unwrap_or_default());
    match reply.ack {
        Some(AckReply::Enabled(None)) => ext.raw("ack", b"true"),
        Some(AckReply::Enabled(Some(batch))) => {
            let mut ack = Object::open(ext.member("ack"));
            ack.raw("enabled", b"true");
            ack.number("batch", i128::from(batch));
            ack.close();
        }
        Some(AckReply::Batch(batch)) => ext.number("ack", i128::from(batch)),
        None => {}
    }
    if let Some(timesync) = timesync {
        let mut members = Object::open(ext.member("timesync"));
        members.raw("tc", timesync.sent().as_bytes());
        members.number("ts", i128::from(timesync.received_at(wall)));
        let processing = i128::try_from(timesync.processing().as_millis());
        members.number("p", processing.unwrap_or(i128::MAX));
        if let Some(accuracy) = timesync.accuracy(wall) {
            members.number("a", i128::from(accuracy));
        }
        members.close();
    }
    ext.close();
}

/// Appends a message with `timestamp` as its first member.
pub(super) fn write_stamped(message: &[u8], wall: WallTime, out: &mut Vec<u8>) {
    let mut object = Object::open(out);
    object.text("timestamp", &alloc::format!("{wall}"));
    object.splice(message);
    object.close();
}

/// How many bytes longer that is than the message.
#[cfg(feature = "http")]
pub(crate) fn stamp_bytes(wall: WallTime) -> usize {
    r#""timestamp":"","#.len() + alloc::format!("{wall}").len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_sense_is_read() {
        let table = [
            (r#"{"ack":true}"#, Some(AckField::Wanted)),
            (r#"{"ack":0}"#, Some(AckField::Received(0))),
            (r#"{"ack":-1}"#, Some(AckField::Received(0))),
            (r#"{"ack":7.0}"#, Some(AckField::Received(7))),
            (r#"{"ack":1e300}"#, Some(AckField::Received(u64::MAX))),
            (r#"{"ack":false}"#, None),
            (r#"{"ack":"1"}"#, None),
            (r#"{"ack":{"enabled":true}}"#, None),
            (r#"{"ack":null}"#, None),
            ("{}", None),
            ("null", None),
        ];
        for (ext, expected) in table {
            assert_eq!(read(ext.as_bytes()).ack, expected, "{ext}");
        }
        assert!(read(br#"{"timestamp":true}"#).timestamp);
        assert!(!read(br#"{"timestamp":1}"#).timestamp);
    }

    #[test]
    fn timesync_needs_the_clients_time() {
        let found = read(br#"{"timesync":{"tc":1234.5,"l":-3,"o":2}}"#).timesync.unwrap();
        assert_eq!(found.sent.as_str(), "1234.5");
        assert_eq!((found.sent_millis, found.lag, found.offset), (1_234, Some(-3), Some(2)));
        let long = alloc::format!(r#"{{"timesync":{{"tc":1.{}}}}}"#, "0".repeat(40));
        assert_eq!(read(long.as_bytes()).timesync, None);
        for ext in [r#"{"timesync":{"l":1}}"#, r#"{"timesync":{"tc":"1"}}"#, r#"{"timesync":1}"#] {
            assert_eq!(read(ext.as_bytes()).timesync, None, "{ext}");
        }
    }
}
