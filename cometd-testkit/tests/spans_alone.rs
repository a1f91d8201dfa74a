//! Spans when nobody wants anything else, not even what happens within them. How much is wanted is
//! known for the whole process, so this is one of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use bayeux_core::front::Bayeux;
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::Client;
use serde_json::json;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

static SERVER: OnceLock<Bayeux> = OnceLock::new();
static MADE: AtomicU64 = AtomicU64::new(0);
static CLOSED: AtomicU64 = AtomicU64::new(0);

/// Looks at the server whenever it is called.
struct Looking;

fn look() {
    SERVER.get().map(Bayeux::stats);
}

impl Subscriber for Looking {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        look();
        Id::from_u64(MADE.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        panic!("{event:?} is not wanted");
    }

    fn enter(&self, _: &Id) {
        look();
    }

    fn exit(&self, _: &Id) {
        look();
    }

    fn clone_span(&self, id: &Id) -> Id {
        look();
        id.clone()
    }

    fn try_close(&self, _: Id) -> bool {
        look();
        CLOSED.fetch_add(1, Ordering::Relaxed);
        true
    }
}

#[test]
fn the_last_that_is_known_of_a_span_does_not_go_away_under_the_lock() {
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        tracing::subscriber::set_global_default(Looking).unwrap();
        let sim = Sim::new(1);
        let bayeux = SERVER.get_or_init(|| sim.start(Bayeux::builder()).unwrap());
        let client = Client::new(&sim, bayeux);
        let id = client.open();
        client.send(&json!([{ "channel": "/meta/disconnect", "clientId": id }]));
        // Another one expires.
        client.open();
        sim.advance(Duration::from_secs(60));
        tx.send(()).unwrap();
    });
    rx.recv_timeout(Duration::from_secs(20)).expect("no deadlock, no panic");
    assert_eq!((MADE.load(Ordering::Relaxed), CLOSED.load(Ordering::Relaxed)), (2, 2));
}
