//! Silence, draining, and what is left behind: nothing.

use bayeux_core::front::Received;
use bayeux_core::ws::Close;
use cometd_testkit::wire::connect;
use serde_json::json;

use crate::support::{World, ms};

/// Connects are held for ten minutes.
fn patient() -> World {
    World::with(|config| config.timeout = ms(600_000))
}

#[test]
fn a_peer_that_answers_pings_may_be_silent_for_as_long_as_it_likes() {
    let world = patient();
    let socket = world.client().socket();
    socket.open("/a");
    world.pass(590_000);
    assert_eq!(socket.closed(), None);
    world.publish("/a", json!(1)).unwrap();
    assert_eq!(socket.receive().unwrap()[0]["data"], 1);
}

#[test]
fn a_peer_that_has_vanished_is_found_out() {
    let world = patient();
    let socket = world.client().socket();
    socket.open("/a");
    socket.vanish();
    world.pass(74_999);
    assert_eq!(world.bayeux.stats().sockets, 1);
    world.pass(1);
    assert_eq!(world.bayeux.stats().sockets, 0);
    assert!(socket.is_over());
    assert_eq!(world.bayeux.sessions().len(), 1);
    world.pass(2_000);
    assert_eq!(world.bayeux.sessions().len(), 0);
}

#[test]
fn a_peer_that_takes_nothing_any_more_is_given_up_too() {
    let world = patient();
    let socket = world.client().socket();
    socket.open("/a");
    socket.stall();
    world.publish("/a", json!(1)).unwrap();
    world.pass(75_000);
    assert_eq!(world.bayeux.stats().sockets, 0);
    assert!(!socket.is_over(), "there is some time for an orderly end");
    world.pass(5_000);
    assert!(socket.is_over());
}

#[test]
fn a_draining_server_answers_held_connects_and_closes() {
    let world = World::new();
    let (socket, empty) = (world.client().socket(), world.client().socket());
    socket.open("/a");
    world.bayeux.drain(ms(2_000));
    assert_eq!(empty.closed().map(|close| close.code), Some(1001));
    let reply = socket.receive().unwrap();
    assert_eq!(reply[0]["channel"], "/meta/connect");
    assert_eq!(reply[0]["advice"]["reconnect"], "retry");
    assert_eq!(socket.closed(), Some(Close { code: 1001, reason: "the server is going away" }));
    let bayeux = world.bayeux.clone();
    world.sim.block_on(async move { bayeux.idle().await });

    let late = world.client().socket();
    assert_eq!(late.closed().map(|close| close.code), Some(1001));
}

#[test]
fn idle_waits_for_a_socket_that_is_being_closed() {
    let world = World::new();
    let socket = world.client().socket();
    socket.open("/a");
    socket.stall();
    world.bayeux.drain(ms(2_000));
    let bayeux = world.bayeux.clone();
    let idle = world.sim.spawn(async move { bayeux.idle().await });
    assert!(!idle.is_over());
    socket.flow();
    world.sim.settle();
    assert!(idle.is_over() && socket.is_over());
}

#[test]
fn the_peers_end_is_the_end() {
    let world = World::new();
    let socket = world.client().socket();
    let id = socket.open("/a");
    socket.arrive(Received::End);
    assert!(socket.is_over());
    assert_eq!(socket.closed(), None);
    let next = world.client().socket();
    next.send(&json!([connect(&id)]));
    assert_eq!(next.receive(), None, "the session has gone on, its connect is held");
    drop(next);
    world.pass(60_000);
    let stats = world.bayeux.stats();
    assert_eq!((stats.sessions, stats.links, stats.sockets), (0, 0, 0));
    // What is left is the driver.
    assert_eq!(world.sim.tasks(), 1);
}
