//! Applications in virtual time: the chat, and handlers that misbehave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod chat;
mod handlers;
mod local;
