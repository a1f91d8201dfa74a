//! Servers that are broken on purpose: those who watch from outside must see it.
//!
//! (What the books of level 0 see is tested beside them, in `simulation/ledger.rs`.)

use std::collections::VecDeque;

use bayeux_core::Time;
use cometd_testkit::simulation::{
    Down, Gauges, Host, Machine, Script, Up, Violation, World, drive,
};
use serde_json::{Value, json};

/// A script in which two clients subscribe, and publish, and nothing goes wrong.
const PEACE: &str = "
    seed 7
    set timeout 500
    client c0 long-polling browser 0 start 0
    client c1 websocket browser 1 start 0
    client c2 long-polling ack browser 2 start 0
    at 100 c0 subscribe /open/*
    at 110 c1 subscribe /open/**
    at 120 c2 subscribe /open/a
    at 300 c1 publish /open/a 1
    at 400 c0 publish /open/c 3
    at 450 c0 publish /veto/a 1
    heal 600
";

/// A machine whose messages are spoilt on their way out.
struct Broken<S> {
    machine: Machine,
    spoil: S,
    downs: VecDeque<Down>,
    leaks: usize,
    /// Whether sockets are closed when they have carried a text.
    closes: bool,
}

impl<S: FnMut(&mut Vec<Value>) -> bool> Host for Broken<S> {
    fn up(&mut self, now: Time, up: Up) -> Result<(), Violation> {
        self.machine.up(now, up)
    }

    fn poll_down(&mut self) -> Option<Down> {
        while let Some(mut down) = self.machine.poll_down() {
            if let Down::Response { body, status: 200, .. } | Down::Text { text: body, .. } =
                &mut down
            {
                let mut messages = serde_json::from_str(body).unwrap();
                if !(self.spoil)(&mut messages) {
                    // It never leaves.
                    continue;
                }
                *body = Value::Array(messages).to_string();
            }
            let closed = match down {
                Down::Text { link, .. } if self.closes => Some(Down::Closed { link, code: 1000 }),
                _ => None,
            };
            self.downs.push_back(down);
            self.downs.extend(closed);
        }
        self.downs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.machine.poll_timeout()
    }

    fn tick(&mut self, now: Time) -> Result<(), Violation> {
        self.machine.tick(now)
    }

    fn gauges(&self) -> Gauges {
        let gauges = self.machine.gauges();
        // Whatever there was before anybody came was there.
        let leaks = if self.machine.poll_timeout().is_none() { self.leaks } else { 0 };
        Gauges { links: gauges.links + leaks, ..gauges }
    }
}

fn verdict_of(leaks: usize, spoil: impl FnMut(&mut Vec<Value>) -> bool) -> Result<(), Violation> {
    verdict_of_script(PEACE, leaks, false, spoil)
}

fn verdict_of_script(
    script: &str,
    leaks: usize,
    closes: bool,
    spoil: impl FnMut(&mut Vec<Value>) -> bool,
) -> Result<(), Violation> {
    let script: Script = script.parse().unwrap();
    let machine = Machine::new(&script).unwrap();
    let mut host = Broken { machine, spoil, downs: VecDeque::new(), leaks, closes };
    drive(&mut World::new(&script, true, false).unwrap(), &mut host)
}

/// The invariant that is broken when all that leaves is changed like this.
fn broken_by(mut spoil: impl FnMut(&mut Vec<Value>)) -> &'static str {
    let verdict = verdict_of(0, |messages| {
        spoil(messages);
        true
    });
    verdict.expect_err("those who watch are blind").invariant
}

fn is_event(message: &Value) -> bool {
    message.get("data").is_some()
}

#[test]
fn nothing_is_seen_where_nothing_is_broken() {
    assert_eq!(verdict_of(0, |_| true), Ok(()));
}

#[test]
fn an_event_that_comes_twice() {
    let name = broken_by(|messages| {
        if let Some(event) = messages.iter().find(|it| is_event(it)).cloned() {
            messages.insert(0, event);
        }
    });
    assert_eq!(name, "no-duplicates");
}

#[test]
fn an_event_that_never_comes() {
    for ack in [false, true] {
        let name = broken_by(|messages| {
            let acknowledged = messages.iter().any(|it| it["ext"]["ack"].is_u64());
            messages.retain(|it| !is_event(it) || acknowledged != ack);
        });
        assert_eq!(name, if ack { "ack-no-loss" } else { "no-loss" });
    }
}

#[test]
fn an_event_for_somebody_else() {
    let name = broken_by(|messages| {
        messages
            .iter_mut()
            .filter(|it| is_event(it))
            .for_each(|it| it["channel"] = json!("/open/z"));
    });
    assert_eq!(name, "only-subscribed");
}

#[test]
fn events_that_overtake_each_other() {
    let name = broken_by(|messages| {
        let count = messages.iter().take_while(|it| is_event(it)).count();
        messages[..count].reverse();
    });
    // Three messages of one payload have no order to anybody but the server.
    assert_eq!(name, "fifo");
}

#[test]
fn a_reply_to_somebody_elses_message() {
    let name = broken_by(|messages| {
        for message in messages.iter_mut().filter(|it| it["channel"] == "/meta/connect") {
            message["id"] = json!("c9x9");
        }
    });
    assert_eq!(name, "echo");
}

#[test]
fn the_id_of_somebody_elses_session() {
    let mut seen: Vec<Value> = Vec::new();
    let name = broken_by(|messages| {
        if let Some(id) = messages.iter().find_map(|it| it.get("clientId")) {
            seen.push(id.clone());
        }
        if let (Some(event), Some(id)) = (messages.iter_mut().find(|it| is_event(it)), seen.first())
        {
            event["data"] = id.clone();
        }
    });
    assert_eq!(name, "private");
}

#[test]
fn a_denied_publish_that_is_said_to_be_done() {
    let name = broken_by(|messages| {
        for message in messages.iter_mut().filter(|it| it["channel"] == "/veto/a") {
            message["successful"] = json!(true);
        }
    });
    assert_eq!(name, "no-effect-if-denied");
}

#[test]
fn connects_that_are_never_answered() {
    let verdict =
        verdict_of(0, |messages| !messages.iter().any(|it| it["channel"] == "/meta/connect"));
    assert_eq!(verdict.expect_err("nobody gets on").invariant, "convergence");
}

#[test]
fn a_link_that_is_never_given_back() {
    assert_eq!(verdict_of(1, |_| true).expect_err("one is left").invariant, "no-leak");
}

#[test]
fn a_socket_that_is_closed_for_no_reason() {
    let script = "seed 3\nclient c0 websocket browser 0 start 600\nheal 600";
    assert_eq!(verdict_of_script(script, 0, false, |_| true), Ok(()));
    let verdict = verdict_of_script(script, 0, true, |_| true);
    assert_eq!(verdict.expect_err("it is closed").invariant, "steady");
}
