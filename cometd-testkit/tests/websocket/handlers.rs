//! The application's handlers, with clients on WebSockets.

use bayeux_core::front::{Incoming, Session};
use bayeux_core::{Event, SessionId, Transport};
use cometd_testkit::wire::{connect, publish};
use serde_json::json;

use crate::support::World;

fn session(world: &World, id: &str) -> Session {
    world.bayeux.session(SessionId::parse(id).unwrap()).unwrap()
}

#[test]
fn an_event_for_a_session_that_was_just_added_comes_after_the_handshakes_reply() {
    let world = World::new();
    world.bayeux.on_event(|notice| async move {
        if let (Event::SessionAdded { .. }, Some(session)) = (notice.event, notice.session) {
            session.deliver("/hello", "welcome").unwrap();
        }
    });
    let socket = world.client().socket();
    socket.send(&json!([{ "channel": "/meta/handshake" }]));
    let texts = socket.receive_all();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0][0]["channel"], "/meta/handshake");
    assert_eq!(texts[1], [json!({ "channel": "/hello", "data": "welcome" })]);
}

#[test]
fn a_call_is_answered_before_its_publish() {
    let world = World::new();
    world
        .channel("/service/echo")
        .on_message(|incoming: Incoming| async move { incoming.reply(&incoming.raw_data()) });
    let socket = world.client().socket();
    let id = socket.open("/a");
    socket.send(&json!([publish(&id, "/service/echo", json!({ "x": 1.0 }))]));
    let texts = socket.receive_all();
    let expected = json!([
        [{ "id": "p", "channel": "/service/echo", "successful": true, "data": { "x": 1.0 } }],
        [{ "id": "p", "channel": "/service/echo", "successful": true }],
    ]);
    assert_eq!(json!(texts), expected);
    assert_eq!(session(&world, &id).transport(), Some(Transport::WebSocket));
}

#[test]
fn a_session_that_the_application_disconnects_learns_of_it_at_once() {
    let world = World::new();
    let socket = world.client().socket();
    let id = socket.handshake();
    session(&world, &id).disconnect().unwrap();
    let farewell = json!({ "channel": "/meta/disconnect", "successful": true });
    assert_eq!(socket.receive(), Some(vec![farewell.clone()]));

    let id = socket.open("/a");
    session(&world, &id).disconnect().unwrap();
    let texts = socket.receive_all();
    assert_eq!(texts[0], [farewell]);
    assert_eq!(texts[1][0]["advice"], json!({ "reconnect": "none" }));
    assert_eq!(socket.closed(), None, "the client closes");
}

#[test]
fn a_session_moves_between_transports_under_its_handlers() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/a");
    let held = peer.hold();
    let socket = peer.client.socket();
    socket.send(&json!([connect(&peer.id)]));
    assert_eq!(held.wait().status, 500, "its connect has moved");
    world.publish("/a", json!(1)).unwrap();
    assert_eq!(socket.receive().unwrap()[0]["data"], 1);
    assert_eq!(session(&world, &peer.id).transport(), Some(Transport::WebSocket));

    let mut held = peer.start(connect(&peer.id));
    assert!(held.is_held());
    world.publish("/a", json!(2)).unwrap();
    assert_eq!(held.wait().messages()[0]["data"], 2);
    assert_eq!(socket.receive(), None);
    assert_eq!(session(&world, &peer.id).transport(), Some(Transport::LongPolling));
}
