//! Sockets at odds with time: clients that move on while the application thinks, or do not read.

use std::time::Duration;

use bayeux_core::{
    Answer, Command, Decoder, Delivery, Input, LinkId, LinkInfo, Question, Refusal, RuleList,
    Ruling, Transport, Verdict,
};
use serde_json::{Value, json};

use crate::bench::{Bench, Visitor, connect, data, pattern, publish};

/// The application is asked about `/ask`.
fn asking() -> Bench {
    let mut bench = Bench::new();
    bench.rules(|rules| {
        rules.publish = RuleList::new(Ruling::Allow).rule(pattern("/ask"), Ruling::Ask);
    });
    bench
}

/// A payload whose first message has to wait, and what follows it.
fn waiting(guest: &Visitor, then: &Value) -> Value {
    json!([publish(guest, "/ask", json!(0))[0], then[0]])
}

#[test]
fn the_rest_of_a_payload_does_not_bring_a_session_back_that_has_moved_on() {
    let mut bench = asking();
    let (old, guest) = bench.held_guest();
    let subscriber = bench.subscriber("/b");
    let held = bench.hold(&subscriber);
    bench.tell(old, &waiting(&guest, &publish(&guest, "/b", json!(1))));
    let question = bench.publish_question();
    let new = bench.socket();
    bench.hold_on(new, &guest);
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    assert_eq!(data(&bench.take(held)), [json!(1)], "it is processed all the same");
    let view = bench.server.session(guest.session()).unwrap();
    assert_eq!((view.socket(), view.is_held()), (Some(new), true));
    bench.input(Input::Close { link: old });
    bench.publish("/a", json!(2));
    assert_eq!(data(&bench.take(new)), [json!(2)]);
}

#[test]
fn nor_does_what_waited_behind_it() {
    let mut bench = asking();
    let (old, guest) = bench.held_guest();
    bench.tell(old, &publish(&guest, "/ask", json!(0)));
    let question = bench.publish_question();
    let new = bench.socket();
    bench.hold_on(new, &guest);
    assert_eq!(bench.refusal(old), None, "its message is still being dealt with");
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    assert_eq!(bench.take(old)[0]["successful"], true, "what was accepted is answered");
    assert_eq!((bench.resumes(old), bench.refusal(old)), (0, Some(Refusal::Moved)));
    bench.tell(old, &connect(&guest));
    let view = bench.server.session(guest.session()).unwrap();
    assert_eq!((view.socket(), view.is_held()), (Some(new), true));
    bench.publish("/a", json!(2));
    assert_eq!(data(&bench.take(new)), [json!(2)]);
}

/// A socket that has died without a word may still give what it had received.
#[test]
fn nor_does_what_comes_later_on_a_socket_that_was_left() {
    for late in ["/meta/connect", "/b"] {
        let mut bench = Bench::new();
        let (old, new, guest) = bench.moved_guest();
        assert_eq!(bench.refusal(old), None, "a parcel is on its way");
        let late = if late == "/b" { publish(&guest, late, json!(0)) } else { connect(&guest) };
        bench.tell(old, &late);
        assert_eq!((bench.answer(old), bench.resumes(old)), (None, 0));
        let view = bench.server.session(guest.session()).unwrap();
        assert_eq!((view.socket(), view.is_held()), (Some(new), true));
        bench.publish("/a", json!(2));
        assert_eq!(data(&bench.answer(new).unwrap()), [json!(2)]);
        // Nor does it decide about what is on its way.
        bench.input(Input::Sent { link: old, delivered: false });
        assert_eq!(bench.refusal(old), Some(Refusal::Moved));
        bench.input(Input::Sent { link: new, delivered: true });
        assert_eq!(data(&bench.take(new)), [json!(1)]);
    }
}

#[test]
fn a_socket_that_was_left_for_http_is_closed_when_its_parcel_is_out() {
    let mut bench = Bench::with(|config| config.trust_client_session = true);
    let (old, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    bench.answer(old).unwrap();
    let held = bench.hold(&guest);
    assert_eq!(bench.refusal(old), None);
    bench.input(Input::Sent { link: old, delivered: false });
    assert_eq!(bench.refusal(old), Some(Refusal::Moved));
    assert_eq!(data(&bench.take(held)), [json!(1)], "what it has not carried comes here");
}

#[test]
fn nor_does_the_connect_in_a_payload_of_http() {
    let mut bench = asking();
    let visitor = bench.subscriber("/a");
    let link = bench.post(Some(&visitor), &waiting(&visitor, &connect(&visitor)));
    let question = bench.publish_question();
    let socket = bench.socket();
    bench.hold_on(socket, &visitor);
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    assert_eq!(bench.take(link)[1]["successful"], true);
    assert!(bench.server.session(visitor.session()).unwrap().is_held());
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.take(socket)), [json!(1)]);
}

#[test]
fn a_connect_of_a_client_that_is_gone_disturbs_no_other() {
    let mut bench = asking();
    let (old, guest) = bench.held_guest();
    bench.tell(old, &waiting(&guest, &connect(&guest)));
    let question = bench.publish_question();
    bench.input(Input::Close { link: old });
    let new = bench.socket();
    bench.hold_on(new, &guest);
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    bench.pass(29_000);
    assert!(bench.server.session(guest.session()).unwrap().is_held());
    bench.pass(1_000);
    assert_eq!(bench.take(new)[0]["successful"], true);
}

#[test]
fn a_peer_that_does_not_read_cannot_pile_up_replies_by_connecting() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    bench.answer(link).unwrap();
    let mut brief = connect(&guest);
    brief[0]["advice"] = json!({ "timeout": 1 });
    let mut taken = 0;
    for _ in 0..100 {
        bench.tell(link, &brief);
        bench.pass(1);
        taken += bench.resumes(link);
    }
    assert!(taken <= 2, "{taken} payloads were taken");
    bench.input(Input::Sent { link, delivered: true });
    assert!(bench.take(link).len() <= 2);
    assert_eq!(bench.resumes(link), 1, "and then there is room again");
}

#[test]
fn events_that_waited_for_a_connect_are_pushed_when_it_is_held() {
    let mut bench = Bench::with(|config| {
        config.trust_client_session = true;
        config.allowed_transports.push(Transport::CallbackPolling);
    });
    // A session of callback-polling gets its events with connects only.
    let visitor = bench.subscriber("/a");
    let (decoder, link) = (Decoder::new(bench.server.config()), LinkId(1_000));
    bench.input(Input::Open { link, info: LinkInfo::new(Transport::CallbackPolling) });
    let mut brief = connect(&visitor);
    brief[0]["advice"] = json!({ "timeout": 0 });
    let payload = decoder.decode(&brief.to_string().into()).unwrap();
    bench.input(Input::Receive { link, payload });
    bench.take(link);
    bench.publish("/a", json!(1));
    let socket = bench.socket();
    bench.tell(socket, &connect(&visitor));
    assert_eq!(data(&bench.take(socket)), [json!(1)]);

    // The same when the application changes its mind.
    let session = visitor.session();
    let deliver = |connect_only| Command::SetDelivery {
        session,
        delivery: Delivery::new().connect_only(connect_only),
    };
    bench.tell(socket, &brief);
    bench.take(socket);
    bench.command(deliver(true));
    bench.publish("/a", json!(2));
    assert_eq!(bench.answer(socket), None);
    bench.command(deliver(false));
    assert_eq!(data(&bench.take(socket)), [json!(2)]);
}

#[test]
fn a_client_that_goes_on_sending_does_not_keep_a_draining_server() {
    let mut bench = Bench::new();
    let (link, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    bench.answer(link).unwrap();
    bench.command(Command::Drain { spread: Duration::ZERO });
    bench.tell(link, &publish(&guest, "/b", json!(0)));
    bench.input(Input::Sent { link, delivered: true });
    let answer = bench.take(link);
    assert_eq!(answer.last().unwrap()["channel"], "/b", "what was accepted is answered");
    assert_eq!((bench.resumes(link), bench.refusal(link)), (0, Some(Refusal::Draining)));
}

#[test]
fn what_comes_back_after_its_client_said_goodbye_is_not_sent_out_of_order() {
    let mut bench = Bench::new();
    let ask = RuleList::new(Ruling::Allow).rule(pattern("/ask"), Ruling::Ask);
    bench.rules(|rules| rules.publish = ask);
    let (link, guest) = bench.held_guest();
    bench.deliver(&guest, json!(1));
    // The first event is being written while its client moves, asks for something, and leaves.
    assert_eq!(data(&bench.answer(link).unwrap()), [json!(1)]);
    let asking = bench.socket();
    bench.tell(asking, &publish(&guest, "/ask", json!(0)));
    bench.drain();
    let leaving = bench.socket();
    bench.tell(leaving, &json!([{ "channel": "/meta/disconnect", "clientId": guest.id }]));
    bench.deliver(&guest, json!(2));
    bench.input(Input::Sent { link, delivered: false });
    let left: Vec<_> = bench.answer(leaving).into_iter().flat_map(|it| data(&it)).collect();
    assert!(left.is_empty() || left == [json!(2)], "{left:?}");
}

#[test]
fn a_session_that_is_made_on_a_socket_that_was_left_meanwhile_stays_there() {
    let mut bench = Bench::new();
    let (old, guest) = bench.held_guest();
    bench.rules(|rules| rules.handshake = Ruling::Ask);
    let handshake = json!([{ "id": "1", "channel": "/meta/handshake", "version": "1.0" }]);
    bench.tell(old, &handshake);
    let Question::Handshake(asked) = bench.question() else { panic!("a handshake") };
    let new = bench.socket();
    bench.hold_on(new, &guest);
    bench.input(Input::Answer(Answer::Handshake(asked.ticket, Verdict::Allow, Box::default())));
    assert_eq!(bench.take(old)[0]["successful"], true);
    assert_eq!((bench.refusal(old), bench.resumes(old)), (None, 1));
}

#[test]
fn a_payload_that_begins_with_a_stranger_brings_no_session_back() {
    let mut bench = Bench::new();
    let (old, guest) = bench.held_guest();
    bench.command(Command::Extend { incoming: true, outgoing: false });
    let anonymous = json!({ "id": "x", "channel": "/meta/connect", "connectionType": "websocket" });
    bench.tell(old, &json!([anonymous, publish(&guest, "/b", json!(0))[0]]));
    let Question::Extend(asked) = bench.question() else { panic!("extensions") };
    bench.command(Command::Extend { incoming: false, outgoing: false });
    let new = bench.socket();
    bench.hold_on(new, &guest);
    bench.input(Input::Answer(Answer::Extend(asked.ticket, Some(asked.request))));
    bench.take(old);
    assert_eq!((bench.refusal(old), bench.refusal(new)), (Some(Refusal::Moved), None));
    let view = bench.server.session(guest.session()).unwrap();
    assert_eq!((view.socket(), view.is_held()), (Some(new), true));
}

#[test]
fn a_socket_that_was_left_is_told_what_it_is_owed_whatever_comes() {
    let mut bench = Bench::new();
    let (old, guest) = bench.held_guest();
    bench.publish("/a", json!(1));
    bench.answer(old).unwrap();
    bench.pass(30_000);
    let new = bench.socket();
    bench.hold_on(new, &guest);
    bench.tell(old, &publish(&guest, "/b", json!(0)));
    bench.input(Input::Sent { link: old, delivered: true });
    assert!(bench.answer(old).is_some());
}
