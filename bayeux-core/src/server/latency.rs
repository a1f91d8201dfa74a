//! [`Latencies`]: how long events wait in queues, as a histogram that costs nothing to keep.

use core::time::Duration;

/// How many bounds there are.
const BOUNDS: usize = 20;
/// The lowest bound, in microseconds; each of the others is twice the one before.
const LOWEST: u64 = 125;

/// A histogram of waiting times with fixed bounds: 125 µs, 250 µs, 500 µs, 1 ms and so on, doubling
/// up to 65.536 s.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Latencies {
    /// How many were at most the bound of the same index and longer than the one before.
    counts: [u64; BOUNDS],
    /// How many were longer than the highest bound.
    above: u64,
    /// In microseconds.
    sum: u64,
}

impl Latencies {
    /// Counts one waiting time.
    pub(super) fn record(&mut self, waited: Duration) {
        let micros = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        self.sum = self.sum.saturating_add(micros);
        // The exponent of the first bound that is not below.
        let steps = micros.div_ceil(LOWEST).max(1).next_power_of_two().trailing_zeros();
        *self.counts.get_mut(steps as usize).unwrap_or(&mut self.above) += 1;
    }

    /// The bounds with how many waited at most that long and longer than the bound before; at the
    /// end, without a bound, those who waited longer than all of them.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = (0..BOUNDS).map(|at| Some(Duration::from_micros(LOWEST << at)));
        let above = core::iter::once((None, self.above));
        bounds.zip(self.counts).chain(above)
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.above
    }

    /// How long they waited together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum)
    }

    /// How long one waited on average; zero if there was none.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.sum.checked_div(self.count()).unwrap_or(0))
    }

    /// The bound that a share of `quantile` (0 to 1) did not exceed; `None` if there was none, or
    /// it is above all bounds.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        let mut seen = 0;
        for (bound, counted) in self.buckets() {
            seen += counted;
            // Counts are far below 2⁵³, where an f64 begins to lose ones.
            if seen > 0 && seen as f64 >= quantile * count as f64 {
                return bound;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn recorded(micros: &[u64]) -> Latencies {
        let mut latencies = Latencies::default();
        micros.iter().for_each(|&it| latencies.record(Duration::from_micros(it)));
        latencies
    }

    #[test]
    fn each_time_is_counted_at_the_first_bound_that_it_does_not_exceed() {
        for (micros, bound) in [
            (0, Some(125)),
            (125, Some(125)),
            (126, Some(250)),
            (1_000, Some(1_000)),
            (1_001, Some(2_000)),
            (65_536_000, Some(65_536_000)),
            (65_536_001, None),
            (u64::MAX, None),
        ] {
            let latencies = recorded(&[micros]);
            let counted: Vec<_> = latencies.buckets().filter(|(_, count)| *count > 0).collect();
            assert_eq!(counted, [(bound.map(Duration::from_micros), 1)], "{micros} µs");
        }
        assert_eq!(recorded(&[]).buckets().count(), 21);
    }

    #[test]
    fn quantiles_and_means_are_of_what_was_counted() {
        let latencies = recorded(&[100, 100, 100, 900]);
        assert_eq!((latencies.count(), latencies.sum()), (4, Duration::from_micros(1_200)));
        assert_eq!(latencies.mean(), Duration::from_micros(300));
        assert_eq!(latencies.quantile(0.75), Some(Duration::from_micros(125)));
        assert_eq!(latencies.quantile(0.76), Some(Duration::from_millis(1)));
        assert_eq!(recorded(&[]).quantile(0.5), None);
        assert_eq!(recorded(&[]).mean(), Duration::ZERO);
    }
}
