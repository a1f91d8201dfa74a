//! Every bound, its outcome and its counter.

use bayeux_core::{Event, Input, Overflow, RuleList, Ruling};
use serde_json::{Value, json};

use crate::bench::{Bench, connect, data, publish, subscribe};

#[test]
fn sessions() {
    let mut bench = Bench::with(|config| config.limits.sessions = 2);
    bench.visitor();
    bench.visitor();
    let link = bench.post(None, &json!([{ "id": "1", "channel": "/meta/handshake" }]));
    let reply = &bench.take(link)[0];
    assert_eq!(reply["error"], "503::too_many_sessions");
    assert_eq!(reply["advice"], json!({ "reconnect": "handshake", "interval": 10_000 }));
    assert_eq!(bench.server.stats().refused_sessions, 1);
}

#[test]
fn channels() {
    let mut bench = Bench::with(|config| config.limits.channels = 1);
    let visitor = bench.subscriber("/one");
    let reply = bench.send(&visitor, &subscribe(&visitor, "/two"));
    assert_eq!(reply[0]["error"], "403:too_many_channels:create_denied");
    let reply = bench.send(&visitor, &publish(&visitor, "/two", json!(1)));
    assert_eq!(reply[0]["error"], "403:too_many_channels:channel_create_denied");
    assert_eq!(bench.server.stats().refused_channels, 2);
    let reply = bench.send(&visitor, &publish(&visitor, "/one", json!(1)));
    assert_eq!(data(&reply), [json!(1)]);
}

#[test]
fn subscriptions_of_a_session() {
    let mut bench = Bench::with(|config| config.limits.session_subscriptions = 2);
    let visitor = bench.subscriber("/one");
    let two_more = json!([{
        "channel": "/meta/subscribe", "clientId": visitor.id, "subscription": ["/two", "/three"],
    }]);
    let reply = bench.send(&visitor, &two_more);
    assert_eq!(reply[0]["error"], "403:too_many_subscriptions:subscribe_denied");
    let session = bench.server.session(visitor.session()).unwrap();
    assert_eq!(session.subscriptions().len(), 1, "all or nothing");
    let again = bench.send(&visitor, &subscribe(&visitor, "/one"));
    assert_eq!(again[0]["successful"], true, "what is there already needs no place");
}

#[test]
fn questions() {
    let mut bench = Bench::with(|config| config.limits.session_questions = 1);
    bench.rules(|rules| rules.publish = RuleList::new(Ruling::Ask));
    let visitor = bench.visitor();
    bench.post(Some(&visitor), &publish(&visitor, "/a", json!(1)));
    let reply = bench.send(&visitor, &publish(&visitor, "/a", json!(2)));
    assert_eq!(reply[0]["error"], "403:too_many_questions:publish_denied");
    assert_eq!(bench.server.stats().refused_questions, 1);
    bench.pass(30_000);
    assert_eq!(bench.server.stats().questions, 0);
}

#[test]
fn questions_about_handshakes_do_not_take_the_places_of_others() {
    let mut bench = Bench::with(|config| config.limits.handshake_questions = 2);
    let visitor = bench.visitor();
    bench.rules(|rules| {
        rules.handshake = Ruling::Ask;
        rules.publish = RuleList::new(Ruling::Ask);
    });
    let handshake = json!([{ "channel": "/meta/handshake" }]);
    bench.post(None, &handshake);
    bench.post(None, &handshake);
    let link = bench.post(None, &handshake);
    let reply = bench.take(link);
    assert_eq!(reply[0]["error"], "403:too_many_questions:handshake_denied");
    assert_eq!(reply[0]["advice"], json!({ "reconnect": "handshake", "interval": 10_000 }));
    let link = bench.post(Some(&visitor), &publish(&visitor, "/a", json!(1)));
    assert_eq!(bench.answer(link), None, "this one is asked about");
}

#[test]
fn a_full_queue_removes_its_session_and_the_client_can_start_anew() {
    let mut bench = Bench::with(|config| config.limits.queue_messages = 2);
    let visitor = bench.subscriber("/a");
    for number in 0..3 {
        bench.publish("/a", json!(number));
    }
    assert_eq!(bench.server.stats().removed.overflowed, 1);
    let reply = bench.send(&visitor, &connect(&visitor));
    let expected = json!([{
        "id": "c", "channel": "/meta/connect", "successful": false,
        "error": "402::session_unknown",
        "advice": { "reconnect": "handshake", "interval": 0 },
    }]);
    assert_eq!(json!(reply), expected);
}

#[test]
fn a_full_queue_of_a_held_session_answers_its_connect() {
    let mut bench = Bench::with(|config| config.limits.queue_messages = 1);
    let visitor = bench.visitor();
    let held = bench.hold(&visitor);
    bench.command(bayeux_core::Command::BeginBatch { session: visitor.session() });
    bench.deliver(&visitor, json!(1));
    bench.deliver(&visitor, json!(2));
    let reply = bench.take(held);
    assert_eq!(reply[0]["error"], "402::session_unknown");
    assert_eq!(reply[0]["advice"]["reconnect"], "handshake");
}

#[test]
fn other_policies_drop_events_and_say_so() {
    let mut bench = Bench::with(|config| {
        config.limits.queue_messages = 2;
        config.overflow = Overflow::DropOldest;
    });
    let visitor = bench.subscriber("/a");
    for number in 0..5 {
        bench.publish("/a", json!(number));
    }
    let stats = bench.server.stats();
    assert_eq!((stats.events_queued, stats.events_displaced, stats.events_dropped), (5, 3, 0));
    let reply = bench.send(&visitor, &connect(&visitor));
    assert_eq!(data(&reply), [json!(3), json!(4)]);
}

#[test]
fn the_clients_own_times_are_clamped() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let patient = json!([{
        "channel": "/meta/connect", "clientId": visitor.id,
        "advice": { "timeout": 3_000_000_000_u64, "interval": 1e300 },
    }]);
    let held = bench.post(Some(&visitor), &patient);
    bench.pass(299_999);
    assert_eq!(bench.answer(held), None);
    bench.pass(1);
    assert_eq!(bench.take(held)[0]["advice"]["interval"], 300_000);
}

#[test]
fn a_payload_with_much_to_deliver_lets_others_go_first() {
    let mut bench = Bench::with(|config| config.limits.burst_events = 10);
    let mut subscribers = Vec::new();
    for _ in 0..4 {
        subscribers.push(bench.subscriber("/a"));
    }
    let (sender, other) = (bench.visitor(), bench.visitor());
    let message = |number| json!({ "channel": "/a", "clientId": sender.id, "data": number });
    let payload: Vec<_> = (0..9).map(message).collect();
    let link = bench.post(Some(&sender), &json!(payload));
    assert_eq!(bench.answer(link), None, "three messages are enough for one turn");
    assert_eq!(bench.server.stats().events_queued, 12);
    assert_eq!(bench.send(&other, &publish(&other, "/b", json!(1)))[0]["successful"], true);
    for turn in 1..=2 {
        assert_eq!(bench.server.stats().events_queued, 12 * turn);
        assert_eq!(bench.answer(link), None);
        bench.now = bench.now + std::time::Duration::from_micros(1);
        bench.input(Input::Tick);
    }
    assert_eq!(bench.take(link).len(), 9, "each is answered, in one response");
    for subscriber in &subscribers {
        let events = data(&bench.send(subscriber, &connect(subscriber)));
        assert_eq!(events, (0..9).map(Value::from).collect::<Vec<_>>(), "in order");
    }
    assert_eq!(bench.server.stats().links, 0);
}

#[test]
fn a_payload_whose_client_goes_while_it_waits_is_processed_to_its_end() {
    let mut bench = Bench::with(|config| config.limits.burst_events = 1);
    let subscriber = bench.subscriber("/a");
    let sender = bench.visitor();
    let message = json!({ "channel": "/a", "clientId": sender.id, "data": 1 });
    let link = bench.post(Some(&sender), &json!([message, message, message]));
    assert_eq!(bench.server.stats().events_queued, 1);
    bench.input(Input::Close { link });
    bench.pass(1);
    assert_eq!(data(&bench.send(&subscriber, &connect(&subscriber))).len(), 3);
    assert_eq!(bench.server.stats().links, 0);
}

#[test]
fn a_message_that_is_dropped_in_the_end_displaces_nobody() {
    let mut bench = Bench::with(|c| {
        c.overflow = Overflow::DropOldest;
        c.limits.queue_bytes = 2_000;
    });
    let visitor = bench.subscriber("/a");
    bench.publish("/a", json!("x".repeat(1_000)));
    let link = bench.post(Some(&visitor), &connect(&visitor));
    assert!(bench.answer(link).is_some(), "on its way");
    bench.publish("/a", json!(1));
    bench.publish("/a", json!(2));
    bench.events();
    bench.publish("/a", json!("y".repeat(1_500)));
    let told: usize = bench
        .events()
        .iter()
        .map(|it| if let Event::EventsDropped { count, .. } = it { *count } else { 0 })
        .sum();
    let _stats = bench.server.stats();
    bench.input(Input::Sent { link, delivered: true });
    let came = data(&bench.send(&visitor, &connect(&visitor)));
    assert_eq!(came.len() + told, 3, "what did not come was told: {came:?}, {told}");
}
