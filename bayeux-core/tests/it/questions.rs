//! Asking the application, and what happens meanwhile.

use std::sync::Arc;

use bayeux_core::{
    Answer, Command, Denial, Event, Input, ListenVerdict, Question, Receipt, RuleList, Ruling,
    Verdict,
};
use serde_json::json;

use crate::bench::{Bench, connect, data, message, pattern, publish, subscribe};

fn ask_publish(bench: &mut Bench) {
    bench.rules(|rules| rules.publish = RuleList::new(Ruling::Ask));
}

#[test]
fn a_payload_waits_for_its_answer_and_others_do_not() {
    let mut bench = Bench::new();
    ask_publish(&mut bench);
    let (asker, other) = (bench.subscriber("/a"), bench.visitor());
    let payload = json!([
        { "id": "1", "channel": "/a", "clientId": asker.id, "data": 1 },
        { "id": "2", "channel": "/meta/subscribe", "clientId": asker.id, "subscription": "/b" },
    ]);
    let link = bench.post(Some(&asker), &payload);
    let question = bench.publish_question();
    assert_eq!(question.message.channel().as_str(), "/a");
    assert_eq!(bench.answer(link), None);
    let subscriptions = bench.server.session(asker.session()).unwrap().subscriptions();
    assert_eq!(subscriptions, [pattern("/a")], "what is behind waits, too");

    bench.send(&other, &subscribe(&other, "/c"));
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    let expected = json!([
        { "channel": "/a", "data": 1 },
        { "id": "1", "channel": "/a", "successful": true },
        { "id": "2", "channel": "/meta/subscribe", "subscription": "/b", "successful": true },
    ]);
    assert_eq!(json!(bench.take(link)), expected);
}

#[test]
fn a_denial_has_its_reason_advice_and_ext_and_no_effect() {
    let mut bench = Bench::new();
    bench.rules(|rules| rules.create = RuleList::new(Ruling::Ask));
    let visitor = bench.visitor();
    let link = bench.post(Some(&visitor), &subscribe(&visitor, "/secret"));
    let Question::Create(question) = bench.question() else { panic!("a create question") };
    let denial = Denial::because("members only")
        .ext(bayeux_core::Json::from_text(r#"{"price":1.0}"#).unwrap());
    bench.input(Input::Answer(Answer::Create(question.ticket, denial.into())));
    let expected = json!([{
        "id": "s", "channel": "/meta/subscribe", "subscription": "/secret", "successful": false,
        "error": "403:members only:create_denied", "ext": { "price": 1.0 },
    }]);
    assert_eq!(json!(bench.take(link)), expected);
    assert!(bench.server.channel(&pattern("/secret")).is_none());
}

#[test]
fn no_answer_in_time_means_denied_and_a_late_one_changes_nothing() {
    let mut bench = Bench::new();
    ask_publish(&mut bench);
    let visitor = bench.subscriber("/a");
    let link = bench.post(Some(&visitor), &publish(&visitor, "/a", json!(1)));
    let question = bench.publish_question();
    bench.pass(30_000);
    assert_eq!(bench.take(link)[0]["error"], "403::publish_denied");
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    let stats = bench.server.stats();
    assert_eq!((stats.expired_questions, stats.ignored_inputs), (1, 1));
    assert_eq!(stats.events_queued, 0);
}

#[test]
fn a_listener_that_does_not_answer_has_not_let_the_message_through() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    bench.command(Command::ListenChannel { pattern: pattern("/**"), listen: true });
    let link = bench.post(Some(&visitor), &publish(&visitor, "/a", json!(1)));
    assert!(bench.has_question());
    bench.pass(30_000);
    let answer = bench.take(link);
    assert_eq!((answer.len(), &answer[0]["error"]), (1, &json!("404::message_deleted")));
    let receipt = Receipt(1);
    let message = Arc::new(message("/a", json!(2)));
    bench.command(Command::Publish { message, from: None, receipt: Some(receipt) });
    bench.pass(30_000);
    assert!(bench.events().contains(&Event::Published { receipt, published: false }));
    assert_eq!(bench.server.stats().events_queued, 0);
}

#[test]
fn listeners_see_the_channels_from_root_to_leaf() {
    let mut bench = Bench::new();
    for listened in ["/a/b", "/**", "/a/*"] {
        bench.command(Command::ListenChannel { pattern: pattern(listened), listen: true });
    }
    bench.publish("/a/b", json!(1));
    let question = bench.listen_question();
    assert_eq!(question.channels, ["/**", "/a/*", "/a/b"].map(pattern));
    assert_eq!((question.link, question.session), (None, None));
}

#[test]
fn a_listener_vetoes_or_replaces_a_message() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    bench.command(Command::ListenChannel { pattern: pattern("/a"), listen: true });

    let link = bench.post(Some(&visitor), &publish(&visitor, "/a", json!("bad")));
    let question = bench.listen_question();
    bench.input(Input::Answer(Answer::Listen(question.ticket, ListenVerdict::Veto)));
    assert_eq!(bench.take(link)[0]["error"], "404::message_deleted");

    let link = bench.post(Some(&visitor), &publish(&visitor, "/a", json!("plain")));
    let question = bench.listen_question();
    let other = question.message.replace_data(&bayeux_core::Json::from_text("[1.0]").unwrap());
    let verdict = ListenVerdict::Replace(other.into());
    bench.input(Input::Answer(Answer::Listen(question.ticket, verdict)));
    assert_eq!(data(&bench.take(link)), [json!([1.0])]);
}

#[test]
fn a_replacement_on_another_channel_is_not_smuggled_in() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/**");
    bench.command(Command::ListenChannel { pattern: pattern("/a"), listen: true });
    let link = bench.post(Some(&visitor), &publish(&visitor, "/a", json!(1)));
    let question = bench.listen_question();
    let verdict = ListenVerdict::Replace(message("/b", json!(2)).into());
    bench.input(Input::Answer(Answer::Listen(question.ticket, verdict)));
    assert_eq!(bench.take(link)[0], json!({ "channel": "/a", "data": 1 }));
}

#[test]
fn what_was_accepted_is_processed_even_if_the_client_is_gone() {
    let mut bench = Bench::new();
    ask_publish(&mut bench);
    let (publisher, subscriber) = (bench.visitor(), bench.subscriber("/a"));
    let held = bench.hold(&subscriber);
    let link = bench.post(Some(&publisher), &publish(&publisher, "/a", json!(1)));
    let question = bench.publish_question();
    bench.input(Input::Close { link });
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    assert_eq!(data(&bench.take(held)), [json!(1)]);
    assert_eq!(bench.answer(link), None);
    assert_eq!(bench.server.stats().links, 0);
}

#[test]
fn a_handshake_whose_client_is_gone_makes_no_session() {
    let mut bench = Bench::new();
    bench.rules(|rules| rules.handshake = Ruling::Ask);
    let link = bench.post(None, &json!([{ "channel": "/meta/handshake" }]));
    let Question::Handshake(question) = bench.question() else { panic!("a handshake question") };
    bench.input(Input::Close { link });
    bench.input(Input::Answer(Answer::Handshake(question.ticket, Verdict::Allow, Box::default())));
    let stats = bench.server.stats();
    assert_eq!((stats.sessions, stats.browsers, stats.links), (0, 0, 0));
}

#[test]
fn a_session_that_ends_meanwhile_gets_no_benefit_of_the_answer() {
    let mut bench = Bench::new();
    ask_publish(&mut bench);
    let (publisher, subscriber) = (bench.visitor(), bench.subscriber("/a"));
    let held = bench.hold(&subscriber);
    let link = bench.post(Some(&publisher), &publish(&publisher, "/a", json!(1)));
    let question = bench.publish_question();
    bench.command(Command::Disconnect { session: publisher.session() });
    bench.input(Input::Answer(Answer::Publish(question.ticket, Verdict::Allow)));
    let answer = bench.take(link);
    assert_eq!(answer.last().unwrap()["error"], "402::session_unknown");
    assert_eq!(bench.answer(held), None);
}

#[test]
fn a_listener_that_ends_the_senders_session_does_not_undo_the_message() {
    let mut bench = Bench::new();
    let (publisher, subscriber) = (bench.visitor(), bench.subscriber("/a"));
    let held = bench.hold(&subscriber);
    bench.command(Command::ListenChannel { pattern: pattern("/a"), listen: true });
    let link = bench.post(Some(&publisher), &publish(&publisher, "/a", json!(1)));
    let question = bench.listen_question();
    bench.command(Command::Disconnect { session: publisher.session() });
    bench.input(Input::Answer(Answer::Listen(question.ticket, ListenVerdict::Continue)));
    let expected = json!([
        { "channel": "/meta/disconnect", "successful": true },
        { "id": "p", "channel": "/a", "successful": true },
    ]);
    assert_eq!(json!(bench.take(link)), expected);
    assert_eq!(data(&bench.take(held)), [json!(1)]);
}

#[test]
fn a_connect_that_is_being_decided_when_its_session_ends_is_told_not_to_come_back() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    bench.command(Command::ListenChannel { pattern: pattern("/meta/connect"), listen: true });
    let link = bench.post(Some(&visitor), &connect(&visitor));
    let question = bench.listen_question();
    let goodbye = json!([{ "channel": "/meta/disconnect", "clientId": visitor.id }]);
    bench.send(&visitor, &goodbye);
    bench.input(Input::Answer(Answer::Listen(question.ticket, ListenVerdict::Continue)));
    let answer = bench.take(link);
    assert_eq!(answer[0]["error"], "402::session_unknown");
    assert_eq!(answer[0]["advice"], json!({ "reconnect": "none" }));
}

#[test]
fn a_session_does_not_expire_while_the_application_thinks() {
    let mut bench = Bench::with(|config| {
        config.question_timeout = std::time::Duration::from_secs(60);
    });
    let visitor = bench.visitor();
    bench.command(Command::ListenChannel { pattern: pattern("/meta/connect"), listen: true });
    let link = bench.post(Some(&visitor), &connect(&visitor));
    let question = bench.listen_question();
    bench.pass(59_000);
    bench.input(Input::Answer(Answer::Listen(question.ticket, ListenVerdict::Continue)));
    assert_eq!(bench.answer(link), None, "it is held");
}

#[test]
fn a_publish_of_the_application_tells_its_outcome() {
    let mut bench = Bench::new();
    bench.command(Command::ListenChannel { pattern: pattern("/a"), listen: true });
    let publish = |number| Command::Publish {
        message: message("/a", json!(number)).into(),
        from: None,
        receipt: Some(Receipt(number)),
    };
    bench.command(publish(1));
    let question = bench.listen_question();
    bench.input(Input::Answer(Answer::Listen(question.ticket, ListenVerdict::Veto)));
    bench.command(Command::ListenChannel { pattern: pattern("/a"), listen: false });
    bench.command(publish(2));
    let outcome = |event| match event {
        Event::Published { receipt, published } => Some((receipt.0, published)),
        _ => None,
    };
    let outcomes: Vec<_> = bench.events().into_iter().filter_map(outcome).collect();
    assert_eq!(outcomes, [(1, false), (2, true)]);
}

#[test]
fn questions_about_strangers_messages_have_the_bound_of_handshakes() {
    let mut bench = Bench::with(|config| {
        config.limits.handshake_questions = 2;
        config.limits.queue_messages = 1;
    });
    let visitor = bench.visitor();
    bench.command(Command::Extend { incoming: true, outgoing: false });
    let publish = json!({ "channel": "/a", "clientId": visitor.id, "data": 1 });
    for _ in 0..4 {
        bench.post(Some(&visitor), &json!([publish, publish]));
    }
    // The session is gone, and the second message of each payload is nobody's.
    bench.deliver(&visitor, json!(1));
    bench.deliver(&visitor, json!(2));
    assert!(bench.server.session(visitor.session()).is_none());
    let answer = |bench: &mut Bench| {
        let Question::Extend(question) = bench.question() else { panic!("an extend question") };
        let request = Some(question.request);
        bench.input(Input::Answer(Answer::Extend(question.ticket, request)));
    };
    (0..4).for_each(|_| answer(&mut bench));
    let stats = bench.server.stats();
    assert_eq!((stats.questions, stats.refused_questions), (2, 2));
    (0..2).for_each(|_| answer(&mut bench));
    assert_eq!(bench.server.stats().questions, 0);
}

/// A connect with a publish behind it is still being decided about when its session's next connect is
/// held.
#[test]
fn a_connect_that_comes_to_its_end_late_does_not_change_how_long_another_one_is_held() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    bench.command(Command::Extend { incoming: true, outgoing: false });
    let mut both = connect(&visitor);
    both.as_array_mut()
        .unwrap()
        .extend(publish(&visitor, "/a", json!(1)).as_array().cloned().unwrap());
    let early = bench.post(Some(&visitor), &both);
    let question = extend_question(&mut bench);
    let held = bench.post(Some(&visitor), &connect(&visitor));
    let late = extend_question(&mut bench);
    bench.input(Input::Answer(Answer::Extend(late.ticket, Some(late.request))));
    assert!(bench.server.session(visitor.session()).unwrap().is_held());

    bench.input(Input::Answer(Answer::Extend(question.ticket, Some(question.request))));
    let question = extend_question(&mut bench);
    bench.input(Input::Answer(Answer::Extend(question.ticket, Some(question.request))));
    bench.take(early);
    bench.pass(29_999);
    assert_eq!(bench.answer(held), None, "it is held for its time");
    bench.pass(1);
    assert!(bench.answer(held).is_some(), "and not for longer");
}

fn extend_question(bench: &mut Bench) -> bayeux_core::AskExtend {
    match bench.question() {
        Question::Extend(question) => question,
        other => panic!("an extend question: {other:?}"),
    }
}
