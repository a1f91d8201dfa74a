//! What every adapter has to show.

use crate::adapter::Smol;

cometd_testkit::conformance!(Smol::new);
