//! C10 to C16: subscribing and unsubscribing.

use bayeux_core::Verdict;
use bayeux_core::front::{Bayeux, CreateRequest, Policy, SubscribeRequest};
use serde_json::{Value, json};

use crate::support::{Peer, World};

/// Sends a subscribe or unsubscribe and checks its one reply: `error` or success, and the
/// `subscription` as it was sent.
fn check(peer: &Peer, verb: &str, subscription: Option<Value>, error: Option<&str>) {
    let mut message = json!({ "id": "9", "channel": format!("/meta/{verb}") });
    if let Some(subscription) = &subscription {
        message["subscription"] = subscription.clone();
    }
    let mut expected = message.clone();
    expected["successful"] = error.is_none().into();
    if let Some(error) = error {
        expected["error"] = error.into();
    }
    assert_eq!(peer.ask(message), json!([expected]), "{verb} {subscription:?}");
}

#[test]
fn c10_subscribe_with_a_string_and_with_an_array() {
    let world = World::new();
    let peer = world.open();
    check(&peer, "subscribe", Some(json!("/foo")), None);
    check(&peer, "subscribe", Some(json!(["/bar", "/baz/*", "/q/**"])), None);
    assert_eq!(world.subscriptions(&peer), ["/bar", "/baz/*", "/foo", "/q/**"]);
}

#[test]
fn c11_subscribe_to_nothing() {
    let world = World::new();
    let peer = world.open();
    let missing = Some("403::subscription_missing");
    check(&peer, "subscribe", None, missing);
    check(&peer, "subscribe", Some(json!("")), missing);
    check(&peer, "subscribe", Some(Value::Null), missing);
    check(&peer, "subscribe", Some(json!([])), None);
    assert!(world.subscriptions(&peer).is_empty());
}

#[test]
fn c12_meta_channels_cannot_be_subscribed_to_and_a_list_is_all_or_nothing() {
    let world = World::new();
    let peer = world.open();
    let denied = Some("403::subscribe_denied");
    for name in ["/meta/connect", "/meta/*", "/meta/**", "/meta/foo"] {
        check(&peer, "subscribe", Some(json!(name)), denied);
    }
    check(&peer, "subscribe", Some(json!(["/part", "/meta/*"])), denied);
    assert!(world.subscriptions(&peer).is_empty());
    assert!(!world.has_channel("/part"));
}

#[test]
fn c13_subscribing_to_a_service_channel_succeeds_and_records_nothing() {
    let world = World::new();
    let peer = world.open();
    check(&peer, "subscribe", Some(json!("/service/x")), None);
    assert!(world.subscriptions(&peer).is_empty());
    assert!(!world.has_channel("/service/x"));
}

#[test]
fn c14_names_that_bayeux_forbids_are_refused() {
    let world = World::new();
    let peer = world.open();
    let invalid = Some("403::subscription_invalid");
    check(&peer, "subscribe", Some(json!(["/foo/", "//", "/a b", "/foo/**/bar", "/*/x"])), invalid);
    for name in ["//", "/foo/**/bar", "/*/x", "/", "/foo//bar", "/caf\u{e9}", "/a%", "/a,b"] {
        check(&peer, "subscribe", Some(json!(name)), invalid);
    }
    assert!(world.subscriptions(&peer).is_empty());
    check(&peer, "subscribe", Some(json!(["/foo/", "/a b"])), None);
    assert_eq!(world.subscriptions(&peer), ["/a b", "/foo"]);
}

struct Careful;

impl Policy for Careful {
    async fn can_create(&self, request: CreateRequest) -> Verdict {
        Verdict::from(request.channel.as_str() != "/nocreate")
    }

    async fn can_subscribe(&self, request: SubscribeRequest) -> Verdict {
        Verdict::from(request.channel.as_str() != "/nosub")
    }
}

#[test]
fn c15_denied_subscribes_leave_no_trace() {
    let world = World::build(Bayeux::builder().policy(Careful), |_| ());
    let peer = world.open();
    check(&peer, "subscribe", Some(json!("/nocreate")), Some("403::create_denied"));
    check(&peer, "subscribe", Some(json!(["/okc", "/nosub"])), Some("403::subscribe_denied"));
    check(&peer, "subscribe", Some(json!(["/okc", "/nocreate"])), Some("403::create_denied"));
    assert!(world.subscriptions(&peer).is_empty());
    assert!(world.bayeux.channels().is_empty());
    check(&peer, "subscribe", Some(json!("/okc")), None);
    assert_eq!(world.subscriptions(&peer), ["/okc"]);
}

#[test]
fn c16_unsubscribe() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe(json!(["/foo", "/bar", "/baz"]));
    check(&peer, "unsubscribe", Some(json!("/foo")), None);
    check(&peer, "unsubscribe", Some(json!(["/bar", "/nonexist"])), None);
    assert_eq!(world.subscriptions(&peer), ["/baz"]);
    assert!(!world.has_channel("/nonexist"));
    check(&peer, "unsubscribe", Some(json!("/meta/connect")), None);
    check(&peer, "unsubscribe", Some(json!("nochan")), Some("403::subscription_invalid"));
    check(&peer, "unsubscribe", None, Some("403::subscription_missing"));
    check(&peer, "unsubscribe", Some(json!(["/baz", "nochan"])), Some("403::subscription_invalid"));
    assert_eq!(world.subscriptions(&peer), ["/baz"]);
}
