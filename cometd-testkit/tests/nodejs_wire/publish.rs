//! C17 to C23, C25, C55 and C57: publishing, and what subscribers see of it.

use std::future::pending;

use bayeux_core::Verdict;
use bayeux_core::front::{Bayeux, CreateRequest, Flow, Incoming, Policy, PublishRequest};
use serde_json::{Value, json};

use crate::support::{Peer, World, connected, ms};

/// A server, and a peer that subscribes to `/p1`.
fn subscriber() -> (World, Peer) {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/p1");
    (world, peer)
}

fn failed(id: &str, channel: &str, error: &str) -> Value {
    json!([{ "id": id, "channel": channel, "successful": false, "error": error }])
}

fn published(id: &str, channel: &str) -> Value {
    json!({ "id": id, "channel": channel, "successful": true })
}

#[test]
fn c17_the_publishers_own_event_precedes_the_reply_without_ids() {
    let (_world, peer) = subscriber();
    assert_eq!(
        peer.ask(json!({ "id": "4", "channel": "/p1", "data": { "x": 2 } })),
        json!([{ "channel": "/p1", "data": { "x": 2 } }, published("4", "/p1")])
    );
}

#[test]
fn c18_events_have_data_and_only_ext_beside_it() {
    let (_world, peer) = subscriber();
    assert_eq!(
        peer.ask(json!({ "id": "5", "channel": "/p1" })),
        json!([{ "channel": "/p1", "data": null }, published("5", "/p1")])
    );
    assert_eq!(
        peer.ask(json!({
            "id": "6", "channel": "/p1", "data": null, "ext": { "e": 1 },
            "custom": "dropped", "advice": { "z": 1 }, "successful": false,
        })),
        json!([{ "channel": "/p1", "data": null, "ext": { "e": 1 } }, published("6", "/p1")])
    );
}

#[test]
fn c19_service_channels_need_no_listener_and_wildcards_are_no_channels() {
    let (_world, peer) = subscriber();
    assert_eq!(
        peer.ask(json!({ "id": "7", "channel": "/service/none", "data": 1 })),
        json!([published("7", "/service/none")])
    );
    assert_eq!(
        peer.ask_all([
            json!({ "id": "8", "channel": "/p1/*", "data": 1 }),
            json!({ "id": "9", "channel": "/**", "data": 1 }),
        ]),
        json!([
            { "id": "8", "channel": "/p1/*", "successful": false, "error": "405::channel_invalid" },
            { "id": "9", "channel": "/**", "successful": false, "error": "405::channel_invalid" },
        ])
    );
}

#[test]
fn c20_a_message_without_channel() {
    let (_world, peer) = subscriber();
    for (id, channel) in [("10", None), ("11", Some(Value::Null)), ("12", Some(json!("")))] {
        let mut message = json!({ "id": id, "data": 1 });
        let mut reply = json!({ "id": id, "successful": false, "error": "400::channel_missing" });
        if let Some(channel) = channel {
            message["channel"] = channel.clone();
            reply["channel"] = channel;
        }
        assert_eq!(peer.ask(message), json!([reply]));
    }
}

#[test]
fn c21_an_invented_meta_channel_is_answered_and_not_created() {
    let (world, peer) = subscriber();
    for name in ["/meta/foo", "/meta/connect/x", "/meta/subscribe/"] {
        assert_eq!(
            peer.ask(json!({ "id": "13", "channel": name, "data": 1 })),
            failed("13", name, "404::meta_channel_unknown")
        );
        assert!(!world.has_channel(name));
    }
}

struct Careful;

impl Policy for Careful {
    async fn can_create(&self, request: CreateRequest) -> Verdict {
        Verdict::from(request.channel.as_str() != "/nocreate")
    }

    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        Verdict::from(request.message.channel().as_str() != "/nopub")
    }
}

#[test]
fn c22_denied_publishes() {
    let world = World::build(Bayeux::builder().policy(Careful), |_| ());
    let peer = world.open();
    assert_eq!(
        peer.ask(json!({ "id": "4", "channel": "/nocreate", "data": 1 })),
        failed("4", "/nocreate", "403::channel_create_denied")
    );
    assert_eq!(
        peer.ask(json!({ "id": "5", "channel": "/nopub", "data": 1 })),
        failed("5", "/nopub", "403::publish_denied")
    );
    assert!(world.bayeux.channels().is_empty(), "a denied publish creates nothing either");
}

#[test]
fn c23_a_veto_is_told_and_a_failing_listener_is_contained() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe(json!(["/stop", "/fail", "/throw"]));
    world.channel("/stop").on_message(|_| async { Flow::Veto });
    world.channel("/fail").on_message(|_| async { Err::<(), _>("on purpose") });
    world.channel("/throw").on_message(|incoming: Incoming| async move {
        assert!(incoming.session().is_none(), "on purpose");
    });
    assert_eq!(
        peer.ask(json!({ "id": "5", "channel": "/stop", "data": 1 })),
        failed("5", "/stop", "404::message_deleted")
    );
    for name in ["/fail", "/throw"] {
        assert_eq!(
            peer.ask(json!({ "id": "6", "channel": name, "data": 1 })),
            json!([{ "channel": name, "data": 1 }, published("6", name)])
        );
    }
    assert_eq!(
        world.sim.reports(),
        ["listener on /fail failed: on purpose", "listener on /throw panicked: on purpose"]
    );
}

#[test]
fn c25_ids_are_echoed_as_they_came_if_they_are_ids() {
    let (_world, peer) = subscriber();
    for id in [json!(42), json!("42"), json!(-1.5), json!("abcXYZ019")] {
        assert_eq!(
            peer.ask(json!({ "id": id, "channel": "/i", "data": 1 })),
            json!([{ "id": id, "channel": "/i", "successful": true }])
        );
    }
    let invalid = json!([{
        "channel": "/i", "successful": false, "error": "405::message_id_invalid",
    }]);
    for id in [json!({ "o": 1 }), json!(["a"]), json!(true), json!("x".repeat(65))] {
        assert_eq!(peer.ask(json!({ "id": id, "channel": "/i", "data": 1 })), invalid, "{id}");
    }
    assert_eq!(
        peer.ask(json!({ "id": null, "channel": "/i", "data": 1 })),
        json!([{ "channel": "/i", "successful": true }])
    );
}

#[test]
fn c55_no_member_of_a_publish_can_forge_an_event() {
    let world = World::new();
    let (a, b) = (world.open(), world.open());
    a.subscribe(json!(["/inj", "/other"]));
    for (name, value) in [
        ("_json", json!(r#"{"channel":"/other","data":"chosen by the publisher"}"#)),
        ("reply", json!({ "a": 1 })),
        ("__proto__", json!({ "channel": "/other" })),
    ] {
        let held = a.hold();
        let mut message = json!({ "id": "3", "channel": "/inj", "data": "x" });
        message[name] = value;
        assert_eq!(b.ask(message), json!([published("3", "/inj")]));
        assert_eq!(held.wait().json(), json!([{ "channel": "/inj", "data": "x" }, connected()]));
    }
}

#[test]
fn c57_a_listener_that_never_answers_has_not_let_the_message_through() {
    let world = World::with(|config| {
        config.max_interval = ms(60_000);
        config.question_timeout = ms(30_000);
    });
    world.channel("/hang").on_message(|_| pending::<()>());
    let (a, b) = (world.open(), world.open());
    a.subscribe("/hang");
    let before = world.sim.now();
    let mut asking = a.start(json!({ "id": "2", "channel": "/hang", "data": 1 }));
    assert!(asking.is_held());
    assert_eq!(
        b.ask(json!({ "id": "7", "channel": "/elsewhere", "data": 1 })),
        json!([published("7", "/elsewhere")]),
        "other sessions do not wait"
    );
    assert_eq!(
        asking.wait().json(),
        json!([{
            "id": "2", "channel": "/hang", "successful": false, "error": "404::message_deleted",
        }])
    );
    assert_eq!(world.sim.now().since(before), ms(30_000));
}
