//! [`Close`]: how a WebSocket ends, in numbers (RFC 6455 §7.4).
//!
//! | what | code |
//! | --- | --- |
//! | not JSON, not UTF-8, nested too deeply | 1007 |
//! | an empty array; a handshake with other messages; broken framing | 1002 |
//! | a binary message | 1003 |
//! | more messages in a payload than there may be | 1008 |
//! | a message that is too large | 1009 |
//! | the server drains, or the peer was silent for too long | 1001 |
//! | the session has gone on over another connection | 1000 |
//!
//! The Java server closes with 1011, "internal error", for all mistakes of the peer.

use crate::codec::DecodeError;

/// A status code, and a reason in words that can be sent to the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Close {
    /// The status code.
    pub code: u16,
    /// The reason; far below the 123 bytes that it may have.
    pub reason: &'static str,
}

impl Close {
    /// A binary message: Bayeux is text.
    pub const BINARY: Self = Self { code: 1003, reason: "messages are text" };
    /// A text message that is no UTF-8.
    pub const NOT_UTF8: Self = Self { code: 1007, reason: DecodeError::NotUtf8.what() };
    /// A message beyond `max_message_size`.
    pub const TOO_LARGE: Self = Self { code: 1009, reason: "the message is too large" };
    /// Frames that are none, or that come in an order that makes no sense.
    pub const PROTOCOL: Self = Self { code: 1002, reason: "not the WebSocket protocol" };

    /// How a payload that is none ends the connection.
    pub const fn of_payload(error: DecodeError) -> Self {
        let code = match error {
            DecodeError::NotUtf8 | DecodeError::NotMessages | DecodeError::TooDeep => 1007,
            DecodeError::Empty => 1002,
            DecodeError::TooManyMessages => 1008,
        };
        Self { code, reason: error.what() }
    }

    /// The end of a connection that the peer has offended on.
    #[cfg(feature = "front")]
    pub(crate) const fn violation(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }

    /// The end of a connection that is of no use any more.
    #[cfg(feature = "front")]
    pub(crate) const fn done(reason: &'static str) -> Self {
        Self { code: 1000, reason }
    }

    /// The end of a connection that nobody has offended on.
    #[cfg(feature = "front")]
    pub(crate) const fn going_away(reason: &'static str) -> Self {
        Self { code: 1001, reason }
    }
}
