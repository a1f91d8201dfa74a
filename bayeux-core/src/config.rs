//! The server's options, under their CometD names.
//!
//! Plain structs: take the default, assign fields, hand them over. They are checked once, when the
//! server is made. With serde, durations are whole milliseconds, as in CometD's own configuration,
//! and where CometD says `-1` for "no limit", so may you.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::channel::Overflow;
use crate::id::ShardTag;
use crate::limits::Limits;
use crate::options::{ConfigError, count, millis, optional_millis};
use crate::transport::Transport;

/// What the machine does and when: CometD's server and transport options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// How long a `/meta/connect` is held when there is nothing to deliver. Default: 30 s.
    #[serde(with = "millis")]
    pub timeout: Duration,
    /// How long clients are advised to pause between two connects. Default: 0.
    #[serde(with = "millis")]
    pub interval: Duration,
    /// How long a session may stay without a connect, on top of `interval`, before it expires.
    /// Default: 10 s.
    #[serde(with = "millis")]
    pub max_interval: Duration,
    /// How long a lazy message waits at most, unless its channel says otherwise. Default: 5 s.
    #[serde(with = "millis")]
    pub max_lazy_timeout: Duration,
    /// Whether events travel only with connect replies, so that their order is total. Default:
    /// false. Always so on callback-polling.
    pub meta_connect_deliver_only: bool,
    /// Whether events that are queued when a handshake is answered travel with its reply, which
    /// then says how many there are (`x-messages`). Default: false. What is queued then is
    /// what the policy has prepared (`NewSession::deliver` of the front).
    pub allow_message_delivery_during_handshake: bool,
    /// Whether a publisher that subscribes to its channel gets its own messages. Default: true.
    pub broadcast_to_publisher: bool,
    /// Whether names and ids must consist of the characters that the Java server admits. Their
    /// structure is checked in any case. Default: true.
    pub validate_message_fields: bool,
    /// The transports on offer, in the order of preference. Default: WebSocket, then long-polling;
    /// callback-polling (JSONP) is known but off. Leave WebSocket out where the host cannot upgrade
    /// a connection: clients that prefer it would lose time before they fall back.
    pub allowed_transports: Vec<Transport>,
    /// The unit of housekeeping: a channel that nobody uses is swept three periods later.
    /// Default: 997 ms.
    #[serde(with = "millis")]
    pub sweep_period: Duration,

    /// How many connects of one browser (one cookie) are held at the same time over HTTP/1;
    /// browsers open only a handful of connections to a server. `None` or -1: no limit. Default: 1.
    #[serde(with = "count")]
    pub max_sessions_per_browser: Option<u32>,
    /// The same over HTTP/2, where requests share a connection. Default: no limit.
    #[serde(with = "count")]
    pub http2_max_sessions_per_browser: Option<u32>,
    /// The interval that surplus sessions of a browser are advised to poll with; zero refuses
    /// them. Default: 2 s.
    #[serde(with = "millis")]
    pub multi_session_interval: Duration,
    /// Whether a `clientId` alone identifies a session over HTTP, for clients that keep no
    /// cookies. Without the cookie, whoever learns an id can use it. (Over WebSocket, unless
    /// `ws_require_handshake_per_connection` says otherwise, the id alone is enough in any case.)
    /// Default: false.
    pub trust_client_session: bool,

    /// How long the peer of a WebSocket may be silent before it is pinged. The heartbeat of
    /// connects is a sign of life as well, so with the usual `timeout` only idle sockets are ever
    /// pinged. Not shorter than `ws_idle_timeout`: never. Default: 45 s.
    #[serde(with = "millis")]
    pub ws_ping_interval: Duration,
    /// How long the peer of a WebSocket may be silent, answers to pings included, before the
    /// socket is closed. A socket without a session is not pinged. Default: 75 s.
    #[serde(with = "millis")]
    pub ws_idle_timeout: Duration,
    /// Whether a session is bound to the WebSocket that its handshake came on, so that neither
    /// another socket nor one that follows an HTTP session can use it. Default: false; clients
    /// that reconnect then keep their session.
    pub ws_require_handshake_per_connection: bool,

    /// Whether advice tells clients `maxInterval`, after which they make a new session by
    /// themselves when they have not heard from the server. Default: false.
    pub handshake_reconnect: bool,
    /// How long a session may stay without a message while the application decides about one that
    /// it sent before. `None` or -1: for as long as the application takes, which is bounded by
    /// `question_timeout` for each decision. Otherwise longer than `timeout`. Default: no limit.
    #[serde(with = "optional_millis")]
    pub max_processing: Option<Duration>,
    /// The extensions of the protocol that are built in; each acts only for clients that ask.
    pub extensions: Extensions,

    /// What happens when a session's queue is full, unless the channel says otherwise. Default:
    /// the session is removed.
    pub overflow: Overflow,
    /// How long the application may take to answer a question before what it is about counts
    /// as denied (by a policy) or deleted (by a listener or an extension). What thinks about it is
    /// dropped then. Default: 30 s.
    #[serde(with = "millis")]
    pub question_timeout: Duration,
    /// The tag inside every id that this server issues. Default: 0.
    pub shard: u16,
    /// Whether broadcast messages also leave as [`Output::Relay`](crate::Output::Relay), for
    /// other shards or nodes. Default: false.
    pub relay: bool,
    /// The bounds on everything that a client can make grow.
    pub limits: Limits,
}

/// The extensions of the protocol that are built in. Each acts only for clients that ask for it, and
/// costs the others nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Extensions {
    /// Acknowledged messages (`ext.ack: true` in the handshake): events arrive in order, and none
    /// is lost with a connection. They then travel with connect replies only. Default: true.
    pub ack: bool,
    /// Time synchronization (`ext.timesync` in any meta message). Default: true.
    pub timesync: bool,
    /// How far a client's idea of the server's time may be off without being told. Default: 25 ms.
    #[serde(with = "millis")]
    pub timesync_tolerance: Duration,
    /// A `timestamp` on all messages of a session (`ext.timestamp: true` in the handshake).
    /// Default: true.
    pub timestamp: bool,
}

impl Default for Extensions {
    fn default() -> Self {
        Self {
            ack: true,
            timesync: true,
            timesync_tolerance: Duration::from_millis(25),
            timestamp: true,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            interval: Duration::ZERO,
            max_interval: Duration::from_secs(10),
            max_lazy_timeout: Duration::from_secs(5),
            meta_connect_deliver_only: false,
            allow_message_delivery_during_handshake: false,
            broadcast_to_publisher: true,
            validate_message_fields: true,
            allowed_transports: vec![Transport::WebSocket, Transport::LongPolling],
            sweep_period: Duration::from_millis(997),
            max_sessions_per_browser: Some(1),
            http2_max_sessions_per_browser: None,
            multi_session_interval: Duration::from_secs(2),
            trust_client_session: false,
            ws_ping_interval: Duration::from_secs(45),
            ws_idle_timeout: Duration::from_secs(75),
            ws_require_handshake_per_connection: false,
            handshake_reconnect: false,
            max_processing: None,
            extensions: Extensions::default(),
            overflow: Overflow::Remove,
            question_timeout: Duration::from_secs(30),
            shard: 0,
            relay: false,
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// Checks that the options make sense together.
    ///
    /// # Errors
    ///
    /// Names the first option that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (option, value) in [
            ("timeout", self.timeout),
            ("interval", self.interval),
            ("max_interval", self.max_interval),
            ("max_lazy_timeout", self.max_lazy_timeout),
            ("multi_session_interval", self.multi_session_interval),
            ("question_timeout", self.question_timeout),
            ("sweep_period", self.sweep_period),
            ("ws_ping_interval", self.ws_ping_interval),
            ("ws_idle_timeout", self.ws_idle_timeout),
        ] {
            if value > MAX_DURATION {
                return Err(ConfigError::TooLong { option });
            }
        }
        for (option, value) in [
            ("max_interval", self.max_interval),
            ("question_timeout", self.question_timeout),
            ("sweep_period", self.sweep_period),
            ("ws_ping_interval", self.ws_ping_interval),
            ("ws_idle_timeout", self.ws_idle_timeout),
        ] {
            if value.is_zero() {
                return Err(ConfigError::Zero { option });
            }
        }
        if self.max_processing.is_some_and(|most| most <= self.timeout) {
            let reason = "must be longer than `timeout`";
            return Err(ConfigError::Invalid { option: "max_processing", reason });
        }
        if self.allowed_transports.contains(&Transport::Local) {
            let reason = "offers what only the server's own process can use";
            return Err(ConfigError::Invalid { option: "allowed_transports", reason });
        }
        if self.allowed_transports.is_empty() {
            return Err(ConfigError::NoTransport);
        }
        self.limits.validate()
    }

    pub(crate) fn shard_tag(&self) -> ShardTag {
        ShardTag(self.shard)
    }

    /// Whether `transport` is on offer.
    pub fn allows(&self, transport: Transport) -> bool {
        self.allowed_transports.contains(&transport)
    }
}

/// The longest duration that an option may have: browsers' timers end at 2³¹ milliseconds.
pub(crate) const MAX_DURATION: Duration = Duration::from_millis(i32::MAX as u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn reads_cometd_numbers() {
        let config: Config = serde_json::from_str(
            r#"{"timeout":10000,"max_sessions_per_browser":-1,
                "allowed_transports":["long-polling","callback-polling"],
                "limits":{"queue_messages":5}}"#,
        )
        .unwrap();
        assert_eq!(config.timeout, Duration::from_secs(10));
        assert_eq!(config.max_sessions_per_browser, None);
        assert!(config.allows(Transport::CallbackPolling));
        assert_eq!(config.limits.queue_messages, 5);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        assert!(serde_json::from_str::<Config>(r#"{"tiemout":1}"#).is_err());
    }

    #[test]
    fn errors_name_the_option() {
        let config = Config { max_interval: Duration::ZERO, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::Zero { option: "max_interval" }));
        let config = Config { timeout: Duration::MAX, ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::TooLong { option: "timeout" }));
        let config = Config { allowed_transports: vec![], ..Config::default() };
        assert_eq!(config.validate(), Err(ConfigError::NoTransport));
    }
}
