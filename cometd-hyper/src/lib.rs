//! A Bayeux (CometD) server for tokio and hyper.
//!
//! The protocol is [`bayeux_core`]'s; this crate moves its bytes. It offers, from the ready-made to
//! the composable:
//!
//! - [`serve`]: accepts connections, HTTP/1.1, HTTP/2 and WebSocket, with time-outs, limits and an orderly end;
//! - [`CometdLayer`]: puts the server under a path of any tower service, an axum router say;
//! - [`CometdService`]: the server as a tower service on its own.
//!
//! ```no_run
//! use cometd_hyper::{Bayeux, ServeOptions, serve, start};
//! use tokio::net::TcpListener;
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let bayeux = start(Bayeux::builder())?;
//!     // Your application code here.
//!     let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!     serve(listener, bayeux, ServeOptions::default(), std::future::pending()).await?;
//!     Ok(())
//! }
//! ```
//!
//! With the feature `metrics` the server's figures go to the `metrics` facade:
//! [`bayeux_core::front::Metrics`](bayeux_core::front).

mod runtime;
mod server;

pub use bayeux_core;
pub use bayeux_core::adapter::{
    BoxError, CometdBody, CometdLayer, CometdService, Listener, MountedBody, MountedService,
    Secured, ServeOptions, Site,
};
pub use bayeux_core::front::Bayeux;
pub use runtime::{Tokio, start};
pub use server::{serve, serve_with};

/// The README's examples, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct ReadmeDoctests;
