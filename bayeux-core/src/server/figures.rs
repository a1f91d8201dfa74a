//! [`Figure`]: the server's counters and gauges under the names that monitoring systems give them.

use alloc::vec::Vec;

use super::census::Census;
use super::stats::{Removals, Stats};

/// One number of a server, named in the manner of Prometheus.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Figure {
    /// The name, such as `bayeux_events_sent_total`. All figures of one name stand together.
    pub name: &'static str,
    /// What it is, for people.
    pub help: &'static str,
    /// What sort of number it is.
    pub kind: FigureKind,
    /// What distinguishes figures of the same name: names and values.
    pub labels: Vec<(&'static str, &'static str)>,
    /// The number.
    pub value: u64,
}

/// What sort of number a [`Figure`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FigureKind {
    /// It only grows.
    Counter,
    /// It is what it is now.
    Gauge,
}

impl Figure {
    /// A figure without labels that only grows.
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, help, kind: FigureKind::Counter, labels: Vec::new(), value }
    }

    /// A figure without labels that is what it is now.
    pub fn gauge(name: &'static str, help: &'static str, value: usize) -> Self {
        let value = u64::try_from(value).unwrap_or(u64::MAX);
        Self { name, help, kind: FigureKind::Gauge, labels: Vec::new(), value }
    }

    /// The same with one more label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: &'static str) -> Self {
        self.labels.push((name, value));
        self
    }
}

impl Stats {
    /// Everything but [`Stats::delivery`], which is a histogram, with names and help.
    pub fn figures(&self) -> Vec<Figure> {
        // Nothing is forgotten here: each field has a name.
        let Self {
            sessions: _,
            census,
            browsers,
            channels,
            links,
            sockets,
            questions,
            held,
            added_sessions,
            removed,
            messages_received,
            replies,
            events_queued,
            events_sent,
            events_returned,
            events_dropped,
            events_displaced,
            events_lost,
            delivery: _,
            refused_sessions,
            refused_channels,
            refused_subscriptions,
            refused_questions,
            expired_questions,
            superseded_connects,
            idle_sockets,
            unknown_sessions,
            ignored_inputs,
        } = *self;
        let (counter, gauge) = (Figure::counter, Figure::gauge);
        let mut figures = census_figures(&census);
        figures.extend([
            gauge("bayeux_browsers", "Browsers with sessions.", browsers),
            gauge("bayeux_channels", "Channels and wildcards.", channels),
            gauge("bayeux_links", "Open exchanges and WebSockets.", links),
            gauge("bayeux_websockets", "Open WebSockets.", sockets),
            gauge("bayeux_held_connects", "Connects that are held.", held),
            gauge(
                "bayeux_questions",
                "Questions that the application has not answered.",
                questions,
            ),
            counter("bayeux_sessions_added_total", "Handshakes accepted.", added_sessions),
        ]);
        figures.extend(removed.figures());
        figures.extend([
            counter(
                "bayeux_messages_received_total",
                "Messages received from clients.",
                messages_received,
            ),
            counter(
                "bayeux_messages_unknown_session_total",
                "Messages of sessions that are not known.",
                unknown_sessions,
            ),
        ]);
        let help = "Replies handed over, by their error.";
        let failed = replies.failed().map(|(error, count)| {
            let error = if error.is_empty() { "unspecified" } else { error };
            counter("bayeux_replies_total", help, count).label("error", error)
        });
        figures.push(
            counter("bayeux_replies_total", help, replies.successful()).label("error", "none"),
        );
        figures.extend(failed);
        figures.extend([
            counter("bayeux_events_queued_total", "Events queued for sessions.", events_queued),
            counter("bayeux_events_sent_total", "Events handed over to be sent.", events_sent),
            counter(
                "bayeux_events_returned_total",
                "Events that did not arrive and were queued again.",
                events_returned,
            ),
        ]);
        for (reason, count) in [
            ("queue_full", events_dropped),
            ("displaced", events_displaced),
            ("session_ended", events_lost),
        ] {
            let help = "Events that will not be delivered, by reason.";
            figures
                .push(counter("bayeux_events_dropped_total", help, count).label("reason", reason));
        }
        for (limit, count) in [
            ("sessions", refused_sessions),
            ("channels", refused_channels),
            ("session_subscriptions", refused_subscriptions),
            ("questions", refused_questions),
        ] {
            let help = "What was refused because a limit was reached.";
            figures.push(counter("bayeux_refused_total", help, count).label("limit", limit));
        }
        figures.extend([
            counter(
                "bayeux_questions_expired_total",
                "Questions that the application did not answer in time.",
                expired_questions,
            ),
            counter(
                "bayeux_connects_superseded_total",
                "Connects that were answered because there was a newer one.",
                superseded_connects,
            ),
            counter(
                "bayeux_websockets_idle_total",
                "WebSockets closed because their peer was silent.",
                idle_sockets,
            ),
            counter(
                "bayeux_inputs_ignored_total",
                "Inputs about what was gone already.",
                ignored_inputs,
            ),
        ]);
        figures
    }
}

fn census_figures(census: &Census) -> Vec<Figure> {
    let help = "Sessions by transport and state.";
    let sessions = census.all().map(|(transport, state, count)| {
        Figure::gauge("bayeux_sessions", help, count)
            .label("transport", transport.name())
            .label("state", state.name())
    });
    let mut figures: Vec<_> = sessions.collect();
    figures.extend([
        Figure::gauge(
            "bayeux_queue_events",
            "Events in the queues of all sessions.",
            census.queue_events(),
        ),
        Figure::gauge(
            "bayeux_queue_bytes",
            "What the events in queues cost, each copy counted.",
            census.queue_bytes(),
        ),
    ]);
    figures
}

impl Removals {
    fn figures(self) -> impl Iterator<Item = Figure> {
        let Self {
            disconnected,
            disconnected_by_server,
            expired,
            expired_unconnected,
            overflowed,
            inactive,
        } = self;
        let reasons = [
            ("disconnected", disconnected),
            ("disconnected_by_server", disconnected_by_server),
            ("expired", expired),
            ("expired_unconnected", expired_unconnected),
            ("overflowed", overflowed),
            ("inactive", inactive),
        ];
        reasons.into_iter().map(|(reason, count)| {
            let help = "Sessions that ended, by reason.";
            Figure::counter("bayeux_sessions_removed_total", help, count).label("reason", reason)
        })
    }
}
