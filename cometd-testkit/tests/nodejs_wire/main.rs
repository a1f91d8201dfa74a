//! The wire scenarios of cometd-nodejs-server, numbered as in the study of it, against this server.
//!
//! Each test is one scenario. Most pin that the answers are the same; where this server differs on
//! purpose the test pins what it does instead, and the difference with its reason stands in the
//! manual (`bayeux_core::manual::compatibility`). The times are those of the study; nothing sleeps.

mod ack;
mod bodies;
mod connect;
mod handshake;
mod http;
mod limits;
mod publish;
mod routing;
mod sessions;
mod subscribe;
#[path = "../support/mod.rs"]
mod support;
