//! What this server does differently from the originals, and why.

pub mod compatibility;
