//! What the adapters have in common, in virtual time: connections are pipes in memory, and a minute
//! passes when everybody waits for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod connections;
mod mounting;
mod network;
mod sockets;
