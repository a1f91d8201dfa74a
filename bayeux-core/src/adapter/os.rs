//! Two parts of a [`Runtime`](crate::front::Runtime) that are the same on every one of them.

use crate::entropy::Entropy;
use crate::front::Report;

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        // Without randomness no session id is safe; there is nothing sensible to go on with.
        getrandom::fill(out).expect("the operating system gives no random numbers");
    }
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
