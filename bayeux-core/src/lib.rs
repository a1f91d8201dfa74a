//! The Bayeux protocol as a sans-IO server state machine.
#![no_std]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod channel;
mod config;
mod entropy;
mod id;
mod json;
mod limits;
mod time;
mod transport;

pub use channel::{ChannelKind, ChannelName, ChannelSettings, NameError, Overflow, Pattern};
pub use config::{Config, ConfigError};
pub use entropy::Entropy;
pub use id::{BrowserId, LinkId, SessionId, ShardTag};
pub use json::Json;
pub use limits::Limits;
pub use time::Time;
pub use transport::Transport;
