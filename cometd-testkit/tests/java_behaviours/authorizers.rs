//! Authorizers: who may do what with which channels (§8.12 of the study of the Java server).

use bayeux_core::front::{
    Authorization, AuthorizeRequest, Bayeux, Grants, Permission, Policy, PublishRequest,
};
use bayeux_core::{Denial, Verdict};
use serde_json::{Value, json};

use crate::support::{Peer, World};

fn publish(peer: &Peer, channel: &str) -> Value {
    let answer = peer.ask(json!({ "channel": channel, "data": 1 }));
    answer.as_array().and_then(|all| all.last()).map(outcome).unwrap_or_default()
}

fn subscribe(peer: &Peer, channel: &str) -> Value {
    outcome(&peer.ask(json!({ "channel": "/meta/subscribe", "subscription": channel }))[0])
}

/// `true`, or the error.
fn outcome(reply: &Value) -> Value {
    reply.get("error").cloned().unwrap_or_else(|| reply["successful"].clone())
}

const NOT_GRANTED_CREATE: &str = "403:denied_by_not_granting:channel_create_denied";
const NOT_GRANTED_PUBLISH: &str = "403:denied_by_not_granting:publish_denied";

#[test]
fn b199_wildcard_authorizers_grant_to_all_below() {
    let world = World::new();
    world.channel("/**").add_authorizer(Grants::new([Permission::Create, Permission::Subscribe]));
    world.channel("/service/**").add_authorizer(Grants::new([Permission::Publish]));
    let peer = world.open();
    assert_eq!(publish(&peer, "/foo"), NOT_GRANTED_PUBLISH);
    assert_eq!(publish(&peer, "/service/foo"), true);
    assert_eq!(subscribe(&peer, "/foo"), true);
    assert_eq!(subscribe(&peer, "/foo/**"), true);
}

#[test]
fn b200_who_only_ignores_does_not_grant() {
    let world = World::new();
    world.channel("/test/**").add_authorizer(Grants::none());
    let peer = world.open();
    assert_eq!(publish(&peer, "/test/a"), NOT_GRANTED_CREATE);
    let denied = "403:denied_by_not_granting:create_denied";
    assert_eq!(subscribe(&peer, "/test/a"), denied);
    assert_eq!(subscribe(&peer, "/test/*"), denied);
    assert_eq!(publish(&peer, "/other"), true, "other channels have no authorizers");
    assert!(!world.has_channel("/test/a"));
}

#[test]
fn b201_without_authorizers_everything_is_granted() {
    let world = World::new();
    let peer = world.open();
    assert_eq!((publish(&peer, "/a"), subscribe(&peer, "/a")), (json!(true), json!(true)));
}

#[test]
fn b202_one_who_denies_denies_whoever_grants() {
    let world = World::new();
    world.channel("/test/**").add_authorizer(Grants::all());
    world.channel("/test/denied").add_authorizer(Grants::all());
    world.channel("/test/denied").add_authorizer(|request: AuthorizeRequest| {
        match request.permission {
            Permission::Publish => Authorization::deny("not here"),
            _ => Authorization::Ignore,
        }
    });
    let peer = world.open();
    assert_eq!(publish(&peer, "/test/denied"), "403:not here:publish_denied");
    assert_eq!(publish(&peer, "/test/a"), true);
    assert_eq!(subscribe(&peer, "/test/denied"), true, "it denies only to publish");
}

#[test]
fn a_denial_near_the_root_is_the_end_of_it() {
    let world = World::new();
    world.channel("/**").add_authorizer(|_: AuthorizeRequest| Authorization::deny(""));
    world.channel("/a").add_authorizer(Grants::all());
    let peer = world.open();
    assert_eq!(publish(&peer, "/a"), "403::publish_denied");
}

#[test]
fn b203_without_the_one_who_grants_it_is_denied() {
    let world = World::new();
    let channel = world.channel("/test/**");
    channel.add_authorizer(Grants::none());
    let granting = channel.add_authorizer(Grants::all());
    let peer = world.open();
    assert_eq!(publish(&peer, "/test/a"), true);
    assert!(channel.remove_authorizer(&granting));
    assert!(!channel.remove_authorizer(&granting), "only once");
    assert_eq!(publish(&peer, "/test/a"), NOT_GRANTED_PUBLISH);
}

#[test]
fn b087_b088_a_channel_stays_as_long_as_it_has_authorizers() {
    let world = World::new();
    let channel = world.channel("/kept/**");
    let id = channel.add_authorizer(Grants::all());
    world.channel("/kept/child").add_authorizer(Grants::all());
    world.pass(2_000);
    assert!(world.has_channel("/kept/**"));
    channel.remove_authorizer(&id);
    world.pass(2_000);
    assert!(!world.has_channel("/kept/**"), "children do not keep it");
    assert!(world.has_channel("/kept/child"));
}

struct NoSecrets;

impl Policy for NoSecrets {
    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        match request.message.channel().as_str() {
            "/secret" => Denial::because("policy").into(),
            _ => Verdict::Allow,
        }
    }
}

#[test]
fn the_policy_is_asked_first_and_authorizers_are_asked_too() {
    let world = World::build(Bayeux::builder().policy(NoSecrets), |_| ());
    world.channel("/**").add_authorizer(Grants::new([Permission::Create]));
    world.channel("/secret").add_authorizer(Grants::all());
    world.channel("/open").add_authorizer(Grants::all());
    let peer = world.open();
    assert_eq!(publish(&peer, "/secret"), "403:policy:publish_denied");
    assert_eq!(publish(&peer, "/open"), true);
    assert_eq!(publish(&peer, "/other"), NOT_GRANTED_PUBLISH);
}

#[test]
fn an_authorizer_sees_who_wants_what_and_one_that_panics_denies() {
    let world = World::new();
    let owner = world.open();
    let id = owner.id.clone();
    world.channel("/owned/**").add_authorizer(move |request: AuthorizeRequest| {
        assert!(request.context.is_some());
        assert_eq!(request.message.is_some(), request.permission == Permission::Publish);
        if request.session.id().to_string() == id && request.channel.as_str() == "/owned/x" {
            Authorization::Grant
        } else {
            Authorization::Ignore
        }
    });
    world.channel("/broken").add_authorizer(|_: AuthorizeRequest| -> Authorization { panic!("!") });
    let other = world.open();
    assert_eq!(publish(&owner, "/owned/x"), true);
    assert_eq!(publish(&other, "/owned/x"), NOT_GRANTED_PUBLISH);
    assert_eq!(publish(&owner, "/owned/y"), NOT_GRANTED_CREATE);
    assert_eq!(publish(&owner, "/broken"), "403::publish_denied");
    assert_eq!(world.sim.reports(), ["authorizer panicked: !"]);
}

#[test]
fn the_application_itself_is_not_asked() {
    let world = World::new();
    world.channel("/a").add_authorizer(Grants::none());
    let peer = world.open();
    world.session(&peer).subscribe("/a").expect("a channel name");
    world.publish("/a", json!(1)).expect("nobody vetoes");
    assert_eq!(peer.connect()[0]["data"], 1);
}

#[test]
fn a_wildcard_does_not_get_around_a_denial_below_it() {
    let world = World::new();
    let grants = Grants::new([Permission::Create, Permission::Subscribe]);
    world.channel("/**").add_authorizer(grants.clone());
    world.channel("/rooms/*").add_authorizer(|request: AuthorizeRequest| {
        match request.permission {
            Permission::Subscribe => Authorization::deny("banned"),
            _ => Authorization::Ignore,
        }
    });
    world.channel("/quiet/*").add_authorizer(Grants::none());
    let peer = world.open();
    for channel in ["/rooms/1", "/rooms/*", "/rooms/**", "/**"] {
        assert_eq!(subscribe(&peer, channel), "403:banned:subscribe_denied", "{channel}");
    }
    assert_eq!(subscribe(&peer, "/quiet/**"), true, "below only a denial counts");
    assert_eq!(subscribe(&peer, "/*"), true, "it does not reach that far");
}
