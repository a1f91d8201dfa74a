//! The chat's options.

use std::net::SocketAddr;
use std::time::Duration;

use bayeux_core::Config;

/// The chat's options; durations are whole milliseconds. With the feature `cli` they are a command
/// line.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "cli", derive(clap::Parser))]
#[cfg_attr(feature = "cli", command(about = "A chat server with its web page"))]
#[non_exhaustive]
pub struct Options {
    /// Address to listen on
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")
    )]
    pub listen: SocketAddr,
    /// How long a /meta/connect is held, in milliseconds
    #[cfg_attr(feature = "cli", arg(long, value_name = "MS", default_value_t = 30_000))]
    pub timeout: u64,
    /// Time without a connect after which a session expires, in milliseconds
    #[cfg_attr(feature = "cli", arg(long, value_name = "MS", default_value_t = 10_000))]
    pub max_interval: u64,
    /// Connects of one browser that are held at the same time; further tabs poll. Browsers open six
    /// connections to a server, and the page needs one to send with
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", default_value_t = 4))]
    pub max_sessions_per_browser: u32,
    /// Tracing filter for standard error
    #[cfg_attr(feature = "cli", arg(long, value_name = "LEVEL", default_value = "warn"))]
    pub log: String,
}

impl Options {
    /// The options of the server for these.
    pub fn config(&self) -> Config {
        let mut config = Config::default();
        config.timeout = Duration::from_millis(self.timeout);
        config.max_interval = Duration::from_millis(self.max_interval);
        config.max_sessions_per_browser = Some(self.max_sessions_per_browser);
        config
    }
}
