//! WebSocket as pure functions: the upgrade, the texts, the reasons to close.
//!
//! The frames are a library's business, in the adapters. What lives here is what Bayeux adds:
//!
//! - [`plan`](crate::http::Mapper::plan) accepts an upgrade or refuses it with a status (`accept`);
//! - [`Texts`] cuts a parcel into the texts of messages, one payload each;
//! - [`Close`] says with which code a mistake of the peer ends its connection.
//!
//! A message that comes in is one payload, and goes to the [`Decoder`](crate::Decoder) as it is.

mod accept;
mod close;
mod config;
mod texts;

pub use accept::{ExtendedConnect, Upgrade};
pub(crate) use accept::{Rejection, accept, wants_upgrade};
pub use close::Close;
pub use config::WebSocketConfig;
pub use texts::Texts;
