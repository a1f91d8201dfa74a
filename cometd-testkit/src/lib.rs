//! Test kit for Bayeux servers and applications.
//!
//! - [`testbed`]: one small application that shows every capability of the server over the wire,
//!   hosted by each adapter for black-box tests.

pub mod testbed;
