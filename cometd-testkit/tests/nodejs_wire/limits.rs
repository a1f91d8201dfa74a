//! What the other server leaves unbounded: subscriptions, channels, sessions, names, questions.

use std::future::pending;

use serde_json::{Value, json};

use crate::support::{World, ms};

fn subscribe(subscription: Value) -> Value {
    json!({ "channel": "/meta/subscribe", "subscription": subscription })
}

fn refused(message: &Value, error: &str) -> Value {
    let mut reply = message.clone();
    reply["successful"] = false.into();
    reply["error"] = error.into();
    json!([reply])
}

#[test]
fn subscriptions_of_a_session_are_bounded() {
    let world = World::with(|config| config.limits.session_subscriptions = 2);
    let peer = world.open();
    let error = "403:too_many_subscriptions:subscribe_denied";
    let three = subscribe(json!(["/a", "/b", "/c"]));
    assert_eq!(peer.ask(three.clone()), refused(&three, error));
    assert!(world.subscriptions(&peer).is_empty());
    peer.subscribe(json!(["/a", "/b", "/service/x"]));
    let third = subscribe(json!("/c"));
    assert_eq!(peer.ask(third.clone()), refused(&third, error));
    peer.subscribe(json!(["/a", "/b"]));
    assert_eq!(world.bayeux.stats().refused_subscriptions, 2);
}

#[test]
fn a_name_that_stands_twice_in_a_list_counts_once() {
    let world = World::with(|config| {
        config.limits.session_subscriptions = 1;
        config.limits.channels = 1;
    });
    let peer = world.open();
    peer.subscribe(json!(["/a", "/a"]));
    assert_eq!(world.subscriptions(&peer), ["/a"]);
}

#[test]
fn channels_are_bounded() {
    let world = World::with(|config| config.limits.channels = 2);
    let peer = world.open();
    peer.subscribe(json!(["/a", "/b/*"]));
    let more = subscribe(json!("/c"));
    assert_eq!(peer.ask(more.clone()), refused(&more, "403:too_many_channels:create_denied"));
    for name in ["/c", "/service/c"] {
        let publish = json!({ "channel": name });
        let error = "403:too_many_channels:channel_create_denied";
        assert_eq!(peer.ask(publish.clone()), refused(&publish, error));
    }
    assert_eq!(peer.ask(json!({ "channel": "/a" }))[1]["successful"], true);
    assert_eq!(world.bayeux.stats().refused_channels, 3);
}

#[test]
fn service_channels_that_a_client_invents_are_swept() {
    let world = World::new();
    let peer = world.open();
    peer.ask(json!({ "channel": "/service/invented", "data": 1 }));
    assert!(world.has_channel("/service/invented"));
    world.pass(600);
    assert!(!world.has_channel("/service/invented"));
}

#[test]
fn sessions_are_bounded_and_the_advice_is_to_come_back() {
    let world = World::with(|config| config.limits.sessions = 1);
    let peer = world.open();
    let handshake = json!([{ "channel": "/meta/handshake" }]);
    assert_eq!(
        world.client().send(&handshake).json(),
        json!([{
            "channel": "/meta/handshake", "successful": false,
            "error": "503::too_many_sessions",
            "supportedConnectionTypes": ["websocket", "long-polling"],
            "advice": { "reconnect": "handshake", "interval": 2000 },
        }])
    );
    peer.ask(json!({ "channel": "/meta/disconnect" }));
    assert_eq!(world.client().send(&handshake).messages()[0]["successful"], true);
}

#[test]
fn names_are_bounded() {
    let world = World::with(|config| {
        config.limits.channel_bytes = 8;
        config.limits.channel_segments = 3;
    });
    let peer = world.open();
    for (name, fits) in
        [("/1234567", true), ("/12345678", false), ("/1/2/3", true), ("/1/2/3/4", false)]
    {
        let publish = json!({ "channel": name });
        let subscribe = subscribe(json!(name));
        if fits {
            assert_eq!(peer.ask(publish)[0]["successful"], true, "{name}");
            assert_eq!(peer.ask(subscribe)[0]["successful"], true, "{name}");
        } else {
            assert_eq!(peer.ask(publish.clone()), refused(&publish, "405::channel_invalid"));
            let error = "403::subscription_invalid";
            assert_eq!(peer.ask(subscribe.clone()), refused(&subscribe, error));
        }
    }
}

#[test]
fn open_questions_are_bounded_for_each_session() {
    let world = World::with(|config| {
        config.max_interval = ms(60_000);
        config.limits.session_questions = 1;
    });
    world.channel("/slow").on_message(|_| pending::<()>());
    let (peer, other) = (world.open(), world.open());
    let publish = json!({ "channel": "/slow" });
    let mut first = peer.start(publish.clone());
    assert!(first.is_held());
    let error = "404:too_many_questions:message_deleted";
    assert_eq!(peer.ask(publish.clone()), refused(&publish, error));
    assert!(other.start(publish).is_held(), "other sessions have their own");
    assert_eq!(first.wait().messages()[0]["error"], "404::message_deleted", "it took too long");
}
