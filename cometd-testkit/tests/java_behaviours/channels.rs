//! 8.6, continued: channels, their names, and the order of listeners.

use bayeux_core::front::Incoming;
use bayeux_core::{ChannelKind, ChannelName, Event, NameError, Pattern};
use serde_json::json;

use crate::helpers::{Log, data};
use crate::support::World;

#[test]
fn b125_names_are_normalised() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo/bar/ ");
    assert_eq!(world.subscriptions(&peer), ["/foo/bar"]);
    for name in ["/foo/bar", "/foo/bar/", " /foo/bar", "/foo/bar/ "] {
        world.publish(name, json!(name)).unwrap();
        assert_eq!(data(&peer), [name]);
        assert_eq!(world.channel(name).name(), "/foo/bar");
    }
    // The reply echoes what the client wrote.
    let answer = peer.ask(json!({ "channel": "/foo/bar/", "data": 1 }));
    assert_eq!(
        answer,
        json!([
            { "channel": "/foo/bar", "data": 1 },
            { "channel": "/foo/bar/", "successful": true },
        ])
    );
}

#[test]
fn b126_b127_b128_channels_are_made_once_and_go_alone() {
    let world = World::new();
    let added = Log::of_events(&world, |event| match event {
        Event::ChannelAdded { channel } => Some(channel.to_string()),
        _ => None,
    });
    world.channel("/foo/bar");
    assert!(!world.has_channel("/foo"), "a child does not make its parent");
    let peer = world.open();
    peer.subscribe(json!(["/foo", "/foo/bob", "/foo/*"]));
    world.channel("/foo");
    peer.ask(json!({ "channel": "/foo/bar", "data": 1 }));
    assert_eq!(added.take(), ["/foo/bar", "/foo", "/foo/bob", "/foo/*"]);
    world.channel("/foo").remove();
    world.sim.settle();
    assert_eq!(world.subscriptions(&peer), ["/foo/*", "/foo/bob"]);
    assert!(!world.has_channel("/foo"));
    world.publish("/foo/bob", json!(2)).unwrap();
    assert_eq!(data(&peer), [2]);
}

#[test]
fn b129_names_and_patterns() {
    for (name, kind) in [
        ("/meta/connect", ChannelKind::Meta),
        ("/service/x", ChannelKind::Service),
        ("/foo", ChannelKind::Broadcast),
        ("/meta", ChannelKind::Broadcast),
        ("/service", ChannelKind::Broadcast),
        ("/metafoo/x", ChannelKind::Broadcast),
    ] {
        assert_eq!(ChannelName::parse(name).unwrap().kind(), kind, "{name}");
    }
    for (name, error) in [
        ("/", NameError::NoSlash),
        ("/foo/*/*", NameError::WildcardInside),
        ("/foo/*/**", NameError::WildcardInside),
        ("/foo/**/*", NameError::WildcardInside),
        ("/foo//bar", NameError::EmptySegment),
        ("foo", NameError::NoSlash),
    ] {
        assert_eq!(Pattern::parse(name).unwrap_err(), error, "{name}");
        assert!(ChannelName::parse(name).is_err(), "{name}");
    }
    for (wild, matched, other) in [
        ("/foo/*", "/foo/bar", "/foo/bar/baz"),
        ("/foo/**", "/foo/bar/baz", "/foo"),
        ("/*", "/foo", "/foo/bar"),
        ("/a*b", "/a*b", "/axb"),
    ] {
        let pattern = Pattern::parse(wild).unwrap();
        assert!(pattern.matches(&ChannelName::parse(matched).unwrap()), "{wild}");
        assert!(!pattern.matches(&ChannelName::parse(other).unwrap()), "{wild}");
    }
}

#[test]
fn b146_listeners_run_from_the_root_to_the_leaf_and_in_their_order() {
    let world = World::new();
    let log = Log::default();
    for (name, number) in
        [("/a/b/c", 1), ("/a/b/*", 1), ("/**", 1), ("/a/b/**", 1), ("/a/**", 1), ("/a/b/c", 2)]
    {
        let log = log.clone();
        world.channel(name).on_message(move |incoming: Incoming| {
            log.push(format!("{name} {number} {}", incoming.channel()));
            async {}
        });
    }
    let peer = world.open();
    peer.subscribe("/a/b/c");
    log.take();
    let answer = peer.ask(json!({ "channel": "/a/b/c", "data": 1 }));
    assert_eq!(answer[0]["data"], 1);
    let expected = ["/** 1", "/a/** 1", "/a/b/** 1", "/a/b/* 1", "/a/b/c 1", "/a/b/c 2"];
    assert_eq!(log.take(), expected.map(|it| format!("{it} /a/b/c")));
    // They see service and meta channels, and the application's own messages.
    world.publish("/service/x", json!(1)).unwrap();
    peer.ask(json!({ "channel": "/meta/unsubscribe", "subscription": "/a/b/c" }));
    assert_eq!(log.take(), ["/** 1 /service/x", "/** 1 /meta/unsubscribe"]);
}

#[test]
fn b146_listeners_of_service_channels_see_the_id_and_those_of_broadcast_channels_do_not() {
    let world = World::new();
    let log = Log::default();
    for name in ["/service/x", "/x"] {
        let log = log.clone();
        world.channel(name).on_message(move |incoming: Incoming| {
            log.push(incoming.message().id().map(|id| id.to_string()));
            async {}
        });
    }
    let peer = world.open();
    peer.ask(json!({ "id": "7", "channel": "/service/x", "data": 1 }));
    peer.ask(json!({ "id": "7", "channel": "/x", "data": 1 }));
    assert_eq!(log.take(), [Some("\"7\"".to_string()), None]);
}
