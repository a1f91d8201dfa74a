//! Sessions on WebSockets: what is pushed, what is held, who is answered where.

use std::time::Duration;

use bayeux_core::{
    Answer, ChannelSettings, Command, Event, Input, ListenVerdict, Refusal, RemovedReason,
    ResumeCause, RuleList, Ruling, Verdict,
};
use serde_json::{Value, json};

use crate::bench::{Bench, connect, data, message, pattern, publish, subscribe};

fn channels(answer: &[Value]) -> Vec<&str> {
    answer.iter().filter_map(|message| message["channel"].as_str()).collect()
}

#[test]
fn events_are_pushed_before_the_first_connect_and_do_not_end_a_held_one() {
    let mut bench = Bench::new();
    let link = bench.socket();
    let guest = bench.guest(link);
    bench.call(link, &subscribe(&guest, "/a"));
    bench.publish("/a", json!(1));
    assert_eq!(bench.take(link), [json!({ "channel": "/a", "data": 1 })]);

    let answer = bench.call(link, &connect(&guest));
    assert_eq!(answer[0]["advice"]["timeout"], 30_000, "the first connect is answered at once");
    bench.hold_on(link, &guest);
    for number in 2..5 {
        bench.publish("/a", json!(number));
        assert_eq!(bench.take(link), [json!({ "channel": "/a", "data": number })]);
    }
    assert!(bench.server.session(guest.session()).unwrap().is_held());
    bench.pass(30_000);
    assert_eq!(
        bench.take(link),
        [json!({ "id": "c", "channel": "/meta/connect", "successful": true })]
    );
}

#[test]
fn events_that_are_queued_do_not_keep_a_connect_from_being_held() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    // The parcel is on its way while the client sends its next connect.
    assert_eq!(data(&bench.answer(link).unwrap()), [json!(1)]);
    bench.publish("/a", json!(2));
    bench.tell(link, &connect(&guest));
    assert_eq!(bench.answer(link), None);
    assert!(bench.server.session(guest.session()).unwrap().is_held());
    bench.input(Input::Sent { link, delivered: true });
    assert_eq!(data(&bench.take(link)), [json!(2)]);
}

#[test]
fn one_parcel_is_written_at_a_time_and_the_next_takes_all_that_fits() {
    let mut bench = Bench::with(|config| config.limits.socket_bytes = 300);
    let (link, _) = bench.held_guest();
    bench.publish("/a", json!(0));
    assert_eq!(data(&bench.answer(link).unwrap()), [json!(0)]);
    for number in 1..=5 {
        bench.publish("/a", json!(number));
    }
    assert_eq!(bench.answer(link), None, "the first is not out yet");
    bench.input(Input::Sent { link, delivered: true });
    // Each costs its 28 bytes of text and 64 for its place.
    assert_eq!(data(&bench.take(link)), [json!(1), json!(2), json!(3)]);
    assert_eq!(data(&bench.take(link)), [json!(4), json!(5)]);
    assert_eq!(bench.answer(link), None);
}

#[test]
fn payloads_of_one_socket_are_processed_one_after_another() {
    let mut bench = Bench::new();
    bench.rules(|rules| {
        rules.publish = RuleList::new(Ruling::Allow).rule(pattern("/ask"), Ruling::Ask);
    });
    let (link, guest) = bench.held_guest();
    bench.tell(link, &publish(&guest, "/ask", json!(1)));
    let question = bench.publish_question();
    assert_eq!(bench.resumes(link), 0);
    bench.tell(link, &publish(&guest, "/a", json!(2)));
    assert_eq!(bench.server.stats().ignored_inputs, 1, "it is not this one's turn");
    // Others are not held up, and what they publish is pushed meanwhile.
    bench.publish("/a", json!(3));
    assert_eq!(data(&bench.take(link)), [json!(3)]);
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    let answer = bench.take(link);
    assert_eq!(channels(&answer), ["/ask"]);
    assert_eq!(bench.resumes(link), 1);
    assert_eq!(data(&bench.call(link, &publish(&guest, "/a", json!(4)))), [json!(4)]);
}

#[test]
fn the_next_payload_waits_until_the_replies_of_the_one_before_were_handed_over() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    bench.answer(link).unwrap();
    bench.tell(link, &publish(&guest, "/b", json!(2)));
    assert_eq!((bench.answer(link), bench.resumes(link)), (None, 0), "a parcel is being written");
    bench.input(Input::Sent { link, delivered: true });
    assert_eq!(channels(&bench.answer(link).unwrap()), ["/b"]);
    assert_eq!(bench.resumes(link), 1);
}

#[test]
fn what_a_payload_publishes_to_its_own_session_leaves_before_its_replies() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    let answer = bench.call(link, &publish(&guest, "/a", json!(1)));
    assert_eq!(answer[0], json!({ "channel": "/a", "data": 1 }));
    assert_eq!(answer[1], json!({ "id": "p", "channel": "/a", "successful": true }));
}

#[test]
fn a_connect_among_other_messages_is_not_held() {
    let mut bench = Bench::new();
    let link = bench.socket();
    let guest = bench.guest(link);
    bench.call(link, &connect(&guest));
    let (one, two) = (connect(&guest), publish(&guest, "/b", json!(1)));
    let answer = bench.call(link, &json!([two[0], one[0]]));
    assert_eq!(channels(&answer), ["/b", "/meta/connect"]);
}

#[test]
fn of_two_connects_on_a_socket_the_older_gets_no_reply() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    bench.events();
    let mut second = connect(&guest);
    second[0]["id"] = json!("second");
    bench.tell(link, &second);
    assert_eq!(bench.answer(link), None);
    let (session, timeout) = (guest.session(), Duration::from_secs(30));
    let told = [
        Event::Resumed { session, link, cause: ResumeCause::Superseded },
        Event::Suspended { session, link, timeout },
    ];
    assert_eq!(bench.events(), told);
    bench.pass(30_000);
    let answer = bench.take(link);
    assert_eq!((answer.len(), &answer[0]["id"]), (1, &json!("second")));
    bench.pass(60_000);
    assert_eq!(bench.answer(link), None);
}

#[test]
fn a_session_follows_its_client_to_another_socket() {
    let mut bench = Bench::new();
    let (old, guest) = bench.held_guest();
    let new = bench.socket();
    let answer = bench.call(new, &subscribe(&guest, "/b"));
    assert_eq!(answer[0]["successful"], true);
    assert!(!bench.server.session(guest.session()).unwrap().is_held(), "not on the old one");
    bench.publish("/a", json!(1));
    assert_eq!(bench.answer(old), None);
    assert_eq!(data(&bench.take(new)), [json!(1)]);
    bench.hold_on(new, &guest);
    assert_eq!(bench.answer(old), None, "the older connect gets no reply");
    assert_eq!(bench.refusal(old), Some(Refusal::Moved));
    bench.input(Input::Close { link: old });
    assert!(bench.server.session(guest.session()).unwrap().is_held());
}

#[test]
fn a_connect_that_was_decided_about_while_its_session_moved_on_is_not_held() {
    let mut bench = Bench::new();
    let (old, guest) = bench.held_guest();
    let listened = pattern("/meta/connect");
    bench.command(Command::ListenChannel { pattern: listened, listen: true });
    bench.tell(old, &connect(&guest));
    let question = bench.listen_question();
    let new = bench.socket();
    bench.call(new, &publish(&guest, "/b", json!(1)));
    bench.input(Input::Answer(Answer::Listen(question.ticket, ListenVerdict::Continue)));
    assert_eq!((bench.answer(old), bench.refusal(old)), (None, Some(Refusal::Moved)));
    assert_eq!(bench.server.stats().held, 0);
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.take(new)), [json!(1)]);
}

#[test]
fn what_a_lost_socket_did_not_deliver_comes_on_the_next_one() {
    let mut bench = Bench::new();
    let (old, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.answer(old).unwrap()), [json!(1)]);
    bench.publish("/a", json!(2));
    bench.input(Input::Close { link: old });
    bench.publish("/a", json!(3));
    let new = bench.socket();
    let answer = bench.call(new, &connect(&guest));
    assert_eq!(data(&answer), [json!(1), json!(2), json!(3)]);
    assert_eq!(bench.server.stats().events_returned, 1);
}

#[test]
fn what_comes_back_from_a_socket_goes_to_the_one_that_the_session_is_on() {
    let mut bench = Bench::new();
    let (old, new, _) = bench.moved_guest();
    bench.input(Input::Close { link: old });
    assert_eq!(data(&bench.take(new)), [json!(1)]);
}

#[test]
fn a_lost_socket_leaves_its_session_until_the_deadline() {
    for lost in [false, true] {
        let mut bench = Bench::new();
        let (link, guest) = bench.held_guest();
        bench.pass(5_000);
        if lost {
            bench.input(Input::Close { link });
        }
        let lives = if lost { 10_000 } else { 25_000 + 10_000 };
        bench.pass(lives - 1);
        assert!(bench.server.session(guest.session()).is_some());
        bench.events();
        bench.pass(1);
        let session = guest.session();
        let removed = Event::SessionRemoved { session, reason: RemovedReason::Expired };
        assert!(bench.events().contains(&removed));
        if !lost {
            bench.take(link);
            let answer = bench.call(link, &connect(&guest));
            assert_eq!(answer[0]["error"], "402::session_unknown");
            assert_eq!(answer[0]["advice"], json!({ "reconnect": "handshake", "interval": 0 }));
            // The same socket takes the next session.
            bench.guest(link);
        }
    }
}

#[test]
fn a_session_of_http_may_go_on_over_websocket() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    let held = bench.hold(&visitor);
    let link = bench.socket();
    bench.hold_on(link, &visitor);
    assert_eq!(bench.refusal(held), Some(Refusal::Superseded));
    bench.pass(30_000);
    let answer = bench.take(link);
    assert_eq!(answer[0]["advice"]["reconnect"], "retry", "advice for the new transport");
    bench.hold_on(link, &visitor);
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.take(link)), [json!(1)]);

    // What else comes over HTTP is answered there, and the socket stays the session's.
    bench.send(&visitor, &publish(&visitor, "/b", json!(0)));
    bench.publish("/a", json!(2));
    assert_eq!(data(&bench.take(link)), [json!(2)]);
    // A connect takes it back.
    let held = bench.post(Some(&visitor), &connect(&visitor));
    assert_eq!(bench.answer(held), None);
    bench.publish("/a", json!(3));
    assert_eq!(data(&bench.take(held)), [json!(3)]);
    assert_eq!(bench.answer(link), None);
}

#[test]
fn a_held_connect_on_a_socket_takes_no_place_of_its_browser() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let link = bench.socket();
    bench.hold_on(link, &visitor);
    // Another tab of the same browser, which has one place.
    let handshake = json!([{ "channel": "/meta/handshake" }]);
    let answer = bench.send(&visitor, &handshake);
    let mut tab = visitor.clone();
    tab.id = answer[0]["clientId"].as_str().unwrap().into();
    bench.send(&tab, &connect(&tab));
    let held = bench.hold(&tab);
    bench.input(Input::Close { link });
    bench.input(Input::Close { link: held });
    bench.hold(&tab);
}

#[test]
fn a_session_of_a_websocket_goes_on_over_http_only_where_ids_are_trusted() {
    for trust in [false, true] {
        let mut bench = Bench::with(|config| config.trust_client_session = trust);
        let (link, guest) = bench.held_guest();
        bench.input(Input::Close { link });
        let link = bench.post(Some(&guest), &connect(&guest));
        if trust {
            assert_eq!(bench.answer(link), None, "it is held");
        } else {
            let answer = bench.take(link);
            assert_eq!(answer[0]["error"], "402::session_unknown");
            assert_eq!(answer[0]["advice"]["reconnect"], "handshake");
        }
    }
}

#[test]
fn a_socket_may_be_bound_to_the_session_that_was_made_on_it() {
    let mut bench = Bench::with(|config| config.ws_require_handshake_per_connection = true);
    let (old, guest) = bench.held_guest();
    let new = bench.socket();
    let answer = bench.call(new, &connect(&guest));
    assert_eq!(answer[0]["error"], "402::session_unknown");
    assert_eq!(answer[0]["advice"]["reconnect"], "handshake");
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.take(old)), [json!(1)]);
}

#[test]
fn a_socket_speaks_for_one_session() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    let (_, other) = bench.held_guest();
    for stranger in [&other, &bench.visitor()] {
        let (own, foreign) = (publish(&guest, "/b", json!(1)), publish(stranger, "/b", json!(1)));
        let answer = bench.call(link, &foreign);
        assert_eq!(answer[0]["error"], "402::session_unknown");
        let answer = bench.call(link, &json!([own[0], foreign[0]]));
        assert_eq!(
            (&answer[0]["successful"], &answer[1]["successful"]),
            (&json!(true), &json!(false))
        );
    }
}

#[test]
fn a_handshake_makes_the_socket_another_sessions() {
    let mut bench = Bench::new();
    let (link, first) = bench.held_guest();
    let second = bench.guest(link);
    assert_ne!(first.id, second.id);
    let view = bench.server.session(first.session()).unwrap();
    assert!(!view.is_held(), "its heartbeat has stopped");
    bench.publish("/a", json!(1));
    assert_eq!(bench.answer(link), None, "the first session's events are not the second's");
    bench.pass(10_000);
    assert!(bench.server.session(first.session()).is_none());
}

#[test]
fn with_connect_only_delivery_a_socket_is_like_long_polling() {
    let mut bench = Bench::with(|config| config.meta_connect_deliver_only = true);
    let (link, guest) = bench.held_guest();
    let answer = bench.call(link, &publish(&guest, "/b", json!(0)));
    assert_eq!(channels(&answer), ["/b"]);
    bench.publish("/a", json!(1));
    assert_eq!(channels(&bench.take(link)), ["/a", "/meta/connect"]);
    bench.publish("/a", json!(2));
    assert_eq!(bench.answer(link), None, "nobody is connected");
    let answer = bench.call(link, &connect(&guest));
    assert_eq!(channels(&answer), ["/a", "/meta/connect"], "and then it is not held");
}

#[test]
fn a_batch_holds_back_and_laziness_waits_on_a_socket_too() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    let session = guest.session();
    bench.command(Command::BeginBatch { session });
    bench.publish("/a", json!(1));
    bench.publish("/a", json!(2));
    assert_eq!(bench.answer(link), None);
    bench.command(Command::EndBatch { session });
    assert_eq!(data(&bench.take(link)), [json!(1), json!(2)]);

    let settings = ChannelSettings::new().lazy_timeout(Duration::from_secs(2));
    bench.command(Command::ConfigureChannel { pattern: pattern("/a"), settings });
    bench.publish("/a", json!(3));
    bench.pass(1_999);
    assert_eq!(bench.answer(link), None);
    bench.pass(1);
    assert_eq!(data(&bench.take(link)), [json!(3)]);
    bench.publish("/a", json!(4));
    bench.deliver(&guest, json!(5));
    assert_eq!(data(&bench.take(link)), [json!(4), json!(5)], "company takes it along");
}

#[test]
fn the_servers_disconnect_reaches_a_client_without_a_held_connect() {
    let farewell = json!({ "channel": "/meta/disconnect", "successful": true });
    let mut bench = Bench::new();
    let link = bench.socket();
    let guest = bench.guest(link);
    let session = guest.session();
    bench.command(Command::BeginBatch { session });
    bench.deliver(&guest, json!(1));
    bench.command(Command::Disconnect { session });
    let answer = bench.take(link);
    assert_eq!((&answer[0]["data"], &answer[1]), (&json!(1), &farewell));
    assert_eq!(bench.server.stats().sessions, 0, "and nothing is left of it");
    let answer = bench.call(link, &connect(&guest));
    assert_eq!(answer[0]["advice"]["reconnect"], "handshake");

    // With a held connect its reply comes last, and a parcel that is being written first.
    let (link, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.answer(link).unwrap()), [json!(1)]);
    bench.publish("/a", json!(2));
    bench.command(Command::Disconnect { session: guest.session() });
    assert_eq!(bench.answer(link), None);
    bench.input(Input::Sent { link, delivered: true });
    let answer = bench.take(link);
    assert_eq!(channels(&answer), ["/a", "/meta/disconnect", "/meta/connect"]);
    assert_eq!(answer[2]["advice"], json!({ "reconnect": "none" }));
}

#[test]
fn a_farewell_that_a_socket_did_not_take_waits_for_the_next_one() {
    let mut bench = Bench::new();
    let link = bench.socket();
    let guest = bench.guest(link);
    bench.deliver(&guest, json!(1));
    bench.answer(link).unwrap();
    bench.command(Command::Disconnect { session: guest.session() });
    bench.input(Input::Close { link });
    let next = bench.socket();
    let answer = bench.call(next, &connect(&guest));
    assert_eq!(answer.last().unwrap()["advice"], json!({ "reconnect": "none" }));
}

#[test]
fn a_clients_disconnect_is_answered_after_its_held_connect() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    let goodbye = json!([{ "id": "d", "channel": "/meta/disconnect", "clientId": guest.id }]);
    let answer = bench.call(link, &goodbye);
    assert_eq!(channels(&answer), ["/meta/connect", "/meta/disconnect"]);
    assert_eq!(answer[0]["advice"], json!({ "reconnect": "none" }));
    assert_eq!((bench.server.stats().sessions, bench.server.stats().sockets), (0, 1));
    // The socket stays open; it may have another session.
    bench.guest(link);
}

#[test]
fn a_session_whose_client_does_not_read_ends_at_its_bound() {
    let mut bench = Bench::with(|config| config.limits.queue_messages = 10);
    let (link, guest) = bench.held_guest();
    bench.publish("/a", json!(0));
    assert_eq!(data(&bench.answer(link).unwrap()), [json!(0)]);
    bench.events();
    for number in 1..=10 {
        bench.publish("/a", json!(number));
    }
    // What is being written counts as well.
    let session = guest.session();
    let removed = Event::SessionRemoved { session, reason: RemovedReason::Overflowed };
    assert!(bench.events().contains(&removed));
    assert_eq!(bench.answer(link), None, "the socket still writes the first");
    bench.input(Input::Sent { link, delivered: true });
    let answer = bench.take(link);
    assert_eq!(channels(&answer), ["/meta/connect"]);
    assert_eq!(answer[0]["advice"]["reconnect"], "handshake");
}

#[test]
fn a_message_of_another_node_is_pushed_too() {
    let mut bench = Bench::new();
    let (link, _) = bench.held_guest();
    bench.input(Input::Relay(message("/a", json!("from afar")).into()));
    assert_eq!(data(&bench.take(link)), [json!("from afar")]);
}
