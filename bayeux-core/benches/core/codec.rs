//! Texts and parcels.

use divan::{Bencher, bench};

use crate::run;
use crate::scenarios::codec;

#[bench]
fn decode_connect(bencher: Bencher<'_, '_>) {
    run(bencher, codec::decode_connect());
}

#[bench]
fn decode_publish(bencher: Bencher<'_, '_>) {
    run(bencher, codec::decode_publish());
}

#[bench]
fn decode_batch_of_10(bencher: Bencher<'_, '_>) {
    run(bencher, codec::decode_batch());
}

#[bench(args = [1, 10])]
fn encode_events(bencher: Bencher<'_, '_>, count: usize) {
    run(bencher, codec::encode_events(count));
}

#[bench]
fn encode_connect_reply(bencher: Bencher<'_, '_>) {
    run(bencher, codec::encode_reply());
}
