//! The simulation itself: many seeds, the same seed twice, what once went wrong, and that those who
//! watch would see it.

mod broken;
mod many;
mod regressions;
