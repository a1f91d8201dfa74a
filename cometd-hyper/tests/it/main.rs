//! The adapter over real sockets: what only a connection can show.
//!
//! What the server answers is tested in virtual time elsewhere; here are connections that are
//! slow, broken, many, or gone, and the server's own end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod connections;
mod http2;
mod mounting;
mod peer;
mod shutdown;
mod simulation;
mod socket;
mod websocket;
