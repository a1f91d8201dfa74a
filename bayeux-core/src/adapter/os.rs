//! Parts of a [`Runtime`](crate::front::Runtime) that are the same on every one of them.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::entropy::Entropy;
use crate::front::Report;
use crate::time::WallTime;

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        // Without randomness no session id is safe; there is nothing sensible to go on with.
        getrandom::fill(out).expect("the operating system gives no random numbers");
    }
}

/// What the operating system's wall clock says.
pub fn wall_clock() -> WallTime {
    #[expect(clippy::disallowed_methods, reason = "nothing is measured with it")]
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
}

/// Writes a report to `tracing`, with the target `bayeux`.
pub fn log_report(report: &Report<'_>) {
    match report {
        // Clients can cause these at will. The error quotes what they sent.
        Report::DataRefused { error, .. } => {
            tracing::warn!(target: "bayeux", "{report}");
            tracing::trace!(target: "bayeux", "what it cannot read: {error}");
        }
        Report::HandlerFailed { .. }
        | Report::HandlerStuck { .. }
        | Report::HandlerPanicked { .. } => tracing::error!(target: "bayeux", "{report}"),
    }
}
