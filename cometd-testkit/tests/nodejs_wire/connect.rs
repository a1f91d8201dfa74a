//! C6 to C9, C24, C26 to C28, C31 and C32: the connect, held and answered.

use bayeux_core::front::Flow;
use serde_json::{Value, json};

use crate::support::{World, advice, connected, ms};

fn connect_with(members: Value) -> Value {
    let mut message = json!({ "id": "c", "channel": "/meta/connect" });
    for (name, value) in members.as_object().expect("an object") {
        message[name] = value.clone();
    }
    message
}

fn connected_with_advice(advice: Value) -> Value {
    let mut reply = connected();
    reply["advice"] = advice;
    reply
}

#[test]
fn c06_first_connect_is_answered_at_once_with_advice() {
    let world = World::new();
    for wishes in [json!({ "advice": { "timeout": 0 } }), json!({})] {
        let client = world.client();
        let id = client.handshake();
        let peer = crate::support::Peer { client, id };
        let before = world.sim.now();
        let answer = peer.ask(connect_with(wishes));
        assert_eq!(answer, json!([connected_with_advice(advice())]));
        assert_eq!(world.sim.now(), before);
    }
}

#[test]
fn c07_second_connect_is_held_until_the_timeout_and_has_no_advice() {
    let world = World::new();
    let peer = world.open();
    let held = peer.hold();
    let before = world.sim.now();
    assert_eq!(held.wait().json(), json!([connected()]));
    assert_eq!(world.sim.now().since(before), ms(1500));
}

#[test]
fn c08_a_client_chooses_its_hold_time_within_a_bound() {
    let world = World::new();
    let peer = world.open();
    // The answer tells the next timeout and the interval that the client asked for.
    for (wish, took, interval) in [
        (json!({ "timeout": 300, "interval": 50 }), 300, 50),
        (json!({ "timeout": 2600 }), 2600, 0),
        (json!({ "timeout": 3_000_000_000_u64 }), 300_000, 0),
        (json!({ "timeout": -1 }), 1500, 0),
        (json!({ "timeout": 0 }), 0, 0),
    ] {
        let before = world.sim.now();
        let answer = peer.ask(connect_with(json!({ "advice": wish })));
        let told = json!({ "reconnect": "retry", "interval": interval, "timeout": 1500 });
        assert_eq!(answer, json!([connected_with_advice(told)]), "{wish}");
        assert_eq!(world.sim.now().since(before), ms(took), "{wish}");
    }
}

#[test]
fn c09_any_connection_type_or_none_is_accepted() {
    let world = World::new();
    let peer = world.open();
    for kind in [json!({}), json!({ "connectionType": "flash" })] {
        let mut message = connect_with(kind);
        message["advice"] = json!({ "timeout": 0 });
        assert_eq!(peer.ask(message), json!([connected_with_advice(advice())]));
    }
    let mut message = connect_with(json!({ "connectionType": 5 }));
    message["advice"] = json!({ "timeout": 0 });
    assert_eq!(
        peer.ask(message),
        json!([{
            "id": "c", "channel": "/meta/connect", "successful": false,
            "error": "400::message_invalid",
        }])
    );
}

#[test]
fn c24_a_vetoed_connect_fails_and_says_so() {
    let world = World::new();
    world.channel("/meta/connect").on_message(|_| async { Flow::Veto });
    let client = world.client();
    let id = client.handshake();
    let peer = crate::support::Peer { client, id };
    assert_eq!(
        peer.connect(),
        json!([{
            "id": "c", "channel": "/meta/connect", "successful": false,
            "error": "404::message_deleted",
        }])
    );
}

#[test]
fn c26_held_connect_is_resumed_by_publish_deliver_and_batch() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/news");
    let session = world.session(&peer);

    let held = peer.hold();
    let before = world.sim.now();
    world.pass(200);
    world.publish("/news", json!({ "n": 1 })).unwrap();
    let event = json!({ "channel": "/news", "data": { "n": 1 } });
    assert_eq!(held.wait().json(), json!([event, connected()]));
    assert_eq!(world.sim.now().since(before), ms(200));

    let held = peer.hold();
    session.deliver("/service/any", &json!({ "d": 1 })).unwrap();
    let event = json!({ "channel": "/service/any", "data": { "d": 1 } });
    assert_eq!(held.wait().json(), json!([event, connected()]));

    let mut held = peer.hold();
    let batch = session.begin_batch().unwrap();
    session.deliver("/b", &1).unwrap();
    session.batch(|| session.deliver("/b", &2)).unwrap().unwrap();
    assert!(held.is_held(), "the inner batch is not the last one");
    drop(batch);
    let [one, two] = [1, 2].map(|data| json!({ "channel": "/b", "data": data }));
    assert_eq!(held.wait().json(), json!([one, two, connected()]));
}

#[test]
fn c27_outside_a_batch_the_second_delivery_waits_for_the_next_request() {
    let world = World::new();
    let peer = world.open();
    let held = peer.hold();
    let session = world.session(&peer);
    session.deliver("/b", &1).unwrap();
    // The response is written before the second one. (Here it need not be: see the next test.)
    world.sim.settle();
    session.deliver("/b", &2).unwrap();
    assert_eq!(held.wait().json(), json!([{ "channel": "/b", "data": 1 }, connected()]));
    assert_eq!(
        peer.ask(json!({ "id": "8", "channel": "/meta/subscribe", "subscription": "/zz" })),
        json!([
            { "channel": "/b", "data": 2 },
            { "id": "8", "channel": "/meta/subscribe", "subscription": "/zz", "successful": true },
        ])
    );
}

/// The NodeJS server makes up the response when the first of them wakes the connect.
#[test]
fn c27_what_is_delivered_before_the_response_is_written_leaves_with_it() {
    let world = World::new();
    let peer = world.open();
    let held = peer.hold();
    let session = world.session(&peer);
    session.deliver("/b", &1).unwrap();
    session.deliver("/b", &2).unwrap();
    let [one, two] = [1, 2].map(|data| json!({ "channel": "/b", "data": data }));
    assert_eq!(held.wait().json(), json!([one, two, connected()]));
}

#[test]
fn c28_a_connect_that_asks_for_advice_gets_it_with_events_too() {
    let world = World::new();
    let peer = world.open();
    world.session(&peer).deliver("/q", "queued").unwrap();
    let answer = peer.ask(connect_with(json!({ "advice": { "timeout": 0 } })));
    let event = json!({ "channel": "/q", "data": "queued" });
    assert_eq!(answer, json!([event, connected_with_advice(advice())]));
    // Queued events are a reason to answer at once for any connect.
    world.session(&peer).deliver("/q", "again").unwrap();
    let before = world.sim.now();
    assert_eq!(peer.connect(), json!([{ "channel": "/q", "data": "again" }, connected()]));
    assert_eq!(world.sim.now(), before);
}

#[test]
fn c31_the_older_of_two_connects_gets_500_and_the_newer_is_held() {
    let world = World::new();
    let peer = world.open();
    let mut older = peer.start(json!({ "id": "14", "channel": "/meta/connect" }));
    assert!(older.is_held());
    world.pass(200);
    let newer = peer.start(json!({ "id": "15", "channel": "/meta/connect" }));
    let answer = older.take().expect("it is answered at once");
    assert_eq!((answer.status.as_u16(), answer.text()), (500, ""));
    assert_eq!(answer.header("content-type"), None);
    let before = world.sim.now();
    assert_eq!(
        newer.wait().json(),
        json!([{ "id": "15", "channel": "/meta/connect", "successful": true }])
    );
    assert_eq!(world.sim.now().since(before), ms(1500));
}

#[test]
fn c32_a_connect_among_other_messages_is_not_held() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/news");
    let publish = |id: &str, data: &str| json!({ "id": id, "channel": "/news", "data": data });
    let published = |id: &str| json!({ "id": id, "channel": "/news", "successful": true });
    let event = |data: &str| json!({ "channel": "/news", "data": data });
    let subscribe = json!({ "id": "17", "channel": "/meta/subscribe", "subscription": "/arr" });
    let connect = connect_with(json!({}));
    let before = world.sim.now();
    assert_eq!(
        peer.ask_all([publish("16", "m1"), subscribe, connect.clone()]),
        json!([
            event("m1"),
            published("16"),
            { "id": "17", "channel": "/meta/subscribe", "subscription": "/arr", "successful": true },
            connected(),
        ])
    );
    assert_eq!(
        peer.ask_all([connect, publish("20", "m2")]),
        json!([event("m2"), connected(), published("20")])
    );
    assert_eq!(world.sim.now(), before);
}
