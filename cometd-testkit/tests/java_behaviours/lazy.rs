//! 8.7, lazy messages and full queues.

use std::sync::Arc;

use bayeux_core::{
    ChannelName, ChannelSettings, Event, Json, Message, MessageParts, Overflow, RemovedReason,
};
use serde_json::{Value, json};

use crate::helpers::{Log, data};
use crate::support::{Peer, World, connected, ms, unknown};

/// A server whose lazy messages wait for 1 s at most, less than a connect is held.
fn world() -> World {
    World::with(|config| {
        config.timeout = ms(5_000);
        config.max_lazy_timeout = ms(1_000);
    })
}

fn lazy(timeout: Option<u64>) -> ChannelSettings {
    let settings = ChannelSettings::new().persistent(true).lazy(true);
    timeout.map_or(settings.clone(), |timeout| settings.lazy_timeout(ms(timeout)))
}

/// Holds a connect, does something, and checks after how long which events come.
fn arrives(world: &World, peer: &Peer, act: impl FnOnce(), after: u64, expected: &[&str]) {
    let held = peer.hold();
    let before = world.sim.now();
    act();
    let messages = held.wait().messages();
    let took = world.sim.now().since(before);
    let (reply, events) = messages.split_last().expect("there is a reply");
    assert_eq!(reply, &connected());
    let data: Vec<_> = events.iter().map(|it| it["data"].as_str().expect("text")).collect();
    assert_eq!((took, &data[..]), (ms(after), expected));
}

#[test]
fn b148_b149_b150_a_lazy_event_waits_for_the_timeout_that_is_closest() {
    let world = world();
    let peer = world.open();
    peer.subscribe(json!(["/global", "/short", "/long"]));
    world.channel("/global").configure(lazy(None));
    world.channel("/short").configure(lazy(Some(300)));
    world.channel("/long").configure(lazy(Some(4_000)));
    let publish = |name: &str| world.publish(name, json!(name)).unwrap();
    arrives(&world, &peer, || publish("/global"), 1_000, &["/global"]);
    arrives(&world, &peer, || publish("/short"), 300, &["/short"]);
    arrives(&world, &peer, || publish("/long"), 4_000, &["/long"]);
    let both = || {
        publish("/long");
        world.pass(100);
        publish("/short");
    };
    arrives(&world, &peer, both, 400, &["/long", "/short"]);
    let kept = || {
        publish("/short");
        publish("/long");
    };
    arrives(&world, &peer, kept, 300, &["/short", "/long"]);
}

#[test]
fn b149_the_most_specific_channel_that_has_a_lazy_timeout_decides() {
    let world = world();
    let peer = world.open();
    peer.subscribe(json!(["/foo/bar", "/foo/own"]));
    world.channel("/foo/*").configure(lazy(Some(300)));
    world.channel("/foo/own").configure(lazy(Some(600)));
    let publish = |name: &str| world.publish(name, json!(name)).unwrap();
    arrives(&world, &peer, || publish("/foo/bar"), 300, &["/foo/bar"]);
    arrives(&world, &peer, || publish("/foo/own"), 600, &["/foo/own"]);
}

#[test]
fn b151_delivering_ignores_the_channels_laziness_but_not_the_messages() {
    let world = world();
    let peer = world.open();
    world.channel("/lazy").configure(lazy(None));
    let session = world.session(&peer);
    arrives(&world, &peer, || session.deliver("/lazy", "now").unwrap(), 0, &["now"]);
    let parts = MessageParts::data(Json::new("later").unwrap()).lazy(true);
    let message = Arc::new(Message::with(ChannelName::parse("/eager").unwrap(), &parts));
    arrives(&world, &peer, || session.deliver_message(message).unwrap(), 1_000, &["later"]);
}

#[test]
fn b152_lazy_events_alone_do_not_answer_a_connect() {
    let world = world();
    let peer = world.open();
    peer.subscribe(json!(["/lazy", "/eager"]));
    world.channel("/lazy").configure(lazy(None));
    world.publish("/lazy", json!("waits")).unwrap();
    world.pass(200);
    arrives(&world, &peer, || (), 800, &["waits"]);
    // They go with whatever leaves first.
    world.publish("/lazy", json!("rides")).unwrap();
    let answer = peer.ask(json!({ "channel": "/other", "data": 0 }));
    assert_eq!(answer[0], json!({ "channel": "/lazy", "data": "rides" }));
    let both = || {
        world.publish("/lazy", json!("first")).unwrap();
        world.publish("/eager", json!("second")).unwrap();
    };
    arrives(&world, &peer, both, 0, &["first", "second"]);
}

#[test]
fn b153_laziness_is_inherited_from_wildcards_and_not_from_parents() {
    for (name, after) in [("/foo/*", 1_000), ("/foo/**", 1_000), ("/**", 1_000), ("/foo", 0)] {
        let world = world();
        let peer = world.open();
        peer.subscribe("/foo/bar");
        world.channel(name).configure(lazy(None));
        let publish = || world.publish("/foo/bar", json!("x")).unwrap();
        arrives(&world, &peer, publish, after, &["x"]);
    }
    let settings = ChannelSettings::new().lazy_timeout(ms(1));
    assert!(settings.lazy);
    assert_eq!(settings.lazy(false).lazy_timeout, None);
}

#[test]
fn b154_a_full_queue_removes_the_session_unless_it_is_said_otherwise() {
    for (overflow, left) in [
        (None, None),
        (Some(Overflow::Remove), None),
        (Some(Overflow::DropNewest), Some([1, 2])),
        (Some(Overflow::DropOldest), Some([2, 3])),
        (Some(Overflow::KeepLatest), Some([2, 3])),
    ] {
        let world = World::with(|config| config.limits.queue_messages = 2);
        let log = Log::of_events(&world, |event| match event {
            Event::SessionRemoved { reason, .. } => Some((Some(*reason), 0)),
            Event::EventsDropped { count, .. } => Some((None, *count)),
            _ => None,
        });
        let peer = world.open();
        peer.subscribe("/foo");
        if let Some(overflow) = overflow {
            world.channel("/foo").configure(ChannelSettings::new().overflow(overflow));
        }
        for data in 1..=3 {
            world.publish("/foo", json!(data)).unwrap();
        }
        world.sim.settle();
        match left {
            None => {
                assert_eq!(log.take(), [(Some(RemovedReason::Overflowed), 0)]);
                assert_eq!(peer.connect(), json!([unknown()]));
            }
            Some(left) => {
                assert_eq!(log.take(), [(None, 1)], "{overflow:?}");
                assert_eq!(data(&peer), left.map(Value::from));
            }
        }
    }
}

#[test]
fn b154_a_queue_is_bounded_in_bytes_too() {
    let world = World::with(|config| config.limits.queue_bytes = 1_000);
    let peer = world.open();
    let session = world.session(&peer);
    session.deliver("/q", &"x".repeat(5_000)).unwrap();
    assert!(session.exists(), "a single event always fits");
    session.deliver("/q", &1).unwrap();
    assert!(!session.exists());
    assert_eq!(world.bayeux.stats().removed.overflowed, 1);
}
