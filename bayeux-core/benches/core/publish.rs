//! A publish, by how many hear it.

use std::cell::RefCell;

use bayeux_core::Transport;
use divan::counter::ItemsCount;
use divan::{Bencher, bench};

use crate::run;
use crate::scenarios::publish::{self, Audience};
use crate::scenarios::rig::Rig;

/// The publish alone, for as long as it holds the lock: what is queued leaves between the samples.
#[bench(args = [1, 10, 100, 1_000, 10_000], sample_size = 1)]
fn into_queues(bencher: Bencher<'_, '_>, subscribers: usize) {
    let mut audience = Audience::new(Rig::new(), Transport::WebSocket, subscribers);
    (0..3).for_each(|_| audience.round());
    let audience = RefCell::new(audience);
    bencher
        .counter(ItemsCount::new(subscribers))
        .with_inputs(|| audience.borrow_mut().rig.settle())
        .bench_local_values(|_| audience.borrow_mut().publish());
}

#[bench(args = [1, 10, 100, 1_000, 10_000])]
fn to_sockets(bencher: Bencher<'_, '_>, subscribers: usize) {
    run(bencher, publish::to_sockets(subscribers));
}

/// With one subscriber: a connect that is held, answered, and sent again.
#[bench(args = [1, 10, 100, 1_000, 10_000])]
fn to_held_connects(bencher: Bencher<'_, '_>, subscribers: usize) {
    run(bencher, publish::to_connects(subscribers));
}
