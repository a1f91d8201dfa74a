//! The core in time and allocations, in steady state: `cargo bench -p bayeux-core --bench core`.
//!
//! The columns are for one step; what is given in items per second is per delivery, message or tick.
//! Where a bench has sizes as arguments, it shows how costs grow.

#[path = "../scenarios/mod.rs"]
mod scenarios;

mod codec;
mod growth;
mod publish;
mod sessions;
mod timers;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use scenarios::Scenario;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn run(bencher: Bencher<'_, '_>, mut scenario: Scenario) {
    bencher.counter(ItemsCount::new(scenario.items)).bench_local(|| scenario.step());
}
