//! 8.2, connect: when it is held, for how long, and what resumes it.

use bayeux_core::{Event, ResumeCause, Timing};
use serde_json::{Value, json};

use crate::helpers::{Log, connect_now, data};
use crate::support::{Peer, World, advice, connected, ms, unknown};

fn with_advice(advice: Value) -> Value {
    let mut reply = connected();
    reply["advice"] = advice;
    reply
}

#[test]
fn b036_to_b038_the_first_connect_returns_the_second_is_held_and_timeout_zero_is_not() {
    let world = World::new();
    let client = world.client();
    let id = client.handshake();
    let peer = Peer { client, id };
    let took = || {
        let before = world.sim.now();
        let reply = peer.connect();
        (reply, world.sim.now().since(before))
    };
    assert_eq!(took(), (json!([with_advice(advice())]), ms(0)));
    assert_eq!(took(), (json!([connected()]), ms(1500)));
    let before = world.sim.now();
    assert_eq!(peer.ask(connect_now()), json!([with_advice(advice())]));
    assert_eq!(world.sim.now(), before);
}

#[test]
fn b039_the_first_connect_batched_with_a_subscribe() {
    let world = World::new();
    let client = world.client();
    let id = client.handshake();
    let peer = Peer { client, id };
    let subscribe = json!({ "channel": "/meta/subscribe", "subscription": "/foo" });
    let connect = json!({ "id": "c", "channel": "/meta/connect" });
    let subscribed =
        json!({ "channel": "/meta/subscribe", "subscription": "/foo", "successful": true });
    assert_eq!(
        peer.ask_all([connect.clone(), subscribe.clone()]),
        json!([with_advice(advice()), subscribed])
    );
    assert_eq!(world.subscriptions(&peer), ["/foo"]);
    assert_eq!(peer.ask_all([subscribe, connect]), json!([subscribed, connected()]));
}

#[test]
fn b040_an_idle_session_gets_no_advice_however_often_it_times_out() {
    let world = World::new();
    let peer = world.open();
    for _ in 0..3 {
        assert_eq!(peer.hold().wait().json(), json!([connected()]));
    }
}

#[test]
fn b041_b042_times_that_are_set_while_a_connect_is_held_are_told_with_its_reply() {
    let world = World::new();
    let peer = world.open();
    let session = world.session(&peer);
    for (timing, told) in [
        (Timing::new().timeout(ms(700)), json!([0, 700])),
        (Timing::new().interval(ms(50)), json!([50, 1500])),
        (Timing::new(), json!([0, 1500])),
    ] {
        let mut held = peer.hold();
        session.set_timing(timing).unwrap();
        assert!(held.is_held(), "a connect that is held keeps its time");
        let reply = held.wait().json();
        let expected = json!({ "reconnect": "retry", "interval": told[0], "timeout": told[1] });
        assert_eq!(reply, json!([with_advice(expected)]));
    }
    session.set_timing(Timing::new().timeout(ms(700))).unwrap();
    let before = world.sim.now();
    peer.hold().wait();
    assert_eq!(world.sim.now().since(before), ms(700));
}

#[test]
fn b043_the_clients_interval_is_told_back_and_extends_the_session() {
    let world = World::new();
    let peer = world.open();
    let wish = json!({ "timeout": 0, "interval": 1000 });
    let reply = peer.ask(json!({ "id": "c", "channel": "/meta/connect", "advice": wish }));
    let told = json!({ "reconnect": "retry", "interval": 1000, "timeout": 1500 });
    assert_eq!(reply, json!([with_advice(told)]));
    world.pass(2_999);
    assert!(world.find_session(&peer).is_some());
    world.pass(1);
    assert!(world.find_session(&peer).is_none());
}

#[test]
fn b044_a_disconnect_resumes_the_held_connect_with_advice_none() {
    let world = World::new();
    let peer = world.open();
    let mut held = peer.hold();
    peer.ask(json!({ "channel": "/meta/disconnect" }));
    let answer = held.take().expect("it is answered at once");
    assert_eq!(answer.json(), json!([with_advice(json!({ "reconnect": "none" }))]));
}

/// Makes everything that is done with a connect take this long.
fn slow_connects(world: &World, millis: u64) {
    let sim = world.sim.clone();
    world.channel("/meta/connect").on_message(move |_| {
        let sim = sim.clone();
        async move { sim.sleep(ms(millis)).await }
    });
}

#[test]
fn b045_a_disconnect_while_a_connect_is_being_handled() {
    let world = World::new();
    let peer = world.open();
    slow_connects(&world, 500);
    let connecting = peer.start(json!({ "id": "c", "channel": "/meta/connect" }));
    world.pass(100);
    assert_eq!(peer.ask(json!({ "channel": "/meta/disconnect" }))[0]["successful"], true);
    let mut refused = unknown();
    refused["advice"] = json!({ "reconnect": "none" });
    assert_eq!(connecting.wait().json(), json!([refused]));
    assert_eq!(peer.connect(), json!([unknown()]));
}

#[test]
fn b046_b082_a_session_does_not_expire_while_the_application_thinks() {
    let world = World::new();
    let peer = world.open();
    slow_connects(&world, 7_000);
    let before = world.sim.now();
    assert_eq!(peer.ask(connect_now())[0]["successful"], true);
    assert_eq!(world.sim.now().since(before), ms(7_000));
    assert!(world.find_session(&peer).is_some());
}

#[test]
fn b047_b048_only_a_disconnected_session_is_told_to_stop() {
    let world = World::with(|config| config.limits.queue_messages = 2);
    let peer = world.open();
    world.pass(2_000);
    assert_eq!(peer.connect(), json!([unknown()]));

    // A full queue ends a session, too, and its client may come back.
    let peer = world.open();
    let mut held = peer.hold();
    let session = world.session(&peer);
    let batch = session.begin_batch().unwrap();
    for data in 0..3 {
        session.deliver("/q", &data).unwrap();
    }
    drop(batch);
    let answer = held.take().expect("it is answered at once");
    assert_eq!(answer.json(), json!([unknown()]));
}

#[test]
fn b054_connect_only_sessions_get_the_second_event_with_the_next_connect() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    world.session(&peer).set_meta_connect_deliver_only(true).unwrap();
    let held = peer.hold();
    world.publish("/foo", json!(1)).unwrap();
    let event = |data: u8| json!({ "channel": "/foo", "data": data });
    assert_eq!(held.wait().json(), json!([event(1), connected()]));
    world.publish("/foo", json!(2)).unwrap();
    assert_eq!(
        peer.ask(json!({ "channel": "/other", "data": 0 })),
        json!([{ "channel": "/other", "successful": true }])
    );
    assert_eq!(peer.connect(), json!([event(2), connected()]));
}

#[test]
fn b055_connect_only_servers_answer_a_publish_without_its_event() {
    let world = World::with(|config| config.meta_connect_deliver_only = true);
    let peer = world.open();
    peer.subscribe("/foo");
    assert_eq!(
        peer.ask(json!({ "channel": "/foo", "data": 1 })),
        json!([{ "channel": "/foo", "successful": true }])
    );
    assert_eq!(peer.connect(), json!([{ "channel": "/foo", "data": 1 }, connected()]));
    // A held connect is woken by the session's own publish as well.
    let mut held = peer.hold();
    peer.ask(json!({ "channel": "/foo", "data": 2 }));
    let answer = held.take().expect("it is answered at once");
    assert_eq!(answer.json(), json!([{ "channel": "/foo", "data": 2 }, connected()]));
}

#[test]
fn b062_the_application_sees_connects_suspended_and_resumed() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    let log = Log::of_events(&world, |event| match event {
        Event::Suspended { timeout, .. } => Some((None, *timeout)),
        Event::Resumed { cause, .. } => Some((Some(*cause), ms(0))),
        _ => None,
    });
    let resumed = |act: &dyn Fn(), cause: ResumeCause| {
        let mut held = peer.hold();
        act();
        world.sim.settle();
        assert_eq!(log.take(), [(None, ms(1500)), (Some(cause), ms(0))]);
        let _ = held.take();
    };
    resumed(&|| world.pass(1500), ResumeCause::Timeout);
    resumed(&|| world.publish("/foo", json!(1)).unwrap(), ResumeCause::Events);
    let held = peer.hold();
    peer.hold().lose();
    let resumed_as = |cause| (Some(cause), ms(0));
    assert_eq!(
        log.take(),
        [
            (None, ms(1500)),
            resumed_as(ResumeCause::Superseded),
            (None, ms(1500)),
            resumed_as(ResumeCause::ConnectionLost),
        ]
    );
    drop(held);
    resumed(&|| world.session(&peer).disconnect().unwrap(), ResumeCause::Removed);
}

#[test]
fn b063_an_id_that_could_be_markup_is_refused_with_200() {
    let world = World::new();
    let peer = world.open();
    let id = "<script>alert()</script>";
    assert_eq!(
        peer.ask(json!({ "id": id, "channel": "/meta/connect" })),
        json!([{
            "id": id, "channel": "/meta/connect", "successful": false,
            "error": "405::message_id_invalid",
        }])
    );
}

#[test]
fn b067_b068_a_lost_connection_shorter_than_max_interval_is_bridged() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/foo");
    peer.hold().lose();
    world.pass(1_999);
    world.publish("/foo", json!("meanwhile")).unwrap();
    assert_eq!(data(&peer), ["meanwhile"]);

    peer.hold().lose();
    world.pass(2_000);
    assert_eq!(peer.connect(), json!([unknown()]));
    peer.client.open();
    assert_eq!(world.bayeux.sessions().len(), 1);
}

#[test]
fn b069_an_unknown_session_is_advised_to_handshake_at_once() {
    let world = World::new();
    let client = world.client();
    for id in ["", "constructor", &"0".repeat(36)] {
        let answer = client.send(&json!([cometd_testkit::wire::connect(id)]));
        assert_eq!(answer.json(), json!([unknown()]), "{id}");
    }
    let no_id = client.send(&json!([{ "id": "c", "channel": "/meta/connect" }]));
    assert_eq!(no_id.json(), json!([unknown()]));
}
