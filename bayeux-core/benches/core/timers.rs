//! Ticks, by how many sessions wait for something.

use divan::{Bencher, bench};

use crate::run;
use crate::scenarios::timers;

#[bench(args = [1_000, 1_000_000])]
fn tick_with_nothing_due(bencher: Bencher<'_, '_>, sessions: usize) {
    run(bencher, timers::idle_tick(sessions));
}

#[bench(args = [1_000, 1_000_000])]
fn expiry_and_handshake(bencher: Bencher<'_, '_>, sessions: usize) {
    run(bencher, timers::expiry(sessions));
}

#[bench(args = [100, 100_000])]
fn heartbeat(bencher: Bencher<'_, '_>, sessions: usize) {
    run(bencher, timers::heartbeat(sessions));
}
