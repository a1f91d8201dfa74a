//! Local sessions: clients inside the server's own process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bayeux_core::front::{Bayeux, Error, HandshakeRequest, Incoming, Policy};
use bayeux_core::{ChannelSettings, Denial, Event, RemovedReason, Transport, Verdict};
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::{Client, publish, subscribe};
use serde_json::{Value, json};

use crate::peer::{Log, local, noting, world};

#[test]
fn a_local_session_subscribes_publishes_and_is_delivered_to() {
    let (sim, bayeux) = world();
    let log = Log::default();
    let me = local(&sim, &bayeux);
    assert_eq!(me.session().transport(), Some(Transport::Local));
    assert!(me.session().is_connected());
    let (one, handler) = (me.clone(), noting(&log));
    sim.block_on(async move { one.subscribe("/a/*", handler).await }).unwrap();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.send(&json!([subscribe(&id, "/a/x"), publish(&id, "/a/x", 1)]));
    let one = me.clone();
    let held = client.post(&json!([cometd_testkit::wire::connect(&id)]));
    sim.block_on(async move { one.publish("/a/x", &2).await }).unwrap();
    assert_eq!(held.wait().messages()[0]["data"], 2);
    me.on_message("/service/me", noting(&log)).unwrap();
    me.session().deliver("/service/me", &3).unwrap();
    sim.settle();
    let expected = [json!(["/a/x", 1]), json!(["/a/x", 2]), json!(["/service/me", 3])];
    assert_eq!(*log.lock().unwrap(), expected);
    let one = me.clone();
    sim.block_on(async move { one.unsubscribe("/a/*").await }).unwrap();
    assert_eq!(me.session().subscriptions(), []);
}

#[test]
fn b081_it_is_never_swept_and_ends_with_its_last_handle() {
    let (sim, bayeux) = world();
    let removed = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&removed);
    bayeux.on_event(move |notice| {
        if let Event::SessionRemoved { reason, .. } = notice.event {
            log.lock().unwrap().push(reason);
        }
        async {}
    });
    let me = local(&sim, &bayeux);
    let other = me.clone();
    sim.advance(Duration::from_secs(3_600));
    assert!(me.session().exists());
    drop(me);
    sim.settle();
    assert!(other.session().exists());
    drop(other);
    sim.settle();
    assert_eq!(bayeux.sessions().len(), 0);
    assert_eq!(*removed.lock().unwrap(), [RemovedReason::Disconnected]);
    assert_eq!((bayeux.stats().links, sim.tasks()), (0, 1), "only the driver is left");
}

#[test]
fn it_may_disconnect_and_be_disconnected() {
    let (sim, bayeux) = world();
    let (one, other) = (local(&sim, &bayeux), local(&sim, &bayeux));
    let me = one.clone();
    sim.block_on(async move { me.disconnect().await }).unwrap();
    assert!(!one.session().exists());
    let me = one.clone();
    let gone = sim.block_on(async move { me.publish("/a", &1).await });
    assert!(matches!(gone, Err(Error::SessionGone)));
    let log = Log::default();
    other.on_message("/bye", noting(&log)).unwrap();
    let session = other.session().clone();
    session.batch(|| session.deliver("/bye", &1)).unwrap().unwrap();
    session.disconnect().unwrap();
    sim.settle();
    assert_eq!(*log.lock().unwrap(), [json!(["/bye", 1])], "what came before its end is seen");
    let me = other.clone();
    let gone = sim.block_on(async move { me.publish("/a", &1).await });
    assert!(matches!(gone, Err(Error::SessionGone)));
    assert_eq!(bayeux.stats().links, 0);
}

struct OnlyFriends;

impl Policy for OnlyFriends {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        assert_eq!(request.context.as_ref().unwrap().transport(), Transport::Local);
        match request.ext::<Value>() {
            Ok(ext) if ext["friend"] == true => Verdict::Allow,
            _ => Denial::because("no friend").into(),
        }
    }

    async fn can_publish(&self, request: bayeux_core::front::PublishRequest) -> Verdict {
        Verdict::from(request.message.channel().as_str() != "/denied")
    }
}

#[test]
fn b124_the_policy_counts_for_local_sessions_too() {
    let sim = Sim::new(5);
    let bayeux = sim.start(Bayeux::builder().policy(OnlyFriends)).unwrap();
    let server = bayeux.clone();
    let denied = sim.block_on(async move { server.local_session().await });
    let Err(Error::Refused(error)) = denied else { panic!("refused: {denied:?}") };
    assert_eq!(error.to_string(), "403:no friend:handshake_denied");
    sim.settle();
    assert_eq!((bayeux.stats().links, sim.tasks()), (0, 1), "nothing is left behind");
    let server = bayeux.clone();
    let ext = json!({ "friend": true });
    let me = sim.block_on(async move { server.local_session_with(&ext).await }).unwrap();
    let one = me.clone();
    let denied = sim.block_on(async move { one.publish("/denied", &1).await });
    assert!(matches!(denied, Err(Error::Refused(_))));
}

#[test]
fn a_handler_may_use_its_session_and_one_that_panics_is_reported() {
    let (sim, bayeux) = world();
    let log = Log::default();
    let me = local(&sim, &bayeux);
    let echo = me.clone();
    me.on_message("/ask", move |message| {
        let echo = echo.clone();
        async move { echo.publish("/answer", &message.data()).await.unwrap() }
    })
    .unwrap();
    me.on_message("/ask", |_| -> std::future::Ready<()> { panic!("!") }).unwrap();
    me.on_message("/answer", noting(&log)).unwrap();
    me.session().subscribe("/*").unwrap();
    for number in 0..3 {
        me.session().deliver("/ask", &number).unwrap();
    }
    sim.settle();
    let expected: Vec<_> = (0..3).map(|number| json!(["/answer", number])).collect();
    assert_eq!(*log.lock().unwrap(), expected);
    assert_eq!(sim.reports().len(), 3);
}

#[test]
fn a_slow_handler_is_bounded_by_the_sessions_queue() {
    let sim = Sim::new(5);
    let mut config = bayeux_core::Config::default();
    config.limits.queue_messages = 10;
    let bayeux = sim.start(Bayeux::builder().config(config)).unwrap();
    let me = local(&sim, &bayeux);
    me.on_message("/n", |_| std::future::pending()).unwrap();
    let mut taken = 0;
    while me.session().deliver("/n", &taken).is_ok() {
        taken += 1;
        assert!(taken < 1_000, "there is a bound");
        sim.settle();
    }
    assert_eq!(taken, 12, "one is being handled, ten wait, and one is too many");
}

#[test]
fn nobody_else_can_speak_for_a_local_session() {
    let (sim, bayeux) = world();
    let me = local(&sim, &bayeux);
    let id = me.session().id().to_string();
    let client = Client::new(&sim, &bayeux);
    let socket = client.socket();
    let answer = socket.ask(&json!([publish(&id, "/a", 1)]));
    assert_eq!(answer[0]["error"], "402::session_unknown");
    assert!(me.session().exists());
}

#[test]
fn own_messages_come_back_unless_it_is_said_otherwise() {
    let (sim, bayeux) = world();
    bayeux
        .channel("/quiet")
        .unwrap()
        .configure(ChannelSettings::new().broadcast_to_publisher(false));
    bayeux
        .channel("/service/echo")
        .unwrap()
        .on_message(|incoming: Incoming| async move { incoming.reply(&incoming.raw_data()) });
    let (me, log) = (local(&sim, &bayeux), Log::default());
    me.session().subscribe("/quiet").unwrap();
    me.session().subscribe("/loud").unwrap();
    me.on_message("/**", noting(&log)).unwrap();
    let one = me.clone();
    sim.block_on(async move {
        one.publish("/quiet", &1).await?;
        one.publish("/loud", &2).await?;
        one.publish("/service/echo", &3).await
    })
    .unwrap();
    sim.settle();
    assert_eq!(*log.lock().unwrap(), [json!(["/loud", 2]), json!(["/service/echo", 3])]);
}

#[test]
fn draining_ends_it() {
    let (sim, bayeux) = world();
    let me = local(&sim, &bayeux);
    bayeux.drain(Duration::ZERO);
    sim.settle();
    assert_eq!(bayeux.stats().links, 0);
    assert!(!me.session().exists());
    let server = bayeux.clone();
    let refused = sim.block_on(async move { server.local_session().await });
    assert!(refused.is_err());
}
