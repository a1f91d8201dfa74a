//! C42 to C45: acknowledged messages on the wire.

use serde_json::{Value, json};

use crate::support::{Peer, World, connected};

fn connect(ack: u32) -> Value {
    json!({ "id": "c", "channel": "/meta/connect", "ext": { "ack": ack } })
}

/// The reply to a connect that goes with this batch.
fn acknowledged(batch: u32) -> Value {
    let mut reply = connected();
    reply["ext"] = json!({ "ack": batch });
    reply
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
fn c42_only_true_turns_acknowledgements_on() {
    let world = World::new();
    for (ack, replied, batch) in [
        (json!(true), json!({ "ack": true }), json!({ "ack": 1 })),
        (json!(false), Value::Null, Value::Null),
        (json!({ "enabled": true }), Value::Null, Value::Null),
    ] {
        let message = json!({ "id": "1", "channel": "/meta/handshake", "ext": { "ack": ack } });
        let client = world.client();
        let answer = client.send(&json!([message])).messages();
        assert_eq!((&answer[0]["successful"], &answer[0]["ext"]), (&json!(true), &replied));
        let id = answer[0]["clientId"].as_str().expect("a session").to_string();
        let answer = Peer { client, id }.ask(connect(0));
        assert_eq!((&answer[0]["successful"], &answer[0]["ext"]), (&json!(true), &batch));
    }
}

#[test]
fn c43_events_ride_on_connects_only_and_come_again_for_an_old_number() {
    let world = World::new();
    let peer = open(&world);
    let subscribe =
        json!({ "id": "3", "channel": "/meta/subscribe", "subscription": "/t", "ext": {} });
    assert_eq!(
        peer.ask_all([subscribe, json!({ "id": "4", "channel": "/t", "data": "one" })]),
        json!([
            { "id": "3", "channel": "/meta/subscribe", "subscription": "/t", "successful": true },
            { "id": "4", "channel": "/t", "successful": true },
        ])
    );
    let event = json!({ "channel": "/t", "data": "one" });
    assert_eq!(peer.ask(connect(1)), json!([event, acknowledged(2)]));
    assert_eq!(peer.ask(connect(1)), json!([event, acknowledged(3)]));
    assert_eq!(peer.ask(connect(3)), json!([acknowledged(4)]), "held until its time is up");
}

#[test]
fn c44_an_event_survives_a_broken_connect() {
    let world = World::new();
    let peer = open(&world);
    peer.subscribe("/t");
    peer.start(connect(1)).lose();
    world.publish("/t", json!("two")).expect("nobody vetoes");
    let event = json!({ "channel": "/t", "data": "two" });
    assert_eq!(peer.ask(connect(1)), json!([event, acknowledged(2)]));
    assert_eq!(peer.ask(connect(2)), json!([acknowledged(3)]));
}

#[test]
fn c45_no_number_is_returned_that_could_lose_an_event() {
    let world = World::new();
    let peer = open(&world);
    peer.subscribe("/other");
    let publish = json!({ "id": "11", "channel": "/other", "data": 1 });
    let answer = peer.ask_all([connect(1), publish]);
    assert_eq!(
        answer,
        json!([
            { "channel": "/other", "data": 1 },
            acknowledged(2),
            { "id": "11", "channel": "/other", "successful": true },
        ])
    );
    assert_eq!(peer.ask(connect(2)), json!([acknowledged(3)]));
}
