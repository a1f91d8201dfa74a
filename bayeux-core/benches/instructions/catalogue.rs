//! What is counted, and which costs must not grow.

use bayeux_core::Transport;

use crate::scenarios::{Scenario, codec, publish, sessions, timers};

/// A scenario with a name, and how often its step is done to count it.
pub(crate) struct Counted {
    pub(crate) name: &'static str,
    pub(crate) steps: usize,
    pub(crate) scenario: fn() -> Scenario,
}

const fn counted(name: &'static str, steps: usize, scenario: fn() -> Scenario) -> Counted {
    Counted { name, steps, scenario }
}

/// Numbers in names are those of subscribers, events or others; counts are for one item of a step. An
/// expiry is one with the handshake of the session that follows, a subscription is made and ended, and
/// so is a session.
pub(crate) const CATALOGUE: &[Counted] = &[
    // The slowest to set up first, since they are counted side by side.
    counted("publish to 10 beside 100000", 50, || publish::in_a_crowd(100_000)),
    counted("publish to 10000 connects", 1, || publish::to_connects(10_000)),
    counted("publish to 10000 sockets", 1, || publish::to_sockets(10_000)),
    counted("publish to 10 beside 10000", 50, || publish::in_a_crowd(10_000)),
    counted("publish to 10 beside 1000", 50, || publish::in_a_crowd(1_000)),
    counted("publish to 1 socket", 100, || publish::to_sockets(1)),
    counted("publish to 10 sockets", 50, || publish::to_sockets(10)),
    counted("publish to 100 sockets", 20, || publish::to_sockets(100)),
    counted("publish to 1 connect", 100, || publish::to_connects(1)),
    counted("publish to 100 connects", 20, || publish::to_connects(100)),
    counted("tick beside 100", 100, || timers::idle_tick(100)),
    counted("tick beside 20000", 100, || timers::idle_tick(20_000)),
    counted("expiry beside 100", 200, || timers::expiry(100)),
    counted("expiry beside 20000", 200, || timers::expiry(20_000)),
    counted("heartbeat beside 100", 200, || timers::heartbeat(100)),
    counted("heartbeat beside 5000", 200, || timers::heartbeat(5_000)),
    counted("session over HTTP", 100, || sessions::come_and_go(Transport::LongPolling)),
    counted("session over WebSocket", 100, || sessions::come_and_go(Transport::WebSocket)),
    counted("subscription beside 1", 100, || sessions::subscribe(1)),
    counted("subscription beside 5000", 100, || sessions::subscribe(5_000)),
    counted("decode connect", 100, codec::decode_connect),
    counted("decode publish", 100, codec::decode_publish),
    counted("decode batch", 20, codec::decode_batch),
    counted("encode 1 event", 100, || codec::encode_events(1)),
    counted("encode 10 events", 100, || codec::encode_events(10)),
    counted("encode connect reply", 100, codec::encode_reply),
];

/// What may cost at most so many times as much as what: lookups in trees grow a little, all else
/// must not.
const FLAT: &[(&str, &str, f64)] = &[
    ("publish to 10 beside 1000", "publish to 10 sockets", 1.1),
    ("publish to 10 beside 10000", "publish to 10 sockets", 1.1),
    ("publish to 10 beside 100000", "publish to 10 sockets", 1.1),
    ("publish to 10000 sockets", "publish to 100 sockets", 1.1),
    ("publish to 10000 connects", "publish to 100 connects", 1.1),
    ("tick beside 20000", "tick beside 100", 1.2),
    ("expiry beside 20000", "expiry beside 100", 1.5),
    ("heartbeat beside 5000", "heartbeat beside 100", 1.5),
    ("subscription beside 5000", "subscription beside 1", 1.5),
];

/// What has grown that must not, as far as it was counted.
pub(crate) fn growth(counts: &[(&'static str, f64)]) -> Vec<String> {
    let find = |name| counts.iter().find(|(it, _)| *it == name).map(|(_, count)| *count);
    let mut faults = Vec::new();
    for &(name, base, most) in FLAT {
        let (Some(count), Some(before)) = (find(name), find(base)) else { continue };
        let times = count / before;
        if times > most {
            faults.push(format!(
                "`{name}` takes {times:.2} times the instructions of `{base}`, at most {most}"
            ));
        }
    }
    faults
}
