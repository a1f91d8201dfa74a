//! 8.6, publish: what subscribers get, and in which order.

use bayeux_core::front::{Bayeux, Error, Flow, Incoming};
use bayeux_core::http::HttpConfig;
use bayeux_core::{ChannelSettings, Event};
use http::{HeaderValue, header};
use serde_json::{Value, json};

use crate::helpers::{Log, connect_now, data, events};
use crate::support::{Peer, World, connected};

#[test]
fn b118_b119_b147_an_event_has_channel_and_data_and_the_reply_has_neither_data_nor_client_id() {
    let world = World::new();
    let (a, b) = (world.open(), world.open());
    a.subscribe("/foo");
    b.subscribe("/foo");
    let held = b.hold();
    let publish = json!({ "id": 7, "channel": "/foo", "data": { "x": [1] }, "extra": true });
    let event = json!({ "channel": "/foo", "data": { "x": [1] } });
    let reply = json!({ "id": 7, "channel": "/foo", "successful": true });
    assert_eq!(a.ask(publish), json!([event, reply]));
    assert_eq!(held.wait().json(), json!([event, connected()]));
}

#[test]
fn b120_illegal_channels_are_refused_with_200() {
    let world = World::new();
    let peer = world.open();
    for name in
        ["/foo<script>", "/a,b", "/a=b", "/\u{e9}", "/a//b", "/*/b", "/a/*", "/", "a", "/a/**/b"]
    {
        assert_eq!(
            peer.ask(json!({ "channel": name, "data": 1 })),
            json!([{ "channel": name, "successful": false, "error": "405::channel_invalid" }])
        );
    }
    assert!(world.bayeux.channels().is_empty());
}

#[test]
fn b120_characters_are_not_checked_if_that_is_switched_off_but_structure_is() {
    let world = World::with(|config| config.validate_message_fields = false);
    let peer = world.open();
    peer.subscribe("/caf\u{e9},<b>");
    let publish = json!({ "id": "a b", "channel": "/caf\u{e9},<b>", "data": 1 });
    assert_eq!(peer.ask(publish)[0]["data"], 1);
    let answer = peer.ask(json!({ "channel": "/a//b", "data": 1 }));
    assert_eq!(answer[0]["error"], "405::channel_invalid");
}

#[test]
fn b121_wildcards_reach_as_far_as_they_should() {
    let world = World::new();
    let names = ["/foo/bar", "/foo/*", "/foo/**", "/**"];
    let peers = names.map(|name| {
        let peer = world.open();
        peer.subscribe(name);
        peer
    });
    for (channel, reached) in [
        ("/foo/bar", [true, true, true, true]),
        ("/foo/bob", [false, true, true, true]),
        ("/foo/bar/baz", [false, false, true, true]),
        ("/foo", [false, false, false, true]),
        ("/wibble", [false, false, false, true]),
    ] {
        world.publish(channel, json!("x")).unwrap();
        for (peer, reached) in peers.iter().zip(reached) {
            let expected: &[(String, Value)] = &[(channel.to_string(), json!("x"))];
            assert_eq!(events(peer), if reached { expected } else { &[] }, "{channel}");
        }
    }
}

#[test]
fn b122_a_veto_on_a_broadcast_or_service_channel() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    for name in ["/foo", "/service/foo"] {
        world.channel(name).on_message(|_| async { Flow::Veto });
        assert_eq!(
            peer.ask(json!({ "channel": name, "data": 1 })),
            json!([{ "channel": name, "successful": false, "error": "404::message_deleted" }])
        );
    }
    assert!(matches!(world.publish("/foo", json!(1)), Err(Error::Vetoed)));
    assert!(data(&peer).is_empty());
}

#[test]
fn b123_b206_a_wildcard_listener_changes_the_data_for_everybody() {
    let world = World::new();
    let seen = Log::default();
    let to = seen.clone();
    world.channel("/**").on_message(|incoming: Incoming| async move {
        Flow::replace(&json!({ "was": incoming.data::<Value>()? }))
    });
    world.channel("/foo/bar").on_message(move |incoming: Incoming| {
        to.push(incoming.raw_data().to_string());
        async {}
    });
    let (a, b) = (world.open(), world.open());
    a.subscribe("/foo/bar");
    b.subscribe("/foo/*");
    b.ask(json!({ "channel": "/foo/bar", "data": 1, "ext": { "kept": true } }));
    assert_eq!(seen.take(), [r#"{"was":1}"#]);
    let answer = a.ask(connect_now());
    let event = json!({ "channel": "/foo/bar", "data": { "was": 1 }, "ext": { "kept": true } });
    assert_eq!(answer[0], event);
}

#[test]
fn b124_one_copy_for_overlapping_subscriptions() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe(json!(["/foo/bar", "/foo/*", "/foo/**", "/**"]));
    world.publish("/foo/bar", json!(1)).unwrap();
    assert_eq!(data(&peer), [1]);
}

#[test]
fn b130_a_publisher_does_not_hear_itself_where_that_is_switched_off() {
    let off = || ChannelSettings::new().broadcast_to_publisher(false);
    let hears = |world: &World, peer: &Peer| {
        let other = world.open();
        peer.subscribe("/foo/bar");
        other.subscribe("/foo/bar");
        peer.ask(json!({ "channel": "/foo/bar", "data": 1 })).as_array().map(Vec::len) == Some(2)
            && data(&other) == [1]
    };
    let world = World::new();
    assert!(hears(&world, &world.open()));
    let world = World::with(|config| config.broadcast_to_publisher = false);
    assert!(!hears(&world, &world.open()));
    let world = World::new();
    let peer = world.open();
    world.session(&peer).set_broadcast_to_publisher(false).unwrap();
    assert!(!hears(&world, &peer));
    // The application can publish in a session's name, which then counts as the publisher.
    let (channel, session) = (world.channel("/foo/bar"), world.session(&peer));
    let from = session.clone();
    world.sim.block_on(async move { channel.publish_from(&from, &2).await }).unwrap();
    assert!(data(&peer).is_empty());
    session.set_broadcast_to_publisher(true).unwrap();
    let channel = world.channel("/foo/bar");
    world.sim.block_on(async move { channel.publish_from(&session, &3).await }).unwrap();
    assert_eq!(data(&peer), [3]);
    // The channel's own setting counts, else that of the nearest wildcard above it.
    for (name, subscribed) in
        [("/foo/bar", "/foo/bar"), ("/foo/*", "/foo/bar"), ("/**", "/foo/bar"), ("/**", "/foo/*")]
    {
        let world = World::new();
        world.channel(name).configure(off().persistent(true));
        let peer = world.open();
        peer.subscribe(subscribed);
        assert!(!hears(&world, &peer), "{name}");
    }
    let world = World::new();
    world.channel("/foo/*").configure(off().persistent(true));
    let on = ChannelSettings::new().persistent(true).broadcast_to_publisher(true);
    world.channel("/foo/bar").configure(on);
    assert!(hears(&world, &world.open()));
}

#[test]
fn b131_b132_b133_falsy_and_foreign_data_arrive_whatever_the_type_says() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    for falsy in [json!(""), json!(0), json!(false), json!(null), json!("\u{3b1}\u{1f600}")] {
        let answer = peer.ask(json!({ "channel": "/foo", "data": falsy }));
        assert_eq!(answer[0], json!({ "channel": "/foo", "data": falsy }));
    }
    let send = |kind: Option<&'static str>| {
        let publish = json!([{ "channel": "/foo", "clientId": peer.id, "data": "\u{20ac}" }]);
        let mut request = peer.client.request(publish.to_string());
        request.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(kind) = kind {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        }
        let answer = peer.client.start(request).wait();
        (answer.status.as_u16(), answer.json()[0]["data"].clone())
    };
    assert_eq!(send(None), (200, json!("\u{20ac}")));
    assert_eq!(send(Some("application/json;charset=UTF-8")), (200, json!("\u{20ac}")));
    assert_eq!(send(Some("application/json;charset=ISO-8859-7")), (415, Value::Null));
}

#[test]
fn b134_a_batch_arrives_in_order() {
    let world = World::new();
    let (a, b) = (world.open(), world.open());
    a.subscribe("/foo");
    let held = a.hold();
    let publish = |data: u8| json!({ "channel": "/foo", "data": data });
    b.ask_all([publish(1), publish(2), publish(3)]);
    let mut received: Vec<Value> =
        held.wait().messages().iter().map(|it| it["data"].clone()).collect();
    received.pop();
    received.extend(data(&a));
    assert_eq!(received, [1, 2, 3]);
}

#[test]
fn b135_a_batch_before_the_first_connect() {
    let world = World::new();
    let client = world.client();
    let id = client.handshake();
    let peer = Peer { client, id };
    assert_eq!(
        peer.ask_all([
            json!({ "id": "1", "channel": "/meta/subscribe", "subscription": "/foo" }),
            json!({ "id": "2", "channel": "/foo", "data": 1 }),
        ]),
        json!([
            { "channel": "/foo", "data": 1 },
            { "id": "1", "channel": "/meta/subscribe", "subscription": "/foo", "successful": true },
            { "id": "2", "channel": "/foo", "successful": true },
        ])
    );
}

#[test]
fn b137_b138_a_service_delivers_to_its_caller_alone_even_before_the_first_connect() {
    let world = World::new();
    world.channel("/service/hello").on_message(|incoming: Incoming| async move {
        incoming.sender()?.deliver("/service/hello", "you")
    });
    let other = world.open();
    let client = world.client();
    let id = client.handshake();
    let peer = Peer { client, id };
    assert_eq!(
        peer.ask(json!({ "channel": "/service/hello", "data": "me" })),
        json!([
            { "channel": "/service/hello", "data": "you" },
            { "channel": "/service/hello", "successful": true },
        ])
    );
    assert!(data(&other).is_empty());
}

#[test]
fn b139_a_high_rate_of_events_loses_nothing() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    let mut received = Vec::new();
    let mut held = peer.hold();
    for count in 0..2_000 {
        world.publish("/foo", json!(count)).unwrap();
        if count % 7 == 0 {
            let answer = held.wait();
            received.extend(answer.messages().iter().filter_map(|it| it["data"].as_u64()));
            held = peer.start(json!({ "channel": "/meta/connect" }));
        }
    }
    received.extend(held.wait().messages().iter().filter_map(|it| it["data"].as_u64()));
    received.extend(data(&peer).iter().filter_map(Value::as_u64));
    assert_eq!(received, (0..2_000).collect::<Vec<_>>());
}

#[test]
fn b140_every_member_of_every_room_gets_every_message_once() {
    let world = World::with(|config| config.max_interval = crate::support::ms(60_000));
    let rooms: Vec<String> = (0..10).map(|room| format!("/room/{room}")).collect();
    let peers: Vec<Peer> = (0..20).map(|_| world.open()).collect();
    let member = |peer: usize, room: usize| (peer * 7 + room * 3) % 4 != 0;
    for (at, peer) in peers.iter().enumerate() {
        let rooms = rooms.iter().enumerate().filter(|(room, _)| member(at, *room));
        peer.subscribe(rooms.map(|(_, name)| name.clone()).collect::<Vec<_>>());
    }
    let mut received = vec![Vec::new(); peers.len()];
    for (from, peer) in peers.iter().enumerate() {
        for (room, name) in rooms.iter().enumerate() {
            let data = from * 100 + room;
            let answer = peer.ask(json!({ "channel": name, "data": data }));
            let events = answer.as_array().expect("an array").iter();
            received[from].extend(events.filter_map(|it| it["data"].as_u64()));
        }
    }
    for (at, peer) in peers.iter().enumerate() {
        received[at].extend(data(peer).iter().filter_map(Value::as_u64));
        received[at].sort_unstable();
        let expected: Vec<u64> = (0..peers.len() as u64)
            .flat_map(|from| (0..10).map(move |room| from * 100 + room))
            .filter(|data| member(at, (data % 100) as usize))
            .collect();
        assert_eq!(received[at], expected, "peer {at}");
    }
}

#[test]
fn b142_a_payload_that_is_too_large_is_413_and_delivers_nothing() {
    let mut http = HttpConfig::default();
    http.max_message_size = 512;
    let world = World::build(Bayeux::builder().http(http), |_| ());
    let removed =
        Log::of_events(&world, |event| matches!(event, Event::SessionRemoved { .. }).then_some(()));
    let peer = world.open();
    peer.subscribe("/foo");
    let mut large = peer.start(json!({ "channel": "/foo", "data": "x".repeat(512) }));
    let answer = large.take().expect("it is answered at once");
    assert_eq!((answer.status.as_u16(), answer.text()), (413, "the body is too large"));
    assert!(data(&peer).is_empty());
    assert_eq!(
        peer.ask(json!({ "channel": "/foo", "data": "x".repeat(300) }))[1]["successful"],
        true
    );
    assert!(removed.take().is_empty());
}
