//! [`ServeOptions`]: how [`serve`](super::serve) treats connections.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::time::Duration;

/// How [`serve`](super::serve) treats connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Where the Bayeux server is mounted. Default: `/cometd`.
    pub path: String,
    /// How long a connection may have nothing to do: no request whose head has arrived, no response
    /// on its way, no WebSocket. It counts from when the connection came (a TLS handshake is part of
    /// it) or from the last response. Default: 60 s, so that a client that is advised to pause keeps
    /// its connection. Beyond: the connection is closed.
    pub head_timeout: Duration,
    /// How long a request's body may take to arrive. Default: 20 s. Beyond: 408.
    pub body_timeout: Duration,
    /// How long a peer may take none of what is sent to it. Default: 30 s. Beyond: the connection
    /// is closed.
    pub write_timeout: Duration,
    /// How many connections are open at the same time. Default: 65,536. Beyond: further ones wait
    /// in the operating system's queue.
    pub max_connections: usize,
    /// How long the end may take, once `shutdown` is ready: the time to answer what is open.
    /// Default: 9 s, since process managers give ten. Beyond: what is left is cut off.
    pub shutdown_timeout: Duration,
    /// When shutting down, clients are advised to come back after a random time below this.
    /// Default: 2 s.
    pub reconnect_spread: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            path: "/cometd".to_owned(),
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(30),
            max_connections: 65_536,
            shutdown_timeout: Duration::from_secs(9),
            reconnect_spread: Duration::from_secs(2),
        }
    }
}
