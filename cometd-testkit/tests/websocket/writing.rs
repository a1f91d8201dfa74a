//! What goes out: one parcel at a time, and what becomes of those that do not.

use std::sync::{Arc, Mutex};

use bayeux_core::front::Bayeux;
use bayeux_core::http::HttpConfig;
use bayeux_core::{Event, RemovedReason};
use cometd_testkit::socket::Socket;
use cometd_testkit::wire::{self, connect};
use serde_json::{Value, json};

use crate::support::World;

fn data(texts: &[Vec<Value>]) -> Vec<Value> {
    texts.iter().flatten().filter_map(|message| message.get("data").cloned()).collect()
}

fn publish(world: &World, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| world.publish("/a", json!(number)).unwrap());
}

/// What a client gets that comes back on another socket.
fn on_another_socket(world: &World, id: &str) -> Vec<Value> {
    let socket = world.client().socket();
    socket.send(&json!([connect(id)]));
    data(&socket.receive_all())
}

#[test]
fn each_event_is_a_text_of_its_own_unless_it_is_said_otherwise() {
    for (per_frame, expected) in [(Some(1), 3), (None, 1)] {
        let mut http = HttpConfig::default();
        http.ws.messages_per_frame = per_frame;
        let world = World::build(Bayeux::builder().http(http), |_| ());
        let socket = world.client().socket();
        let id = socket.open("/a");
        let session = world.bayeux.session(bayeux_core::SessionId::parse(&id).unwrap()).unwrap();
        session
            .batch(|| (0..3).for_each(|number| session.deliver("/a", &number).unwrap()))
            .unwrap();
        let texts = socket.receive_all();
        assert_eq!(texts.len(), expected);
        assert_eq!(data(&texts), [0, 1, 2]);
    }
}

#[test]
fn what_queues_up_while_a_socket_is_written_leaves_when_it_is() {
    let world = World::new();
    let socket = world.client().socket();
    socket.open("/a");
    socket.stall();
    publish(&world, 0..100);
    assert_eq!(world.bayeux.sessions()[0].queue_messages(), 100, "all of it is counted");
    assert_eq!(socket.receive(), None);
    socket.flow();
    assert_eq!(data(&socket.receive_all()), (0..100).map(Value::from).collect::<Vec<_>>());
    assert_eq!(world.bayeux.sessions()[0].queue_messages(), 0);
}

#[test]
fn a_client_that_reads_nothing_is_bounded_and_holds_up_nobody() {
    let world = World::with(|config| config.limits.queue_messages = 500);
    let ended = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ended);
    world.bayeux.on_event(move |notice| {
        let seen = Arc::clone(&seen);
        async move {
            if let Event::SessionRemoved { session, reason } = notice.event {
                seen.lock().unwrap().push((session.to_string(), reason));
            }
        }
    });
    let (deaf, other) = (world.client().socket(), world.client().socket());
    let id = deaf.open("/a");
    other.open("/a");
    deaf.stall();
    let mut received = Vec::new();
    for round in 0..100 {
        publish(&world, round * 100..(round + 1) * 100);
        received.extend(data(&other.receive_all()));
        let queued = world.bayeux.sessions().iter().map(|it| it.queue_messages()).max();
        assert!(queued <= Some(500));
    }
    assert_eq!(received, (0..10_000).map(Value::from).collect::<Vec<_>>());
    assert_eq!(*ended.lock().unwrap(), [(id, RemovedReason::Overflowed)]);
    assert_eq!(world.bayeux.sessions().len(), 1);
}

#[test]
fn what_was_not_written_comes_on_the_next_socket() {
    let world = World::new();
    let lost = world.client().socket();
    let id = lost.open("/a");
    lost.stall();
    publish(&world, 0..5);
    lost.lose();
    assert!(lost.is_over());
    publish(&world, 5..7);
    assert_eq!(on_another_socket(&world, &id), (0..7).map(Value::from).collect::<Vec<_>>());
}

#[test]
fn what_was_written_in_part_does_not_come_again() {
    let world = World::new();
    let lost = world.client().socket();
    let id = lost.open("/a");
    // More than fits into the server's buffer: a first part of the parcel gets out.
    lost.stall();
    let long = "x".repeat(10_000);
    publish(&world, 0..1);
    for _ in 0..4 {
        world.publish("/a", json!(long)).unwrap();
    }
    lost.flow();
    lost.receive_all();
    lost.stall();
    for _ in 0..4 {
        world.publish("/a", json!(long)).unwrap();
    }
    world.publish("/a", json!("behind")).unwrap();
    flow_once(&lost);
    let got = data(&lost.receive_all()).len();
    assert!(got > 0, "some of it is out");
    lost.lose();
    world.publish("/a", json!("after")).unwrap();
    let rest = on_another_socket(&world, &id);
    assert_eq!(rest.last(), Some(&json!("after")));
    assert!(got + rest.len() <= 4 + 2, "nothing comes twice");
}

/// Takes what is buffered at this moment, and nothing after it.
fn flow_once(socket: &Socket) {
    socket.flow();
    socket.stall();
}

#[test]
fn a_dropped_socket_is_a_lost_connection() {
    let world = World::new();
    let socket = world.client().socket();
    let id = socket.open("/a");
    drop(socket);
    assert_eq!(world.bayeux.stats().sockets, 0);
    publish(&world, 0..1);
    let next = world.client().socket();
    next.send(&json!([connect(&id)]));
    assert_eq!(data(&next.receive_all()), [0]);
    world.pass(10_000);
}

#[test]
fn what_was_out_when_the_task_was_dropped_is_not_sent_again() {
    let world = World::new();
    let socket = world.client().socket();
    let id = socket.open("/a");
    // More than one turn of the task deals with, so that it ends with a parcel just written.
    (0..1000).for_each(|number| socket.post(&json!([wire::publish(&id, "/a", number)])));
    assert!(!world.sim.settle_within(1));
    let sent = world.bayeux.stats().events_sent;
    assert!((2..1000).contains(&sent), "{sent}");
    drop(socket);
    assert_eq!(on_another_socket(&world, &id), [] as [Value; 0]);
}

#[test]
fn what_follows_is_not_written_to_a_peer_that_has_gone() {
    let world = World::new();
    let socket = world.client().socket();
    let id = socket.open("/a");
    socket.stall();
    publish(&world, 0..3);
    socket.go();
    assert_eq!(data(&socket.receive_all()), [0], "what was begun");
    assert_eq!(on_another_socket(&world, &id), [1, 2]);
}
