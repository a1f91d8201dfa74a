//! 8.15, hints from the Java server's issues, by their numbers there.
//!
//! #256, #650, #883, #970 and #1296 are pinned where their subjects are.

use serde_json::json;

use crate::helpers::data;
use crate::support::{World, connected, unknown};

#[test]
fn issue_414_an_expired_session_may_come_back_and_a_disconnected_one_may_not() {
    let world = World::new();
    let (expired, ended) = (world.open(), world.open());
    world.pass(1_000);
    world.session(&ended).disconnect().unwrap();
    assert_eq!(ended.connect()[1]["advice"], json!({ "reconnect": "none" }));
    world.pass(1_000);
    assert_eq!(expired.connect(), json!([unknown()]));
}

#[test]
fn issue_810_a_queue_that_is_taken_twice_loses_and_doubles_nothing() {
    let world = World::new();
    let peer = world.open();
    // Two responses are under way, one of them is lost.
    let held = peer.hold();
    world.session(&peer).deliver("/q", &1).unwrap();
    world.sim.settle();
    world.session(&peer).deliver("/q", &2).unwrap();
    let mut other = peer.start(json!({ "channel": "/x", "data": 0 }));
    assert_eq!(other.take().expect("it is answered").messages()[0]["data"], 2);
    world.session(&peer).deliver("/q", &3).unwrap();
    held.lose();
    assert_eq!(data(&peer), [1, 3]);
    assert_eq!(world.session(&peer).queue_messages(), 0);
}

#[test]
fn issue_910_nothing_of_the_old_session_is_left_after_a_new_handshake() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    world.pass(2_000);
    assert_eq!(peer.connect(), json!([unknown()]));
    let id = peer.client.open();
    world.pass(600);
    let stats = world.bayeux.stats();
    assert_eq!((stats.sessions, stats.browsers, stats.channels, stats.links), (1, 1, 0, 0));
    let again = crate::support::Peer { client: peer.client.tab(), id };
    assert_eq!(again.hold().wait().json(), json!([connected()]));
}

#[test]
fn issue_256_a_response_that_waits_to_be_sent_keeps_no_session_alive() {
    let world = World::new();
    let peer = world.open();
    // Answered, but neither taken nor lost: the session still has a deadline.
    let held = peer.hold();
    world.session(&peer).deliver("/q", &1).unwrap();
    world.pass(2_000);
    assert!(world.find_session(&peer).is_none());
    drop(held);
    assert_eq!(world.bayeux.stats().sessions, 0);
    assert_eq!(world.bayeux.stats().links, 0);
}

#[test]
fn issue_810_events_of_a_lost_publish_response_go_out_with_the_held_connect() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    let mut held = peer.hold();
    peer.start(json!({ "channel": "/foo", "data": 1 })).lose();
    let answer = held.take().expect("it is answered at once");
    assert_eq!(answer.json(), json!([{ "channel": "/foo", "data": 1 }, connected()]));
    assert_eq!(world.session(&peer).queue_messages(), 0);
}
