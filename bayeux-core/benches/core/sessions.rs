//! Sessions and subscriptions that come and go.

use bayeux_core::Transport;
use divan::{Bencher, bench};

use crate::run;
use crate::scenarios::sessions;

#[bench(args = [Transport::LongPolling, Transport::WebSocket])]
fn handshake_and_disconnect(bencher: Bencher<'_, '_>, transport: Transport) {
    run(bencher, sessions::come_and_go(transport));
}

#[bench(args = [1, 10_000])]
fn subscribe_and_unsubscribe(bencher: Bencher<'_, '_>, others: usize) {
    run(bencher, sessions::subscribe(others));
}
