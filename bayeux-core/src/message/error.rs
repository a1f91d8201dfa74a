//! [`BayeuxError`]: the `error` of an unsuccessful reply.

use alloc::boxed::Box;
use core::fmt;

/// An error as Bayeux writes it: `403:reason:publish_denied` (Bayeux §3.5, `error`).
///
/// The strings are those of the Java server wherever it has one; the middle field is the reason
/// that the application gave for a denial, empty when it gave none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BayeuxError {
    code: u16,
    reason: Option<Box<str>>,
    text: &'static str,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal;)*) => {
        impl BayeuxError {
            $($(#[$doc])* pub const $name: Self = Self::new($code, $text);)*

            /// The last fields of all of them.
            pub(crate) const TEXTS: &[&str] = &[$($text),*];
        }
    };
}

errors! {
    /// `minimumVersion` asks for more than Bayeux 1.0.
    VERSION_UNSUPPORTED = 300 "version_unsupported";
    /// No connection type in common.
    CONNECTION_TYPES_UNSUPPORTED = 301 "connection_types_unsupported";
    /// A member has the wrong JSON type.
    MESSAGE_INVALID = 400 "message_invalid";
    /// No `channel`.
    CHANNEL_MISSING = 400 "channel_missing";
    /// No such session: never made, expired, disconnected, or somebody else's.
    SESSION_UNKNOWN = 402 "session_unknown";
    /// The policy refused the session.
    HANDSHAKE_DENIED = 403 "handshake_denied";
    /// A channel for a publish could not be created.
    CHANNEL_CREATE_DENIED = 403 "channel_create_denied";
    /// A publish was refused.
    PUBLISH_DENIED = 403 "publish_denied";
    /// A channel for a subscription could not be created.
    CREATE_DENIED = 403 "create_denied";
    /// A subscription was refused.
    SUBSCRIBE_DENIED = 403 "subscribe_denied";
    /// No `subscription`.
    SUBSCRIPTION_MISSING = 403 "subscription_missing";
    /// `subscription` is no channel name, no pattern and no list of them.
    SUBSCRIPTION_INVALID = 403 "subscription_invalid";
    /// The channel is below `/meta/` but not one of Bayeux's.
    META_CHANNEL_UNKNOWN = 404 "meta_channel_unknown";
    /// A listener vetoed the message.
    MESSAGE_DELETED = 404 "message_deleted";
    /// `channel` is no channel name.
    CHANNEL_INVALID = 405 "channel_invalid";
    /// `id` is neither a short alphanumeric string nor a number.
    MESSAGE_ID_INVALID = 405 "message_id_invalid";
    /// The server holds as many sessions as it may.
    TOO_MANY_SESSIONS = 503 "too_many_sessions";
    /// The server is shutting down.
    DRAINING = 503 "draining";
}

impl BayeuxError {
    const fn new(code: u16, text: &'static str) -> Self {
        Self { code, reason: None, text }
    }

    /// The same error with a reason in its middle field. A colon would end the field, so it
    /// becomes a semicolon.
    #[must_use]
    pub fn because(mut self, reason: &str) -> Self {
        self.reason = Some(reason.replace(':', ";").into());
        self
    }

    /// What the error is, such as `session_unknown`.
    pub fn text(&self) -> &'static str {
        self.text
    }

    /// The code in front, such as 402.
    pub fn code(&self) -> u16 {
        self.code
    }
}

impl fmt::Display for BayeuxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.code, self.reason.as_deref().unwrap_or_default(), self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn writes_three_fields() {
        assert_eq!(BayeuxError::SESSION_UNKNOWN.to_string(), "402::session_unknown");
        assert_eq!(
            BayeuxError::PUBLISH_DENIED.because("not: a member").to_string(),
            "403:not; a member:publish_denied"
        );
    }
}
