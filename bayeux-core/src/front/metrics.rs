//! [`Metrics`]: the server's figures for the `metrics` facade (feature `metrics`).
//!
//! The server counts in plain numbers of its own; this copies them to whatever recorder the program
//! has installed, when it is told to. So counting costs the same with and without a recorder, and an
//! update costs the same however much was counted.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use metrics::{Key, KeyName, Label, Level, Metadata, Unit};

use super::Bayeux;
use super::figures::figures;
use crate::server::{Figure, FigureKind, Latencies};

const METADATA: Metadata<'static> = Metadata::new("bayeux_core", Level::INFO, Some(module_path!()));

/// Tells the `metrics` facade what a server counts: everything in [`Bayeux::figures`], and
/// [`Stats::delivery`](crate::Stats::delivery) as Prometheus has histograms, which are counters
/// there: `bayeux_delivery_seconds_bucket`, with the bound in the label `le`, and
/// `bayeux_delivery_seconds_count`; `bayeux_delivery_seconds_sum` is a gauge, since the facade's
/// counters are whole numbers.
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
#[derive(Clone)]
pub struct Metrics {
    bayeux: Bayeux,
    labels: Vec<Label>,
}

impl Metrics {
    /// Nothing is told before the first [`Metrics::update`].
    pub fn new(bayeux: Bayeux) -> Self {
        Self { bayeux, labels: Vec::new() }
    }

    /// Adds a label to all figures: what distinguishes this server from others in the program.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push(Label::new(name.into(), value.into()));
        self
    }

    /// Tells the recorder what the numbers are now: the one that is local to the thread, or else
    /// the program's.
    pub fn update(&self) {
        let (stats, front) = self.bayeux.all_stats();
        let mut told = "";
        for figure in figures(&stats, front) {
            // Figures of one name stand together.
            if told != figure.name {
                describe(&figure);
                told = figure.name;
            }
            self.tell(figure);
        }
        self.tell_delivery(&stats.delivery);
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

    fn tell_delivery(&self, delivery: &Latencies) {
        let [bucket, count, sum] = [
            "bayeux_delivery_seconds_bucket",
            "bayeux_delivery_seconds_count",
            "bayeux_delivery_seconds_sum",
        ];
        let help = "How long events were queued before they were first handed over.";
        metrics::with_recorder(|recorder| {
            let unit = Some(Unit::Seconds);
            for name in [bucket, count] {
                recorder.describe_counter(KeyName::from_const_str(name), unit, help.into());
            }
            recorder.describe_gauge(KeyName::from_const_str(sum), unit, help.into());
            let mut at_most = 0;
            for (bound, counted) in delivery.buckets() {
                at_most += counted;
                let bound =
                    bound.map_or("+Inf".to_string(), |bound| bound.as_secs_f64().to_string());
                let key = self.key(bucket, [Label::new("le", bound)]);
                recorder.register_counter(&key, &METADATA).absolute(at_most);
            }
            let key = self.key(count, []);
            recorder.register_counter(&key, &METADATA).absolute(delivery.count());
            let key = self.key(sum, []);
            recorder.register_gauge(&key, &METADATA).set(delivery.sum().as_secs_f64());
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
