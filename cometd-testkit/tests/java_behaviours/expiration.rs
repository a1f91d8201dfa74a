//! 8.3, expiration: every session has one deadline, and nothing but its client postpones it.

use bayeux_core::front::Error;
use bayeux_core::{Event, RemovedReason, Timing};
use http::Version;
use serde_json::json;

use crate::helpers::{Log, data};
use crate::support::{Peer, World, ms, unknown};

/// Checks that a session is there for exactly so many more milliseconds.
fn lives_for(world: &World, peer: &Peer, millis: u64) {
    world.pass(millis - 1);
    assert!(world.find_session(peer).is_some(), "it is gone before {millis} ms");
    world.pass(1);
    assert!(world.find_session(peer).is_none(), "it is there after {millis} ms");
}

#[test]
fn b070_a_client_that_vanishes_with_a_held_connect() {
    let world = World::new();
    let removed = Log::of_events(&world, |event| match event {
        Event::SessionRemoved { reason, .. } => Some(*reason),
        _ => None,
    });
    // The loss of its connection is noticed at once.
    let peer = world.open();
    let held = peer.hold();
    world.pass(500);
    held.lose();
    lives_for(&world, &peer, 2_000);
    // One that is not noticed is found out when the answer cannot be sent.
    let peer = world.open();
    let held = peer.hold();
    world.pass(1_500);
    held.lose();
    lives_for(&world, &peer, 2_000);
    assert_eq!(removed.take(), [RemovedReason::Expired; 2]);
    assert_eq!(world.bayeux.stats().removed.expired, 2);
}

#[test]
fn b072_deliveries_do_not_keep_an_abandoned_session() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    for count in 0..4 {
        world.publish("/foo", json!(count)).unwrap();
        world.pass(400);
    }
    lives_for(&world, &peer, 400);
}

#[test]
fn b073_b074_issue_256_a_response_that_cannot_be_sent_starts_the_expiry() {
    let world = World::new();
    let peer = world.open();
    let held = peer.hold();
    let large = "x".repeat(500_000);
    world.session(&peer).deliver("/large", &large).unwrap();
    // The client does not read; after a while the transport gives up.
    world.pass(1_000);
    assert_eq!(world.session(&peer).queue_messages(), 1, "it is not forgotten meanwhile");
    held.lose();
    assert_eq!(world.bayeux.stats().events_returned, 1);
    lives_for(&world, &peer, 2_000);
}

#[test]
fn b076_nothing_is_delivered_to_a_removed_session() {
    let world = World::new();
    let peer = world.open();
    let session = world.session(&peer);
    peer.ask(json!({ "channel": "/meta/disconnect" }));
    assert!(matches!(session.deliver("/foo", &1), Err(Error::SessionGone)));
    assert!(matches!(session.disconnect(), Err(Error::SessionGone)));
    assert!(matches!(session.subscribe("/foo"), Err(Error::SessionGone)));
    assert!(matches!(session.begin_batch(), Err(Error::SessionGone)));
    assert_eq!(session.queue_messages(), 0);
    assert!(!session.exists());
}

#[test]
fn b077_to_b079_issue_650_any_message_postpones_the_expiry_linearly() {
    let world = World::new();
    let peer = world.open();
    for message in [
        json!({ "channel": "/foo", "data": 1 }),
        json!({ "channel": "/service/foo", "data": 1 }),
        json!({ "channel": "/meta/subscribe", "subscription": "/foo" }),
        json!({ "channel": "/meta/unsubscribe", "subscription": "/foo" }),
    ] {
        world.pass(1_900);
        peer.ask(message);
    }
    // Many messages postpone it no more than the last of them.
    for _ in 0..20 {
        peer.ask(json!({ "channel": "/foo", "data": 1 }));
    }
    lives_for(&world, &peer, 2_000);
}

/// The application is asked about this one, and has its say at once.
#[test]
fn b079_a_message_with_a_listener_postpones_the_expiry_no_further() {
    let world = World::new();
    world.channel("/listened").on_message(|_| async {});
    let peer = world.open();
    assert_eq!(peer.ask(json!({ "channel": "/listened", "data": 1 }))[0]["successful"], true);
    lives_for(&world, &peer, 2_000);
}

#[test]
fn b079_the_servers_interval_counts_on_top() {
    let world = World::with(|config| config.interval = ms(1_000));
    let peer = world.open();
    lives_for(&world, &peer, 3_000);
    let peer = world.open();
    world.pass(2_500);
    peer.ask(json!({ "channel": "/foo", "data": 1 }));
    lives_for(&world, &peer, 2_000);
}

#[test]
fn b080_a_session_may_have_a_max_interval_of_its_own() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    let timing = Timing::new().max_interval(ms(6_000));
    world.session(&peer).set_timing(timing).unwrap();
    lives_for(&world, &other, 2_000);
    lives_for(&world, &peer, 4_000);
}

#[test]
fn b083_a_session_over_http_2_expires_too() {
    let world = World::new();
    let peer = world.open();
    let messages = json!([cometd_testkit::wire::connect(&peer.id)]);
    let mut request = peer.client.request(messages.to_string());
    *request.version_mut() = Version::HTTP_2;
    let mut held = peer.client.start(request);
    assert!(held.is_held());
    held.wait();
    lives_for(&world, &peer, 2_000);
}

#[test]
fn b084_b085_any_number_of_sessions_expires_in_time() {
    for count in [0, 1, 100, 1_000] {
        let world = World::new();
        for _ in 0..count {
            world.client().handshake();
        }
        assert_eq!(world.bayeux.sessions().len(), count);
        world.pass(1_999);
        assert_eq!(world.bayeux.sessions().len(), count);
        world.pass(1);
        assert_eq!(world.bayeux.sessions().len(), 0);
        assert_eq!(world.bayeux.stats().browsers, 0);
    }
}

#[test]
fn b086_an_idle_channel_is_swept_after_three_periods_and_not_before() {
    let world = World::new();
    let removed = Log::of_events(&world, |event| match event {
        Event::ChannelRemoved { channel } => Some(channel.to_string()),
        _ => None,
    });
    world.channel("/foo");
    world.pass(599);
    assert!(world.has_channel("/foo"));
    world.pass(1);
    assert!(!world.has_channel("/foo"));
    assert_eq!(removed.take(), ["/foo"]);
    // A publish is a use.
    let peer = world.open();
    peer.ask(json!({ "channel": "/foo", "data": 1 }));
    world.pass(500);
    peer.ask(json!({ "channel": "/foo", "data": 1 }));
    world.pass(599);
    assert!(world.has_channel("/foo"));
    world.pass(1);
    assert!(!world.has_channel("/foo"));
}

#[test]
fn b087_persistent_subscribed_and_listened_channels_stay() {
    let world = World::with(|config| config.max_interval = ms(60_000));
    let peer = world.open();
    world.channel("/persistent").configure(bayeux_core::ChannelSettings::new().persistent(true));
    let listener = world.channel("/listened").on_message(|_| async {});
    peer.subscribe(json!(["/subscribed", "/wild/*"]));
    let names = || -> Vec<String> {
        world.bayeux.channels().iter().map(|it| it.name().to_string()).collect()
    };
    world.pass(5_000);
    assert_eq!(names(), ["/listened", "/persistent", "/subscribed", "/wild/*"]);
    assert!(world.bayeux.remove_listener(&listener));
    assert!(!world.bayeux.remove_listener(&listener));
    world.channel("/persistent").configure(bayeux_core::ChannelSettings::new());
    peer.ask(json!({ "channel": "/meta/unsubscribe", "subscription": "/wild/*" }));
    world.pass(600);
    assert_eq!(names(), ["/subscribed"]);
    peer.ask(json!({ "channel": "/meta/disconnect" }));
    world.pass(600);
    assert!(names().is_empty());
}

#[test]
fn b089_a_removed_session_is_unsubscribed() {
    let world = World::new();
    let log = Log::of_events(&world, |event| match event {
        Event::SessionRemoved { .. } => Some("removed".to_string()),
        Event::Unsubscribed { channel, .. } => Some(channel.to_string()),
        _ => None,
    });
    let peer = world.open();
    peer.subscribe(json!(["/a", "/b/*"]));
    world.pass(2_000);
    let mut events = log.take();
    events[1..].sort();
    assert_eq!(events, ["removed", "/a", "/b/*"], "the session's end is told first");
    assert!(world.channel("/a").subscribers().is_empty());
}

#[test]
fn b090_a_handle_on_a_swept_channel_still_publishes() {
    let world = World::with(|config| config.max_interval = ms(60_000));
    let peer = world.open();
    peer.subscribe("/foo/*");
    let channel = world.channel("/foo/bar");
    world.pass(600);
    assert!(!channel.exists());
    let publishing = channel.clone();
    world.sim.block_on(async move { publishing.publish("late").await }).unwrap();
    assert_eq!(data(&peer), ["late"]);
}

#[test]
fn issue_1296_slow_handlers_do_not_keep_sessions_alive() {
    let world = World::new();
    let sim = world.sim.clone();
    world.bayeux.on_event(move |_| {
        let sim = sim.clone();
        async move { sim.sleep(ms(100_000)).await }
    });
    let (a, b) = (world.open(), world.open());
    world.session(&a).on_removed(|_, _| std::future::pending()).unwrap();
    lives_for(&world, &a, 2_000);
    assert!(world.find_session(&b).is_none());
    assert_eq!(b.connect(), json!([unknown()]));
}
