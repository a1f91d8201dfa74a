//! What the server counts, for the application and for monitoring.

use alloc::vec::Vec;

use super::Bayeux;
use crate::server::{Figure, Server, Stats};

/// What the front counts beside the machine's [`Stats`]; see [`Bayeux::front_stats`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct FrontStats {
    /// Remote calls in progress now: not answered, or with a handler that is not done.
    pub calls: usize,
    /// Remote calls refused at `limits.calls` or `limits.session_calls`.
    pub refused_calls: u64,
    /// Events now that the handlers of [`Bayeux::on_event`] and
    /// [`Session::on_removed`](super::Session::on_removed) were not told yet. Where this grows, they
    /// are too slow.
    pub untold_events: usize,
}

impl Bayeux {
    /// Counters and gauges. This takes a moment under the server's lock, however much there is to
    /// count.
    pub fn stats(&self) -> Stats {
        self.with_server(Server::stats)
    }

    /// The same of the front: of what the application does.
    pub fn front_stats(&self) -> FrontStats {
        self.all_stats().1
    }

    /// [`Bayeux::stats`] and [`Bayeux::front_stats`] under the names that monitoring systems give
    /// them. The histogram [`Stats::delivery`] is not among them.
    pub fn figures(&self) -> Vec<Figure> {
        let (stats, front) = self.all_stats();
        figures(&stats, front)
    }

    pub(super) fn all_stats(&self) -> (Stats, FrontStats) {
        let state = self.lock();
        let (calls, refused_calls) = state.calls.counts();
        let untold_events = state.untold_events();
        (state.server.stats(), FrontStats { calls, refused_calls, untold_events })
    }
}

pub(super) fn figures(stats: &Stats, front: FrontStats) -> Vec<Figure> {
    // Nothing is forgotten here: each field has a name.
    let FrontStats { calls, refused_calls, untold_events } = front;
    let mut figures = stats.figures();
    figures.extend([
        Figure::gauge("bayeux_calls", "Remote calls in progress.", calls),
        Figure::counter(
            "bayeux_calls_refused_total",
            "Remote calls refused because there were too many.",
            refused_calls,
        ),
        Figure::gauge(
            "bayeux_untold_events",
            "Events that handlers were not told yet.",
            untold_events,
        ),
    ]);
    figures
}
