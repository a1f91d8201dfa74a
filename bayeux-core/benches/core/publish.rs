//! A publish, by how many hear it.

use divan::{Bencher, bench};

use crate::run;
use crate::scenarios::publish;

#[bench(args = [1, 10, 100, 1_000, 10_000])]
fn to_sockets(bencher: Bencher<'_, '_>, subscribers: usize) {
    run(bencher, publish::to_sockets(subscribers));
}

/// With one subscriber: a connect that is held, answered, and sent again.
#[bench(args = [1, 10, 100, 1_000, 10_000])]
fn to_held_connects(bencher: Bencher<'_, '_>, subscribers: usize) {
    run(bencher, publish::to_connects(subscribers));
}
