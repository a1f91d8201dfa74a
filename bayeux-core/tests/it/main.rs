//! The machine on its own: inputs, outputs and time, without threads, HTTP or a front.
//!
//! What a client sees on the wire is tested in the testkit; here is what only a driver can see:
//! the order of outputs, what becomes of events whose response was lost, tickets, timers, leaks.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod acknowledged;
mod bench;
mod codec;
mod commands;
mod delivery;
mod limits;
mod overtaken;
mod questions;
mod sessions;
mod socket_life;
mod socket_moves;
mod sockets;
mod stats;
mod storm;
mod tidy;
