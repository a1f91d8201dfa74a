//! 8.5, subscribe and unsubscribe, from either side.

use bayeux_core::front::{Bayeux, CreateRequest, Flow, Policy, PublishRequest, SubscribeRequest};
use bayeux_core::{Advice, Denial, Event, Json, Reconnect, Verdict};
use serde_json::{Value, json};

use crate::helpers::{Log, data, events};
use crate::support::{Peer, World};

fn ask(peer: &Peer, verb: &str, subscription: Value) -> Value {
    peer.ask(json!({ "channel": format!("/meta/{verb}"), "subscription": subscription }))
}

fn reply(verb: &str, subscription: Value, error: Option<&str>) -> Value {
    let mut reply = json!({
        "channel": format!("/meta/{verb}"), "subscription": subscription,
        "successful": error.is_none(),
    });
    if let Some(error) = error {
        reply["error"] = error.into();
    }
    json!([reply])
}

#[test]
fn b102_b103_a_list_gets_one_reply_with_the_list() {
    let world = World::new();
    let peer = world.open();
    let list = json!(["/a", "/b", "/c/*"]);
    for (verb, left) in [("subscribe", 3), ("unsubscribe", 0)] {
        assert_eq!(ask(&peer, verb, list.clone()), reply(verb, list.clone(), None));
        assert_eq!(world.subscriptions(&peer).len(), left);
    }
    let one = json!(["/a"]);
    assert_eq!(ask(&peer, "subscribe", one.clone()), reply("subscribe", one, None));
}

#[test]
fn b104_illegal_characters_are_refused_in_both() {
    let world = World::new();
    let peer = world.open();
    for name in ["/foo<script>", "/foo\"", "/a:b", "/a\\b", "/a?b", "/a|b", "/\u{20ac}", "foo"] {
        for subscription in [json!(name), json!(["/ok", name])] {
            for verb in ["subscribe", "unsubscribe"] {
                let error = Some("403::subscription_invalid");
                let answer = ask(&peer, verb, subscription.clone());
                assert_eq!(answer, reply(verb, subscription.clone(), error));
            }
        }
    }
    assert!(world.subscriptions(&peer).is_empty());
}

#[test]
fn b105_meta_channels_have_no_subscribers() {
    let world = World::new();
    let peer = world.open();
    let error = Some("403::subscribe_denied");
    for name in ["/meta/connect", "/meta/*", "/meta/**"] {
        assert_eq!(ask(&peer, "subscribe", json!(name)), reply("subscribe", json!(name), error));
        assert!(world.channel(name).subscribers().is_empty());
    }
}

#[test]
fn b106_b110_subscribing_to_service_channels_is_harmless() {
    let world = World::new();
    let peer = world.open();
    let name = json!("/service/x");
    assert_eq!(ask(&peer, "subscribe", name.clone()), reply("subscribe", name.clone(), None));
    world.session(&peer).subscribe("/service/x").unwrap();
    assert!(world.subscriptions(&peer).is_empty());
    let publish = json!({ "channel": "/service/x", "data": 1 });
    let published = json!([{ "channel": "/service/x", "successful": true }]);
    assert_eq!(peer.ask(publish.clone()), published, "it does not come back");
    assert_eq!(ask(&peer, "unsubscribe", name.clone()), reply("unsubscribe", name, None));
    world.session(&peer).unsubscribe("/service/x").unwrap();
    assert_eq!(peer.ask(publish), published);
}

#[test]
fn b108_b109_the_server_subscribes_and_unsubscribes_a_session() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    let session = world.session(&peer);
    session.unsubscribe("/foo").unwrap();
    world.publish("/foo", json!(1)).unwrap();
    session.subscribe("/foo").unwrap();
    world.publish("/foo", json!(2)).unwrap();
    assert_eq!(data(&peer), [2]);
    session.unsubscribe("/foo").unwrap();
    let answer = peer.ask(json!({ "channel": "/meta/disconnect" }));
    assert_eq!(answer, json!([{ "channel": "/meta/disconnect", "successful": true }]));
}

/// Denies by name; with advice and `ext` where the name says so.
struct ByName;

fn by_name(name: &str, word: &str) -> Verdict {
    if !name.contains(word) {
        return Verdict::Allow;
    }
    let denial = Denial::because(word);
    if name.contains("custom") {
        let ext = Json::new(&json!({ "why": name })).expect("JSON");
        denial.advice(Advice::reconnect(Reconnect::None)).ext(ext).into()
    } else {
        denial.into()
    }
}

impl Policy for ByName {
    async fn can_create(&self, request: CreateRequest) -> Verdict {
        by_name(request.channel.as_str(), "nocreate")
    }

    async fn can_subscribe(&self, request: SubscribeRequest) -> Verdict {
        by_name(request.channel.as_str(), "nosub")
    }

    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        by_name(request.message.channel().as_str(), "nopub")
    }
}

#[test]
fn b111_b112_a_denied_subscribe_delivers_nothing_and_a_later_one_may_succeed() {
    let world = World::new();
    let peer = world.open();
    let veto = world.channel("/meta/subscribe").on_message(|_| async { Flow::Veto });
    let error = Some("404::message_deleted");
    let refused = ask(&peer, "subscribe", json!("/foo"));
    assert_eq!(refused, reply("subscribe", json!("/foo"), error));
    world.publish("/foo", json!(1)).unwrap();
    assert!(data(&peer).is_empty());
    assert!(world.bayeux.remove_listener(&veto));
    peer.subscribe("/foo");
    world.publish("/foo", json!(2)).unwrap();
    assert_eq!(data(&peer), [2]);
}

#[test]
fn b113_b144_a_denial_has_its_reason_advice_and_ext() {
    let world = World::build(Bayeux::builder().policy(ByName), |_| ());
    let peer = world.open();
    let subscribe = |name: &str| json!({ "channel": "/meta/subscribe", "subscription": name });
    let publish = |name: &str| json!({ "channel": name });
    for (message, name, error) in [
        (subscribe("/nosub"), "/nosub", "403:nosub:subscribe_denied"),
        (subscribe("/custom/nosub"), "/custom/nosub", "403:nosub:subscribe_denied"),
        (subscribe("/custom/nocreate"), "/custom/nocreate", "403:nocreate:create_denied"),
        (publish("/nopub"), "/nopub", "403:nopub:publish_denied"),
        (publish("/custom/nopub"), "/custom/nopub", "403:nopub:publish_denied"),
        (publish("/custom/nocreate"), "/custom/nocreate", "403:nocreate:channel_create_denied"),
    ] {
        let mut expected = message.clone();
        expected["successful"] = false.into();
        expected["error"] = error.into();
        if name.contains("custom") {
            expected["advice"] = json!({ "reconnect": "none" });
            expected["ext"] = json!({ "why": name });
        }
        assert_eq!(peer.ask(message), json!([expected]));
    }
    assert!(world.bayeux.channels().is_empty());
}

#[test]
fn b114_everything_is_neither_meta_nor_service() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/**");
    peer.ask_all([
        json!({ "channel": "/meta/subscribe", "subscription": "/x" }),
        json!({ "channel": "/service/x", "data": 1 }),
    ]);
    world.publish("/service/y", json!(2)).unwrap();
    world.publish("/a/b/c", json!(3)).unwrap();
    assert_eq!(events(&peer), [("/a/b/c".to_string(), json!(3))]);
}

#[test]
fn b115_twice_is_once_nothing_is_not_missed_and_a_list_is_all_or_nothing() {
    let world = World::new();
    let log = Log::of_events(&world, |event| match event {
        Event::Subscribed { channel, .. } => Some(format!("+{channel}")),
        Event::Unsubscribed { channel, .. } => Some(format!("-{channel}")),
        _ => None,
    });
    let peer = world.open();
    peer.subscribe(json!(["/foo", "/foo"]));
    peer.subscribe("/foo");
    world.publish("/foo", json!(1)).unwrap();
    assert_eq!(data(&peer), [1]);
    for name in ["/unknown", "/foo", "/foo"] {
        assert_eq!(ask(&peer, "unsubscribe", json!(name)), reply("unsubscribe", json!(name), None));
    }
    assert_eq!(log.take(), ["+/foo", "-/foo"]);
    let list = json!(["/a", "/meta/x", "/b"]);
    let error = Some("403::subscribe_denied");
    assert_eq!(ask(&peer, "subscribe", list.clone()), reply("subscribe", list, error));
    assert!(world.subscriptions(&peer).is_empty());
}

#[test]
fn b116_a_denied_publish_does_not_touch_the_subscription() {
    let world = World::build(Bayeux::builder().policy(ByName), |_| ());
    let peer = world.open();
    let publish = json!({ "channel": "/nopub", "data": 1 });
    let subscribe = json!({ "channel": "/meta/subscribe", "subscription": "/nopub" });
    let answer = peer.ask_all([publish, subscribe]);
    assert_eq!((&answer[0]["successful"], &answer[1]["successful"]), (&json!(false), &json!(true)));
    world.publish("/nopub", json!(2)).unwrap();
    assert_eq!(data(&peer), [2]);
}

#[test]
fn b117_subscriptions_are_told_with_session_and_channel_whoever_made_them() {
    let world = World::new();
    let peer = world.open();
    let session = world.session(&peer);
    let id = session.id();
    let log = Log::of_events(&world, move |event| match event {
        Event::Subscribed { session, channel } => Some((*session == id, channel.to_string())),
        _ => None,
    });
    peer.subscribe(json!(["/a", "/b/**"]));
    session.subscribe("/c").unwrap();
    world.sim.settle();
    let expected = ["/a", "/b/**", "/c"].map(|name| (true, name.to_string()));
    assert_eq!(log.take(), expected);
    assert_eq!(world.channel("/c").subscribers(), [session]);
}
