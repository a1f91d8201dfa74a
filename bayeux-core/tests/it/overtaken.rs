//! Acknowledged messages where connects are overtaken, fail, or change their transport.

use bayeux_core::{
    Answer, ChannelSettings, Command, Input, ListenVerdict, Question, RuleList, Ruling, Verdict,
};
use serde_json::{Value, json};

use crate::bench::{Bench, Visitor, data, pattern, subscribe};

fn acknowledging(bench: &mut Bench) -> Visitor {
    let visitor = bench.newcomer(&json!({ "ack": true }));
    bench.send(&visitor, &subscribe(&visitor, "/a"));
    assert_eq!(ack(&bench.send(&visitor, &connect(&visitor, 0))), json!(1));
    visitor
}

fn connect(visitor: &Visitor, ack: u64) -> Value {
    json!([{ "id": "c", "channel": "/meta/connect", "clientId": visitor.id, "ext": { "ack": ack } }])
}

fn ack(answer: &[Value]) -> Value {
    answer.last().map_or(Value::Null, |reply| reply["ext"]["ack"].clone())
}

/// A batch is lost over HTTP, and its client comes back over WebSocket, where parcels are smaller.
#[test]
fn a_batch_that_comes_again_comes_as_a_whole() {
    let mut bench = Bench::with(|c| {
        c.limits.socket_bytes = 300;
        c.trust_client_session = true;
    });
    let visitor = acknowledging(&mut bench);
    for n in 0..6 {
        bench.publish("/a", json!(n));
    }
    let link = bench.post(Some(&visitor), &connect(&visitor, 1));
    let lost = bench.answer(link).unwrap();
    assert_eq!(data(&lost).len(), 6);
    bench.input(Input::Sent { link, delivered: false });
    let mut received = Vec::new();
    let socket = bench.socket();
    let mut last = 1;
    for _ in 0..5 {
        bench.tell(socket, &connect(&visitor, last));
        let Some(answer) = bench.answer(socket) else { break };
        bench.input(Input::Sent { link: socket, delivered: true });
        received.extend(data(&answer));
        last = ack(&answer).as_u64().unwrap();
    }
    assert_eq!(received, (0..6).map(|n| json!(n)).collect::<Vec<_>>());
}

/// Connect A with a publish behind it is being decided about, its client gives up and sends B; a lazy event goes with A.
#[test]
fn a_connect_among_others_that_was_overtaken_takes_no_events() {
    let mut bench = Bench::new();
    let settings = ChannelSettings::new().lazy(true);
    bench.command(Command::ConfigureChannel { pattern: pattern("/a"), settings });
    let visitor = acknowledging(&mut bench);
    bench.rules(|r| r.publish = RuleList::new(Ruling::Ask));
    let both = json!([
        { "id": "c", "channel": "/meta/connect", "clientId": visitor.id, "ext": { "ack": 1 } },
        { "id": "p", "channel": "/x", "clientId": visitor.id, "data": 1 },
    ]);
    let a = bench.post(Some(&visitor), &both);
    let question = bench.publish_question();
    let b = bench.post(Some(&visitor), &connect(&visitor, 1));
    assert_eq!(bench.answer(b), None);
    bench.publish("/a", json!("lazy"));
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    bench.answer(a).unwrap();
    bench.input(Input::Sent { link: a, delivered: false });
    bench.pass(40_000);
    let answer = bench.take(b);
    let mut received = data(&answer);
    let n = ack(&answer).as_u64().unwrap();
    let c = bench.post(Some(&visitor), &connect(&visitor, n));
    bench.pass(40_000);
    received.extend(data(&bench.take(c)));
    assert_eq!(received, [json!("lazy")]);
}

/// A alone waits for a listener of /meta/connect; B overtakes it; the listener vetoes A.
#[test]
fn a_connect_that_is_deleted_after_it_was_overtaken_takes_no_events() {
    let mut bench = Bench::new();
    let settings = ChannelSettings::new().lazy(true);
    bench.command(Command::ConfigureChannel { pattern: pattern("/a"), settings });
    let visitor = acknowledging(&mut bench);
    bench.command(Command::ListenChannel { pattern: pattern("/meta/connect"), listen: true });
    let a = bench.post(Some(&visitor), &connect(&visitor, 1));
    let qa = bench.listen_question();
    let b = bench.post(Some(&visitor), &connect(&visitor, 1));
    let qb = bench.listen_question();
    bench.input(Input::Answer(Answer::Listen(qb.ticket, ListenVerdict::Continue)));
    assert_eq!(bench.answer(b), None, "held");
    bench.publish("/a", json!("lazy"));
    bench.input(Input::Answer(Answer::Listen(qa.ticket, ListenVerdict::Veto)));
    bench.drain();
    bench.input(Input::Sent { link: a, delivered: false });
    bench.pass(40_000);
    let answer = bench.take(b);
    let mut received = data(&answer);
    let n = ack(&answer).as_u64().unwrap();
    bench.command(Command::ListenChannel { pattern: pattern("/meta/connect"), listen: false });
    let c = bench.post(Some(&visitor), &connect(&visitor, n));
    bench.pass(40_000);
    received.extend(data(&bench.take(c)));
    assert_eq!(received, [json!("lazy")]);
}

/// Two connects before the driver polls.
#[test]
fn of_two_connects_before_the_driver_polls_the_later_takes_the_events() {
    let mut bench = Bench::new();
    let visitor = acknowledging(&mut bench);
    bench.publish("/a", json!("e"));
    let a = bench.post(Some(&visitor), &connect(&visitor, 1));
    let b = bench.post(Some(&visitor), &connect(&visitor, 1));
    bench.drain();
    bench.input(Input::Sent { link: a, delivered: false });
    let answer = bench.take(b);
    let mut received = data(&answer);
    let n = ack(&answer).as_u64().unwrap();
    let c = bench.post(Some(&visitor), &connect(&visitor, n));
    bench.pass(40_000);
    received.extend(data(&bench.take(c)));
    assert_eq!(received, [json!("e")]);
}

/// Clients do not note the number of an unsuccessful reply.
#[test]
fn the_reply_to_a_connect_that_failed_takes_no_events() {
    let mut bench = Bench::new();
    let visitor = acknowledging(&mut bench);
    bench.command(Command::ListenChannel { pattern: pattern("/meta/connect"), listen: true });
    bench.publish("/a", json!("e"));
    let a = bench.post(Some(&visitor), &connect(&visitor, 1));
    let q = bench.listen_question();
    bench.input(Input::Answer(Answer::Listen(q.ticket, ListenVerdict::Veto)));
    let answer = bench.take(a);
    let mut received = data(&answer);
    let last = answer.last().unwrap();
    // What cometd.js does: the number counts only of a successful reply.
    let n = if last["successful"] == true { ack(&answer).as_u64().unwrap() } else { 1 };
    bench.command(Command::ListenChannel { pattern: pattern("/meta/connect"), listen: false });
    let c = bench.post(Some(&visitor), &connect(&visitor, n));
    bench.pass(40_000);
    received.extend(data(&bench.take(c)));
    assert_eq!(received, [json!("e")]);
}

#[test]
fn an_acknowledgement_that_an_extension_has_unpacked_counts() {
    let mut bench = Bench::new();
    let visitor = acknowledging(&mut bench);
    bench.publish("/a", json!("e"));
    let answer = bench.send(&visitor, &connect(&visitor, 1));
    assert_eq!(ack(&answer), json!(2));
    bench.command(Command::Extend { incoming: true, outgoing: false });
    // The client wraps its ext; an extension unwraps it.
    let wrapped = json!([{ "id": "c", "channel": "/meta/connect", "clientId": visitor.id, "ext": { "wrapped": { "ack": 2 } } }]);
    let a = bench.post(Some(&visitor), &wrapped);
    let Question::Extend(mut q) = bench.question() else { panic!() };
    q.request.ext = Some(bayeux_core::Json::new(&json!({"ack": 2})).unwrap());
    q.request.read_extensions();
    bench.input(Input::Answer(Answer::Extend(q.ticket, Some(q.request))));
    bench.pass(40_000);
    let answer = bench.take(a);
    assert_eq!(data(&answer), [json!(null); 0], "{answer:?}");
}

#[test]
fn a_session_whose_beginning_overflows_is_not_made() {
    let mut bench = Bench::with(|c| c.limits.queue_messages = 2);
    bench.rules(|r| r.handshake = Ruling::Ask);
    let link = bench.post(None, &json!([{ "channel": "/meta/handshake", "version": "1.0" }]));
    let Question::Handshake(q) = bench.question() else { panic!() };
    let mut setup = bayeux_core::Setup::default();
    for n in 0..3 {
        setup.messages.push(crate::bench::message("/m", json!(n)).into());
    }
    bench.input(Input::Answer(Answer::Handshake(q.ticket, Verdict::Allow, setup.into())));
    let answer = bench.take(link);
    assert!(answer[0]["successful"] == false || bench.server.stats().sessions == 1, "{answer:?}");
}

#[test]
fn the_refusal_of_a_surplus_connect_takes_no_events() {
    let mut bench = Bench::with(|c| {
        c.max_sessions_per_browser = Some(1);
        c.multi_session_interval = core::time::Duration::ZERO;
    });
    let one = bench.visitor();
    let _held = bench.hold(&one);
    // A second session of the same browser, which wants acknowledgements.
    let link = bench.post(Some(&one), &json!([{ "id": "1", "channel": "/meta/handshake", "version": "1.0", "ext": {"ack": true} }]));
    let answer = bench.take(link);
    let two = one.tab(answer[0]["clientId"].as_str().unwrap());
    bench.send(&two, &connect(&two, 0));
    let settings = ChannelSettings::new().lazy(true);
    bench.command(Command::ConfigureChannel { pattern: pattern("/a"), settings });
    bench.send(&two, &subscribe(&two, "/a"));
    bench.publish("/a", json!("lazy"));
    let answer = bench.send(&two, &connect(&two, 1));
    assert!(answer.last().unwrap()["successful"] == true || data(&answer).is_empty());
}
