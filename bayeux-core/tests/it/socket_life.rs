//! The life of a WebSocket beside its sessions': silence, pings, closing, draining.

use std::time::Duration;

use bayeux_core::{
    Answer, Command, Event, Input, Refusal, RuleList, Ruling, Time, Timing, Verdict,
};
use serde_json::json;

use crate::bench::{Bench, connect, data, pattern, publish};

/// Pings after 45 s, the end after 75 s; connects are held for ten minutes.
fn patient() -> Bench {
    Bench::with(|config| config.timeout = Duration::from_secs(600))
}

#[test]
fn a_silent_peer_is_pinged_and_given_up_if_it_stays_silent() {
    let mut bench = patient();
    let (link, guest) = bench.held_guest();
    bench.pass(44_999);
    assert_eq!(bench.pings(link), 0);
    bench.pass(1);
    assert_eq!(bench.pings(link), 1);
    bench.pass(29_999);
    assert_eq!((bench.pings(link), bench.refusal(link)), (0, None));
    bench.events();
    bench.pass(1);
    assert_eq!(bench.refusal(link), Some(Refusal::Idle));
    assert_eq!((bench.server.stats().idle_sockets, bench.server.stats().sockets), (1, 0));
    // The session has as long as after any other loss.
    bench.pass(9_999);
    assert!(bench.server.session(guest.session()).is_some());
    bench.pass(1);
    assert!(bench.server.session(guest.session()).is_none());
}

#[test]
fn an_idle_session_costs_its_pings_and_no_other_wake_up() {
    let mut bench = patient();
    let (link, guest) = bench.held_guest();
    let (mut wake_ups, mut pings) = (0, 0);
    let end = Time::from_millis(590_000);
    while let Some(at) = bench.server.poll_timeout().filter(|&at| at < end) {
        bench.now = at;
        bench.input(Input::Tick);
        wake_ups += 1;
        if bench.pings(link) == 1 {
            pings += 1;
            bench.input(Input::Alive { link });
        }
    }
    assert_eq!(pings, 590 / 45);
    // Once the look at a channel that has got its subscriber, once the deadline of the handshake.
    assert!(wake_ups <= 2 * pings + 2, "{wake_ups} wake-ups for {pings} pings");
    assert!(bench.server.session(guest.session()).unwrap().is_held());
}

#[test]
fn whoever_is_heard_is_not_pinged() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    for _ in 0..10 {
        bench.pass(30_000);
        bench.take(link);
        bench.hold_on(link, &guest);
    }
    assert_eq!(bench.pings(link), 0, "the heartbeat is enough");
}

#[test]
fn a_ping_interval_that_is_much_shorter_than_the_timeout_is_kept() {
    let mut bench = Bench::with(|config| {
        config.timeout = Duration::from_secs(600);
        config.ws_ping_interval = Duration::from_secs(10);
        config.ws_idle_timeout = Duration::from_secs(100);
    });
    let (link, _) = bench.held_guest();
    for _ in 0..5 {
        bench.pass(9_999);
        assert_eq!(bench.pings(link), 0);
        bench.pass(1);
        assert_eq!(bench.pings(link), 1);
        bench.input(Input::Alive { link });
    }
    bench.pass(99_999);
    assert_eq!((bench.pings(link), bench.refusal(link)), (1, None), "one ping for one silence");
    bench.pass(1);
    assert_eq!(bench.refusal(link), Some(Refusal::Idle));
}

#[test]
fn pings_can_be_turned_off() {
    let mut bench = Bench::with(|config| {
        config.timeout = Duration::from_secs(600);
        config.ws_ping_interval = config.ws_idle_timeout;
    });
    let (link, _) = bench.held_guest();
    bench.pass(74_999);
    assert_eq!(bench.refusal(link), None);
    bench.pass(1);
    assert_eq!((bench.pings(link), bench.refusal(link)), (0, Some(Refusal::Idle)));
}

#[test]
fn a_socket_that_nobody_makes_a_session_on_is_closed_whatever_it_sends_besides() {
    let mut bench = Bench::new();
    let link = bench.socket();
    for _ in 0..4 {
        bench.pass(18_000);
        bench.input(Input::Alive { link });
    }
    assert_eq!(bench.refusal(link), None);
    bench.pass(3_000);
    assert_eq!((bench.pings(link), bench.refusal(link)), (0, Some(Refusal::Idle)));
    assert_eq!(bench.server.poll_timeout(), None);
}

#[test]
fn nobody_is_silent_while_the_application_decides() {
    let mut bench = Bench::with(|config| config.question_timeout = Duration::from_secs(300));
    bench.rules(|rules| rules.handshake = Ruling::Ask);
    let link = bench.socket();
    bench.tell(link, &json!([{ "channel": "/meta/handshake" }]));
    let question = bench.question();
    bench.pass(290_000);
    assert_eq!(bench.refusal(link), None);
    let bayeux_core::Question::Handshake(question) = question else { panic!("a handshake") };
    bench.input(Input::Answer(Answer::Handshake(question.ticket, Verdict::Allow, Box::default())));
    assert_eq!(bench.take(link)[0]["successful"], true);
}

#[test]
fn what_a_client_sent_before_it_went_is_done_all_the_same() {
    let mut bench = Bench::new();
    bench.rules(|rules| {
        rules.publish = RuleList::new(Ruling::Allow).rule(pattern("/a"), Ruling::Ask);
    });
    let (link, guest) = bench.held_guest();
    let subscriber = bench.subscriber("/a");
    let held = bench.hold(&subscriber);
    bench.tell(link, &publish(&guest, "/a", json!(1)));
    let question = bench.publish_question();
    bench.input(Input::Close { link });
    assert_eq!(bench.server.stats().sockets, 0);
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    assert_eq!(data(&bench.take(held)), [json!(1)]);
    assert_eq!(bench.server.stats().links, 0);
    // Its own copy waits for it.
    let next = bench.socket();
    assert_eq!(data(&bench.call(next, &connect(&guest))), [json!(1)]);
}

#[test]
fn a_handshake_whose_socket_is_gone_makes_no_session() {
    let mut bench = Bench::new();
    bench.rules(|rules| rules.handshake = Ruling::Ask);
    let link = bench.socket();
    bench.tell(link, &json!([{ "channel": "/meta/handshake" }]));
    let bayeux_core::Question::Handshake(question) = bench.question() else {
        panic!("a handshake")
    };
    bench.input(Input::Close { link });
    bench.input(Input::Answer(Answer::Handshake(question.ticket, Verdict::Allow, Box::default())));
    let stats = bench.server.stats();
    assert_eq!((stats.sessions, stats.links), (0, 0));
}

#[test]
fn a_violation_ends_the_socket_and_leaves_the_session() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.answer(link).unwrap()), [json!(1)]);
    let (handshake, other) =
        (json!({ "channel": "/meta/handshake" }), publish(&guest, "/a", json!(2)));
    bench.tell(link, &json!([handshake, other[0]]));
    assert_eq!(bench.refusal(link), Some(Refusal::HandshakeNotAlone));
    // What was being written is written to its end, so it does not come again.
    bench.publish("/a", json!(3));
    let next = bench.socket();
    assert_eq!(data(&bench.call(next, &connect(&guest))), [json!(3)]);
    let empty = bench.socket();
    bench.input(Input::Receive { link: empty, payload: Vec::new() });
    assert_eq!(bench.refusal(empty), Some(Refusal::Empty));
}

#[test]
fn a_draining_server_closes_its_sockets_when_they_have_been_told() {
    let mut bench = Bench::new();
    bench.rules(|rules| {
        rules.publish = RuleList::new(Ruling::Allow).rule(pattern("/ask"), Ruling::Ask);
    });
    let (quiet, _) = bench.held_guest();
    let (busy, _) = bench.held_guest();
    let (asking, asker) = bench.held_guest();
    let idle = bench.socket();
    bench.tell(asking, &publish(&asker, "/ask", json!(1)));
    let question = bench.publish_question();
    bench.publish("/a", json!(1));
    for link in [quiet, asking] {
        bench.take(link);
    }
    assert_eq!(data(&bench.answer(busy).unwrap()), [json!(1)]);
    bench.command(Command::Drain { spread: Duration::from_secs(2) });
    assert_eq!(bench.refusal(idle), Some(Refusal::Draining));

    let answer = bench.answer(quiet).unwrap();
    assert_eq!(answer[0]["channel"], "/meta/connect");
    assert!(answer[0]["advice"]["interval"].as_u64().unwrap() < 2_000);
    assert_eq!(bench.refusal(quiet), None, "not before it is out");
    bench.input(Input::Sent { link: quiet, delivered: true });
    assert_eq!(bench.refusal(quiet), Some(Refusal::Draining));

    // Its parcel is still being written: the connect's reply follows, then the end.
    assert_eq!(bench.answer(busy), None);
    bench.input(Input::Sent { link: busy, delivered: true });
    assert_eq!(bench.take(busy)[0]["channel"], "/meta/connect");
    assert_eq!(bench.refusal(busy), Some(Refusal::Draining));

    bench.take(asking);
    assert_eq!(bench.refusal(asking), None, "its payload is not answered yet");
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    assert_eq!(bench.take(asking)[0]["channel"], "/ask");
    assert_eq!(bench.refusal(asking), Some(Refusal::Draining));

    let late = bench.socket();
    assert_eq!(bench.refusal(late), Some(Refusal::Draining));
    assert_eq!((bench.server.stats().sockets, bench.server.stats().links), (0, 0));
}

#[test]
fn inputs_about_a_socket_that_is_gone_are_counted() {
    let mut bench = Bench::new();
    let link = bench.socket();
    bench.input(Input::Sent { link, delivered: true });
    bench.input(Input::Close { link });
    bench.tell(link, &json!([{ "channel": "/meta/handshake" }]));
    bench.input(Input::Sent { link, delivered: true });
    bench.input(Input::Alive { link });
    bench.input(Input::Close { link });
    assert_eq!(bench.server.stats().ignored_inputs, 5);
    assert_eq!(bench.server.poll_timeout(), None);
}

#[test]
fn when_all_sockets_are_gone_nothing_is_left() {
    let mut bench = Bench::new();
    let links: Vec<_> = (0..20).map(|_| bench.held_guest().0).collect();
    bench.publish("/a", json!(1));
    bench.drain();
    for link in links {
        bench.input(Input::Close { link });
    }
    bench.pass(60_000);
    let stats = bench.server.stats();
    let gauges = [stats.sessions, stats.channels, stats.links, stats.sockets, stats.held];
    assert_eq!(gauges, [0; 5]);
    assert_eq!(bench.server.poll_timeout(), None);
    let events = bench.events();
    let resumed = |event: &&Event| matches!(event, Event::Resumed { .. });
    assert_eq!(events.iter().filter(resumed).count(), 20);
}

#[test]
fn a_lost_socket_that_was_about_to_be_given_up_has_not_written_what_it_was_writing() {
    for told in [true, false] {
        let mut bench = Bench::new();
        let (link, guest) = bench.held_guest();
        bench.publish("/a", json!(1));
        assert_eq!(data(&bench.answer(link).unwrap()), [json!(1)]);
        // The driver notices both at the same moment.
        bench.now = bench.now + Duration::from_secs(75);
        if told {
            bench.input(Input::Sent { link, delivered: false });
        } else {
            bench.input(Input::Close { link });
        }
        let view = bench.server.session(guest.session());
        assert_eq!(view.map(|view| view.queue_messages()), Some(1));
    }
}

#[test]
fn a_session_is_remembered_until_its_last_events_have_left_or_cannot() {
    for lost in [true, false] {
        let mut bench = Bench::new();
        let (link, guest) = bench.held_guest();
        bench.publish("/a", json!(1));
        assert_eq!(data(&bench.answer(link).unwrap()), [json!(1)]);
        bench.publish("/a", json!(2));
        bench.tell(link, &json!([{ "channel": "/meta/disconnect", "clientId": guest.id }]));
        bench.drain();
        let id = guest.session();
        assert_eq!((bench.server.session(id).is_some(), bench.forgets(id)), (false, 0));
        if lost {
            bench.input(Input::Close { link });
        } else {
            bench.input(Input::Sent { link, delivered: true });
            assert_eq!(data(&bench.take(link)), [json!(2)]);
        }
        assert_eq!(bench.forgets(id), 1);
        assert_eq!(bench.server.stats().events_lost, u64::from(lost));
    }
}

/// A connect's time is up at the very moment when its socket is given up.
#[test]
fn advice_that_never_left_is_given_again() {
    let mut bench = Bench::with(|config| config.ws_idle_timeout = Duration::from_secs(30));
    let (link, guest) = bench.held_guest();
    let session = guest.session();
    let timing = Timing::new().interval(Duration::from_secs(7)).timeout(Duration::from_secs(1));
    bench.command(Command::SetTiming { session, timing });
    bench.pass(30_000);
    assert!(bench.refusal(link).is_some() && bench.answer(link).is_none());

    let link = bench.socket();
    bench.tell(link, &connect(&guest));
    bench.pass(1_000);
    let reply = bench.take(link);
    assert_eq!(reply[0]["advice"]["interval"], 7_000);
}
