//! What the adapters have in common: the [front](crate::front) on hyper's HTTP, on any runtime.
//!
//! hyper is a protocol library like this one: it brings no sockets, timers or threads, but takes
//! them. So nearly all of an adapter can be written once, here, and an adapter adds what a runtime
//! is: a [`Runtime`](crate::front::Runtime), streams, and where connections come from
//! ([`Listener`]). Both adapters behave the same because they are the same.
//!
//! - [`serve`]: connections, from the first to the last: HTTP/1.1, HTTP/2 and WebSocket, with
//!   time-outs, limits and an orderly end;
//! - [`CometdLayer`]: puts the server under a path of any tower service, an axum router say;
//! - [`CometdService`]: the server as a tower service on its own;
//! - [`OsEntropy`], [`wall_clock`], [`log_report`]: parts of a `Runtime` that are the same on all of
//!   them.
//!
//! It is here rather than in a crate of its own, or twice in the adapters, for the reason that the
//! front is: who writes a third adapter depends on one crate, and finds all of it there.
//!
//! This is the one part of the crate with dependencies that are not the protocol's, so it is behind
//! a feature of its own (`adapter`), and nothing else in the crate knows of it. Those that its public
//! items show are hyper 1, http-body 1, and tower's traits. It has no clock and
//! no threads either: it sleeps and spawns by the server's `Runtime`.
//!
//! # Cancel safety
//!
//! Dropping the future of [`serve`] cuts off all connections. Dropping the future of a
//! [`CometdService`]'s response means that the client is gone.

mod body;
mod connections;
mod frames;
mod hosted;
mod idle;
mod inlet;
mod io;
mod listener;
mod options;
mod os;
mod read;
mod serve;
mod served;
mod service;
mod serving;
mod signal;
mod site;
mod timer;
mod upgrade;

pub use body::CometdBody;
pub use listener::{Listener, Secured};
pub use options::ServeOptions;
pub use os::{OsEntropy, log_report, wall_clock};
pub use serve::serve;
pub use service::{BoxError, CometdLayer, CometdService, MountedBody, MountedService};
pub use site::{NotFound, Site};
