//! Handlers that fail, panic, take long, or do odd things.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bayeux_core::front::{
    Bayeux, ClientMessage, Error, Extension, Flow, HandshakeRequest, Incoming, NewSession, Policy,
    PublishRequest,
};
use bayeux_core::{Event, Verdict};
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::{Client, connect, publish, subscribe};
use serde_json::json;

use crate::peer::{CallsBack, local, world};

#[test]
fn a_listener_that_panics_or_fails_is_reported_and_hurts_nobody() {
    let (sim, bayeux) = world();
    let channel = bayeux.channel("/a").unwrap();
    channel.on_message(|_| -> std::future::Ready<()> { panic!("before its first await") });
    channel.on_message(|incoming: Incoming| async move {
        assert!(incoming.session().is_none(), "in its future");
    });
    channel.on_message(|_| async { Err::<(), _>("with an error") });
    channel.on_message(|_| async { Flow::replace(&"the last one counts") });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.send(&json!([subscribe(&id, "/a")]));
    let answer = client.send(&json!([publish(&id, "/a", 1)])).messages();
    assert_eq!(answer[0]["data"], "the last one counts");
    let expected = [
        "listener on /a panicked: before its first await",
        "listener on /a panicked: in its future",
        "listener on /a failed: with an error",
    ];
    assert_eq!(sim.reports(), expected);
}

struct Panics;

impl Policy for Panics {
    async fn can_handshake(&self, _: HandshakeRequest) -> Verdict {
        panic!("no verdict")
    }
}

#[test]
fn a_policy_that_panics_denies() {
    let sim = Sim::new(3);
    let bayeux = sim.start(Bayeux::builder().policy(Panics)).unwrap();
    let client = Client::new(&sim, &bayeux);
    let answer = client.send(&json!([{ "channel": "/meta/handshake" }])).messages();
    assert_eq!(answer[0]["error"], "403::handshake_denied");
    assert_eq!(sim.reports(), ["policy panicked: no verdict"]);
}

#[test]
fn events_are_told_in_order_one_after_another() {
    let (sim, bayeux) = world();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (log, sleeper) = (Arc::clone(&told), sim.clone());
    bayeux.on_event(move |notice| {
        let (log, sleep) = (Arc::clone(&log), sleeper.sleep(Duration::from_millis(100)));
        async move {
            let name = match notice.event {
                Event::SessionAdded { .. } => "added",
                Event::SessionRemoved { .. } => "removed",
                Event::Subscribed { .. } => "subscribed",
                Event::Unsubscribed { .. } => "unsubscribed",
                _ => return,
            };
            log.lock().unwrap().push(name);
            sleep.await;
            log.lock().unwrap().push("done");
        }
    });
    let client = Client::new(&sim, &bayeux);
    let id = client.handshake();
    client.send(&json!([subscribe(&id, "/a")]));
    client.send(&json!([{ "channel": "/meta/disconnect", "clientId": id }]));
    sim.advance(Duration::from_secs(1));
    let events = ["added", "subscribed", "removed", "unsubscribed"];
    let expected: Vec<_> = events.into_iter().flat_map(|event| [event, "done"]).collect();
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn a_removed_session_still_has_its_attributes_for_those_who_are_told() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    let id = client.handshake();
    let session = bayeux.sessions().pop().unwrap();
    assert_eq!(session.id().to_string(), id);
    session.set_attribute("name", String::from("Ann")).unwrap();
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    session
        .on_removed(move |session, reason| async move {
            let name = session.attribute::<String>("name");
            *tell.lock().unwrap() = Some((name.as_deref().cloned(), format!("{reason:?}")));
        })
        .unwrap();
    sim.advance(Duration::from_secs(11));
    let expected = (Some("Ann".to_owned()), "Expired".to_owned());
    assert_eq!(told.lock().unwrap().take(), Some(expected));
    assert!(matches!(session.deliver("/x", &1), Err(Error::SessionGone)));
    assert_eq!(session.attribute::<String>("name"), None);
}

#[test]
fn a_handler_outlives_the_client_that_it_works_for() {
    let (sim, bayeux) = world();
    let done = Arc::new(Mutex::new(false));
    let (mark, sleeper) = (Arc::clone(&done), sim.clone());
    bayeux.channel("/service/work").unwrap().on_message(move |_: Incoming| {
        let (mark, sleep) = (Arc::clone(&mark), sleeper.sleep(Duration::from_secs(5)));
        async move {
            sleep.await;
            *mark.lock().unwrap() = true;
        }
    });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let request = client.post(&json!([publish(&id, "/service/work", 1)]));
    sim.advance(Duration::from_secs(1));
    request.lose();
    sim.advance(Duration::from_secs(5));
    assert!(*done.lock().unwrap());
    assert_eq!(bayeux.stats().links, 0);
}

#[test]
fn listeners_that_publish_in_circles_do_not_nest() {
    let (sim, bayeux) = world();
    let channel = bayeux.channel("/count").unwrap();
    let again = channel.clone();
    channel.on_message(move |incoming: Incoming| {
        let channel = again.clone();
        async move {
            let number: u32 = incoming.data()?;
            if number < 5_000 { channel.publish(&(number + 1)).await } else { Ok(()) }
        }
    });
    let counting = channel.clone();
    sim.block_on(async move { counting.publish(&0).await }).unwrap();
    assert_eq!(sim.reports(), Vec::<String>::new());
}

#[test]
fn a_veto_reaches_whoever_publishes() {
    let (sim, bayeux) = world();
    let channel = bayeux.channel("/a").unwrap();
    let listener = channel.on_message(|_| async { Flow::Veto });
    let vetoed = channel.clone();
    let outcome = sim.block_on(async move { vetoed.publish(&1).await });
    assert!(matches!(outcome, Err(Error::Vetoed)));
    assert!(bayeux.remove_listener(&listener));
    assert!(!bayeux.remove_listener(&listener));
    sim.block_on(async move { channel.publish(&1).await }).unwrap();
}

/// Calls back into the server when it is dropped.

#[test]
fn the_applications_values_are_not_dropped_under_the_lock() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    client.open();
    let session = bayeux.sessions().pop().unwrap();
    session.set_attribute("calls back", CallsBack(bayeux.clone())).unwrap();
    let calls_back = CallsBack(bayeux.clone());
    let listener = bayeux.channel("/a").unwrap().on_message(move |_| {
        let _ = &calls_back;
        async {}
    });
    let calls_back = CallsBack(bayeux.clone());
    bayeux.channel("/b").unwrap().on_message(move |_| {
        let _ = &calls_back;
        async {}
    });
    let mut request = client.request(json!([{ "channel": "/meta/handshake" }]).to_string());
    request.extensions_mut().insert(Arc::new(CallsBack(bayeux.clone())));
    client.start(request).wait();
    bayeux.remove_listener(&listener);
    bayeux.channel("/b").unwrap().remove();
    sim.advance(Duration::from_secs(20));
    assert_eq!(bayeux.sessions().len(), 0);
}

#[test]
fn an_event_handler_that_never_ends_does_not_stop_the_others() {
    let (sim, bayeux) = world();
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    bayeux.on_event(move |notice| {
        let first = matches!(notice.event, Event::SessionAdded { .. });
        *count.lock().unwrap() += 1;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
        }
    });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    assert_eq!(*told.lock().unwrap(), 1);
    for _ in 0..2 {
        sim.advance(Duration::from_secs(9));
        client.send(&json!([connect(&id)]));
    }
    client.send(&json!([publish(&id, "/a", 1)]));
    assert!(*told.lock().unwrap() > 1);
    assert_eq!(sim.reports(), ["event handler takes too long"]);
}

/// Panics when it is dropped.
struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[test]
fn a_value_that_panics_when_it_is_dropped_hurts_nobody() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    client.open();
    let session = bayeux.sessions().pop().unwrap();
    session.set_attribute("panics", PanicsInDrop).unwrap();
    sim.advance(Duration::from_secs(11));
    assert_eq!(bayeux.sessions().len(), 0);
    assert_eq!(sim.reports(), ["dropped value panicked: in drop"]);
    client.open();
}

#[test]
fn replacing_an_attribute_may_call_back_as_well() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    client.open();
    let session = bayeux.sessions().pop().unwrap();
    struct ReadsItsOwn(bayeux_core::front::Session);
    impl Drop for ReadsItsOwn {
        fn drop(&mut self) {
            self.0.attribute::<u32>("other");
        }
    }
    session.set_attribute("own", ReadsItsOwn(session.clone())).unwrap();
    session.set_attribute("own", ReadsItsOwn(session.clone())).unwrap();
    assert!(session.remove_attribute("own"));
}

#[test]
fn the_driver_ends_with_the_server() {
    let (sim, bayeux) = world();
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let held = client.post(&json!([connect(&id)]));
    held.lose();
    assert_eq!(sim.tasks(), 1);
    drop((client, bayeux));
    sim.settle();
    assert_eq!(sim.tasks(), 0);
}

#[test]
fn meta_channels_are_not_for_the_application() {
    let (sim, bayeux) = world();
    let me = sim.block_on({
        let bayeux = bayeux.clone();
        async move { bayeux.local_session().await }
    });
    let me = me.unwrap();
    let session = me.session();
    let new_session = NewSession::default();
    for refused in [
        session.deliver("/meta/disconnect", &1),
        session.subscribe("/meta/connect"),
        new_session.deliver("/meta/x", &1),
        new_session.subscribe("/meta/*"),
    ] {
        assert!(matches!(refused, Err(Error::MetaChannel)), "{refused:?}");
    }
    for ignored in [session.subscribe("/service/*"), new_session.subscribe("/service/a")] {
        ignored.unwrap();
    }
    assert_eq!(session.subscriptions(), []);
    assert!(session.exists());
}

/// Counts how often it is called, and dropped.
#[derive(Clone)]
struct Count(Arc<Mutex<Vec<&'static str>>>, Option<Bayeux>);

impl Count {
    fn call(&self) {
        self.0.lock().unwrap().push("called");
    }

    fn tell(&self) -> std::future::Ready<()> {
        self.call();
        std::future::ready(())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        // Under the server's lock this would not come back.
        if let Some(bayeux) = &self.1 {
            bayeux.stats();
        }
    }
}

#[test]
fn whatever_is_added_can_be_removed() {
    let (sim, bayeux) = world();
    let count = Count(Arc::default(), Some(bayeux.clone()));
    let called = || count.0.lock().unwrap().drain(..).count();
    let me = sim.block_on({
        let bayeux = bayeux.clone();
        async move { bayeux.local_session().await }
    });
    let me = me.unwrap();
    let session = me.session();

    let (it, other) = (count.clone(), count.clone());
    let event = bayeux.on_event(move |_| it.tell());
    let kept = bayeux.on_event(move |_| other.tell());
    let it = count.clone();
    let message = me.on_message("/a", move |_| it.tell()).unwrap();
    let it = count.clone();
    let dequeue = session.on_dequeue(move |_, _| it.call()).unwrap();
    let it = count.clone();
    let removed = session.on_removed(move |_, _| it.tell()).unwrap();

    session.deliver("/a", &1).unwrap();
    sim.settle();
    assert_eq!(called(), 2, "its handler and its hook");
    bayeux.channel("/new").unwrap();
    sim.settle();
    assert_eq!(called(), 2, "both event handlers");

    assert!(bayeux.remove_handler(event) && !bayeux.remove_handler(event));
    assert!(me.remove_handler(message) && !me.remove_handler(message));
    assert!(!session.remove_handler(message), "it is none of these");
    assert!(session.remove_handler(dequeue) && !session.remove_handler(dequeue));
    assert!(session.remove_handler(removed) && !session.remove_handler(removed));
    session.deliver("/a", &1).unwrap();
    sim.settle();
    assert_eq!(called(), 0);
    session.disconnect().unwrap();
    sim.settle();
    assert_eq!(called(), 1, "one event handler is left");
    assert!(bayeux.remove_handler(kept));
}

/// A handler that never has an answer, and something that it holds.
async fn hang(held: Arc<()>) {
    let _held = held;
    std::future::pending().await
}

#[test]
fn handlers_that_never_end_do_not_pile_up() {
    let sim = Sim::new(3);
    let held = Arc::new(());
    let bayeux = sim.start(Bayeux::builder().policy(Hanging(Arc::clone(&held)))).unwrap();
    let it = Arc::clone(&held);
    bayeux.channel("/hang").unwrap().on_message(move |_| hang(Arc::clone(&it)));
    let it = Arc::clone(&held);
    bayeux.add_extension(HangingToo(it));
    let before = (Arc::strong_count(&held), sim.tasks());
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    let publishing: Vec<_> = ["/hang", "/hang", "/policy", "/extension"]
        .into_iter()
        .map(|channel| client.post(&json!([publish(&id, channel, 1)])))
        .collect();
    sim.settle();
    assert_eq!(
        (Arc::strong_count(&held), sim.tasks()),
        (before.0 + 4, before.1 + 4 + publishing.len())
    );
    // Their clients go; they do not notice.
    publishing.into_iter().for_each(|it| it.lose());
    sim.advance(Duration::from_millis(29_999));
    assert_eq!(Arc::strong_count(&held), before.0 + 4);
    sim.advance(Duration::from_millis(1));
    assert_eq!((Arc::strong_count(&held), sim.tasks()), before);
    let mut reports = sim.reports();
    reports.sort();
    let expected = [
        "extension takes too long",
        "listener for a message on /hang takes too long",
        "listener for a message on /hang takes too long",
        "policy or authorizer takes too long",
    ];
    assert_eq!(reports, expected);
    assert_eq!(bayeux.stats().expired_questions, 4);
}

struct Hanging(Arc<()>);

impl Policy for Hanging {
    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        if request.message.channel().as_str() == "/policy" {
            hang(Arc::clone(&self.0)).await;
        }
        Verdict::Allow
    }
}

struct HangingToo(Arc<()>);

impl Extension for HangingToo {
    async fn incoming(&self, message: ClientMessage) -> Option<ClientMessage> {
        if message.channel() == "/extension" {
            hang(Arc::clone(&self.0)).await;
        }
        Some(message)
    }
}

#[test]
fn events_behind_a_stuck_handler_are_told_on_a_quiet_server() {
    let (sim, bayeux) = world();
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    bayeux.on_event(move |notice| {
        let stuck = matches!(notice.event, Event::SessionAdded { .. });
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            if stuck {
                std::future::pending::<()>().await
            }
        }
    });
    let me = local(&sim, &bayeux);
    me.session().subscribe("/a").unwrap();
    sim.settle();
    assert_eq!(bayeux.front_stats().untold_events, 2, "a channel, and a subscription");
    sim.advance(Duration::from_secs(3_600));
    assert_eq!(bayeux.front_stats().untold_events, 0);
    assert!(told.load(Ordering::SeqCst) > 1, "an hour later the subscription is still not told");
}

#[test]
fn a_slow_listener_does_not_let_a_message_past_one_that_vetoes() {
    let (sim, bayeux) = world();
    bayeux.channel("/**").unwrap().on_message(|m: Incoming| async move {
        if m.channel().as_str() == "/a" {
            std::future::pending::<()>().await
        }
    });
    bayeux.channel("/a").unwrap().on_message(|_| async { Flow::Veto });
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.send(&json!([subscribe(&id, "/a")]));
    let answer = client.post(&json!([publish(&id, "/a", 1)])).wait().messages();
    assert_eq!(answer.last().unwrap()["successful"], false, "{answer:?}");
}
