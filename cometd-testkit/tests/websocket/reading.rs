//! What comes in: one payload after another, whatever the client does meanwhile.

use bayeux_core::DecodeError;
use bayeux_core::front::{Incoming, Received};
use bayeux_core::ws::Close;
use cometd_testkit::wire::{connect, publish, subscribe};
use serde_json::json;

use crate::support::{World, ms};

/// A world with a service that takes a second to answer.
fn slow() -> World {
    let world = World::with(|config| config.timeout = ms(30_000));
    let sim = world.sim.clone();
    world.channel("/service/slow").on_message(move |incoming: Incoming| {
        let sim = sim.clone();
        async move {
            sim.sleep(ms(1_000)).await;
            let data = incoming.raw_data();
            incoming.reply(&data)
        }
    });
    world
}

#[test]
fn payloads_are_answered_one_after_another_even_if_the_first_takes_its_time() {
    let world = slow();
    let socket = world.client().socket();
    let id = socket.open("/a");
    for number in 1..=3 {
        socket.send(&json!([publish(&id, "/service/slow", number)]));
    }
    socket.send(&json!([subscribe(&id, "/late")]));
    assert_eq!(socket.receive(), None);
    for number in 1..=3 {
        world.pass(999);
        assert_eq!(socket.receive(), None);
        world.pass(1);
        assert_eq!(socket.receive().unwrap()[0]["data"], number);
        assert_eq!(socket.receive().unwrap()[0]["channel"], "/service/slow");
    }
    assert_eq!(socket.receive().unwrap()[0]["subscription"], "/late");
}

#[test]
fn events_do_not_wait_for_a_payload_that_takes_its_time() {
    let world = slow();
    let socket = world.client().socket();
    let id = socket.open("/a");
    socket.send(&json!([publish(&id, "/service/slow", 0)]));
    world.publish("/a", json!(1)).unwrap();
    assert_eq!(socket.receive().unwrap()[0]["data"], 1);
}

#[test]
fn a_client_that_goes_while_the_application_decides_is_noticed() {
    let world = slow();
    let socket = world.client().socket();
    let id = socket.open("/a");
    socket.send(&json!([publish(&id, "/service/slow", 0)]));
    socket.lose();
    assert!(socket.is_over());
    assert_eq!(world.bayeux.stats().sockets, 0);
    world.pass(1_000);
    assert_eq!(world.bayeux.stats().links, 0);
}

#[test]
fn what_was_sent_before_the_end_is_done() {
    let world = slow();
    let watcher = world.open();
    watcher.subscribe("/a");
    let socket = world.client().socket();
    let id = socket.open("/b");
    socket.send(&json!([publish(&id, "/service/slow", 0)]));
    socket.send(&json!([publish(&id, "/a", "last words")]));
    socket.arrive(Received::End);
    assert!(!socket.is_over(), "there is more to read before the end");
    world.pass(1_000);
    assert!(socket.is_over());
    assert_eq!(watcher.connect()[0]["data"], "last words");
}

#[test]
fn what_is_no_payload_ends_the_socket_with_a_code_and_leaves_the_session() {
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let many = format!("[{}]", vec!["{}"; 1_001].join(","));
    let two = r#"[{"channel":"/meta/handshake"},{"channel":"/a","data":1}]"#;
    let table = [
        ("garbage", Close::of_payload(DecodeError::NotMessages)),
        ("[", Close::of_payload(DecodeError::NotMessages)),
        ("1", Close::of_payload(DecodeError::NotMessages)),
        (nested.as_str(), Close::of_payload(DecodeError::TooDeep)),
        ("[]", Close::of_payload(DecodeError::Empty)),
        (many.as_str(), Close::of_payload(DecodeError::TooManyMessages)),
        (two, Close { code: 1002, reason: bayeux_core::Refusal::HandshakeNotAlone.what() }),
    ];
    let world = World::new();
    for (text, close) in table {
        let socket = world.client().socket();
        let id = socket.open("/a");
        socket.send_text(text.to_owned());
        assert_eq!(socket.closed(), Some(close), "{}", &text[..text.len().min(40)]);
        assert!(socket.is_over());
        let next = world.client().socket();
        world.publish("/a", json!("still there")).unwrap();
        next.send(&json!([connect(&id)]));
        assert_eq!(next.receive().unwrap()[0]["data"], "still there");
        next.send(&json!([{ "channel": "/meta/disconnect", "clientId": id }]));
    }
    assert_eq!(world.bayeux.stats().links, 0);
}

#[test]
fn a_lone_object_and_a_payload_full_of_mistakes_are_answered() {
    let world = World::new();
    let socket = world.client().socket();
    let reply = socket.ask(&json!({ "channel": "/meta/handshake", "id": 7 }));
    assert_eq!((&reply[0]["id"], &reply[0]["successful"]), (&json!(7), &json!(true)));
    let reply = socket.ask(&json!([{}, { "channel": 5 }, { "channel": "/a" }]));
    assert_eq!(reply.len(), 3);
    assert!(reply.iter().all(|it| it["successful"] == false), "{reply:?}");
    assert_eq!(socket.closed(), None);
}

#[test]
fn a_violation_of_the_frames_ends_the_socket() {
    let world = World::new();
    for close in [Close::BINARY, Close::NOT_UTF8, Close::TOO_LARGE, Close::PROTOCOL] {
        let socket = world.client().socket();
        socket.open("/a");
        socket.arrive(Received::Violation(close));
        assert_eq!(socket.closed(), Some(close));
        assert!(socket.is_over());
    }
    assert_eq!(world.bayeux.stats().sockets, 0);
}

#[test]
fn a_flood_of_payloads_leaves_time_for_others() {
    let world = World::new();
    let (flood, other) = (world.client().socket(), world.client().socket());
    let id = flood.open("/a");
    other.open("/a");
    for number in 0..1_000 {
        flood.send(&json!([publish(&id, "/a", number)]));
    }
    let numbers = |socket: &cometd_testkit::socket::Socket| {
        let all = socket.receive_all().into_iter().flatten();
        all.filter_map(|it| it["data"].as_u64()).collect::<Vec<_>>()
    };
    let expected: Vec<_> = (0..1_000).collect();
    assert_eq!(numbers(&other), expected);
    assert_eq!(numbers(&flood), expected);
}
