//! Applications in virtual time: the chat, services and remote calls, and handlers that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod callers;
mod calls;
mod chat;
mod extension_edges;
mod figures;
mod handlers;
mod local;
mod local_edges;
mod peer;
mod recorder;
mod services;
mod tracing;
mod tracing_handlers;
mod tracing_subscribers;
