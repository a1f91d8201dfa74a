//! [`Texts`]: a parcel as the texts of WebSocket messages.
//!
//! A parcel that the client acknowledges is one text: were an event to arrive and the number of its
//! batch not, the client would get the event again on its next connection.

use alloc::vec::Vec;

use bytes::Bytes;

use super::config::WebSocketConfig;
use crate::codec::{self, Encoding};
use crate::message::{Parcel, Verb};
use crate::time::WallTime;
use crate::transport::Transport;

/// What is left to send of a parcel, one text after another, each of them a payload: the reply to
/// a handshake; the events; the other replies.
///
/// An event that goes alone is the buffer that all its subscribers share, not a copy.
#[derive(Debug)]
pub struct Texts {
    parcel: Parcel,
    /// What time the parcel says it is.
    wall: WallTime,
    events: usize,
    replies: usize,
}

impl Texts {
    /// All of `parcel`, which leaves at `wall`.
    pub fn new(parcel: Parcel, wall: WallTime) -> Self {
        Self { parcel, wall, events: 0, replies: 0 }
    }

    /// The next text; `None` when all is said. `offered` is what a handshake's reply lists as
    /// `supportedConnectionTypes`.
    pub fn next(&mut self, offered: &[Transport], config: &WebSocketConfig) -> Option<Bytes> {
        let with = Encoding { offered, wall: self.wall };
        let left = self.replies < self.parcel.replies.len();
        if left && self.parcel.is_indivisible() {
            // Whatever the limits of a text are: what was taken for the parcel was bounded by
            // `Limits::socket_bytes`.
            self.replies = self.parcel.replies.len();
            self.events = self.parcel.events.len();
            let mut text = Vec::new();
            codec::encode(&self.parcel, with, &mut text);
            return Some(text.into());
        }
        let first = self.parcel.replies.first();
        if self.replies == 0 && first.is_some_and(|it| it.answers(Verb::Handshake)) {
            self.replies = 1;
            let mut text = alloc::vec![b'['];
            codec::encode_reply(&self.parcel.replies[0], self.parcel.timestamp, with, &mut text);
            text.push(b']');
            return Some(text.into());
        }
        self.next_events(with, config).or_else(|| self.next_replies(with, config))
    }

    fn next_events(&mut self, with: Encoding<'_>, config: &WebSocketConfig) -> Option<Bytes> {
        let left = &self.parcel.events[self.events..];
        let limit = config.messages_per_frame.map_or(usize::MAX, |it| it as usize);
        let stamp = if self.parcel.timestamp { codec::stamp_bytes(with.wall) } else { 0 };
        let mut bytes = 0;
        let fitting = left.iter().take(limit).take_while(|event| {
            bytes += event.as_payload().len() + stamp;
            bytes <= config.max_frame_bytes
        });
        let count = fitting.count().max(1).min(left.len());
        let events = &left[..count];
        self.events += count;
        match events {
            [] => None,
            [event] if !self.parcel.timestamp => Some(event.as_payload().clone()),
            events => {
                let length: usize =
                    events.iter().map(|event| event.as_payload().len() + stamp).sum();
                let mut text = Vec::with_capacity(length);
                for event in events {
                    text.push(if text.is_empty() { b'[' } else { b',' });
                    codec::encode_event(event, self.parcel.timestamp, with, &mut text);
                }
                text.push(b']');
                Some(text.into())
            }
        }
    }

    fn next_replies(&mut self, with: Encoding<'_>, config: &WebSocketConfig) -> Option<Bytes> {
        let left = self.parcel.replies.get(self.replies..).filter(|left| !left.is_empty())?;
        let mut text = Vec::with_capacity(left.len().min(32) * 128);
        for (at, reply) in left.iter().enumerate() {
            let before = text.len();
            text.push(if at == 0 { b'[' } else { b',' });
            codec::encode_reply(reply, self.parcel.timestamp, with, &mut text);
            if at > 0 && text.len() >= config.max_frame_bytes {
                text.truncate(before);
                break;
            }
            self.replies += 1;
        }
        text.push(b']');
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::ChannelName;
    use crate::json::Json;

    use crate::message::{AckReply, Message, Reply, ReplyChannel};
    use alloc::string::{String, ToString};
    use alloc::sync::Arc;

    fn reply(verb: Verb, id: &str) -> Reply {
        Reply::new(ReplyChannel::Meta(verb), Json::new(id).ok())
    }

    fn event(data: u32) -> Arc<Message> {
        let channel = ChannelName::parse("/a").unwrap();
        Arc::new(Message::new(channel, Json::new(&data).unwrap()))
    }

    fn texts(parcel: Parcel, change: impl FnOnce(&mut WebSocketConfig)) -> Vec<String> {
        let mut config = WebSocketConfig::default();
        change(&mut config);
        let mut texts = Texts::new(parcel, WallTime::default());
        let mut all = Vec::new();
        while let Some(text) = texts.next(&[Transport::WebSocket], &config) {
            all.push(core::str::from_utf8(&text).unwrap().to_string());
        }
        assert_eq!(texts.next(&[], &config), None);
        all
    }

    fn parcel(replies: Vec<Reply>, events: u32) -> Parcel {
        Parcel { replies, events: (1..=events).map(event).collect(), ..Parcel::default() }
    }

    #[test]
    fn a_handshake_goes_first_then_events_then_replies() {
        let replies = [reply(Verb::Handshake, "1"), reply(Verb::Connect, "2")].to_vec();
        let all = texts(parcel(replies, 2), |_| ());
        assert_eq!(
            all,
            [
                r#"[{"id":"1","channel":"/meta/handshake","successful":true,"supportedConnectionTypes":["websocket"]}]"#,
                r#"[{"channel":"/a","data":1}]"#,
                r#"[{"channel":"/a","data":2}]"#,
                r#"[{"id":"2","channel":"/meta/connect","successful":true}]"#,
            ]
        );
    }

    #[test]
    fn events_share_a_text_as_far_as_it_goes() {
        let all = texts(parcel(Vec::new(), 3), |config| config.messages_per_frame = None);
        assert_eq!(
            all,
            [r#"[{"channel":"/a","data":1},{"channel":"/a","data":2},{"channel":"/a","data":3}]"#]
        );
        let all = texts(parcel(Vec::new(), 3), |config| config.messages_per_frame = Some(2));
        assert_eq!(all.len(), 2);
        let all = texts(parcel(Vec::new(), 3), |config| {
            config.messages_per_frame = None;
            config.max_frame_bytes = 60;
        });
        assert_eq!(all.len(), 2);
        let all = texts(parcel(Vec::new(), 3), |config| {
            config.messages_per_frame = None;
            config.max_frame_bytes = 1;
        });
        assert_eq!(all.len(), 3, "one that is too large goes alone");
    }

    #[test]
    fn replies_that_are_too_many_go_into_several_texts() {
        let replies = ["1", "2", "3"].map(|id| reply(Verb::Subscribe, id)).to_vec();
        assert_eq!(texts(parcel(replies.clone(), 0), |_| ()).len(), 1);
        let all = texts(parcel(replies.clone(), 0), |config| config.max_frame_bytes = 130);
        assert_eq!(all.len(), 2);
        assert!(all[0].contains(r#""id":"1""#) && all[0].contains(r#""id":"2""#), "{all:?}");
        assert_eq!(texts(parcel(replies, 0), |config| config.max_frame_bytes = 1).len(), 3);
    }

    #[test]
    fn what_is_acknowledged_together_is_one_text() {
        let mut connect = reply(Verb::Connect, "2");
        connect.ack = Some(AckReply::Batch(7));
        let all = texts(parcel(alloc::vec![connect.clone()], 2), |_| ());
        assert_eq!(
            all,
            [concat!(
                r#"[{"channel":"/a","data":1},{"channel":"/a","data":2},"#,
                r#"{"id":"2","channel":"/meta/connect","successful":true,"ext":{"ack":7}}]"#
            )]
        );
        assert_eq!(texts(parcel(alloc::vec![connect], 0), |_| ()).len(), 1);
    }

    #[test]
    fn a_timestamp_is_on_every_message() {
        let stamped =
            Parcel { timestamp: true, ..parcel(alloc::vec![reply(Verb::Connect, "2")], 1) };
        assert_eq!(
            texts(stamped, |_| ()),
            [
                r#"[{"timestamp":"Thu Jan 01 00:00:00 UTC 1970","channel":"/a","data":1}]"#,
                concat!(
                    r#"[{"id":"2","channel":"/meta/connect","successful":true,"#,
                    r#""timestamp":"Thu Jan 01 00:00:00 UTC 1970"}]"#
                ),
            ]
        );
    }

    #[test]
    fn a_timestamp_counts_as_part_of_the_text() {
        let stamped = Parcel { timestamp: true, ..parcel(Vec::new(), 3) };
        // Each event takes 68 bytes with its stamp; without, all three fit.
        let all = texts(stamped, |config| {
            config.messages_per_frame = None;
            config.max_frame_bytes = 150;
        });
        assert_eq!(all.iter().map(String::len).collect::<Vec<_>>(), [139, 70]);
    }

    #[test]
    fn an_event_that_goes_alone_is_not_copied() {
        let event = event(7);
        let parcel =
            Parcel { events: [Arc::clone(&event)].into_iter().collect(), ..parcel(Vec::new(), 0) };
        let text =
            Texts::new(parcel, WallTime::default()).next(&[], &WebSocketConfig::default()).unwrap();
        assert_eq!(text.as_ptr(), event.as_payload().as_ptr());
    }
}
