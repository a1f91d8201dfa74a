//! [`Metrics`]: the server's figures for the `metrics` facade (feature `metrics`).
//!
//! The server counts in plain numbers of its own; this copies them to whatever recorder the program
//! has installed, when it is told to. So counting costs the same with and without a recorder.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::sync::{Mutex, PoisonError};

use metrics::{Key, KeyName, Label, Level, Metadata, SharedString, Unit};

use super::Bayeux;
use super::figures::figures;
use crate::server::{Figure, FigureKind, Latencies};

/// The histogram of [`Stats::delivery`](crate::Stats::delivery), in seconds.
const DELIVERY: &str = "bayeux_delivery_seconds";
const METADATA: Metadata<'static> = Metadata::new("bayeux_core", Level::INFO, Some(module_path!()));

/// Tells the `metrics` facade what a server counts: everything in [`Bayeux::figures`], and
/// `bayeux_delivery_seconds`, how long events were queued before they were handed over.
///
/// Each waiting time is recorded as the bound in [`Latencies`] that it does not exceed. An exporter
/// that keeps buckets should be given these bounds; see [`Metrics::bounds`].
///
/// ```no_run
/// # use bayeux_core::front::{Bayeux, Metrics};
/// # fn page(bayeux: &Bayeux, render: impl Fn() -> String) -> String {
/// let metrics = Metrics::new(bayeux.clone());
/// // Whenever somebody asks, or every few seconds:
/// metrics.update();
/// # render()
/// # }
/// ```
/// Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Metrics {
    bayeux: Bayeux,
    labels: Vec<Label>,
    /// What was recorded so far.
    recorded: Arc<Mutex<Latencies>>,
}

impl Metrics {
    /// Nothing is told before the first [`Metrics::update`]. A server has one of these: a second
    /// one would record the waiting times again.
    pub fn new(bayeux: Bayeux) -> Self {
        Self { bayeux, labels: Vec::new(), recorded: Arc::default() }
    }

    /// Adds a label to all figures: what distinguishes this server from others in the program.
    #[must_use]
    pub fn label(mut self, name: impl Into<SharedString>, value: impl Into<SharedString>) -> Self {
        self.labels.push(Label::new(name, value));
        self
    }

    /// The bounds of the histogram's buckets, in seconds.
    pub fn bounds() -> Vec<f64> {
        Latencies::default().buckets().filter_map(|(bound, _)| Some(bound?.as_secs_f64())).collect()
    }

    /// Tells the recorder what the numbers are now: the one that is local to the thread, or else
    /// the program's. It must be there by now: waiting times are told only once.
    pub fn update(&self) {
        let (stats, calls, news) = {
            // Locked first: of two updates at a time, the later one knows what the other tells.
            let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
            let (stats, calls) = self.bayeux.all_stats();
            let news = stats.delivery.since(&recorded);
            *recorded = stats.delivery;
            (stats, calls, news)
        };
        let mut told = "";
        for figure in figures(&stats, calls) {
            // Figures of one name stand together.
            if told != figure.name {
                describe(&figure);
                told = figure.name;
            }
            self.tell(figure);
        }
        self.record(&news);
    }

    fn tell(&self, figure: Figure) {
        let Figure { name, kind, labels, value, .. } = figure;
        let labels = labels.into_iter().map(|(name, value)| Label::new(name, value));
        let key = self.key(name, labels);
        metrics::with_recorder(|recorder| match kind {
            FigureKind::Counter => recorder.register_counter(&key, &METADATA).absolute(value),
            // Gauges are floating point numbers there; these are far below 2⁵³.
            FigureKind::Gauge => recorder.register_gauge(&key, &METADATA).set(value as f64),
        });
    }

    fn record(&self, news: &Latencies) {
        metrics::with_recorder(|recorder| {
            let name = KeyName::from_const_str(DELIVERY);
            let help = "How long events were queued before they were first handed over.";
            recorder.describe_histogram(name, Some(Unit::Seconds), help.into());
            let key = self.key(DELIVERY, []);
            let histogram = recorder.register_histogram(&key, &METADATA);
            let mut seconds = 0.0;
            for (bound, count) in news.buckets() {
                // What is above all bounds counts as twice the highest one.
                seconds = bound.map_or(seconds * 2.0, |bound| bound.as_secs_f64());
                if let (1.., Ok(count)) = (count, usize::try_from(count)) {
                    histogram.record_many(seconds, count);
                }
            }
        });
    }

    fn key(&self, name: &'static str, labels: impl IntoIterator<Item = Label>) -> Key {
        let all: Vec<_> = self.labels.iter().cloned().chain(labels).collect();
        Key::from_parts(name, all)
    }
}

fn describe(figure: &Figure) {
    let (name, help) = (KeyName::from_const_str(figure.name), figure.help.into());
    metrics::with_recorder(|recorder| match figure.kind {
        FigureKind::Counter => recorder.describe_counter(name, None, help),
        FigureKind::Gauge => recorder.describe_gauge(name, None, help),
    });
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("labels", &self.labels).finish_non_exhaustive()
    }
}
