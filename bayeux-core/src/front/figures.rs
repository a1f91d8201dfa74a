//! What the server counts, for the application and for monitoring.

use alloc::vec::Vec;

use super::Bayeux;
use super::caller::CallStats;
use crate::server::{Figure, Server, Stats};

impl Bayeux {
    /// Counters and gauges. This takes a moment under the server's lock, however much there is to
    /// count.
    pub fn stats(&self) -> Stats {
        self.with_server(Server::stats)
    }

    /// How many remote calls there are.
    pub fn call_stats(&self) -> CallStats {
        self.lock().calls.stats()
    }

    /// [`Bayeux::stats`] and [`Bayeux::call_stats`] under the names that monitoring systems give
    /// them. The histogram [`Stats::delivery`] is not among them.
    pub fn figures(&self) -> Vec<Figure> {
        let (stats, calls) = self.all_stats();
        figures(&stats, calls)
    }

    pub(super) fn all_stats(&self) -> (Stats, CallStats) {
        let state = self.lock();
        (state.server.stats(), state.calls.stats())
    }
}

pub(super) fn figures(stats: &Stats, calls: CallStats) -> Vec<Figure> {
    let mut figures = stats.figures();
    figures.push(Figure::gauge("bayeux_calls", "Remote calls in progress.", calls.open));
    figures.push(Figure::counter(
        "bayeux_calls_refused_total",
        "Remote calls refused because there were too many.",
        calls.refused,
    ));
    figures
}
