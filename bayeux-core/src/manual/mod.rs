//! The design, explained where it is documented.

pub mod compatibility;
