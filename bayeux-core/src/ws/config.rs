//! The WebSocket options, under their CometD names (without the prefix `ws.`).
//!
//! How large a message may be is [`max_message_size`](crate::http::HttpConfig::max_message_size),
//! one bound for all transports; when a peer counts as gone is for the machine to know
//! ([`ws_idle_timeout`](crate::Config::ws_idle_timeout)).

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::options::{ConfigError, count};

/// How messages travel over WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct WebSocketConfig {
    /// Events in one message; `None` or -1: as many as `max_frame_bytes` admits. Default: 1, as on
    /// the Java server, and then all subscribers are sent the very same bytes.
    #[serde(with = "count")]
    pub messages_per_frame: Option<u32>,
    /// Bytes of one message that is sent. Events and replies that do not fit go into the next; a
    /// single one that is larger goes alone. Default: 64 KiB.
    pub max_frame_bytes: usize,
    /// The sub-protocol that clients must offer. Default: none, and then the first of those that a
    /// client offers is taken, whatever it is, since browsers insist on one.
    pub protocol: Option<String>,
}

impl Default for WebSocketConfig {
    fn default() -> Self {
        Self { messages_per_frame: Some(1), max_frame_bytes: 64 * 1024, protocol: None }
    }
}

impl WebSocketConfig {
    /// Checks that the options make sense.
    ///
    /// # Errors
    ///
    /// Names the first option that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.messages_per_frame == Some(0) {
            return Err(ConfigError::Zero { option: "ws.messages_per_frame" });
        }
        if self.max_frame_bytes == 0 {
            return Err(ConfigError::Zero { option: "ws.max_frame_bytes" });
        }
        let token = |text: &str| {
            let mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || mark(byte))
        };
        if self.protocol.as_deref().is_some_and(|protocol| !token(protocol)) {
            let reason = "must be a token: ASCII letters, digits and !#$%&'*+-.^_`|~";
            return Err(ConfigError::Invalid { option: "ws.protocol", reason });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn reads_cometd_numbers_and_names_what_makes_no_sense() {
        let config: WebSocketConfig =
            serde_json::from_str(r#"{"messages_per_frame":-1,"protocol":"bayeux.v1"}"#).unwrap();
        assert_eq!(config.messages_per_frame, None);
        config.validate().unwrap();
        type Change = fn(&mut WebSocketConfig);
        let table: &[(&str, Change)] = &[
            ("ws.messages_per_frame", |it| it.messages_per_frame = Some(0)),
            ("ws.max_frame_bytes", |it| it.max_frame_bytes = 0),
            ("ws.protocol", |it| it.protocol = Some("".into())),
            ("ws.protocol", |it| it.protocol = Some("a, b".into())),
            ("ws.protocol", |it| it.protocol = Some("a\r\nX: y".into())),
        ];
        for (option, change) in table {
            let mut config = WebSocketConfig::default();
            change(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(option), "{error}");
        }
    }
}
