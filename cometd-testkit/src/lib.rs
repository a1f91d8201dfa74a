//! Test kit for Bayeux servers and applications.
//!
//! - [`sim`]: a runtime with virtual time, seeded randomness and an executor that misses nothing;
//!   any application of the server runs on it unchanged, without sleeping.
//! - [`wire`]: HTTP clients in memory; [`socket`]: WebSocket clients in memory.
//! - [`simulation`]: clients, their network and its worst days, from a seed; for the server, and for
//!   applications.
//! - `adapter`, `conformance` (feature `remote`): what every adapter has to show over real sockets.
//! - `load` (feature `load`): a load generator for any Bayeux server.
//! - [`chat`]: the example application, with its web page.
//! - [`testbed`]: one small application that shows every capability of the server over the wire,
//!   hosted by each adapter for black-box tests.
//! - [`fuzz`]: what holds for all bytes that a peer may send, for a fuzzer to try.
//!
//! ```
//! use std::time::Duration;
//! use bayeux_core::front::Bayeux;
//! use cometd_testkit::sim::Sim;
//! use cometd_testkit::wire::{Client, connect, publish, subscribe};
//! use serde_json::json;
//!
//! let sim = Sim::new(1);
//! let bayeux = sim.start(Bayeux::builder())?;
//! let (ann, bob) = (Client::new(&sim, &bayeux), Client::new(&sim, &bayeux));
//! let (a, b) = (ann.open(), bob.open());
//! ann.send(&json!([subscribe(&a, "/chat")]));
//! let mut held = ann.post(&json!([connect(&a)]));
//! sim.advance(Duration::from_secs(5));
//! assert!(held.is_held());
//! bob.send(&json!([publish(&b, "/chat", "hello")]));
//! assert_eq!(held.wait().messages()[0]["data"], "hello");
//! # Ok::<(), bayeux_core::ConfigError>(())
//! ```

#[cfg(feature = "remote")]
pub mod adapter;
pub mod chat;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "remote")]
pub mod conformance;
pub mod fuzz;
mod line;
#[cfg(feature = "load")]
pub mod load;
pub mod sim;
pub mod simulation;
pub mod socket;
pub mod testbed;
pub mod wire;
