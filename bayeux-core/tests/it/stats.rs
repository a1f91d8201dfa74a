//! What the server counts, and what it makes of it.

use std::collections::BTreeSet;
use std::time::Duration;

use bayeux_core::{
    BayeuxError, Command, FigureKind, Input, Latencies, SessionState, Stats, Transport,
};
use serde_json::json;

use crate::bench::{Bench, connect, data, publish, subscribe};

fn waits(latencies: &Latencies) -> Vec<(u64, u64)> {
    let counted = latencies.buckets().filter(|(_, count)| *count > 0);
    counted.map(|(bound, count)| (bound.unwrap().as_millis() as u64, count)).collect()
}

fn sessions(bench: &Bench) -> Vec<(SessionState, usize)> {
    let census = bench.server.stats().census;
    let counted = census.all().filter(|(_, _, count)| *count > 0);
    counted
        .map(|(transport, state, count)| {
            assert_eq!(transport, Transport::LongPolling);
            (state, count)
        })
        .collect()
}

#[test]
fn an_events_wait_ends_when_it_is_first_handed_over() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    bench.publish("/a", json!(1));
    bench.pass(300);
    let held = bench.post(Some(&visitor), &connect(&visitor));
    assert_eq!(data(&bench.answer(held).unwrap()), [json!(1)]);
    let delivery = bench.server.stats().delivery;
    assert_eq!((waits(&delivery), delivery.sum()), (vec![(512, 1)], Duration::from_millis(300)));
    bench.pass(5_000);
    bench.input(Input::Sent { link: held, delivered: false });
    assert_eq!(data(&bench.send(&visitor, &connect(&visitor))), [json!(1)]);
    assert_eq!(bench.server.stats().delivery, delivery, "it is not counted again");
}

#[test]
fn what_was_still_queued_when_a_session_ended_is_lost_and_counted() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    bench.publish("/a", json!(1));
    bench.publish("/a", json!(2));
    let stats = bench.server.stats();
    assert_eq!((stats.census.queue_events(), stats.events_lost), (2, 0));
    assert!(stats.census.queue_bytes() > 2);
    bench.pass(3_600_000);
    let stats = bench.server.stats();
    assert_eq!((stats.census.queue_events(), stats.census.queue_bytes()), (0, 0));
    assert_eq!((stats.events_lost, stats.removed.expired), (2, 1));
    assert!(bench.server.session(visitor.session()).is_none());
}

#[test]
fn sessions_are_counted_by_what_they_do() {
    let mut bench = Bench::new();
    let visitor = bench.newcomer(&json!(null));
    assert_eq!(sessions(&bench), [(SessionState::Handshaken, 1)]);
    bench.send(&visitor, &connect(&visitor));
    assert_eq!(sessions(&bench), [(SessionState::Waiting, 1)]);
    let held = bench.hold(&visitor);
    assert_eq!(sessions(&bench), [(SessionState::Held, 1)]);
    assert_eq!(bench.server.stats().held, 1);
    bench.deliver(&visitor, json!(1));
    bench.take(held);
    assert_eq!(sessions(&bench), [(SessionState::Waiting, 1)]);
    bench.command(Command::Disconnect { session: visitor.session() });
    assert_eq!(sessions(&bench), [(SessionState::Ended, 1)]);
    bench.send(&visitor, &connect(&visitor));
    assert_eq!(sessions(&bench), []);
    bench.newcomer(&json!(null));
    bench.pass(3_600_000);
    let stats = bench.server.stats();
    let removed = stats.removed;
    assert_eq!((removed.disconnected_by_server, removed.expired_unconnected), (1, 1));
    assert_eq!((removed.expired, stats.added_sessions), (0, 2));
}

#[test]
fn replies_are_counted_by_their_error() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let before = bench.server.stats().replies;
    bench.send(&visitor, &publish(&visitor, "/a", json!(1)));
    bench.send(&visitor, &publish(&visitor, "/a/*", json!(1)));
    bench.send(&visitor, &json!([{ "channel": "/b", "clientId": "00", "data": 1 }]));
    let replies = bench.server.stats().replies;
    assert_eq!(replies.successful() - before.successful(), 1);
    assert_eq!(replies.failed_with(&BayeuxError::SESSION_UNKNOWN), 1);
    let failed: u64 = replies.failed().map(|(_, count)| count).sum();
    assert_eq!(failed, 2);
}

/// Prometheus' rules for names, and that no two figures are the same one.
#[test]
fn figures_have_names_of_their_own() {
    let figures = Stats::default().figures();
    let mut seen = BTreeSet::new();
    let (mut names, mut last) = (BTreeSet::new(), "");
    for figure in &figures {
        assert!(seen.insert((figure.name, figure.labels.clone())), "{figure:?}");
        assert!(figure.name == last || names.insert(figure.name), "{figure:?} stands apart");
        last = figure.name;
        let is_total = figure.name.ends_with("_total");
        assert_eq!(is_total, figure.kind == FigureKind::Counter, "{figure:?}");
        assert!(figure.help.ends_with('.'), "{figure:?}");
    }
    assert!(figures.len() > 50);
}

#[test]
fn every_event_that_was_queued_is_accounted_for() {
    let mut bench = Bench::new();
    let mut visitors = Vec::new();
    for _ in 0..3 {
        visitors.push(bench.subscriber("/a"));
    }
    bench.publish("/a", json!(1));
    bench.send(&visitors[0], &connect(&visitors[0]));
    for visitor in &visitors[..2] {
        bench.command(Command::Disconnect { session: visitor.session() });
        bench.send(visitor, &connect(visitor));
    }
    bench.pass(3_600_000);
    let stats = bench.server.stats();
    let gone = stats.events_sent - stats.events_returned + stats.events_lost;
    assert_eq!((stats.events_queued, gone), (3, 3), "farewells are none");
    assert_eq!(stats.delivery.count(), stats.events_sent);
}

#[test]
fn sent_is_not_more_than_queued() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    bench.command(Command::Disconnect { session: visitor.session() });
    bench.send(&visitor, &connect(&visitor));
    let stats = bench.server.stats();
    assert_eq!((stats.events_queued, stats.events_sent, stats.delivery.count()), (0, 0, 0));
}

fn balance(stats: &Stats) -> (u64, u64) {
    let left = stats.census.queue_events() as u64;
    let gone =
        stats.events_sent - stats.events_returned + stats.events_lost + stats.events_displaced;
    (stats.events_queued, gone + left)
}

#[test]
fn every_event_is_somewhere() {
    let mut bench = Bench::new();
    let link = bench.socket();
    let guest = bench.guest(link);
    bench.call(link, &subscribe(&guest, "/a"));
    bench.publish("/a", json!(0));
    assert!(bench.answer(link).is_some(), "being written");
    bench.publish("/a", json!(1));
    bench.publish("/a", json!(2));
    bench.tell(link, &json!([{"channel": "/meta/disconnect", "clientId": guest.id, "id": "d"}]));
    bench.drain();
    bench.input(Input::Close { link });
    bench.drain();
    let stats = bench.server.stats();
    let (queued, found) = balance(&stats);
    assert_eq!(
        queued, found,
        "sent {} returned {} lost {}",
        stats.events_sent, stats.events_returned, stats.events_lost
    );
}
