//! What the machine allocates: for each delivery, and for each session that idles.
//!
//! The bounds are what it takes today. Deliveries are in steady state: buffers have grown, and what
//! the driver and the decoder allocate (the payloads of connects) is not counted. Bytes are those
//! that were asked for, without what the allocator adds.

#[path = "../benches/scenarios/mod.rs"]
mod scenarios;

use allocation_counter::measure;
use bayeux_core::Transport;
use scenarios::publish::Audience;
use scenarios::rig::{Rig, pattern};

/// How often the machine allocates in one publish to `count` subscribers.
fn allocations(transport: Transport, count: usize) -> u64 {
    let mut audience = Audience::new(Rig::new(), transport, count);
    for _ in 0..5 {
        audience.prepare();
        audience.round();
    }
    audience.prepare();
    measure(|| audience.round()).count_total
}

#[test]
fn a_delivery_to_a_socket_allocates_nothing() {
    for count in [1, 100, 10_000] {
        assert_eq!(allocations(Transport::WebSocket, count), 0, "{count} subscribers");
    }
}

/// The list of its one reply.
#[test]
fn a_delivery_to_a_held_connect_allocates_little() {
    for count in [1, 100, 10_000] {
        let allocations = allocations(Transport::LongPolling, count);
        println!("{count} subscribers: {allocations}");
        assert!(allocations <= count as u64, "{count} subscribers: {allocations}");
    }
}

/// Bytes for each session.
///
/// There are 62,500 of them, a sixteenth of a million: what grows by doubling is then as full as it is
/// with a million, and the figures are the same.
fn bytes(make: impl Fn(&mut Rig)) -> i64 {
    const SESSIONS: i64 = 62_500;
    let mut rig = Rig::new();
    let bytes = measure(|| (0..SESSIONS).for_each(|_| make(&mut rig))).bytes_current / SESSIONS;
    println!("{bytes} bytes for each session");
    bytes
}

fn subscriber(transport: Transport) -> impl Fn(&mut Rig) {
    let room = pattern("/chat/room");
    move |rig| {
        rig.subscriber(transport, &room);
    }
}

#[test]
fn a_session_that_waits_for_a_connect_is_small() {
    let bytes = bytes(|rig| {
        rig.handshake(Transport::LongPolling);
    });
    assert!(bytes <= 480);
}

#[test]
fn a_subscriber_with_a_held_connect_is_small() {
    assert!(bytes(subscriber(Transport::LongPolling)) <= 720);
}

#[test]
fn a_subscriber_on_a_socket_is_small() {
    assert!(bytes(subscriber(Transport::WebSocket)) <= 860);
}
