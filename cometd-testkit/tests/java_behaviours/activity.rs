//! Sessions that end because they are not used, or because the application takes too long.

use bayeux_core::{Activity, Event, RemovedReason};
use serde_json::json;

use crate::support::{World, ms, unknown};

#[test]
fn b221_a_session_whose_client_only_connects_ends() {
    let world = World::new();
    let peer = world.open();
    world.session(&peer).set_activity(Activity::of_client(ms(4_000))).expect("it is there");
    peer.connect();
    peer.connect();
    let held = peer.hold();
    world.pass(999);
    assert!(world.find_session(&peer).is_some());
    world.pass(1);
    let expected = json!([
        { "channel": "/meta/disconnect", "successful": true },
        { "id": "c", "channel": "/meta/connect", "successful": true, "advice": { "reconnect": "none" } },
    ]);
    assert_eq!(held.wait().json(), expected);
    assert!(world.find_session(&peer).is_none());
}

#[test]
fn b221_activity_postpones_the_end() {
    let world = World::new();
    let peer = world.open();
    world.session(&peer).set_activity(Activity::of_client(ms(2_500))).expect("it is there");
    for _ in 0..4 {
        peer.connect();
        peer.ask(json!({ "channel": "/a", "data": 1 }));
    }
    // What the server sends does not count here.
    peer.subscribe("/b");
    peer.connect();
    world.publish("/b", json!(1)).expect("nobody vetoes");
    peer.connect();
    world.pass(1_000);
    assert!(world.find_session(&peer).is_none());
}

#[test]
fn b221_both_ways_what_the_server_sends_counts_too() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/b");
    world.session(&peer).set_activity(Activity::of_both(ms(2_500))).expect("it is there");
    for _ in 0..4 {
        peer.connect();
        world.publish("/b", json!(1)).expect("nobody vetoes");
        peer.connect();
    }
    world.session(&peer).set_activity(None).expect("it is there");
    for _ in 0..4 {
        peer.connect();
    }
    assert!(world.find_session(&peer).is_some());
}

#[test]
fn the_application_is_told_that_it_was_inactive() {
    let world = World::new();
    let told = std::sync::Arc::new(std::sync::Mutex::new(None));
    let log = std::sync::Arc::clone(&told);
    world.bayeux.on_event(move |notice| {
        if let Event::SessionRemoved { reason, .. } = notice.event {
            *log.lock().expect("nobody panicked") = Some(reason);
        }
        async {}
    });
    let peer = world.open();
    world.session(&peer).set_activity(Activity::of_client(ms(500))).expect("it is there");
    world.pass(500);
    assert_eq!(*told.lock().expect("nobody panicked"), Some(RemovedReason::Inactive));
    // Its client learns of it with its next message.
    let answer = peer.connect();
    assert_eq!(answer[0], json!({ "channel": "/meta/disconnect", "successful": true }));
    assert_eq!(answer[1]["advice"], json!({ "reconnect": "none" }));
    assert_eq!(peer.connect()[0], unknown());
}

#[test]
fn b082_max_processing_ends_a_session_whose_message_is_processed_for_too_long() {
    for (limit, ended) in [(None, false), (Some(ms(3_000)), true)] {
        let world = World::with(|config| config.max_processing = limit);
        let sim = world.sim.clone();
        world.channel("/service/slow").on_message(move |_| sim.sleep(ms(5_000)));
        let peer = world.open();
        let mut slow = peer.start(json!({ "channel": "/service/slow", "data": 1 }));
        world.pass(4_000);
        assert_eq!(world.find_session(&peer).is_none(), ended);
        assert!(slow.is_held());
        world.pass(1_000);
        assert_eq!(slow.wait().messages()[0]["successful"], true, "the message was accepted");
    }
}
