//! Deadlines, ends, and what is left behind.

use std::time::Duration;

use bayeux_core::{Command, Event, Input, Refusal, RemovedReason, ResumeCause};
use serde_json::json;

use crate::bench::{Bench, connect, data, publish, subscribe};

fn removed(bench: &mut Bench) -> Vec<RemovedReason> {
    let reason = |event| match event {
        Event::SessionRemoved { reason, .. } => Some(reason),
        _ => None,
    };
    bench.events().into_iter().filter_map(reason).collect()
}

#[test]
fn a_silent_session_expires_at_interval_plus_max_interval() {
    let mut bench = Bench::with(|config| config.interval = Duration::from_secs(3));
    bench.visitor();
    bench.pass(12_999);
    assert_eq!(removed(&mut bench), []);
    bench.pass(1);
    assert_eq!(removed(&mut bench), [RemovedReason::Expired]);
}

#[test]
fn a_held_connect_is_answered_in_time_and_then_silence_counts() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let held = bench.hold(&visitor);
    bench.pass(29_999);
    assert_eq!(bench.answer(held), None);
    bench.pass(1);
    let expected = json!([{ "id": "c", "channel": "/meta/connect", "successful": true }]);
    assert_eq!(json!(bench.take(held)), expected);
    bench.pass(9_999);
    assert_eq!(removed(&mut bench), []);
    bench.pass(1);
    assert_eq!(removed(&mut bench), [RemovedReason::Expired]);
}

#[test]
fn other_messages_postpone_the_expiry_linearly() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    for _ in 0..10 {
        bench.pass(150);
        bench.send(&visitor, &publish(&visitor, "/x", json!(1)));
    }
    bench.pass(9_999);
    assert_eq!(removed(&mut bench), []);
    bench.pass(1);
    assert_eq!(removed(&mut bench), [RemovedReason::Expired]);
}

#[test]
fn a_lost_connection_is_noticed_at_once_and_starts_the_expiry() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let held = bench.hold(&visitor);
    bench.events();
    bench.input(Input::Close { link: held });
    let lost =
        |event: &Event| matches!(event, Event::Resumed { cause: ResumeCause::ConnectionLost, .. });
    assert!(bench.events().iter().any(lost));
    assert_eq!(bench.server.stats().held, 0);
    bench.pass(10_000);
    assert_eq!(removed(&mut bench), [RemovedReason::Expired]);
}

#[test]
fn a_late_word_about_an_old_connect_does_not_touch_the_held_one() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let old = bench.hold(&visitor);
    bench.publish("/a", json!(1));
    bench.answer(old).unwrap();
    // The response to the old connect is still being written when the next one arrives.
    let held = bench.hold(&visitor);
    bench.pass(5_000);
    bench.input(Input::Sent { link: old, delivered: true });
    bench.pass(24_999);
    assert_eq!(bench.answer(held), None);
    bench.pass(1);
    assert!(bench.answer(held).is_some());
}

#[test]
fn a_second_connect_takes_over() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let old = bench.hold(&visitor);
    let new = bench.hold(&visitor);
    assert_eq!(bench.refusal(old), Some(Refusal::Superseded));
    assert_eq!(bench.answer(new), None);
    assert_eq!(bench.server.stats().held, 1);
    assert_eq!(bench.server.stats().superseded_connects, 1);
}

#[test]
fn the_server_ends_a_session_and_its_held_connect_says_so() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let held = bench.hold(&visitor);
    let session = visitor.session();
    bench.command(Command::BeginBatch { session });
    bench.deliver(&visitor, json!("last words"));
    bench.command(Command::Disconnect { session });
    let expected = json!([
        { "channel": "/direct", "data": "last words" },
        { "channel": "/meta/disconnect", "successful": true },
        {
            "id": "c", "channel": "/meta/connect", "successful": true,
            "advice": { "reconnect": "none" },
        },
    ]);
    assert_eq!(json!(bench.take(held)), expected);
    assert_eq!(removed(&mut bench), [RemovedReason::DisconnectedByServer]);
    assert!(bench.server.session(session).is_none());
}

#[test]
fn a_session_that_was_ended_between_connects_learns_it_with_the_next_one() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    bench.deliver(&visitor, json!("last words"));
    bench.command(Command::Disconnect { session: visitor.session() });
    assert_eq!(removed(&mut bench), [RemovedReason::DisconnectedByServer]);
    assert!(bench.server.session(visitor.session()).is_none(), "gone for the application");
    let expected = json!([
        { "channel": "/direct", "data": "last words" },
        { "channel": "/meta/disconnect", "successful": true },
        {
            "id": "c", "channel": "/meta/connect", "successful": false,
            "error": "402::session_unknown", "advice": { "reconnect": "none" },
        },
    ]);
    assert_eq!(json!(bench.send(&visitor, &connect(&visitor))), expected);
    let again = bench.send(&visitor, &connect(&visitor));
    assert_eq!(again[0]["advice"]["reconnect"], "handshake");
    assert_eq!(bench.server.stats().sessions, 0);
}

#[test]
fn a_farewell_that_nobody_asks_for_is_forgotten_in_silence() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    bench.command(Command::Disconnect { session: visitor.session() });
    bench.events();
    bench.pass(10_000);
    assert_eq!(removed(&mut bench), [], "the application was told once");
    assert_eq!(bench.server.stats().sessions, 0);
    assert_eq!(bench.server.poll_timeout(), None);
}

#[test]
fn a_clients_disconnect_answers_the_held_connect_first() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let held = bench.hold(&visitor);
    let goodbye = json!([{ "id": "d", "channel": "/meta/disconnect", "clientId": visitor.id }]);
    let link = bench.post(Some(&visitor), &goodbye);
    let order: Vec<_> = bench
        .outputs()
        .into_iter()
        .filter_map(|output| match output {
            bayeux_core::Output::Send { link, .. } => Some(link),
            _ => None,
        })
        .collect();
    assert_eq!(order, [held, link]);
}

#[test]
fn a_disconnect_brings_what_the_session_was_owed() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    let payload = json!([
        { "channel": "/a", "clientId": visitor.id, "data": 1 },
        { "channel": "/meta/disconnect", "clientId": visitor.id },
    ]);
    assert_eq!(data(&bench.send(&visitor, &payload)), [json!(1)]);
    assert_eq!(data(&bench.take(held)).len(), 0);
}

#[test]
fn when_everybody_has_left_nothing_is_left() {
    let mut bench = Bench::new();
    let visitors: Vec<_> = (0..10)
        .map(|number| {
            let visitor = bench.subscriber(&format!("/room/{number}"));
            bench.send(&visitor, &subscribe(&visitor, "/room/*"));
            visitor
        })
        .collect();
    for (number, visitor) in visitors.iter().enumerate() {
        let link = bench.post(Some(visitor), &connect(visitor));
        bench.publish(&format!("/room/{number}"), json!(1));
        match number % 3 {
            0 => bench.input(Input::Close { link }),
            1 => drop(bench.take(link)),
            _ => {
                bench.drain();
                bench.input(Input::Sent { link, delivered: false });
            }
        }
        bench.drain();
    }
    // Answers that were polled but not confirmed keep their links: the drivers' sockets die now.
    for link in 1..=100 {
        bench.input(Input::Close { link: bayeux_core::LinkId(link) });
    }
    bench.pass(60_000);
    let stats = bench.server.stats();
    let left = [stats.sessions, stats.browsers, stats.channels, stats.links, stats.held];
    assert_eq!(left, [0; 5], "{stats:?}");
    assert_eq!(bench.server.poll_timeout(), None);
}

#[test]
fn time_that_runs_backwards_counts_as_standing_still() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    bench.pass(5_000);
    let held = bench.hold(&visitor);
    bench.now = bayeux_core::Time::ZERO;
    bench.deliver(&visitor, json!(1));
    assert_eq!(data(&bench.take(held)), [json!(1)]);
    bench.now = bayeux_core::Time::from_millis(5_000);
    bench.pass(9_999);
    assert_eq!(removed(&mut bench), []);
}

#[test]
fn the_same_inputs_give_the_same_outputs() {
    let run = || {
        let mut bench = Bench::new();
        let visitors: Vec<_> = (0..20).map(|_| bench.subscriber("/a")).collect();
        for visitor in &visitors {
            bench.hold(visitor);
        }
        bench.publish("/a", json!(1));
        bench.pass(50_000);
        format!("{:?}", bench.outputs())
    };
    assert_eq!(run(), run());
}
