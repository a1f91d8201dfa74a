//! [`Tally`]: what all clients of a run have met with.

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;

use super::cursor::Arrival;
use super::stamp::Stamp;

/// The longest latency that is told from longer ones: ten minutes, in nanoseconds.
const LONGEST: u64 = 600_000_000_000;

/// Significant digits of latencies.
const DIGITS: u8 = 3;

pub(super) struct Tally {
    /// Nanoseconds since the run began, when the bytes that are being looked at were read.
    pub(super) now: u64,
    /// Latencies of what is due in this time are measured.
    pub(super) due: Range<u64>,
    /// What arrives in this time is counted.
    pub(super) counted: Range<u64>,
    pub(super) latencies: Histogram<u64>,
    /// Deliveries that are still to come, if none is lost.
    pub(super) outstanding: u64,
    /// Deliveries since the run began.
    pub(super) delivered: u64,
    /// Deliveries that arrived while it was measured.
    pub(super) deliveries: u64,
    /// Texts and responses that brought something while it was measured.
    pub(super) texts: u64,
    pub(super) duplicated: u64,
    pub(super) overtaken: u64,
    pub(super) crossed: u64,
    /// Publishes that were answered with an error.
    pub(super) refused: u64,
    pub(super) sessions_lost: u64,
    /// Deliveries that lost sessions had still to get.
    pub(super) given_up: u64,
    /// What went wrong, and how often.
    pub(super) troubles: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        #[allow(clippy::expect_used, reason = "bounds and digits are constants that fit")]
        let latencies = Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("bounds that fit");
        Self {
            now: 0,
            due: u64::MAX..u64::MAX,
            counted: u64::MAX..u64::MAX,
            latencies,
            outstanding: 0,
            delivered: 0,
            deliveries: 0,
            texts: 0,
            duplicated: 0,
            overtaken: 0,
            crossed: 0,
            refused: 0,
            sessions_lost: 0,
            given_up: 0,
            troubles: BTreeMap::new(),
        }
    }

    /// A message for a subscriber.
    pub(super) fn arrived(&mut self, stamp: Stamp, arrival: Arrival) {
        match arrival {
            Arrival::Again => {
                self.duplicated += 1;
                return;
            }
            Arrival::Overtaken => self.overtaken += 1,
            Arrival::Crossed => self.crossed += 1,
            Arrival::Foreign => {
                self.trouble("a message of another run on the same channel".to_owned());
                return;
            }
            Arrival::Well => {}
        }
        self.delivery(stamp.due);
    }

    /// Something has come that was due at that time.
    pub(super) fn delivery(&mut self, due: u64) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.delivered += 1;
        if self.counted.contains(&self.now) {
            self.deliveries += 1;
        }
        if self.due.contains(&due) {
            self.latencies.saturating_record(self.now.saturating_sub(due).max(1));
        }
    }

    pub(super) fn text(&mut self) {
        if self.counted.contains(&self.now) {
            self.texts += 1;
        }
    }

    pub(super) fn trouble(&mut self, what: String) {
        // What a server says in its errors may differ each time.
        if self.troubles.len() < 20 || self.troubles.contains_key(&what) {
            *self.troubles.entry(what).or_default() += 1;
        }
    }
}
