//! What the application's calls can fail with.

use core::fmt;

use crate::channel::NameError;
use crate::message::BayeuxError;
use crate::z85::Z85Error;

/// Why a call did nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no channel name or wildcard.
    #[error("not a channel: {0}")]
    Name(#[from] NameError),
    /// The data has no JSON form, or does not have the shape that was asked for. This text says where,
    /// since it ends up in logs; its source says what, and quotes the data.
    #[error("not the data expected{}", Place(.0))]
    Data(#[from] serde_json::Error),
    /// The data is marked as binary, and is not.
    #[error("not binary: {0}")]
    Binary(#[from] Z85Error),
    /// The session is gone.
    #[error("the session is gone")]
    SessionGone,
    /// The channel's messages are Bayeux's own.
    #[error("only clients send on /meta/ channels")]
    MetaChannel,
    /// A listener or an extension vetoed the message.
    #[error("a listener or an extension vetoed the message")]
    Vetoed,
    /// Extension data is always a JSON object.
    #[error("extension data must be an object")]
    NoObject,
    /// A member of that name means something else to clients.
    #[error("a member of that name is Bayeux's own")]
    ReservedMember,
    /// The server refused what a local session asked for.
    #[error("refused: {0}")]
    Refused(BayeuxError),
}

/// Where something is wrong in a JSON text; if nothing was read, what is wrong.
struct Place<'e>(&'e serde_json::Error);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.line() {
            0 => write!(f, ": {}", self.0),
            line => write!(f, ", at line {line} column {}", self.0.column()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use core::error::Error as _;

    #[test]
    fn data_is_not_quoted() {
        let error = Error::from(serde_json::from_str::<u32>(r#""secret""#).unwrap_err());
        assert_eq!(error.to_string(), "not the data expected, at line 1 column 8");
        assert!(error.source().unwrap().to_string().contains("secret"), "who wants to know, may");
        let error = Error::from(serde_json::to_string(&NoForm).unwrap_err());
        assert_eq!(error.to_string(), "not the data expected: no form");
    }

    struct NoForm;

    impl serde::Serialize for NoForm {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no form"))
        }
    }
}
