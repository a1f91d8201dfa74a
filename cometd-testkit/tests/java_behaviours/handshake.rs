//! 8.1, handshake: who gets a session, and what comes with it.

use std::collections::BTreeSet;

use bayeux_core::front::{Bayeux, HandshakeRequest, Policy, PublishRequest, Runtime};
use bayeux_core::{
    Advice, Command, Config, Denial, Event, Input, Json, LinkId, LinkInfo, Message, Output,
    Reconnect, Server, Time, Transport, Verdict,
};
use cometd_testkit::sim::Sim;
use http::HeaderValue;
use serde_json::{Value, json};

use crate::helpers::{Log, connect_now, events};
use crate::support::{Peer, World, unknown};

fn shake(world: &World, members: Value) -> Value {
    let mut message = json!({ "channel": "/meta/handshake" });
    for (name, value) in members.as_object().expect("an object") {
        message[name] = value.clone();
    }
    world.client().send(&json!([message])).json()
}

#[test]
fn b001_to_b004_a_valid_handshake_in_every_form() {
    let world = World::new();
    let types = json!(["long-polling"]);
    let forms = [
        json!([{ "channel": "/meta/handshake", "version": "1.0", "minimumVersion": "1.0",
                 "supportedConnectionTypes": types }]),
        json!([{ "channel": "/meta/handshake", "version": "1.0" }]),
        json!([{ "channel": "/meta/handshake", "supportedConnectionTypes": types }]),
        json!({ "channel": "/meta/handshake", "supportedConnectionTypes": types }),
    ];
    let mut ids = BTreeSet::new();
    for form in &forms {
        let answer = world.client().send(form);
        assert_eq!(answer.status, 200);
        let replies = answer.messages();
        assert_eq!((replies.len(), &replies[0]["successful"]), (1, &json!(true)), "{form}");
        ids.insert(replies[0]["clientId"].as_str().expect("a session").to_string());
    }
    assert_eq!(ids.len(), forms.len());
}

#[test]
fn b005_b006_a_handshake_travels_alone() {
    let world = World::new();
    for other in [
        json!({ "channel": "/meta/subscribe", "subscription": "/foo" }),
        json!({ "channel": "/foo", "data": 1 }),
        json!({ "channel": "/meta/handshake" }),
    ] {
        for payload in [
            json!([{ "channel": "/meta/handshake" }, other]),
            json!([other, { "channel": "/meta/handshake" }]),
        ] {
            assert_eq!(world.client().send(&payload).status, 400, "{payload}");
        }
    }
    assert_eq!(world.bayeux.stats().sessions, 0);
    assert!(world.bayeux.channels().is_empty());
}

/// Denies with what the client's `ext` asks for.
struct Refuser;

impl Policy for Refuser {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        let ext: Value = request.ext().expect("any JSON will do");
        match ext["mood"].as_str() {
            Some("good") => Verdict::Allow,
            Some("reason") => Denial::because("not: today").into(),
            Some("advice") => Denial::default()
                .advice(Advice::reconnect(Reconnect::Handshake))
                .ext(Json::new(&json!({ "challenge": 7 })).expect("JSON"))
                .into(),
            _ => Verdict::deny(),
        }
    }
}

#[test]
fn b007_b008_a_refusal_with_reason_advice_and_ext() {
    let world = World::build(Bayeux::builder().policy(Refuser), |_| ());
    let refusal = |error: &str, reconnect: &str| {
        json!({
            "channel": "/meta/handshake", "successful": false, "error": error,
            "supportedConnectionTypes": ["websocket", "long-polling"], "advice": { "reconnect": reconnect },
        })
    };
    assert_eq!(shake(&world, json!({})), json!([refusal("403::handshake_denied", "none")]));
    assert_eq!(
        shake(&world, json!({ "ext": { "mood": "reason" } })),
        json!([refusal("403:not; today:handshake_denied", "none")])
    );
    let mut expected = refusal("403::handshake_denied", "handshake");
    expected["ext"] = json!({ "challenge": 7 });
    assert_eq!(shake(&world, json!({ "ext": { "mood": "advice" } })), json!([expected]));
}

#[test]
fn b009_to_b012_connection_types_are_negotiated() {
    for (offered, theirs, accepted) in [
        (&["long-polling"][..], &["websocket", "long-polling"][..], true),
        (&["long-polling"], &["websocket"], false),
        (&["long-polling"], &["callback-polling"], false),
        (&["callback-polling"], &["long-polling"], false),
        (&["callback-polling", "long-polling"], &["long-polling"], true),
        (&["long-polling"], &["constructor"], false),
        (&["long-polling"], &[], false),
    ] {
        let world = World::with(|config| {
            config.allowed_transports = offered
                .iter()
                .map(|name| Transport::from_name(name).expect("a transport"))
                .collect();
        });
        let reply = &shake(&world, json!({ "supportedConnectionTypes": theirs }))[0];
        assert_eq!(reply["successful"], accepted, "{theirs:?}");
        assert_eq!(reply["supportedConnectionTypes"], json!(offered));
        if !accepted {
            assert_eq!(reply["error"], "301::connection_types_unsupported");
            assert_eq!(reply["advice"], json!({ "reconnect": "none" }));
            assert_eq!(world.bayeux.stats().sessions, 0);
        }
    }
}

#[test]
fn b015_the_first_handshakes_response_sets_the_cookie() {
    let world = World::new();
    let client = world.client();
    let message = json!([{ "channel": "/meta/handshake" }]);
    assert!(client.send(&message).header("set-cookie").is_some());
    assert_eq!(client.send(&message).header("set-cookie"), None);
}

#[test]
fn b016_each_attempts_ext_reaches_the_policy() {
    let world = World::build(Bayeux::builder().policy(Refuser), |_| ());
    assert_eq!(shake(&world, json!({ "ext": { "mood": "bad" } }))[0]["successful"], false);
    assert_eq!(shake(&world, json!({ "ext": { "mood": "good" } }))[0]["successful"], true);
}

/// Wants the same credentials with every request.
struct Basic;

impl Policy for Basic {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        Verdict::from(
            request.context.and_then(|it| it.header("authorization").map(str::to_owned))
                == Some("Basic abc".to_string()),
        )
    }

    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        Verdict::from(
            request.context.is_some_and(|it| it.header("authorization") == Some("Basic abc")),
        )
    }
}

#[test]
fn b017_headers_reach_the_policy_with_every_request() {
    let world = World::build(Bayeux::builder().policy(Basic), |_| ());
    let client = world.client();
    let send = |message: Value, credentials: Option<&'static str>| {
        let mut request = client.request(json!([message]).to_string());
        if let Some(credentials) = credentials {
            let value = HeaderValue::from_static(credentials);
            request.headers_mut().insert("authorization", value);
        }
        let answer = client.start(request).wait();
        client.keep_cookie(&answer);
        answer.messages().remove(0)
    };
    let handshake = json!({ "channel": "/meta/handshake" });
    assert_eq!(send(handshake.clone(), None)["successful"], false);
    let id = send(handshake, Some("Basic abc"))["clientId"].clone();
    let publish = json!({ "channel": "/x", "clientId": id, "data": 1 });
    assert_eq!(send(publish.clone(), None)["error"], "403::publish_denied");
    assert_eq!(send(publish, Some("Basic abc"))["successful"], true);
}

#[test]
fn b021_a_stray_second_handshake_makes_a_session_that_expires() {
    let world = World::new();
    let peer = world.open();
    peer.client.handshake();
    assert_eq!(world.bayeux.sessions().len(), 2);
    for _ in 0..3 {
        assert_eq!(peer.connect()[0]["successful"], true);
    }
    let left = world.bayeux.sessions();
    assert_eq!(left, [world.session(&peer)]);
}

#[test]
fn b022_an_expired_session_handshakes_anew() {
    let world = World::new();
    let peer = world.open();
    world.pass(2_000);
    assert_eq!(peer.connect(), json!([unknown()]));
    let id = peer.client.open();
    assert_ne!(id, peer.id);
    assert_eq!(world.bayeux.sessions().len(), 1);
}

/// Delivers two events as soon as a session is added.
fn greet(world: &World) {
    world.bayeux.on_event(|notice| async move {
        if let (Event::SessionAdded { .. }, Some(session)) = (&notice.event, &notice.session) {
            for data in [1, 2] {
                session.deliver("/service/hello", &data).expect("the session was just added");
            }
        }
    });
}

#[test]
fn b023_events_delivered_on_arrival_wait_for_the_first_connect() {
    let world = World::new();
    greet(&world);
    let client = world.client();
    let answer = client.send(&json!([{ "channel": "/meta/handshake" }]));
    assert_eq!(answer.messages().len(), 1);
    let id = answer.messages()[0]["clientId"].as_str().expect("a session").to_string();
    let peer = Peer { client, id };
    assert_eq!(world.session(&peer).queue_messages(), 2);
    let hello = |data: u8| ("/service/hello".to_string(), json!(data));
    assert_eq!(events(&peer), [hello(1), hello(2)]);
}

/// Even where delivery during the handshake is allowed: the application's handlers are told of a
/// session when its handshake is answered already.
#[test]
fn b024_b025_through_the_front_they_wait_in_any_case() {
    let world = World::with(|config| config.allow_message_delivery_during_handshake = true);
    greet(&world);
    let client = world.client();
    let answer = client.send(&json!([{ "id": "1", "channel": "/meta/handshake" }]));
    let messages = answer.messages();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].get("x-messages"), None);
    let id = messages[0]["clientId"].as_str().expect("a session").to_string();
    let peer = Peer { client, id };
    let hello = |data: u8| ("/service/hello".to_string(), json!(data));
    assert_eq!(events(&peer), [hello(1), hello(2)]);
}

/// The same on the machine itself: what is delivered before the answer leaves travels with it.
#[test]
fn b024_b025_the_machine_sends_events_with_the_handshake_if_that_is_allowed() {
    for allowed in [true, false] {
        let mut config = Config::default();
        config.allow_message_delivery_during_handshake = allowed;
        let decoder = bayeux_core::Decoder::new(&config);
        let mut server = Server::new(config, Sim::new(1).entropy(), Time::ZERO).unwrap();
        let link = LinkId(1);
        let info = LinkInfo::new(Transport::LongPolling);
        let payload = decoder.decode(&r#"[{"channel":"/meta/handshake"}]"#.into()).unwrap();
        server.handle(Time::ZERO, Input::Open { link, info });
        server.handle(Time::ZERO, Input::Receive { link, payload });
        let Some(Output::Tell(Event::SessionAdded { session, .. })) = server.poll_output() else {
            panic!("the application is told first")
        };
        let channel = "/service/hello".try_into().unwrap();
        let message = Message::new(channel, Json::TRUE).into();
        server.handle(Time::ZERO, Input::Command(Command::Deliver { session, message }));
        let Some(Output::Send { parcel, .. }) = server.poll_output() else {
            panic!("then the client is answered")
        };
        assert_eq!(parcel.events.len(), usize::from(allowed));
        assert_eq!(parcel.replies[0].details().messages, allowed.then_some(1));
    }
}

#[test]
fn b027_a_message_without_channel_fails() {
    let world = World::new();
    let answer = world.client().send(&json!([{ "id": "1", "version": "1.0" }]));
    assert_eq!(
        answer.json(),
        json!([{ "id": "1", "successful": false, "error": "400::channel_missing" }])
    );
}

#[test]
fn b033_a_new_session_starts_without_subscriptions() {
    let world = World::new();
    let added = Log::of_events(&world, |event| match event {
        Event::Subscribed { channel, .. } => Some(channel.to_string()),
        _ => None,
    });
    let peer = world.open();
    peer.subscribe("/foo");
    assert_eq!(added.take(), ["/foo"]);
    peer.ask(json!({ "channel": "/meta/disconnect" }));
    let again = Peer { id: peer.client.open(), client: peer.client.tab() };
    assert!(world.subscriptions(&again).is_empty());
    world.publish("/foo", json!(1)).unwrap();
    assert_eq!(again.ask(connect_now()).as_array().map(Vec::len), Some(1));
    assert!(added.take().is_empty());
}
