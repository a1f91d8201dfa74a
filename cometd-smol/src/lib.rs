//! A Bayeux (CometD) server for smol and async-io, without tokio's runtime.
//!
//! The protocol is [`bayeux_core`]'s; this crate moves its bytes. It offers, from the ready-made to
//! the composable:
//!
//! - [`serve`]: accepts connections, HTTP/1.1, HTTP/2 and WebSocket, with time-outs, limits and an orderly end;
//! - [`CometdLayer`]: puts the server under a path of any tower service;
//! - [`CometdService`]: the server as a tower service on its own.
//!
//! ```no_run
//! use cometd_smol::{Bayeux, ServeOptions, serve, start};
//! use smol::net::TcpListener;
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     smol::block_on(async {
//!         let bayeux = start(Bayeux::builder())?;
//!         // Your application code here.
//!         let listener = TcpListener::bind("127.0.0.1:8080").await?;
//!         serve(listener, bayeux, ServeOptions::default(), std::future::pending()).await?;
//!         Ok(())
//!     })
//! }
//! ```
//!
//! # Executors
//!
//! [`start`] uses smol's global executor, which has one thread unless `SMOL_THREADS` says more. A
//! server can as well live on an executor of your own, of one thread or of many: [`start_on`],
//! [`start_with`].
//!
//! With the feature `metrics` the server's figures go to the `metrics` facade:
//! [`bayeux_core::front::Metrics`](bayeux_core::front).

mod io;
mod runtime;
mod server;

pub use bayeux_core;
pub use bayeux_core::adapter::{
    BoxError, CometdBody, CometdLayer, CometdService, Listener, MountedBody, MountedService,
    Secured, ServeOptions, Site,
};
pub use bayeux_core::front::Bayeux;
pub use io::Stream;
pub use runtime::{Smol, start, start_on, start_with};
pub use server::{serve, serve_with};
