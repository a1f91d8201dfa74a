//! Applications of others: what fails, what is said about it, and what would be no test.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bayeux_core::front::{Bayeux, Builder, Flow, HandshakeRequest, Incoming, Policy};
use bayeux_core::{ConfigError, Denial, Verdict};
use cometd_testkit::sim::Sim;
use cometd_testkit::simulation::{Application, Coverage, Simulation};
use serde_json::{Value, json};

/// An application without a mistake.
fn plain(sim: &Sim, builder: Builder) -> Result<Bayeux, ConfigError> {
    sim.start(builder)
}

/// One whose listener sometimes does not come back.
fn stuck(sim: &Sim, builder: Builder) -> Result<Bayeux, ConfigError> {
    let bayeux = sim.start(builder)?;
    bayeux.channel("/a/closed").unwrap().on_message(|_: Incoming| async {
        pending::<()>().await;
        Flow::Continue
    });
    Ok(bayeux)
}

struct Token;

impl Policy for Token {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        match request.ext::<Value>() {
            Ok(ext) if ext["token"] == "secret" => Verdict::Allow,
            _ => Denial::because("token").into(),
        }
    }
}

fn guarded(sim: &Sim, builder: Builder) -> Result<Bayeux, ConfigError> {
    sim.start(builder.policy(Token))
}

fn simulated<A: Application>(application: A) -> Simulation<A> {
    Simulation::of(application)
        .subscribe("/a/*")
        .publish("/a/open", |number| json!(number))
        .publish("/a/closed", |number| json!(number))
        .seeds(0..40)
}

/// What the simulation says when it fails.
fn failure(run: impl FnOnce() -> Coverage) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it passes");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned())).unwrap()
}

#[test]
fn what_has_no_mistake_passes() {
    assert!(simulated(plain).run().count("events received") > 0);
}

#[test]
fn a_handler_that_does_not_come_back_is_a_failure_that_can_be_replayed() {
    let said = failure(|| simulated(stuck).run());
    assert!(said.contains("no-report") && said.contains("/a/closed"), "{said}");
    let (_, script) = said.split_once("for replay:\n").unwrap();
    assert!(failure(|| simulated(stuck).replay(script)).contains("no-report"));
    simulated(plain).replay(script);
    simulated(stuck).bear_reports().run();
}

#[test]
fn clients_bring_along_what_the_application_wants() {
    let said = failure(|| simulated(guarded).seeds(0..1).run());
    assert!(said.contains("convergence") && said.contains("403:token:handshake_denied"), "{said}");
    simulated(guarded).handshake_ext(|_| json!({ "token": "secret" })).run();
    let said = failure(|| simulated(guarded).handshake_ext(|_| json!("secret")).run());
    assert!(said.contains("a handshake's ext is an object"), "{said}");
}

#[test]
fn what_could_not_fail_is_no_test() {
    let nobody = failure(|| simulated(plain).seeds(5..5).run());
    assert_eq!(nobody, "there are no seeds");
    let nothing = failure(|| simulated(plain).subscribe("a/*").run());
    assert_eq!(nothing, "a/* is neither channel nor wildcard");
    let nowhere = failure(|| simulated(plain).publish("/a/*", |_| json!(1)).run());
    assert_eq!(nowhere, "/a/* is no channel");
    let apart = Simulation::of(plain).subscribe("/b").publish("/a", |_| json!(1)).seeds(0..5);
    assert_eq!(failure(|| apart.run()), "nobody has received anything");
    assert!(failure(|| simulated(plain).replay("dance")).contains("no such line: dance"));
}
