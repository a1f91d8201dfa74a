//! The testbed's options.

use std::net::SocketAddr;
use std::time::Duration;

use bayeux_core::http::HttpConfig;
use bayeux_core::{Config, Transport};

/// The testbed's options; durations are whole milliseconds. With the feature `cli` they are a
/// command line.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "cli", derive(clap::Parser))]
#[cfg_attr(feature = "cli", command(about = "The testbed application of the Bayeux server"))]
#[non_exhaustive]
pub struct Options {
    /// Address to listen on; port 0 picks a free one
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")
    )]
    pub listen: SocketAddr,
    /// Where the service is mounted
    #[cfg_attr(feature = "cli", arg(long, default_value = "/cometd"))]
    pub path: String,
    /// How long a /meta/connect is held, in milliseconds
    #[cfg_attr(feature = "cli", arg(long, value_name = "MS", default_value_t = 30_000))]
    pub timeout: u64,
    /// Advised pause between connects, in milliseconds
    #[cfg_attr(feature = "cli", arg(long, value_name = "MS", default_value_t = 0))]
    pub interval: u64,
    /// Time without a connect, beyond the interval, after which a session expires, in milliseconds
    #[cfg_attr(feature = "cli", arg(long, value_name = "MS", default_value_t = 10_000))]
    pub max_interval: u64,
    /// The longest that a lazy message waits, in milliseconds
    #[cfg_attr(feature = "cli", arg(long, value_name = "MS", default_value_t = 5_000))]
    pub max_lazy_timeout: u64,
    /// Largest accepted request body
    #[cfg_attr(feature = "cli", arg(long, value_name = "BYTES", default_value_t = 65_536))]
    pub max_message_size: usize,
    /// Messages that a session's queue may hold before the session is removed; 0 = unlimited
    #[cfg_attr(feature = "cli", arg(long, value_name = "N", default_value_t = 0))]
    pub max_queue: usize,
    /// Connects of one browser that are held at the same time; -1 = unlimited
    #[cfg_attr(
        feature = "cli",
        arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)
    )]
    pub max_sessions_per_browser: i64,
    /// Connect interval for the surplus sessions of one browser, in milliseconds
    #[cfg_attr(feature = "cli", arg(long, value_name = "MS", default_value_t = 2_000))]
    pub multi_session_interval: u64,
    /// Granularity of housekeeping, in milliseconds
    #[cfg_attr(feature = "cli", arg(long, value_name = "MS", default_value_t = 997))]
    pub sweep: u64,
    /// Origin that may use the service from its pages; repeatable; * for any
    #[cfg_attr(feature = "cli", arg(long, value_name = "ORIGIN"))]
    pub allow_origin: Vec<String>,
    /// Tracing filter for standard error
    #[cfg_attr(feature = "cli", arg(long, value_name = "LEVEL", default_value = "warn"))]
    pub log: String,
}

impl Options {
    pub(super) fn config(&self) -> Config {
        let mut config = Config::default();
        config.timeout = Duration::from_millis(self.timeout);
        config.interval = Duration::from_millis(self.interval);
        config.max_interval = Duration::from_millis(self.max_interval);
        config.max_lazy_timeout = Duration::from_millis(self.max_lazy_timeout);
        config.max_sessions_per_browser = u32::try_from(self.max_sessions_per_browser).ok();
        config.multi_session_interval = Duration::from_millis(self.multi_session_interval);
        config.sweep_period = Duration::from_millis(self.sweep);
        config.allowed_transports =
            vec![Transport::WebSocket, Transport::LongPolling, Transport::CallbackPolling];
        if self.max_queue == 0 {
            config.limits.queue_messages = usize::MAX;
            config.limits.queue_bytes = usize::MAX;
        } else {
            config.limits.queue_messages = self.max_queue;
        }
        config
    }

    pub(super) fn http(&self) -> HttpConfig {
        let mut http = HttpConfig::default();
        http.max_message_size = self.max_message_size;
        http.allowed_origins.clone_from(&self.allow_origin);
        http
    }
}
