//! What travels: [`Request`]s come in, [`Reply`]s and [`Message`]s go out in a [`Parcel`].

mod advice;
mod error;
mod extension;
mod parcel;
mod reply;
mod request;
mod shared;

pub use advice::{Advice, Reconnect};
pub use error::BayeuxError;
pub use extension::{AckField, AckReply, ExtensionFields, TimesyncField, TimesyncReply};
pub use parcel::{Events, Parcel};
pub use reply::{Reply, ReplyChannel, ReplyDetails};
pub use request::{ClientAdvice, Request, RequestKind, Subscription, Verb};
pub use shared::{Message, MessageParts};
