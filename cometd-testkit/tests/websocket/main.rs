//! WebSockets through the front, in virtual time: the pump that reads, writes and ends them, and
//! what handlers see of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod ending;
mod handlers;
mod reading;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with other suites")]
mod support;
mod upgrade;
mod writing;
