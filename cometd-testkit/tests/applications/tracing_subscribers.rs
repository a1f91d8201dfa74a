//! Subscribers that use the server which they are told about, and subscribers that misbehave.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bayeux_core::Config;
use bayeux_core::front::{Bayeux, Incoming};
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::{Client, connect, publish, subscribe};
use serde_json::json;
use tracing::Level;

use crate::recorder::Recording;

/// Recordings belong to a thread, so everything that is to be recorded has to be in `act`.
fn without_deadlock(act: impl FnOnce() + Send + 'static) {
    let (tx, rx) = mpsc::channel();
    let acting = std::thread::spawn(move || {
        act();
        tx.send(()).unwrap();
    });
    match rx.recv_timeout(Duration::from_secs(20)) {
        Ok(()) => {}
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("a deadlock"),
        Err(mpsc::RecvTimeoutError::Disconnected) => acting.join().unwrap(),
    }
}

/// All kinds of things that are logged, in all kinds of turns.
fn exercise(sim: &Sim, bayeux: &Bayeux) {
    bayeux.on_event(|_| async {});
    let (client, other) = (Client::new(sim, bayeux), Client::new(sim, bayeux));
    let socket = other.socket();
    let (id, second) = (client.open(), socket.open("/a"));
    let waits = sim.clone();
    bayeux.channel("/a").unwrap().on_message(move |incoming: Incoming| {
        let sleep = waits.sleep(Duration::from_secs(1));
        async move {
            sleep.await;
            incoming.sender().map(|it| it.disconnect()).map(drop)
        }
    });
    client.send(&json!([subscribe(&id, "/a"), publish(&id, "not a channel", 1)]));
    let held = client.post(&json!([connect(&id)]));
    socket.send(&json!([publish(&second, "/a", 1)]));
    assert_eq!(held.wait().messages()[0]["data"], 1);
    let held = client.post(&json!([connect(&id)]));
    held.lose();
    sim.advance(Duration::from_secs(60));
    let server = bayeux.clone();
    let local = sim.block_on(async move { server.local_session().await }).unwrap();
    (0..3).for_each(|_| drop(local.session().deliver("/a", &1)));
    drop(local);
    sim.settle();
    bayeux.drain(Duration::ZERO);
    drop(socket);
    sim.settle();
}

fn world() -> (Sim, Bayeux) {
    let sim = Sim::new(17);
    let mut config = Config::default();
    config.limits.queue_messages = 2;
    let bayeux = sim.start(Bayeux::builder().config(config)).unwrap();
    (sim, bayeux)
}

#[test]
fn a_subscriber_may_call_the_server_whenever_it_is_called() {
    without_deadlock(|| {
        let log = Recording::start(Level::TRACE);
        let (sim, bayeux) = world();
        let (server, calls) = (bayeux.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&calls);
        log.react(move |_| {
            server.stats();
            counted.fetch_add(1, Ordering::Relaxed);
        });
        exercise(&sim, &bayeux);
        let lines = log.lines();
        assert!(calls.load(Ordering::Relaxed) > lines.len());
        for word in [
            "open bayeux:session",
            "close bayeux:session",
            "session added",
            "reason=Disconnected",
            "reason=DisconnectedByServer",
            "reason=Overflowed",
            "reason=Expired",
            " subscribed",
            "unsubscribed",
            "message refused",
            "connect suspended",
            "cause=Events",
            "cause=ConnectionLost",
        ] {
            assert!(lines.iter().any(|it| it.contains(word)), "no {word} in {lines:#?}");
        }
        assert_eq!((log.open().len(), log.entered()), (0, 0));
    });
}

#[test]
fn a_subscriber_may_publish_what_it_is_told_on_a_channel() {
    thread_local!(static PUBLISHING: Cell<bool> = const { Cell::new(false) });
    without_deadlock(|| {
        let log = Recording::start(Level::TRACE);
        let (sim, bayeux) = world();
        let (server, executor) = (bayeux.clone(), sim.clone());
        log.react(move |line| {
            // Not what its own publishes cause.
            if line.is_empty() || PUBLISHING.replace(true) {
                return;
            }
            let (server, line) = (server.clone(), line.to_owned());
            // Here and now, while the subscriber is called.
            executor.spawn(async move { server.publish("/log", &line).await });
            executor.settle();
            PUBLISHING.set(false);
        });
        let reader = Client::new(&sim, &bayeux);
        let socket = reader.socket();
        let reading = socket.handshake();
        socket.send(&json!([subscribe(&reading, "/log")]));
        assert_eq!(socket.receive_all().concat().len(), 2, "the reply, and that it subscribed");
        let client = Client::new(&sim, &bayeux);
        let id = client.handshake();
        sim.settle();
        let seen: Vec<_> = socket.receive_all().concat();
        let added = format!("session={} transport=\"long-polling\"] session added", &id[..12]);
        let said =
            |it: &serde_json::Value| it["data"].as_str().is_some_and(|it| it.contains(&added));
        assert!(seen.iter().any(said), "{seen:#?}");
    });
}

#[test]
fn a_subscriber_that_panics_is_reported_and_keeps_nobody_waiting() {
    let log = Recording::start(Level::DEBUG);
    let (sim, bayeux) = world();
    let panics = Arc::new(Mutex::new(true));
    let armed = Arc::clone(&panics);
    log.react(move |line| {
        let panics = *armed.lock().unwrap();
        assert!(!(panics && line.contains("subscribed")), "no more lines");
    });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let answer = client.send(&json!([subscribe(&id, "/a")])).messages();
    assert_eq!(answer[0]["successful"], true);
    assert_eq!(sim.reports(), ["tracing subscriber panicked: no more lines"]);
    *panics.lock().unwrap() = false;
    client.send(&json!([publish(&id, "/a", 1)]));
    assert_eq!(log.entered(), 0);
}
