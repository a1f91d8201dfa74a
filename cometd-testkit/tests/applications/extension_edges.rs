//! Extensions at their edges: sessions that end, messages without a session, values whose `Drop` does something.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bayeux_core::front::{
    Bayeux, ClientMessage, Extension, HandshakeRequest, Policy, ServerMessage, Session,
};
use bayeux_core::{Activity, Denial, Verb, Verdict};
use cometd_testkit::sim::Sim;
use cometd_testkit::socket::Socket;
use cometd_testkit::wire::{Client, connect, publish, subscribe};
use serde_json::{Value, json};

use crate::peer::{CallsBack, local, world};

type Log = Arc<Mutex<Vec<Value>>>;

fn within(what: &'static str, act: impl FnOnce() + Send + 'static) {
    let (tx, rx) = mpsc::channel();
    std::thread::spawn(move || {
        act();
        tx.send(()).unwrap();
    });
    rx.recv_timeout(Duration::from_secs(5)).unwrap_or_else(|_| panic!("{what}: deadlock"));
}

fn the_session(bayeux: &Bayeux) -> Session {
    bayeux.sessions().pop().unwrap()
}

impl Extension for CallsBack {}

struct NoSecrets;

impl Extension for NoSecrets {
    fn outgoing(&self, m: &mut ServerMessage<'_>) -> bool {
        !m.channel().starts_with("/secret")
    }
}

struct Preparing;

impl Policy for Preparing {
    async fn can_handshake(&self, r: HandshakeRequest) -> Verdict {
        r.session.deliver("/secret", &1).unwrap();
        Verdict::Allow
    }
}

struct Seen(Log);

impl Extension for Seen {
    fn outgoing(&self, m: &mut ServerMessage<'_>) -> bool {
        self.0.lock().unwrap().push(json!(m.channel()));
        true
    }
}

struct Nobody;

impl Policy for Nobody {
    async fn can_handshake(&self, _: HandshakeRequest) -> Verdict {
        Denial::because("x").into()
    }
}

struct Unwrapping;

impl Extension for Unwrapping {
    async fn incoming(&self, mut m: ClientMessage) -> Option<ClientMessage> {
        if m.verb() == Some(Verb::Connect) {
            m.set_ext(&json!({"timesync": {"tc": 1, "l": 0, "o": 0}})).ok()?;
        }
        Some(m)
    }
}

struct Slow(Sim, u64);

impl Extension for Slow {
    async fn incoming(&self, m: ClientMessage) -> Option<ClientMessage> {
        self.0.sleep(Duration::from_millis(self.1)).await;
        Some(m)
    }
}

/// A server, and a session that was there.
fn gone() -> (Bayeux, Session) {
    let (sim, bayeux) = world();
    let session = local(&sim, &bayeux).session().clone();
    session.disconnect().unwrap();
    sim.settle();
    (bayeux, session)
}

#[test]
fn an_extension_for_a_session_that_is_gone_is_dropped_outside_the_lock() {
    within("add_extension", || {
        let (bayeux, session) = gone();
        assert!(session.add_extension(CallsBack(bayeux.clone())).is_err());
    });
}

#[test]
fn a_dequeue_hook_for_a_session_that_is_gone_is_dropped_outside_the_lock() {
    within("on_dequeue", || {
        let (bayeux, session) = gone();
        let value = CallsBack(bayeux.clone());
        assert!(
            session
                .on_dequeue(move |_, _| {
                    let _ = &value;
                })
                .is_err()
        );
    });
}

#[test]
fn the_last_events_of_a_session_go_through_its_extensions() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let session = the_session(&bayeux);
    session.add_extension(NoSecrets).unwrap();
    session.deliver("/secret", &1).unwrap();
    session.deliver("/public", &1).unwrap();
    session.disconnect().unwrap();
    sim.settle();
    let answer = client.send(&json!([connect(&id)])).messages();
    assert!(
        !answer.iter().any(|m| m["channel"] == "/secret"),
        "the session's extension deletes it"
    );
}

#[test]
fn so_do_those_that_leave_with_the_clients_own_disconnect() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let session = the_session(&bayeux);
    session.add_extension(NoSecrets).unwrap();
    session.deliver("/secret", &1).unwrap();
    let answer = client
        .send(&json!([{"channel": "/meta/disconnect", "clientId": id, "id": "d"}]))
        .messages();
    assert!(
        !answer.iter().any(|m| m["channel"] == "/secret"),
        "the session's extension deletes it"
    );
}

#[test]
fn what_a_policy_delivers_goes_through_the_servers_extensions() {
    let sim = Sim::new(5);
    let bayeux = sim.start(Bayeux::builder().policy(Preparing)).unwrap();
    bayeux.add_extension(NoSecrets);
    let client = Client::new(&sim, &bayeux);
    let id = client.handshake();
    let answer = client.send(&json!([connect(&id)])).messages();
    assert!(!answer.iter().any(|m| m["channel"] == "/secret"), "{answer:?}");
}

#[test]
fn replies_without_a_session_go_through_the_servers_extensions() {
    let sim = Sim::new(5);
    let bayeux = sim.start(Bayeux::builder().policy(Nobody)).unwrap();
    let log = Log::default();
    bayeux.add_extension(Seen(Arc::clone(&log)));
    let client = Client::new(&sim, &bayeux);
    client.send(&json!([{"channel": "/meta/handshake", "version": "1.0"}]));
    client.send(
        &json!([{"channel": "/meta/connect", "clientId": "00000000000000000000000000000000abcd"}]),
    );
    assert_eq!(*log.lock().unwrap(), [json!("/meta/handshake"), json!("/meta/connect")]);
}

#[test]
fn what_an_extension_makes_of_ext_is_seen_by_the_built_in_ones() {
    let (sim, bayeux) = world();
    bayeux.add_extension(Unwrapping);
    let client = Client::new(&sim, &bayeux);
    let id = client.handshake();
    let answer = client.send(&json!([connect(&id)])).messages();
    assert!(answer[0]["ext"]["timesync"].is_object(), "{answer:?}");
}

#[test]
fn a_session_is_not_inactive_while_the_application_thinks() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let session = the_session(&bayeux);
    session.add_extension(Slow(sim.clone(), 3_000)).unwrap();
    session.set_activity(Activity::of_client(Duration::from_millis(2_000))).unwrap();
    let answer = client.post(&json!([publish(&id, "/a", 1)])).wait().messages();
    assert_eq!(answer.last().unwrap()["successful"], true);
}

/// A socket that is being written to, and whose session has a secret queued.
fn stuck(sim: &Sim, bayeux: &Bayeux) -> (Socket, String, Session) {
    let socket = Client::new(sim, bayeux).socket();
    let id = socket.open("/a");
    let session = the_session(bayeux);
    session.add_extension(NoSecrets).unwrap();
    socket.stall();
    session.deliver("/first", &1).unwrap();
    sim.settle();
    session.deliver("/secret", &2).unwrap();
    session.deliver("/public", &3).unwrap();
    sim.settle();
    (socket, id, session)
}

fn channels(socket: &Socket) -> Vec<String> {
    let texts = socket.receive_all();
    let messages = texts.iter().flatten();
    messages.map(|it| it["channel"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_slow_reader_does_not_get_around_the_extensions_by_disconnecting() {
    let (sim, bayeux) = world();
    let (socket, id, _) = stuck(&sim, &bayeux);
    socket.send(&json!([{"channel": "/meta/disconnect", "clientId": id, "id": "d"}]));
    sim.settle();
    assert!(bayeux.sessions().is_empty());
    socket.flow();
    let came = channels(&socket);
    assert!(came.iter().any(|it| it == "/public"), "{came:?}");
    assert!(!came.iter().any(|it| it == "/secret"), "{came:?}");
}

#[test]
fn nor_by_beginning_another_session() {
    let (sim, bayeux) = world();
    let (socket, id, session) = stuck(&sim, &bayeux);
    socket.send(&json!([connect(&id)]));
    sim.settle();
    session.disconnect().unwrap();
    sim.settle();
    let handshake = json!({"channel": "/meta/handshake", "version": "1.0", "id": "h",
        "supportedConnectionTypes": ["websocket"]});
    socket.send(&json!([handshake]));
    sim.settle();
    socket.flow();
    let came = channels(&socket);
    assert!(!came.iter().any(|it| it == "/secret"), "{came:?}");
    let last = ["/public", "/meta/disconnect", "/meta/handshake"];
    assert!(last.iter().all(|it| came.iter().any(|came| came == it)), "{came:?}");
}

struct Sets(u32);
impl Extension for Sets {
    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        message.set_member("n", &self.0).is_ok()
    }
}

#[test]
fn the_last_one_who_sets_a_member_has_set_it() {
    let (sim, bayeux) = world();
    bayeux.add_extension(Sets(1));
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    bayeux.sessions()[0].add_extension(Sets(2)).unwrap();
    client.send(&json!([subscribe(&id, "/a")]));
    let answer = client.send(&json!([publish(&id, "/a", 7)]));
    for message in answer.messages() {
        assert_eq!(message["n"], 2, "{}", answer.text());
    }
}

#[test]
fn a_slow_listener_does_not_let_a_message_past_the_extensions() {
    for by_client in [true, false] {
        let (sim, bayeux) = world();
        bayeux.add_extension(NoSecrets);
        bayeux.channel("/secret").unwrap().on_message(|_| std::future::pending::<()>());
        let client = Client::new(&sim, &bayeux);
        let id = client.open();
        client.send(&json!([subscribe(&id, "/secret")]));
        let held = client.post(&json!([connect(&id)]));
        sim.settle();
        let publisher = Client::new(&sim, &bayeux);
        let other = publisher.open();
        if by_client {
            let _sent = publisher.post(&json!([publish(&other, "/secret", 1)])).wait();
        } else {
            let b = bayeux.clone();
            sim.spawn(async move { b.publish("/secret", &1).await });
            sim.advance(Duration::from_secs(29));
        }
        let came = held.wait().messages();
        assert!(!came.iter().any(|it| it["channel"] == "/secret"), "{by_client}: {came:?}");
    }
}

/// Reads an attribute of the session whose events it sees.
struct Reads(Arc<Mutex<Vec<Option<u32>>>>);

impl Extension for Reads {
    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        if message.event().is_some() {
            let key = message.session().unwrap().attribute::<u32>("key");
            self.0.lock().unwrap().push(key.map(|it| *it));
        }
        true
    }
}

#[test]
fn an_extension_finds_the_attributes_of_a_session_that_is_told_of_its_end() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let session = bayeux.sessions().remove(0);
    session.set_attribute("key", 7_u32).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    session.add_extension(Reads(Arc::clone(&seen))).unwrap();
    session.deliver("/x", &1).unwrap();
    session.disconnect().unwrap();
    sim.settle();
    client.send(&json!([connect(&id)]));
    assert_eq!(*seen.lock().unwrap(), [Some(7), Some(7)]);
}
