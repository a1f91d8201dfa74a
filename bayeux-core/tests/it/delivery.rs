//! What becomes of events on their way.

use std::time::Duration;

use bayeux_core::{ChannelSettings, Command, Input, Output};
use serde_json::json;

use crate::bench::{Bench, connect, data, message, pattern, publish};

#[test]
fn events_of_a_lost_response_come_with_the_next_one() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.answer(held).unwrap()), [json!(1)]);
    bench.publish("/a", json!(2));
    bench.input(Input::Sent { link: held, delivered: false });
    assert_eq!(bench.server.stats().events_returned, 1);
    let answer = bench.send(&visitor, &connect(&visitor));
    assert_eq!(data(&answer), [json!(1), json!(2)]);
}

#[test]
fn losing_the_connection_before_the_answer_is_taken_loses_nothing() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    bench.publish("/a", json!(1));
    // The answer is due, but the driver has not polled it.
    bench.input(Input::Close { link: held });
    assert_eq!(bench.answer(held), None);
    let answer = bench.send(&visitor, &connect(&visitor));
    assert_eq!(data(&answer), [json!(1)]);
}

/// Events that travel with connects only are in nobody's hands between the publish and the answer.
#[test]
fn what_a_connect_is_about_to_take_survives_the_clients_disconnect() {
    let mut bench = Bench::with(|config| config.meta_connect_deliver_only = true);
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    bench.publish("/a", json!(1));
    let message = json!([{ "channel": "/meta/disconnect", "clientId": visitor.id }]);
    let other = bench.post(Some(&visitor), &message);
    assert_eq!(data(&bench.take(held)), [json!(1)]);
    assert_eq!(bench.take(other)[0]["successful"], json!(true));
    assert_eq!(bench.server.stats().events_lost, 0);
    assert_eq!((bench.server.stats().sessions, bench.forgets(visitor.session())), (0, 1));
}

#[test]
fn a_delivered_event_is_delivered_once() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.take(held)), [json!(1)]);
    // The driver says it again, and closes for good measure: both are too late to matter.
    bench.input(Input::Sent { link: held, delivered: false });
    bench.input(Input::Close { link: held });
    assert_eq!(bench.server.stats().ignored_inputs, 2);
    bench.hold(&visitor);
}

#[test]
fn everything_queued_until_the_poll_leaves_together() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    for number in 1..=3 {
        bench.publish("/a", json!(number));
    }
    assert_eq!(data(&bench.take(held)), [json!(1), json!(2), json!(3)]);
}

#[test]
fn events_that_a_payload_causes_leave_with_its_own_answer() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    let answer = bench.send(&visitor, &publish(&visitor, "/a", json!("mine")));
    assert_eq!(data(&answer), [json!("mine")]);
    assert_eq!(bench.answer(held), None, "the connect stays held");
    bench.publish("/a", json!("theirs"));
    assert_eq!(data(&bench.take(held)), [json!("theirs")]);
}

#[test]
fn when_a_payload_cannot_carry_its_events_they_wake_the_connect() {
    let mut bench = Bench::with(|config| config.meta_connect_deliver_only = true);
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    let answer = bench.send(&visitor, &publish(&visitor, "/a", json!(1)));
    assert_eq!(data(&answer).len(), 0);
    assert_eq!(data(&bench.take(held)), [json!(1)]);
}

#[test]
fn a_payload_whose_client_is_gone_leaves_its_events_to_the_connect() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    let link = bench.post(Some(&visitor), &publish(&visitor, "/a", json!(1)));
    bench.input(Input::Close { link });
    assert_eq!(data(&bench.take(held)), [json!(1)]);
}

#[test]
fn a_batch_holds_events_back_until_its_end() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let held = bench.hold(&visitor);
    let session = visitor.session();
    bench.command(Command::BeginBatch { session });
    bench.command(Command::BeginBatch { session });
    bench.deliver(&visitor, json!(1));
    bench.deliver(&visitor, json!(2));
    bench.command(Command::EndBatch { session });
    assert_eq!(bench.answer(held), None, "batches nest");
    bench.command(Command::EndBatch { session });
    assert_eq!(data(&bench.take(held)), [json!(1), json!(2)]);
}

#[test]
fn a_lazy_event_waits_for_its_time_or_for_company() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/lazy/a");
    let settings = ChannelSettings::new().lazy_timeout(Duration::from_secs(2));
    bench.command(Command::ConfigureChannel { pattern: pattern("/lazy/**"), settings });

    let held = bench.hold(&visitor);
    bench.publish("/lazy/a", json!(1));
    bench.pass(1_999);
    assert_eq!(bench.answer(held), None);
    bench.pass(1);
    assert_eq!(data(&bench.take(held)), [json!(1)]);

    let held = bench.hold(&visitor);
    bench.publish("/lazy/a", json!(2));
    bench.deliver(&visitor, json!(3));
    assert_eq!(data(&bench.take(held)), [json!(2), json!(3)]);
}

#[test]
fn an_overdue_lazy_event_does_not_let_a_connect_be_held() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let parts = bayeux_core::MessageParts::data(bayeux_core::Json::TRUE).lazy(true);
    let lazy = bayeux_core::Message::with("/a".try_into().unwrap(), &parts);
    bench.command(Command::Publish { message: lazy.into(), from: None, receipt: None });
    bench.pass(5_000);
    let answer = bench.send(&visitor, &connect(&visitor));
    assert_eq!(data(&answer), [json!(true)]);
}

#[test]
fn only_subscribers_are_woken() {
    let mut bench = Bench::new();
    let subscriber = bench.subscriber("/a");
    let held = bench.hold(&subscriber);
    let others: Vec<_> = (0..100)
        .map(|_| {
            let visitor = bench.subscriber("/b");
            bench.hold(&visitor)
        })
        .collect();
    bench.outputs();
    bench.publish("/a", json!(1));
    let sends: Vec<_> = bench
        .outputs()
        .into_iter()
        .filter_map(|output| match output {
            Output::Send { link, .. } => Some(link),
            _ => None,
        })
        .collect();
    assert_eq!(sends, [held]);
    assert_eq!(bench.server.stats().held, others.len());
}

#[test]
fn overlapping_subscriptions_give_one_copy() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a/b");
    for wild in ["/a/*", "/a/**", "/**"] {
        bench.send(&visitor, &crate::bench::subscribe(&visitor, wild));
    }
    let held = bench.hold(&visitor);
    bench.publish("/a/b", json!(1));
    assert_eq!(data(&bench.take(held)), [json!(1)]);
}

#[test]
fn a_relayed_message_reaches_subscribers_and_goes_no_further() {
    let mut bench = Bench::with(|config| config.relay = true);
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    bench.outputs();
    bench.input(Input::Relay(message("/a", json!("from afar")).into()));
    assert_eq!(data(&bench.take(held)), [json!("from afar")]);
    assert!(!bench.outputs().iter().any(|output| matches!(output, Output::Relay(_))));

    bench.publish("/a", json!("from here"));
    bench.publish("/service/x", json!("for nobody else"));
    let relayed: Vec<_> = bench
        .outputs()
        .into_iter()
        .filter_map(|output| match output {
            Output::Relay(message) => Some(message.data().to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(relayed, [r#""from here""#]);
}

#[test]
fn an_overtaken_connect_does_not_take_the_advice_that_the_latest_asked_for() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    bench.late = true;
    let older = bench.hold(&visitor);
    bench.pass(30_000);
    assert_eq!(bench.named.pop(), Some(older), "its time is up");
    let mut asks = connect(&visitor);
    asks[0]["advice"] = json!({ "timeout": 20_000 });
    let newer = bench.post(Some(&visitor), &asks);
    assert_eq!(bench.answer(newer), None, "it is held");
    bench.collect(older);
    assert_eq!(bench.take(older)[0].get("advice"), None);
    bench.deliver(&visitor, json!(1));
    bench.drain();
    assert_eq!(bench.named.pop(), Some(newer));
    bench.collect(newer);
    assert_eq!(bench.take(newer)[1]["advice"]["reconnect"], "retry");
}
