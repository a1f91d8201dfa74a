//! C42 to C45: clients that ask for acknowledged delivery, which this version does not offer.
//!
//! They get ordinary delivery and no `ext.ack`, by which every client knows that the extension is
//! not there. What is lost with a broken connection goes back to the queue in any case.

use serde_json::{Value, json};

use crate::support::{Peer, World, connected};

fn connect(ack: u32) -> Value {
    json!({ "id": "c", "channel": "/meta/connect", "ext": { "ack": ack } })
}

/// A session whose client asked for acknowledgements and connected once.
fn open(world: &World) -> Peer {
    let client = world.client();
    let answer = client.send(&json!([{ "channel": "/meta/handshake", "ext": { "ack": true } }]));
    let id = answer.messages()[0]["clientId"].as_str().expect("a session").to_string();
    let peer = Peer { client, id };
    peer.ask(connect(0));
    peer
}

#[test]
fn c42_asking_for_acknowledgements_gets_an_ordinary_session() {
    let world = World::new();
    for ack in [json!(true), json!(false), json!({ "enabled": true })] {
        let message = json!({ "id": "1", "channel": "/meta/handshake", "ext": { "ack": ack } });
        let client = world.client();
        let answer = client.send(&json!([message])).messages();
        assert_eq!((&answer[0]["successful"], &answer[0]["ext"]), (&json!(true), &Value::Null));
        let id = answer[0]["clientId"].as_str().expect("a session").to_string();
        let answer = Peer { client, id }.ask(connect(0));
        assert_eq!((&answer[0]["successful"], &answer[0]["ext"]), (&json!(true), &Value::Null));
    }
}

#[test]
fn c43_events_ride_on_any_reply_and_are_sent_once() {
    let world = World::new();
    let peer = open(&world);
    assert_eq!(
        peer.ask_all([
            json!({ "id": "3", "channel": "/meta/subscribe", "subscription": "/t", "ext": {} }),
            json!({ "id": "4", "channel": "/t", "data": "one", "ext": {} }),
        ]),
        json!([
            { "channel": "/t", "data": "one", "ext": {} },
            { "id": "3", "channel": "/meta/subscribe", "subscription": "/t", "successful": true },
            { "id": "4", "channel": "/t", "successful": true },
        ])
    );
    assert_eq!(peer.ask(connect(1)), json!([connected()]));
}

#[test]
fn c44_an_event_survives_a_broken_connect_without_acknowledgements_too() {
    let world = World::new();
    let peer = open(&world);
    peer.subscribe("/t");
    peer.start(connect(3)).lose();
    world.publish("/t", json!("two")).unwrap();
    assert_eq!(peer.ask(connect(3)), json!([{ "channel": "/t", "data": "two" }, connected()]));
    assert_eq!(peer.ask(connect(5)), json!([connected()]));
}

#[test]
fn c45_no_number_is_returned_that_could_lose_an_event() {
    let world = World::new();
    let peer = open(&world);
    peer.subscribe("/other");
    let answer = peer.ask_all([connect(6), json!({ "id": "11", "channel": "/other", "data": 1 })]);
    assert_eq!(
        answer,
        json!([
            { "channel": "/other", "data": 1 },
            connected(),
            { "id": "11", "channel": "/other", "successful": true },
        ])
    );
}
