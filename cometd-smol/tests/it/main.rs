//! The adapter over real sockets: what every adapter has to show, and what is smol's alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod adapter;
mod conformance;
mod executors;
mod listeners;
mod tree;
