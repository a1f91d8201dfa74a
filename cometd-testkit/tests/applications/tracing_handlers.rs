//! The application's handlers run within the span of the session that they are about.

use std::sync::Arc;
use std::time::Duration;

use bayeux_core::front::{
    Authorization, AuthorizeRequest, Bayeux, Builder, Call, Caller, ClientMessage, CreateRequest,
    Error, Extension, HandshakeRequest, Incoming, Policy, PublishRequest, Report, Runtime,
    ServerMessage, ServiceMessage, Sleep, SubscribeRequest, Task,
};
use bayeux_core::{Entropy, SessionId, Time, Verdict, WallTime};
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::{Client, connect, publish, subscribe};
use serde_json::{Value, json};
use tracing::{Level, info};

use crate::recorder::Recording;

/// The simulated runtime, which logs what is reported as an adapter does.
struct Reporting(Sim);

impl Runtime for Reporting {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn wall(&self) -> WallTime {
        self.0.wall()
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        Runtime::sleep_until(&self.0, at)
    }

    fn spawn(&self, task: Task) {
        Runtime::spawn(&self.0, task);
    }

    fn entropy(&self) -> Box<dyn Entropy> {
        self.0.entropy()
    }

    fn report(&self, report: Report<'_>) {
        tracing::error!(target: "app", "{report}");
    }
}

fn world(builder: Builder) -> (Sim, Bayeux) {
    let sim = Sim::new(3);
    let bayeux = builder.build(Arc::new(Reporting(sim.clone()))).unwrap();
    (sim, bayeux)
}

fn span_of(id: &str) -> String {
    format!("bayeux:session session={} transport=\"long-polling\"", &id[..12])
}

/// What handlers have logged, each line with its span.
fn said(log: &Recording) -> Vec<String> {
    let target = |line: &String| line.split(' ').nth(1) == Some("app");
    log.lines().into_iter().filter(target).collect()
}

/// These lines within the span of a session.
fn within<const N: usize>(id: &str, lines: [&str; N]) -> [String; N] {
    let span = span_of(id);
    lines.map(|line| {
        let (level, words) = line.split_once(' ').unwrap();
        format!("{level} app [{span}] {words}")
    })
}

struct Logging;

impl Policy for Logging {
    async fn can_handshake(&self, _: HandshakeRequest) -> Verdict {
        info!(target: "app", "handshake");
        Verdict::Allow
    }

    async fn can_create(&self, request: CreateRequest) -> Verdict {
        info!(target: "app", "create {}", request.channel);
        Verdict::Allow
    }

    async fn can_subscribe(&self, request: SubscribeRequest) -> Verdict {
        info!(target: "app", "subscribe to {}", request.channel);
        Verdict::Allow
    }

    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        info!(target: "app", "publish on {}", request.message.channel());
        Verdict::Allow
    }
}

#[test]
fn policy_authorizers_and_listeners_run_within_the_senders_span() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder().policy(Logging));
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    assert_eq!(said(&log), ["INFO app handshake"], "nobody has a session yet");
    bayeux.channel("/**").unwrap().add_authorizer(|request: AuthorizeRequest| {
        info!(target: "app", "authorize {:?}", request.permission);
        Authorization::Grant
    });
    bayeux.channel("/a").unwrap().on_message(|_| async { info!(target: "app", "listener") });
    client.send(&json!([subscribe(&id, "/a"), subscribe(&id, "/b"), publish(&id, "/a", 1)]));
    let expected = [
        "INFO subscribe to /a",
        "INFO authorize Subscribe",
        "INFO create /b",
        "INFO authorize Create",
        "INFO subscribe to /b",
        "INFO authorize Subscribe",
        "INFO publish on /a",
        "INFO authorize Publish",
        "INFO listener",
    ];
    assert_eq!(said(&log), within(&id, expected));
    // What the application says itself is nobody's, unless it says so.
    let session = bayeux.session(SessionId::parse(&id).unwrap()).unwrap();
    let server = bayeux.clone();
    sim.block_on(async move {
        server.publish("/a", &2).await.unwrap();
        server.publish_from(&session, "/a", &3).await.unwrap();
    });
    let [own] = within(&id, ["INFO listener"]);
    assert_eq!(said(&log), ["INFO app listener", &own]);
    assert_eq!(log.entered(), 0);
}

#[test]
fn a_handler_that_waits_goes_on_within_its_span() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder());
    let clients = [(), ()].map(|()| {
        let client = Client::new(&sim, &bayeux);
        let id = client.open();
        (client, id)
    });
    let [(ann, a), (bob, b)] = &clients;
    let sleeper = sim.clone();
    bayeux.channel("/a").unwrap().on_message(move |incoming: Incoming| {
        let sleep = sleeper.sleep(Duration::from_secs(incoming.data::<u64>().unwrap()));
        info!(target: "app", "begin");
        async move {
            sleep.await;
            info!(target: "app", "end");
        }
    });
    let slow = ann.post(&json!([publish(a, "/a", 2)]));
    let fast = bob.post(&json!([publish(b, "/a", 1)]));
    slow.wait();
    fast.wait();
    let [begin_a, end_a] = within(a, ["INFO begin", "INFO end"]);
    let [begin_b, end_b] = within(b, ["INFO begin", "INFO end"]);
    assert_eq!(said(&log), [begin_a, begin_b, end_b, end_a]);
}

#[test]
fn services_and_remote_calls_run_within_the_callers_span() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder());
    bayeux
        .service("/service/s", |_: ServiceMessage<Value>| async { info!(target: "app", "service") })
        .unwrap();
    let sleeper = sim.clone();
    let call = move |call: Call<u64>| {
        info!(target: "app", "call {}", call.data);
        let sleep = sleeper.sleep(Duration::from_secs(call.data));
        async move {
            sleep.await;
            info!(target: "app", "answer {}", call.data);
            Ok::<_, ()>(1)
        }
    };
    bayeux.remote_call("c", call).unwrap();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.send(&json!([publish(&id, "/service/s", 1), publish(&id, "/service/c", 0)]));
    let expected = ["INFO service", "INFO call 0", "INFO answer 0"];
    assert_eq!(said(&log), within(&id, expected));
    client.send(&json!([publish(&id, "/service/c", 1)]));
    // The call outlives its session, and so does the span.
    client.send(&json!([{ "channel": "/meta/disconnect", "clientId": id }]));
    assert_eq!(log.open(), [span_of(&id)]);
    sim.advance(Duration::from_secs(2));
    assert_eq!(said(&log), within(&id, ["INFO call 1", "INFO answer 1"]));
    assert_eq!(log.open().len(), 0);
}

#[test]
fn event_handlers_run_within_the_span_of_the_session_that_it_happened_to() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder());
    bayeux.on_event(|notice| async move {
        let event = format!("{:?}", notice.event);
        let (name, _) = event.split_once(' ').unwrap();
        info!(target: "app", "{name}");
        if let ("SessionAdded", Some(session)) = (name, &notice.session) {
            let added = session.on_removed(|_, reason| async move {
                info!(target: "app", "removed: {reason:?}");
            });
            added.unwrap();
        }
    });
    let client = Client::new(&sim, &bayeux);
    let id = client.handshake();
    client.send(&json!([subscribe(&id, "/a")]));
    client.send(&json!([{ "channel": "/meta/disconnect", "clientId": id }]));
    let expected = ["INFO SessionAdded", "INFO Subscribed", "INFO SessionRemoved"];
    let [added, subscribed, removed] = within(&id, expected);
    let [on_removed, unsubscribed] =
        within(&id, ["INFO removed: Disconnected", "INFO Unsubscribed"]);
    let channel = "INFO app ChannelAdded".to_owned();
    assert_eq!(said(&log), [added, channel, subscribed, removed, on_removed, unsubscribed]);
    assert_eq!(log.open().len(), 0);
}

struct Both;

impl Extension for Both {
    async fn incoming(&self, message: ClientMessage) -> Option<ClientMessage> {
        info!(target: "app", "incoming {}", message.channel());
        Some(message)
    }

    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        info!(target: "app", "outgoing {}", message.channel());
        true
    }
}

#[test]
fn extensions_and_hooks_run_within_the_span_until_the_last_event_has_left() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder());
    bayeux.add_extension(Both);
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let session = bayeux.session(SessionId::parse(&id).unwrap()).unwrap();
    session.on_dequeue(|_, _| info!(target: "app", "dequeue")).unwrap();
    said(&log);
    session.deliver("/a", &1).unwrap();
    client.send(&json!([connect(&id)]));
    let expected = [
        "INFO outgoing /a",
        "INFO incoming /meta/connect",
        "INFO dequeue",
        "INFO outgoing /meta/connect",
    ];
    assert_eq!(said(&log), within(&id, expected));
    session.deliver("/a", &2).unwrap();
    session.disconnect().unwrap();
    assert_eq!(log.open(), [span_of(&id)], "the farewell is still to leave");
    client.send(&json!([connect(&id)]));
    let expected = ["INFO outgoing /a", "INFO incoming /meta/connect", "INFO dequeue"];
    assert_eq!(said(&log)[..3], within(&id, expected));
    assert_eq!(log.open().len(), 0);
}

#[test]
fn handlers_of_a_local_session_run_within_its_span() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder());
    let server = bayeux.clone();
    let me = sim.block_on(async move { server.local_session().await }).unwrap();
    let span = log.open().concat();
    assert!(span.ends_with("transport=\"local\""), "{span}");
    let client = me.clone();
    let subscribed = sim.block_on(async move {
        client.subscribe("/a", |_| async { info!(target: "app", "event") }).await
    });
    subscribed.unwrap();
    let server = bayeux.clone();
    sim.block_on(async move { server.publish("/a", &1).await }).unwrap();
    assert_eq!(said(&log), [format!("INFO app [{span}] event")]);
    let (client, last) = (me.clone(), me.session().clone());
    last.deliver("/a", &2).unwrap();
    sim.block_on(async move { client.disconnect().await }).unwrap();
    sim.settle();
    assert_eq!(said(&log), [format!("INFO app [{span}] event")]);
    // The handle is still there.
    assert_eq!(log.open().len(), 0);
    drop(me);
}

#[test]
fn failures_are_reported_within_the_span() {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder());
    let channel = bayeux.channel("/a").unwrap();
    channel.on_message(|_| async { Err::<(), _>("failed") });
    channel.on_message(|_| -> std::future::Ready<()> { panic!("panicked") });
    bayeux.service("/service/s", |_: ServiceMessage<bool>| async {}).unwrap();
    bayeux.remote_call("c", |_: Call<bool>| async { Ok::<(), ()>(()) }).unwrap();
    let kept = Arc::new(std::sync::Mutex::new(None));
    let keep = Arc::clone(&kept);
    let later = bayeux.on_call("later", move |_: Call<Value>, caller: Caller| {
        *keep.lock().unwrap() = Some(caller);
        std::future::ready(())
    });
    later.unwrap();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.send(&json!([
        publish(&id, "/a", 1),
        publish(&id, "/service/s", 1),
        publish(&id, "/service/c", 1),
        publish(&id, "/service/later", 1),
    ]));
    // Answered from elsewhere.
    kept.lock().unwrap().take().unwrap().result(&NoJson);
    let no_bool = "got data that it cannot read, at line 1 column 1";
    let expected = [
        "ERROR listener on /a failed: failed",
        "ERROR listener on /a panicked: panicked",
        &format!("ERROR service on /service/s {no_bool}"),
        &format!("ERROR remote call on /service/c {no_bool}"),
        "ERROR remote call on /service/later failed: no form",
    ];
    assert_eq!(said(&log), within(&id, expected));
}

struct NoJson;

impl serde::Serialize for NoJson {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no form"))
    }
}

/// Handlers that have no session are in nobody's span, whoever caused them.
#[test]
fn a_channel_that_a_handler_makes_is_nobodys() -> Result<(), Error> {
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder());
    bayeux.on_event(|notice| async move {
        if notice.session.is_none() {
            info!(target: "app", "channel");
        }
    });
    bayeux.channel("/a")?.on_message(|incoming: Incoming| async move {
        incoming.sender()?.bayeux().channel("/made").map(drop)
    });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    said(&log);
    client.send(&json!([publish(&id, "/a", 1)]));
    assert_eq!(said(&log), ["INFO app channel"]);
    Ok(())
}

#[test]
fn a_handler_that_takes_too_long_is_reported_and_dropped_within_the_span() {
    struct Dropped;
    impl Drop for Dropped {
        fn drop(&mut self) {
            tracing::info!(target: "app", "dropped");
        }
    }
    let log = Recording::start(Level::INFO);
    let (sim, bayeux) = world(Bayeux::builder());
    bayeux.channel("/a").unwrap().on_message(|_| async {
        let _dropped = Dropped;
        std::future::pending::<()>().await
    });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.post(&json!([publish(&id, "/a", 1)])).wait();
    sim.settle();
    let expected = ["ERROR listener for a message on /a takes too long", "INFO dropped"];
    assert_eq!(said(&log), within(&id, expected));
}
