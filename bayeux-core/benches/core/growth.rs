//! What must not be felt: others.

use divan::{Bencher, bench};

use crate::run;
use crate::scenarios::publish;

#[bench(args = [0, 1_000, 10_000, 100_000])]
fn publish_to_10_beside(bencher: Bencher<'_, '_>, others: usize) {
    run(bencher, publish::in_a_crowd(others));
}
