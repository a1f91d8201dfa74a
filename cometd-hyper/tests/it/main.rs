//! The adapter over real sockets: what every adapter has to show, and what is tokio's alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod adapter;
mod axum;
mod conformance;
mod listeners;
mod load;
mod runtime;
