//! Extensions of the application: order, changes, deletions (§8.13 of the study of the Java server).

use std::sync::{Arc, Mutex};

use bayeux_core::front::{
    Bayeux, ClientMessage, Error, Extension, Flow, HandshakeRequest, Policy, ServerMessage,
};
use bayeux_core::{Verb, Verdict};
use serde_json::{Value, json};

use crate::support::{Peer, World, connected};

type Log = Arc<Mutex<Vec<String>>>;

fn note(log: &Log, what: impl Into<String>) {
    log.lock().expect("nobody panicked").push(what.into());
}

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().expect("nobody panicked"))
}

/// Notes everything that it sees.
struct Noting(&'static str, Log);

impl Extension for Noting {
    async fn incoming(&self, message: ClientMessage) -> Option<ClientMessage> {
        note(&self.1, format!("{} in {}", self.0, message.channel()));
        Some(message)
    }

    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        let kind = if message.reply().is_some() { "reply" } else { "event" };
        let to = if message.session().is_some() { "one" } else { "all" };
        note(&self.1, format!("{} out {kind} {} to {to}", self.0, message.channel()));
        true
    }
}

#[test]
fn b146_b210_messages_go_in_in_order_and_out_in_reverse() {
    let world = World::new();
    let log = Log::default();
    world.bayeux.add_extension(Noting("first", Arc::clone(&log)));
    world.bayeux.add_extension(Noting("second", Arc::clone(&log)));
    let peer = world.open();
    let session = world.session(&peer);
    session.add_extension(Noting("own", Arc::clone(&log))).expect("it is there");
    session.add_extension(Noting("own2", Arc::clone(&log))).expect("it is there");
    peer.subscribe("/a");
    let listened = Arc::clone(&log);
    world.channel("/a").on_message(move |_| {
        note(&listened, "listener");
        async {}
    });
    taken(&log);
    peer.ask(json!({ "channel": "/a", "data": 1 }));
    let expected = [
        "first in /a",
        "second in /a",
        "own in /a",
        "own2 in /a",
        "listener",
        "second out event /a to all",
        "first out event /a to all",
        "own2 out event /a to one",
        "own out event /a to one",
        "second out reply /a to one",
        "first out reply /a to one",
        "own2 out reply /a to one",
        "own out reply /a to one",
    ];
    assert_eq!(taken(&log), expected);
}

#[test]
fn b138_a_delivery_goes_through_the_servers_extensions_and_the_sessions() {
    let world = World::new();
    let log = Log::default();
    let peer = world.open();
    world.bayeux.add_extension(Noting("server", Arc::clone(&log)));
    let session = world.session(&peer);
    session.add_extension(Noting("own", Arc::clone(&log))).expect("it is there");
    session.deliver("/direct", &1).expect("it is there");
    peer.connect();
    let expected = [
        "server out event /direct to one",
        "server in /meta/connect",
        "own in /meta/connect",
        "own out event /direct to one",
        "server out reply /meta/connect to one",
        "own out reply /meta/connect to one",
    ];
    assert_eq!(taken(&log), expected);
}

/// Changes whatever can be changed.
struct Changing;

impl Extension for Changing {
    async fn incoming(&self, mut message: ClientMessage) -> Option<ClientMessage> {
        if message.verb().is_none() {
            let data: Value = message.data().expect("any data");
            message.set_data(&json!({ "in": data })).expect("it has a JSON form");
        }
        let mut ext: Value = message.ext().expect("any ext");
        ext["seen"] = json!(message.id().map(ToString::to_string));
        message.set_ext(&ext).expect("it is an object");
        Some(message)
    }

    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        if message.reply().is_some_and(|reply| reply.answers(Verb::Connect)) {
            assert!(matches!(message.set_ext(&1), Err(Error::NoObject)));
            return true;
        }
        if let Some(event) = message.event() {
            let data = json!({ "out": event.data() });
            message.set_data(&data).expect("it has a JSON form");
        } else {
            message.set_ext(&json!({ "replied": true })).expect("it is an object");
        }
        message.set_member("extra", &[1, 2]).expect("it has a JSON form");
        message.set_member("more", &"x").expect("it has a JSON form");
        true
    }
}

#[test]
fn b207_data_ext_and_members_can_be_changed_both_ways() {
    let world = World::new();
    let id = world.bayeux.add_extension(Changing);
    let client = world.client();
    let message = json!({ "id": "1", "channel": "/meta/handshake", "ext": { "ack": true } });
    let answer = client.send(&json!([message])).messages();
    assert_eq!(answer[0]["ext"], json!({ "replied": true, "ack": true }));
    assert_eq!((&answer[0]["extra"], &answer[0]["more"]), (&json!([1, 2]), &json!("x")));
    let client_id = answer[0]["clientId"].as_str().expect("a session").to_owned();
    let peer = Peer { client, id: client_id };
    peer.ask(json!({ "channel": "/meta/subscribe", "subscription": "/a" }));
    peer.connect();
    peer.ask(json!({ "id": "7", "channel": "/a", "data": 1.0 }));
    let answer = peer.connect();
    let event = json!({
        "more": "x", "extra": [1, 2], "channel": "/a",
        "data": { "out": { "in": 1.0 } }, "ext": { "seen": "\"7\"" },
    });
    assert_eq!(answer[0], event);
    assert!(world.bayeux.remove_extension(id));
    assert!(!world.bayeux.remove_extension(id), "only once");
    let answer = peer.ask(json!({ "id": "8", "channel": "/b", "data": 1 }));
    assert_eq!(answer, json!([{ "id": "8", "channel": "/b", "successful": true }]));
}

/// Turns acknowledgements off, whatever clients ask for.
struct NoAck;

impl Extension for NoAck {
    async fn incoming(&self, mut message: ClientMessage) -> Option<ClientMessage> {
        message.set_ext(&json!({})).expect("it is an object");
        Some(message)
    }
}

#[test]
fn built_in_extensions_see_what_others_have_made_of_a_handshake() {
    let world = World::new();
    world.bayeux.add_extension(NoAck);
    let message = json!({ "channel": "/meta/handshake", "ext": { "ack": true } });
    let answer = world.client().send(&json!([message])).messages();
    assert_eq!((&answer[0]["successful"], &answer[0]["ext"]), (&json!(true), &Value::Null));
}

/// Deletes what goes in or out on certain channels.
struct Deleting;

impl Extension for Deleting {
    async fn incoming(&self, message: ClientMessage) -> Option<ClientMessage> {
        let deleted = message.channel() == "/no/in"
            || message.subscription().iter().any(|it| it.as_str() == "/no/sub")
            || message.ext::<Value>().is_ok_and(|ext| ext["delete"] == true);
        (!deleted).then_some(message)
    }

    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        let channel = message.channel();
        match (message.event(), message.reply()) {
            (Some(_), _) => channel != "/no/out",
            (_, Some(_)) => channel != "/no/reply",
            (None, None) => unreachable!("it is one of them"),
        }
    }
}

#[test]
fn b208_b209_what_is_deleted_on_its_way_in_is_answered_with_404() {
    let world = World::new();
    world.bayeux.add_extension(Deleting);
    let peer = world.open();
    peer.subscribe("/**");
    let deleted = |channel: &str| {
        json!([{
            "channel": channel, "successful": false, "error": "404::message_deleted",
        }])
    };
    assert_eq!(peer.ask(json!({ "channel": "/no/in", "data": 1 })), deleted("/no/in"));
    let answer = peer.ask(json!({ "channel": "/meta/subscribe", "subscription": "/no/sub" }));
    assert_eq!(answer[0]["error"], "404::message_deleted");
    assert_eq!(world.subscriptions(&peer), ["/**"]);
    // On its way out: nobody gets it, and its publisher is told.
    assert_eq!(peer.ask(json!({ "channel": "/no/out", "data": 1 })), deleted("/no/out"));
    let session = world.session(&peer);
    assert!(matches!(session.deliver("/no/out", &1), Err(Error::Vetoed)));
    assert!(matches!(world.publish("/no/out", json!(1)), Err(Error::Vetoed)));
    // A reply: it is not sent; the event is.
    let answer = peer.ask(json!({ "channel": "/no/reply", "data": 1 }));
    assert_eq!(answer, json!([{ "channel": "/no/reply", "data": 1 }]));
    assert_eq!(peer.connect(), json!([connected()]));
    // A handshake: without advice clients would try for ever.
    let message = json!({ "channel": "/meta/handshake", "ext": { "delete": true } });
    let answer = world.client().send(&json!([message])).messages();
    assert_eq!(answer[0]["error"], "404::message_deleted");
    assert_eq!(answer[0]["advice"], json!({ "reconnect": "none" }));
}

#[test]
fn b208_an_extension_of_one_session_touches_no_other() {
    let world = World::new();
    let (peer, other) = (world.open(), world.open());
    let session = world.session(&peer);
    let id = session.add_extension(Deleting).expect("it is there");
    for (peer, successful) in [(&peer, false), (&other, true)] {
        let answer = peer.ask(json!({ "channel": "/no/in", "data": 1 }));
        assert_eq!(answer[0]["successful"], successful);
    }
    other.subscribe("/no/out");
    peer.subscribe("/no/out");
    world.publish("/no/out", json!(1)).expect("nobody vetoes it for all");
    assert_eq!(peer.connect(), json!([connected()]));
    assert_eq!(other.connect()[0]["data"], 1);
    assert!(session.remove_extension(id));
    assert_eq!(peer.ask(json!({ "channel": "/no/in", "data": 1 }))[0]["successful"], true);
}

#[test]
fn messages_of_unknown_sessions_are_seen_too_and_without_a_session() {
    let world = World::new();
    let log = Log::default();
    world.bayeux.add_extension(Noting("it", Arc::clone(&log)));
    let answer = world.client().send(&json!([{ "channel": "/a", "clientId": "00" }])).messages();
    assert_eq!(answer[0]["error"], "402::session_unknown");
    assert_eq!(taken(&log), ["it in /a", "it out reply /a to all"]);
}

struct Broken;

impl Extension for Broken {
    async fn incoming(&self, message: ClientMessage) -> Option<ClientMessage> {
        assert_ne!(message.channel(), "/in", "broken");
        if message.channel() == "/slow" {
            std::future::pending::<()>().await;
        }
        Some(message)
    }

    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        assert_ne!(message.channel(), "/out", "broken");
        true
    }
}

#[test]
fn an_extension_that_panics_or_hangs_has_not_let_the_message_in() {
    let world = World::with(|config| config.question_timeout = crate::support::ms(500));
    world.bayeux.add_extension(Broken);
    let peer = world.open();
    for channel in ["/in", "/slow"] {
        let answer = peer.ask(json!({ "channel": channel, "data": 1 }));
        assert_eq!(answer[0]["error"], "404::message_deleted", "{channel}");
    }
    peer.subscribe("/out");
    assert_eq!(peer.ask(json!({ "channel": "/out", "data": 1 }))[0]["data"], 1);
    assert!(world.sim.reports().len() >= 3);
}

#[test]
fn b155_a_dequeue_hook_may_drop_and_reorder_events() {
    let world = World::new();
    let peer = world.open();
    let session = world.session(&peer);
    session
        .on_dequeue(|_, events| {
            events.reverse();
            events.truncate(2);
        })
        .expect("it is there");
    session
        .batch(|| (0..5).try_for_each(|number| session.deliver("/n", &number)))
        .expect("it is there")
        .expect("it is there");
    let answer = peer.connect();
    let expected = json!([
        { "channel": "/n", "data": 4 }, { "channel": "/n", "data": 3 }, connected(),
    ]);
    assert_eq!(answer, expected);
    assert_eq!(session.queue_messages(), 0);
}

/// Prepares each session before anybody can see it.
struct Prepares;

impl Policy for Prepares {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        let session = &request.session;
        session.subscribe("/news").expect("a channel name");
        session.deliver("/hello", &"one").expect("a channel name");
        session.deliver("/hello", &"two").expect("a channel name");
        session.add_extension(Deleting);
        Verdict::Allow
    }
}

#[test]
fn b024_b025_what_a_policy_prepares_may_come_with_the_handshake() {
    for (during, ack) in [(false, false), (true, false), (true, true), (false, true)] {
        let world = World::build(Bayeux::builder().policy(Prepares), |config| {
            config.allow_message_delivery_during_handshake = during;
        });
        let message = json!({ "channel": "/meta/handshake", "ext": { "ack": ack } });
        let client = world.client();
        let raw = client.send(&json!([message]));
        client.keep_cookie(&raw);
        let answer = raw.messages();
        let events = [
            json!({ "channel": "/hello", "data": "one" }),
            json!({ "channel": "/hello", "data": "two" }),
        ];
        let id = answer[0]["clientId"].as_str().expect("a session").to_owned();
        let peer = Peer { client, id };
        assert_eq!(world.subscriptions(&peer), ["/news"]);
        let first = if during { answer[1..].to_vec() } else { Vec::new() };
        assert_eq!(answer[0]["x-messages"], if during { json!(2) } else { Value::Null });
        let enabled = match (during, ack) {
            (true, true) => json!({ "ack": { "enabled": true, "batch": 1 } }),
            (false, true) => json!({ "ack": true }),
            _ => Value::Null,
        };
        assert_eq!(answer[0]["ext"], enabled);
        let received = u32::from(during);
        let connect = json!({ "id": "c", "channel": "/meta/connect", "ext": { "ack": received } });
        let then = peer.ask(connect);
        let mut all = first;
        all.extend(then.as_array().expect("messages").iter().cloned());
        assert_eq!(all[..2], events, "during: {during}, ack: {ack}");
        assert_eq!(all.len(), 3);
        // The extension is there as well.
        assert_eq!(peer.ask(json!({ "channel": "/no/in" }))[0]["successful"], false);
    }
}

#[test]
fn extensions_that_come_and_go_leave_listeners_alone() {
    let world = World::new();
    world.channel("/a").on_message(|_| async { Flow::Veto });
    let id = world.bayeux.add_extension(Deleting);
    let peer = world.open();
    assert_eq!(peer.ask(json!({ "channel": "/a" }))[0]["error"], "404::message_deleted");
    world.bayeux.remove_extension(id);
    assert_eq!(peer.ask(json!({ "channel": "/a" }))[0]["error"], "404::message_deleted");
}

/// Would delete everything, if it were asked.
struct Blind<const IN: bool, const OUT: bool>;

impl<const IN: bool, const OUT: bool> Extension for Blind<IN, OUT> {
    const INCOMING: bool = IN;
    const OUTGOING: bool = OUT;

    async fn incoming(&self, _: ClientMessage) -> Option<ClientMessage> {
        None
    }

    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        message.reply().is_some()
    }
}

#[test]
fn an_extension_is_asked_only_about_the_direction_that_it_wants_to_see() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/a");
    let session = world.session(&peer);
    session.add_extension(Blind::<false, false>).expect("it is there");
    world.bayeux.add_extension(Blind::<false, false>);
    assert_eq!(peer.ask(json!({ "channel": "/b", "data": 1 }))[0]["successful"], true);
    world.publish("/a", json!(1)).expect("nobody vetoes it");
    assert_eq!(peer.connect()[0]["data"], 1);

    let own = session.add_extension(Blind::<false, true>).expect("it is there");
    assert_eq!(peer.ask(json!({ "channel": "/b", "data": 1 }))[0]["successful"], true);
    world.publish("/a", json!(2)).expect("it is the session's");
    assert_eq!(peer.connect(), json!([connected()]));
    assert!(session.remove_extension(own));

    world.bayeux.add_extension(Blind::<true, false>);
    world.publish("/a", json!(3)).expect("nobody vetoes it");
    let answer = peer.ask(json!({ "channel": "/b", "data": 1 }));
    let of = |channel: &str| {
        answer.as_array().expect("a list").iter().find(|it| it["channel"] == channel).cloned()
    };
    assert_eq!(of("/a").expect("it came")["data"], 3);
    assert_eq!(of("/b").expect("it is answered")["successful"], false);
}
