//! What the application wants.

use std::time::Duration;

use bayeux_core::{
    Answer, ChannelSettings, Command, Delivery, Event, Input, ListenVerdict, Timing,
};
use serde_json::json;

use crate::bench::{Bench, connect, data, pattern, publish, subscribe};

#[test]
fn subscribing_a_session_on_its_behalf() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let session = visitor.session();
    for channel in ["/a", "/service/x", "/meta/connect"] {
        bench.command(Command::Subscribe { session, pattern: pattern(channel) });
    }
    assert_eq!(bench.server.session(session).unwrap().subscriptions(), [pattern("/a")]);
    bench.command(Command::Unsubscribe { session, pattern: pattern("/a") });
    assert_eq!(bench.server.session(session).unwrap().subscriptions(), []);
}

#[test]
fn new_times_are_told_with_the_next_connect_reply() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let held = bench.hold(&visitor);
    let timing = Timing::new().timeout(Duration::from_secs(7)).interval(Duration::from_millis(100));
    bench.command(Command::SetTiming { session: visitor.session(), timing });
    bench.pass(29_999);
    assert_eq!(bench.answer(held), None, "a held connect keeps its time");
    bench.pass(1);
    let advice = json!({ "reconnect": "retry", "interval": 100, "timeout": 7_000 });
    assert_eq!(bench.take(held)[0]["advice"], advice);
    let held = bench.hold(&visitor);
    bench.pass(7_000);
    assert_eq!(bench.take(held)[0].get("advice"), None);
}

#[test]
fn times_that_make_no_sense_are_clamped() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    bench.command(Command::ListenChannel { pattern: pattern("/meta/connect"), listen: true });
    bench.post(Some(&visitor), &connect(&visitor));
    let timing = Timing::new().timeout(Duration::MAX).max_interval(Duration::ZERO);
    bench.command(Command::SetTiming { session: visitor.session(), timing });
    bench.pass(100);
    assert!(bench.server.session(visitor.session()).is_some(), "its connect is being decided");
    let asked = bench.listen_question();
    bench.input(Input::Answer(Answer::Listen(asked.ticket, ListenVerdict::Continue)));
    let session = bench.server.session(visitor.session());
    assert!(session.is_some_and(|session| session.is_held()));
}

#[test]
fn a_channel_that_nobody_uses_is_swept_unless_it_is_persistent() {
    let mut bench = Bench::new();
    bench.command(Command::CreateChannel { pattern: pattern("/idle") });
    bench.command(Command::ListenChannel { pattern: pattern("/heard"), listen: true });
    let settings = ChannelSettings::new().persistent(true);
    bench.command(Command::ConfigureChannel { pattern: pattern("/kept"), settings });
    let visitor = bench.subscriber("/subscribed");
    bench.hold(&visitor);
    bench.pass(2_990);
    assert!(bench.server.channel(&pattern("/idle")).is_some());
    bench.pass(20);
    let left: Vec<_> = bench.server.channels().map(|it| it.pattern().to_string()).collect();
    assert_eq!(left, ["/heard", "/kept", "/subscribed"]);
    bench.command(Command::ListenChannel { pattern: pattern("/heard"), listen: false });
    bench.pass(3_000);
    assert!(bench.server.channel(&pattern("/heard")).is_none());
}

#[test]
fn publishing_keeps_a_channel() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    for _ in 0..5 {
        bench.send(&visitor, &publish(&visitor, "/a", json!(1)));
        bench.pass(2_000);
        assert!(bench.server.channel(&pattern("/a")).is_some());
    }
    bench.pass(3_000);
    assert!(bench.server.channel(&pattern("/a")).is_none());
}

#[test]
fn removing_a_channel_ends_its_subscriptions_and_leaves_those_below() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    bench.send(&visitor, &subscribe(&visitor, "/a/*"));
    bench.send(&visitor, &subscribe(&visitor, "/a/b"));
    bench.events();
    bench.command(Command::RemoveChannel { pattern: pattern("/a") });
    let session = visitor.session();
    let expected = [
        Event::Unsubscribed { session, channel: pattern("/a") },
        Event::ChannelRemoved { channel: pattern("/a") },
    ];
    assert_eq!(bench.events(), expected);
    let left = bench.server.session(session).unwrap().subscriptions();
    assert_eq!(left, [pattern("/a/*"), pattern("/a/b")]);
}

#[test]
fn a_publisher_gets_no_copy_where_that_is_off() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/quiet/a");
    let settings = ChannelSettings::new().broadcast_to_publisher(false);
    bench.command(Command::ConfigureChannel { pattern: pattern("/quiet/a"), settings });
    let answer = bench.send(&visitor, &publish(&visitor, "/quiet/a", json!(1)));
    assert_eq!(data(&answer).len(), 0);
    // Whichever of its subscriptions matches.
    bench.send(&visitor, &subscribe(&visitor, "/**"));
    let answer = bench.send(&visitor, &publish(&visitor, "/quiet/a", json!(2)));
    assert_eq!(data(&answer).len(), 0);
    bench.command(Command::SetDelivery {
        session: visitor.session(),
        delivery: Delivery::new().broadcast_to_publisher(false),
    });
    let answer = bench.send(&visitor, &publish(&visitor, "/quiet/a", json!(3)));
    assert_eq!(data(&answer).len(), 0);
}

#[test]
fn draining_answers_everybody_and_spreads_their_return() {
    let mut bench = Bench::new();
    let visitors: Vec<_> = (0..50).map(|_| bench.visitor()).collect();
    let held: Vec<_> = visitors.iter().map(|visitor| bench.hold(visitor)).collect();
    bench.command(Command::Drain { spread: Duration::from_secs(10) });
    let mut intervals: Vec<_> = held
        .into_iter()
        .map(|link| {
            let advice = bench.take(link)[0]["advice"].clone();
            assert_eq!(advice["reconnect"], "retry");
            advice["interval"].as_u64().unwrap()
        })
        .collect();
    intervals.sort_unstable();
    intervals.dedup();
    assert!(intervals.len() > 25, "they differ: {intervals:?}");
    assert!(intervals.iter().all(|&interval| interval < 10_000));

    let reply = bench.send(&visitors[0], &connect(&visitors[0]));
    assert!(reply[0]["advice"]["interval"].is_u64(), "no connect is held any more");
    let link = bench.post(None, &json!([{ "channel": "/meta/handshake" }]));
    assert_eq!(bench.take(link)[0]["error"], "503::draining");
}
