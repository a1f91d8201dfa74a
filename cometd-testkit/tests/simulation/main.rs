//! The simulation itself: many seeds, the same seed twice, what once went wrong, and that those who
//! watch would see it.

#![expect(clippy::unwrap_used, reason = "what a test needs is there, or the test fails")]

mod broken;
mod invariants;
mod many;
mod regressions;
mod users;
