//! Acknowledged messages: numbers on the wire, and a client model behind a network that loses,
//! delays, reorders and doubles.

use bayeux_core::{ChannelSettings, Command, Delivery, Input, LinkId, RemovedReason};
use serde_json::{Value, json};

use crate::bench::{Bench, Visitor, data, message, pattern, publish, subscribe};
use crate::storm::Dice;

impl Bench {
    /// A session that wants acknowledgements, subscribes to `/a`, and has connected once.
    fn acknowledging(&mut self) -> Visitor {
        let visitor = self.newcomer(&json!({ "ack": true }));
        self.send(&visitor, &subscribe(&visitor, "/a"));
        assert_eq!(ack(&self.send(&visitor, &connect(&visitor, 0))), json!(1));
        visitor
    }
}

fn connect(visitor: &Visitor, ack: impl Into<Value>) -> Value {
    connect_as(visitor, 0, ack)
}

fn connect_as(visitor: &Visitor, id: u64, ack: impl Into<Value>) -> Value {
    json!([{
        "id": id,
        "channel": "/meta/connect",
        "clientId": visitor.id,
        "ext": { "ack": ack.into() },
    }])
}

fn ack(answer: &[Value]) -> Value {
    answer.last().map_or(Value::Null, |reply| reply["ext"]["ack"].clone())
}

#[test]
fn what_was_not_acknowledged_comes_again_and_at_once() {
    let mut bench = Bench::new();
    let visitor = bench.acknowledging();
    let held = bench.post(Some(&visitor), &connect(&visitor, 1));
    bench.publish("/a", json!("one"));
    let answer = bench.take(held);
    assert_eq!((data(&answer), ack(&answer)), (vec![json!("one")], json!(2)));
    // The response got out, but did not arrive.
    bench.publish("/a", json!("two"));
    let answer = bench.send(&visitor, &connect(&visitor, 1));
    assert_eq!((data(&answer), ack(&answer)), (vec![json!("one"), json!("two")], json!(3)));
    // It has not arrived, either, and nothing new has come.
    let answer = bench.send(&visitor, &connect(&visitor, 1));
    assert_eq!((data(&answer), ack(&answer)), (vec![json!("one"), json!("two")], json!(4)));
    let held = bench.post(Some(&visitor), &connect(&visitor, 4));
    assert_eq!(bench.answer(held), None, "there is nothing to say");
    assert_eq!(bench.server.session(visitor.session()).unwrap().queue_messages(), 0);
}

#[test]
fn events_travel_with_connect_replies_only() {
    let mut bench = Bench::new();
    let visitor = bench.acknowledging();
    bench.publish("/a", json!(1));
    let answer = bench.send(&visitor, &subscribe(&visitor, "/b"));
    assert_eq!(data(&answer), [json!(null); 0]);
    let connect_only = Command::SetDelivery {
        session: visitor.session(),
        delivery: Delivery::new().connect_only(false),
    };
    bench.command(connect_only);
    let answer = bench.send(&visitor, &subscribe(&visitor, "/b"));
    assert_eq!(data(&answer), [json!(null); 0], "the connects are what acknowledges them");
    assert_eq!(data(&bench.send(&visitor, &connect(&visitor, 1))), [json!(1)]);
}

#[test]
fn a_number_that_was_never_given_or_is_old_says_nothing() {
    for absurd in [json!(99), json!(1e300), json!(-1), json!(0), json!("2"), json!(null)] {
        let mut bench = Bench::new();
        let visitor = bench.acknowledging();
        bench.publish("/a", json!(1));
        assert_eq!(data(&bench.send(&visitor, &connect(&visitor, 1))), [json!(1)]);
        let answer = bench.send(&visitor, &connect(&visitor, absurd.clone()));
        assert_eq!((data(&answer), ack(&answer)), (vec![json!(1)], json!(3)), "{absurd}");
        let view = bench.server.session(visitor.session()).unwrap();
        assert_eq!(view.queue_messages(), 1);
        bench.post(Some(&visitor), &connect(&visitor, 3));
        assert_eq!(bench.server.session(visitor.session()).unwrap().queue_messages(), 0);
    }
}

#[test]
fn an_event_that_was_sent_again_is_acknowledged_by_the_number_of_its_first_batch() {
    let mut bench = Bench::new();
    let visitor = bench.acknowledging();
    let held = bench.post(Some(&visitor), &connect(&visitor, 1));
    bench.publish("/a", json!(1));
    assert_eq!(ack(&bench.take(held)), json!(2));
    // A connect from before arrives late; its answer has nobody to go to.
    let late = bench.post(Some(&visitor), &connect(&visitor, 1));
    assert_eq!(data(&bench.take(late)), [json!(1)]);
    // The client has received the first one.
    let held = bench.post(Some(&visitor), &connect(&visitor, 2));
    assert_eq!(bench.answer(held), None, "it must not get the event twice");
}

#[test]
fn a_lost_response_costs_no_number_that_matters() {
    let mut bench = Bench::new();
    let visitor = bench.acknowledging();
    let held = bench.post(Some(&visitor), &connect(&visitor, 1));
    bench.publish("/a", json!(1));
    assert_eq!(ack(&bench.answer(held).unwrap()), json!(2));
    bench.input(Input::Sent { link: held, delivered: false });
    let answer = bench.send(&visitor, &connect(&visitor, 1));
    assert_eq!((data(&answer), ack(&answer)), (vec![json!(1)], json!(3)));
}

#[test]
fn lazy_events_wait_until_they_were_sent_once() {
    let mut bench = Bench::new();
    let settings = ChannelSettings::new().lazy(true);
    bench.command(Command::ConfigureChannel { pattern: pattern("/a"), settings });
    let visitor = bench.acknowledging();
    bench.publish("/a", json!(1));
    let held = bench.post(Some(&visitor), &connect(&visitor, 1));
    assert_eq!(bench.answer(held), None, "a lazy event does not answer a connect");
    bench.pass(5_000);
    assert_eq!(data(&bench.take(held)), [json!(1)]);
    let answer = bench.send(&visitor, &connect(&visitor, 1));
    assert_eq!(data(&answer), [json!(1)], "it would have been there by now");
}

#[test]
fn a_client_that_never_acknowledges_meets_the_bound_of_its_queue() {
    let mut bench = Bench::with(|config| config.limits.queue_messages = 5);
    let visitor = bench.acknowledging();
    for number in 0..5 {
        bench.publish("/a", json!(number));
        bench.send(&visitor, &connect(&visitor, 1));
    }
    assert_eq!(bench.server.session(visitor.session()).unwrap().queue_messages(), 5);
    bench.events();
    bench.publish("/a", json!(5));
    let events = bench.events();
    let reason = RemovedReason::Overflowed;
    let removed = bayeux_core::Event::SessionRemoved { session: visitor.session(), reason };
    assert_eq!(events[0], removed);
}

#[test]
fn only_true_turns_it_on_and_only_where_it_is_offered() {
    let mut bench = Bench::new();
    for other in [json!(false), json!({ "enabled": true }), json!(1), json!("true")] {
        let visitor = bench.newcomer(&json!({ "ack": other }));
        assert_eq!(ack(&bench.send(&visitor, &connect(&visitor, 0))), json!(null));
    }
    let mut bench = Bench::with(|config| config.extensions.ack = false);
    let visitor = bench.newcomer(&json!({ "ack": true }));
    assert_eq!(ack(&bench.send(&visitor, &connect(&visitor, 0))), json!(null));
}

#[test]
fn a_batch_may_come_with_the_handshake() {
    let mut bench = Bench::with(|it| it.allow_message_delivery_during_handshake = true);
    let handshake = json!([{ "channel": "/meta/handshake", "ext": { "ack": true } }]);
    let link = bench.post(None, &handshake);
    let session = bench.server.sessions().next().unwrap().id();
    for number in 0..2 {
        let message = message("/direct", json!(number)).into();
        bench.command(Command::Deliver { session, message });
    }
    let answer = bench.take(link);
    assert_eq!(answer[0]["ext"], json!({ "ack": { "enabled": true, "batch": 1 } }));
    assert_eq!(answer[0]["x-messages"], 2);
    assert_eq!(data(&answer), [json!(0), json!(1)]);
    assert_eq!(bench.server.session(session).unwrap().queue_messages(), 2);
}

/// A correct client and what is between it and the server.
struct Model {
    bench: Bench,
    dice: Dice,
    visitor: Visitor,
    /// The number that the client received last.
    acknowledged: u64,
    /// The id of the connect that the client waits for an answer to.
    outstanding: Option<u64>,
    connects: u64,
    /// Requests on their way, each with the id of its connect and the number in it.
    requests: Vec<(u64, u64)>,
    /// What the server has not answered yet.
    links: Vec<(LinkId, u64)>,
    /// Responses on their way.
    responses: Vec<(u64, Vec<Value>)>,
    /// Responses whose fate the server does not know.
    open: Vec<LinkId>,
    published: u64,
    received: u64,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut bench =
            Bench::with(|config| config.max_interval = core::time::Duration::from_secs(9_999));
        let visitor = bench.acknowledging();
        Self {
            bench,
            dice: Dice(seed),
            visitor,
            acknowledged: 1,
            outstanding: None,
            connects: 0,
            requests: Vec::new(),
            links: Vec::new(),
            responses: Vec::new(),
            open: Vec::new(),
            published: 0,
            received: 0,
        }
    }

    fn step(&mut self) {
        match self.dice.roll(16) {
            0..=3 => {
                self.bench.publish("/a", json!(self.published));
                self.published += 1;
            }
            4..=6 => self.connect(),
            // The client gives up, and what comes of that connect is nothing to it any more.
            7 => self.outstanding = None,
            8..=10 => self.arrive(),
            11 if self.dice.roll(2) == 0 => drop(self.any_request()),
            11 => {
                let at = self.dice.roll(self.requests.len() as u64 + 1) as usize;
                self.requests.extend(self.requests.get(at).copied());
            }
            12..=13 => self.receive(),
            14 => {
                let at = self.dice.roll(self.open.len() as u64 + 1) as usize;
                if at < self.open.len() {
                    let (link, delivered) = (self.open.swap_remove(at), self.dice.roll(2) == 0);
                    self.bench.input(Input::Sent { link, delivered });
                }
            }
            _ => {
                let at = self.dice.roll(self.links.len() as u64 + 1) as usize;
                if at < self.links.len() {
                    let (link, _) = self.links.swap_remove(at);
                    self.bench.input(Input::Close { link });
                }
            }
        }
        self.collect();
    }

    fn connect(&mut self) {
        if self.outstanding.is_none() {
            self.connects += 1;
            self.outstanding = Some(self.connects);
            self.requests.push((self.connects, self.acknowledged));
        }
    }

    fn any_request(&mut self) -> Option<(u64, u64)> {
        let at = self.dice.roll(self.requests.len() as u64 + 1) as usize;
        (at < self.requests.len()).then(|| self.requests.swap_remove(at))
    }

    fn arrive(&mut self) {
        let Some((id, number)) = self.any_request() else { return };
        let link = self.bench.post(Some(&self.visitor), &connect_as(&self.visitor, id, number));
        self.links.push((link, id));
    }

    /// Takes what the server says; it is on its way from here on.
    fn collect(&mut self) {
        for (link, id) in core::mem::take(&mut self.links) {
            if let Some(answer) = self.bench.answer(link) {
                self.responses.push((id, answer));
                self.open.push(link);
            } else if self.bench.refusal(link).is_none() {
                self.links.push((link, id));
            } else if self.outstanding == Some(id) {
                // An error of the transport: the client tries again.
                self.outstanding = None;
            }
        }
    }

    fn receive(&mut self) {
        let at = self.dice.roll(self.responses.len() as u64 + 1) as usize;
        if at >= self.responses.len() {
            return;
        }
        let (id, answer) = self.responses.swap_remove(at);
        if self.outstanding != Some(id) || self.dice.roll(4) == 0 {
            return;
        }
        self.outstanding = None;
        self.acknowledged = ack(&answer).as_u64().expect("a number");
        for number in data(&answer) {
            assert_eq!(number, json!(self.received), "in order, nothing missing, nothing twice");
            self.received += 1;
        }
    }
}

impl Model {
    /// The server ends the session while no connect is held; the client is about to publish.
    fn take_farewell(&mut self) {
        for (link, _) in core::mem::take(&mut self.links) {
            self.bench.input(Input::Close { link });
        }
        self.bench.drain();
        self.bench.command(Command::Disconnect { session: self.visitor.session() });
        let visitor = self.visitor.clone();
        let answer = self.bench.send(&visitor, &publish(&visitor, "/b", json!(1)));
        assert_eq!(answer[0]["error"], "402::session_unknown");
        assert_eq!(answer.len(), 1, "nobody knows what has arrived");
        let answer = self.bench.send(&visitor, &connect(&visitor, self.acknowledged));
        let missing: Vec<_> = (self.received..self.published).map(Value::from).collect();
        let last = answer.iter().find(|it| it["channel"] == "/meta/disconnect");
        assert_eq!((data(&answer), last.is_some()), (missing, true));
        assert_eq!(self.bench.server.stats().sessions, 0);
    }
}

#[test]
fn a_farewell_on_a_socket_waits_for_a_connect_too() {
    let mut bench = Bench::new();
    let visitor = bench.acknowledging();
    let lost = bench.socket();
    bench.tell(lost, &connect(&visitor, 1));
    bench.publish("/a", json!(1));
    assert_eq!(data(&bench.answer(lost).unwrap()), [json!(1)]);
    bench.input(Input::Close { link: lost });
    bench.publish("/a", json!(2));
    let link = bench.socket();
    bench.call(link, &subscribe(&visitor, "/b"));
    bench.command(Command::Disconnect { session: visitor.session() });
    assert_eq!(bench.answer(link), None);
    let answer = bench.call(link, &publish(&visitor, "/b", json!(0)));
    assert_eq!(data(&answer), [] as [Value; 0]);
    let answer = bench.call(link, &connect(&visitor, 1));
    assert_eq!(data(&answer), [json!(1), json!(2)]);
}

#[test]
fn whatever_the_network_does_a_correct_client_sees_each_event_once_and_in_order() {
    for seed in 0..300 {
        println!("seed {seed}");
        let mut model = Model::new(seed);
        (0..300).for_each(|_| model.step());
        // The network has calmed down.
        for link in core::mem::take(&mut model.open) {
            model.bench.input(Input::Sent { link, delivered: true });
        }
        (model.requests, model.responses, model.outstanding) = (Vec::new(), Vec::new(), None);
        if seed % 4 == 0 {
            model.take_farewell();
            continue;
        }
        for round in 0.. {
            if model.received == model.published {
                break;
            }
            assert!(round < 1_000, "what is owed comes");
            model.connect();
            model.arrive();
            model.collect();
            model.receive();
            if model.requests.is_empty() && model.responses.is_empty() {
                model.outstanding = None;
            }
        }
        let session = model.visitor.session();
        let last = connect(&model.visitor, model.acknowledged);
        model.bench.post(Some(&model.visitor.clone()), &last);
        assert_eq!(model.bench.server.session(session).unwrap().queue_messages(), 0);
    }
}

#[test]
fn a_socket_that_breaks_at_any_point_costs_nothing() {
    for (seed, messages) in (0..200).map(|seed| (seed, 1 + seed % 3)) {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut bench = Bench::with(|config| config.limits.socket_bytes = 250);
        let visitor = bench.acknowledging();
        let (mut link, mut number, mut published, mut received) = (bench.socket(), 1, 0_u64, 0_u64);
        let mut waiting = false;
        while received < 40 {
            if published < 40 && dice.roll(2) == 0 {
                for _ in 0..messages {
                    bench.publish("/a", json!(published));
                    published += 1;
                }
            }
            if !waiting {
                bench.tell(link, &connect(&visitor, number));
                waiting = true;
            }
            let broken = dice.roll(6) == 0;
            if let Some(answer) = bench.answer(link) {
                // It got out or not, and in the first case it arrived or not.
                let out = !broken || dice.roll(2) == 0;
                if out {
                    bench.input(Input::Sent { link, delivered: true });
                }
                if !broken || (out && dice.roll(2) == 0) {
                    number = ack(&answer).as_u64().expect("a number");
                    for event in data(&answer) {
                        assert_eq!(event, json!(received), "in order, once");
                        received += 1;
                    }
                    waiting = false;
                }
            }
            if broken {
                bench.input(Input::Close { link });
                (link, waiting) = (bench.socket(), false);
            }
        }
        assert!(received >= published.min(40));
    }
}
