//! What every adapter has to show.

use crate::adapter::Hyper;

cometd_testkit::conformance!(Hyper::new);
