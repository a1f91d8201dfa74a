//! What the application's calls can fail with.

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
    /// The data has no JSON form, or does not have the shape that was asked for.
    #[error("not the data expected: {0}")]
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
