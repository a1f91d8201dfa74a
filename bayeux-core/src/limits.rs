//! Every bound in one place: its name, its unit, its default, and what a peer sees at the bound.
//!
//! The Java server leaves nearly all of these open. Here they are closed by default, at values that
//! no well-behaved client meets. What is refused for want of a place (sessions, channels,
//! subscriptions, questions, queues) is counted in [`Stats`](crate::Stats).

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::options::{ConfigError, millis};

/// The bounds on everything that a client can make grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Messages in one payload. Default: 1,000. Beyond: the payload is refused (HTTP 400).
    pub payload_messages: usize,
    /// Nesting of arrays and objects in a payload. Default: 64. Beyond: the payload is refused
    /// (HTTP 400).
    pub json_depth: usize,
    /// Bytes of a message's `id`, without its quotes. Default: 64. Beyond: `405::message_id_invalid`.
    pub id_bytes: usize,
    /// Bytes of a channel name. Default: 512. Beyond: `405::channel_invalid` or
    /// `403::subscription_invalid`.
    pub channel_bytes: usize,
    /// Segments of a channel name; a publish costs two look-ups for each. Default: 32. Beyond: as
    /// for `channel_bytes`.
    pub channel_segments: usize,
    /// Subscriptions of one session. Default: 1,000. Beyond:
    /// `403:too_many_subscriptions:subscribe_denied`.
    pub session_subscriptions: usize,
    /// Messages queued for one session, those on their way to the client included. Default:
    /// 10,000. Beyond: the channel's [`Overflow`](crate::Overflow).
    pub queue_messages: usize,
    /// Bytes of messages queued for one session. Default: 1 MiB. Beyond: as for `queue_messages`.
    pub queue_bytes: usize,
    /// Bytes of messages that a WebSocket is given in one go; the rest follows when they are
    /// written. A single message may be larger. Default: 64 KiB. Beyond: the rest waits, and counts
    /// as queued.
    pub socket_bytes: usize,
    /// Events that a payload's messages queue, for all their subscribers together, before others get
    /// their turn. Default: 20,000, some milliseconds of work. Beyond: the rest of the payload waits
    /// for its next turn. One message alone may queue more.
    pub burst_events: usize,
    /// Sessions. Default: 100,000. Beyond: `503::too_many_sessions` with the advice to try again.
    pub sessions: usize,
    /// Channels, wildcards included. Default: 100,000. Beyond:
    /// `403:too_many_channels:channel_create_denied` (or `…:create_denied` for a subscribe).
    pub channels: usize,
    /// Questions about messages of sessions that the application has not answered yet. Default:
    /// 10,000. Beyond: the message is denied at once with the reason `too_many_questions`.
    pub questions: usize,
    /// Questions about handshakes that the application has not answered yet. Default: 1,000.
    /// Beyond: as for `questions`, with the advice to try again.
    pub handshake_questions: usize,
    /// The same for one session; a payload never has more than one, so this is also a bound on
    /// the payloads of a session that wait. Default: 100.
    pub session_questions: usize,
    /// Remote calls in progress: not answered, or with a handler that is not done. They count here
    /// to their end, also when their session is gone. Default: 10,000. Beyond: the call fails with
    /// `{"message":"too many calls"}`.
    pub calls: usize,
    /// The same for one session. Default: 100. Beyond: as for `calls`.
    pub session_calls: usize,
    /// The longest hold that a client can ask for with `advice.timeout`. Default: 5 min. Beyond:
    /// clamped.
    #[serde(with = "millis")]
    pub client_timeout: Duration,
    /// The longest pause that a client can ask for with `advice.interval`. It also
    /// keeps the session that long without a connection. Default: 5 min. Beyond: clamped.
    #[serde(with = "millis")]
    pub client_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_messages: 1_000,
            json_depth: 64,
            id_bytes: 64,
            channel_bytes: 512,
            channel_segments: 32,
            session_subscriptions: 1_000,
            queue_messages: 10_000,
            queue_bytes: 1024 * 1024,
            socket_bytes: 64 * 1024,
            burst_events: 20_000,
            sessions: 100_000,
            channels: 100_000,
            questions: 10_000,
            handshake_questions: 1_000,
            session_questions: 100,
            calls: 10_000,
            session_calls: 100,
            client_timeout: Duration::from_secs(5 * 60),
            client_interval: Duration::from_secs(5 * 60),
        }
    }
}

impl Limits {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for (option, value) in [
            ("limits.payload_messages", self.payload_messages),
            ("limits.json_depth", self.json_depth),
            ("limits.id_bytes", self.id_bytes),
            ("limits.channel_bytes", self.channel_bytes),
            ("limits.channel_segments", self.channel_segments),
            ("limits.session_subscriptions", self.session_subscriptions),
            ("limits.queue_messages", self.queue_messages),
            ("limits.queue_bytes", self.queue_bytes),
            ("limits.socket_bytes", self.socket_bytes),
            ("limits.burst_events", self.burst_events),
            ("limits.sessions", self.sessions),
            ("limits.channels", self.channels),
            ("limits.questions", self.questions),
            ("limits.handshake_questions", self.handshake_questions),
            ("limits.session_questions", self.session_questions),
            ("limits.calls", self.calls),
            ("limits.session_calls", self.session_calls),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { option });
            }
        }
        Ok(())
    }
}
