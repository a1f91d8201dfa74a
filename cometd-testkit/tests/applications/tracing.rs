//! What the server logs about sessions, at which level, and what it never does.

use std::time::Duration;

use bayeux_core::front::{Bayeux, Builder, HandshakeRequest, Policy, SubscribeRequest};
use bayeux_core::{Config, Denial, Overflow, SessionId, Verdict};
use cometd_testkit::chat;
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::{Client, connect, publish, subscribe};
use serde_json::json;
use tracing::Level;

use crate::recorder::Recording;

fn world(builder: Builder, change: impl FnOnce(&mut Config)) -> (Sim, Bayeux) {
    let sim = Sim::new(3);
    let mut config = Config::default();
    change(&mut config);
    let bayeux = sim.start(builder.config(config)).unwrap();
    (sim, bayeux)
}

/// The span of a session that began with long-polling.
fn polling(id: &str) -> String {
    format!("bayeux:session session={} transport=\"long-polling\"", &id[..12])
}

fn disconnect(id: &str) -> serde_json::Value {
    json!({ "channel": "/meta/disconnect", "clientId": id })
}

#[test]
fn a_session_has_a_span_for_as_long_as_it_exists() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder(), |_| ());
    let client = Client::new(&sim, &bayeux);
    let request = tracing::info_span!("request").entered();
    let id = client.handshake();
    drop(request);
    let span = polling(&id);
    assert_eq!(log.open(), [&*span]);
    let socket = client.socket();
    let other = socket.handshake();
    let socket_span = format!("bayeux:session session={} transport=\"websocket\"", &other[..12]);
    assert_eq!(log.open(), [&*span, &*socket_span]);
    client.send(&json!([disconnect(&id)]));
    assert_eq!(log.open(), [&*socket_span]);
    drop(socket);
    sim.advance(Duration::from_secs(60));
    let expected = [
        "open request with a parent".replace("request", "applications::tracing:request"),
        format!("open {span}"),
        "close applications::tracing:request".to_owned(),
        format!("open {socket_span}"),
        format!("close {span}"),
        format!("close {socket_span}"),
    ];
    assert_eq!(log.lines(), expected);
    assert_eq!(log.entered(), 0);
}

#[test]
fn what_happens_to_a_session_is_said_within_its_span() {
    let log = Recording::start(Level::TRACE);
    let (sim, bayeux) = world(Bayeux::builder(), |_| ());
    let (client, other) = (Client::new(&sim, &bayeux), Client::new(&sim, &bayeux));
    let id = client.open();
    let second = other.handshake();
    log.lines();
    let span = polling(&id);
    client.send(&json!([subscribe(&id, "/a")]));
    assert_eq!(log.lines(), [format!("DEBUG bayeux [{span}] subscribed channel=\"/a\"")]);
    let held = client.post(&json!([connect(&id)]));
    assert_eq!(log.lines(), [format!("TRACE bayeux [{span}] connect suspended timeout=30s")]);
    // Somebody else causes it.
    other.send(&json!([publish(&second, "/a", 1)]));
    assert_eq!(log.lines(), [format!("TRACE bayeux [{span}] connect resumed cause=Events")]);
    held.wait();
    let unsubscribe =
        json!({ "channel": "/meta/unsubscribe", "clientId": id, "subscription": "/a" });
    client.send(&json!([unsubscribe]));
    assert_eq!(log.lines(), [format!("DEBUG bayeux [{span}] unsubscribed channel=\"/a\"")]);
    client.send(&json!([subscribe(&id, "/b"), disconnect(&id)]));
    let expected = [
        format!("DEBUG bayeux [{span}] subscribed channel=\"/b\""),
        format!("DEBUG bayeux [{span}] session removed reason=Disconnected"),
        format!("DEBUG bayeux [{span}] unsubscribed channel=\"/b\""),
        format!("close {span}"),
    ];
    assert_eq!(log.lines(), expected);
    let added = {
        let id = other.handshake();
        let span = polling(&id);
        [format!("open {span}"), format!("DEBUG bayeux [{span}] session added")]
    };
    assert_eq!(log.lines(), added);
}

#[test]
fn refused_messages_are_said_with_the_reason() {
    let log = Recording::start(Level::DEBUG);
    let (sim, bayeux) = world(Bayeux::builder().policy(Strict), |_| ());
    let client = Client::new(&sim, &bayeux);
    let id = client.handshake();
    let span = polling(&id);
    log.lines();
    client.send(&json!([subscribe(&id, "/a"), publish(&id, "no channel \u{202e}", 1)]));
    let expected = [
        format!(
            "DEBUG bayeux [{span}] message refused channel=\"/meta/subscribe\" \
             error=\"403:members only:subscribe_denied\""
        ),
        format!(
            "DEBUG bayeux [{span}] message refused channel=\"no channel \\u{{202e}}\" \
             error=\"405::channel_invalid\""
        ),
    ];
    assert_eq!(log.lines(), expected);
    // Whoever is nobody yet has no span.
    client.send(&json!([{ "channel": "/meta/handshake", "ext": { "user": "nobody" } }]));
    let refused = "DEBUG bayeux message refused channel=\"/meta/handshake\" \
                   error=\"403::handshake_denied\"";
    assert_eq!(log.lines(), [refused]);
    let long = publish(&id, &"x".repeat(10_000), 1);
    client.send(&json!([long]));
    assert!(log.lines()[0].len() < 400, "what a client calls a channel is cut");
}

struct Strict;

impl Policy for Strict {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        request.raw_ext.is_none_or(|ext| ext.to_string() == "null").into()
    }

    async fn can_subscribe(&self, _: SubscribeRequest) -> Verdict {
        Denial::because("members only").into()
    }
}

#[test]
fn a_queue_that_is_full_is_warned_about_once() {
    let log = Recording::start(Level::DEBUG);
    let (sim, bayeux) = world(Bayeux::builder(), |config| {
        config.limits.queue_messages = 2;
        config.overflow = Overflow::DropOldest;
    });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let session = bayeux.session(SessionId::parse(&id).unwrap()).unwrap();
    let deliver = || session.deliver("/a", &1).unwrap();
    log.lines();
    (0..5).for_each(|_| deliver());
    let (span, prefix) = (polling(&id), &id[..12]);
    let full =
        format!("WARN bayeux [{span}] events dropped: the queue is full session={prefix} count=1");
    let more = format!("DEBUG bayeux [{span}] more events dropped count=1");
    assert_eq!(log.lines(), [full.clone(), more.clone(), more.clone()]);
    // The client reads what is there: from here on it is another time.
    client.send(&json!([connect(&id)]));
    (0..4).for_each(|_| deliver());
    assert_eq!(log.lines(), [full, more]);
}

#[test]
fn warnings_say_which_session_without_a_span() {
    let log = Recording::start(Level::WARN);
    let (sim, bayeux) = world(Bayeux::builder(), |config| config.limits.queue_messages = 2);
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let session = bayeux.session(SessionId::parse(&id).unwrap()).unwrap();
    (0..3).for_each(|_| drop(session.deliver("/a", &1)));
    assert!(!session.exists());
    let expected = format!(
        "WARN bayeux session removed: its queue is full session={} reason=Overflowed",
        &id[..12]
    );
    assert_eq!(log.lines(), [expected]);
}

#[test]
fn a_session_that_ends_in_the_turn_that_it_begins_in_leaves_nothing_open() {
    let log = Recording::start(Level::DEBUG);
    let (sim, bayeux) = world(Bayeux::builder().policy(Talkative), |config| {
        config.limits.queue_messages = 2;
    });
    let client = Client::new(&sim, &bayeux);
    let answer = client.send(&json!([{ "channel": "/meta/handshake" }])).messages();
    assert_eq!(answer[0]["error"], "403:queue_overflow:handshake_denied");
    let lines = log.lines();
    let span = lines[0].strip_prefix("open ").unwrap();
    assert!(span.ends_with("transport=\"long-polling\""), "{span}");
    assert_eq!(lines[1], format!("DEBUG bayeux [{span}] session added"));
    assert!(lines[2].starts_with("WARN bayeux ["), "{lines:?}");
    assert!(lines[3].contains("message refused"), "{lines:?}");
    assert_eq!(lines[4..], [format!("close {span}")]);
    assert_eq!(log.open().len(), 0);
}

struct Talkative;

impl Policy for Talkative {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        (0..3).for_each(|number| request.session.deliver("/a", &number).unwrap());
        Verdict::Allow
    }
}

#[test]
fn spans_end_with_their_server() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder(), |_| ());
    let client = Client::new(&sim, &bayeux);
    client.open();
    let socket = client.socket();
    socket.open("/a");
    assert_eq!(log.open().len(), 2);
    drop((socket, client, bayeux));
    sim.settle();
    assert_eq!(sim.tasks(), 0);
    assert_eq!(log.open().len(), 0);
}

#[test]
fn payloads_and_whole_ids_are_never_logged() {
    const SECRET: &str = "s3cr3t";
    let log = Recording::start(Level::TRACE);
    let sim = Sim::new(7);
    let bayeux = chat::build(Bayeux::builder(), |builder| sim.start(builder)).unwrap();
    let (client, socket) = {
        let client = Client::new(&sim, &bayeux);
        let socket = client.socket();
        (client, socket)
    };
    let handshake = |name: &str| {
        let ext = json!({ "chat": { "user": name, "key": SECRET }, "more": SECRET });
        json!([{ "channel": "/meta/handshake", "ext": ext }])
    };
    let answer = client.send(&handshake("Ann"));
    let ann = answer.messages()[0]["clientId"].as_str().unwrap().to_owned();
    let bob = socket.ask(&handshake("Bob"))[0]["clientId"].as_str().unwrap().to_owned();
    // Refused for what is in it.
    client.send(&json!([{ "channel": "/meta/handshake", "ext": { "chat": SECRET } }]));
    let rooms = json!(["/members/lobby", "/chat/lobby"]);
    client.send(&json!([connect(&ann), subscribe(&ann, rooms.clone())]));
    socket.ask(&json!([connect(&bob)]));
    socket.ask(&json!([subscribe(&bob, rooms)]));
    for (channel, data) in [
        ("/chat/lobby", json!({ "text": SECRET })),
        ("/chat/lobby", json!({ SECRET: SECRET })),
        ("/service/private", json!({ "to": "Bob", "text": SECRET })),
        ("/elsewhere", json!(SECRET)),
    ] {
        let mut message = publish(&ann, channel, data);
        message["ext"] = json!({ "token": SECRET });
        client.send(&json!([message]));
    }
    let mut seen = socket.receive_all().concat();
    seen.extend(client.send(&json!([connect(&ann)])).messages());
    assert!(json!(seen).to_string().contains(SECRET), "it went through the server");
    client.send(&json!([disconnect(&ann)]));
    drop(socket);
    sim.advance(Duration::from_secs(60));

    let lines = log.lines();
    assert!(lines.iter().any(|it| it.contains("channel=\"/chat/lobby\"")), "{lines:#?}");
    assert!(lines.iter().any(|it| it.contains("publish_denied")), "{lines:#?}");
    let cookie = client.cookie().unwrap();
    let cookie = cookie.split('=').next_back().unwrap();
    for line in &lines {
        for secret in [SECRET, &ann, &bob, cookie, &ann[..13], &bob[..13]] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}
