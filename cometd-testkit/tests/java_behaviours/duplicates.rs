//! 8.2, continued: two connects of one session, and connects at the server's end.

use std::sync::atomic::{AtomicUsize, Ordering};

use bayeux_core::Verdict;
use bayeux_core::front::{Bayeux, HandshakeRequest, Policy};
use bayeux_core::http::HttpConfig;
use cometd_testkit::sim::Sim;
use serde_json::{Value, json};

use crate::support::{World, connected, ms};

fn connect(id: &str) -> Value {
    json!({ "id": id, "channel": "/meta/connect" })
}

#[test]
fn b057_b059_b060_a_superseded_connect_gets_the_configured_status() {
    let mut http = HttpConfig::default();
    http.duplicate_meta_connect_http_response_code = 400;
    let world = World::build(Bayeux::builder().http(http), |_| ());
    let peer = world.open();
    let mut first = peer.start(connect("1"));
    let mut second = peer.start(connect("2"));
    let answer = first.take().expect("it is answered at once");
    assert_eq!((answer.status.as_u16(), answer.text()), (400, ""));
    assert!(second.is_held());
    let reply = |id: &str| json!([{ "id": id, "channel": "/meta/connect", "successful": true }]);
    assert_eq!(second.wait().json(), reply("2"));
    // The browser's one place is free again: no `multiple-clients`.
    assert_eq!(peer.start(connect("3")).wait().json(), reply("3"));
    assert_eq!(world.bayeux.stats().superseded_connects, 1);
}

/// A connect that its client has given up is still being handled when the next one comes: exactly
/// one connect is live afterwards, and it is the newer one. The two take these times to handle.
fn overtake(limit: Option<u32>, older: u64, newer: u64) {
    let world = World::with(|config| config.max_sessions_per_browser = limit);
    let peer = world.open();
    let (sim, connects) = (world.sim.clone(), AtomicUsize::new(0));
    world.channel("/meta/connect").on_message(move |_| {
        let number = connects.fetch_add(1, Ordering::Relaxed);
        let (sim, times) = (sim.clone(), [older, newer]);
        async move { sim.sleep(ms(times.get(number).copied().unwrap_or_default())).await }
    });
    let mut first = peer.start(connect("1"));
    world.pass(100);
    let mut second = peer.start(connect("2"));
    world.pass(1_000);
    assert!(second.is_held(), "{:?}", second.take());
    let overtaken = first.take().expect("the older one is answered");
    assert_eq!((overtaken.status.as_u16(), overtaken.text()), (500, ""));
    assert_eq!(world.bayeux.stats().held, 1);
    let reply = second.wait().json();
    assert_eq!(reply, json!([{ "id": "2", "channel": "/meta/connect", "successful": true }]));
    assert_eq!((world.bayeux.stats().held, world.bayeux.stats().links), (0, 0));
    // Nothing is left of it: the next one is held as any other.
    assert_eq!(peer.hold().wait().json(), json!([connected()]));
}

#[test]
fn b058_a_connect_overtaken_while_it_is_being_handled() {
    overtake(Some(1), 500, 500);
}

#[test]
fn b058_a_connect_overtaken_while_it_is_being_handled_without_a_quota() {
    overtake(None, 500, 500);
}

#[test]
fn b058_a_connect_that_takes_longer_than_the_one_that_overtook_it() {
    overtake(None, 500, 200);
}

#[test]
fn b061_draining_answers_held_connects_and_makes_no_session() {
    let world = World::new();
    let peer = world.open();
    let mut held = peer.hold();
    world.bayeux.drain(ms(1000));
    let reply = held.take().expect("it is answered at once").messages().remove(0);
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["advice"]["reconnect"], "retry");
    assert!(reply["advice"]["interval"].as_u64().is_some_and(|spread| spread < 1000), "{reply}");
    let before = world.sim.now();
    assert_eq!(peer.connect()[0]["successful"], true);
    assert_eq!(world.sim.now(), before, "no connect is held any more");
    let refused = world.client().send(&json!([{ "channel": "/meta/handshake" }])).messages();
    assert_eq!(refused[0]["error"], "503::draining");
    assert_eq!(refused[0]["advice"]["reconnect"], "handshake");
    let bayeux = world.bayeux.clone();
    world.sim.block_on(async move { bayeux.idle().await });
}

/// Takes half a second to let anybody in.
struct Slow(Sim);

impl Policy for Slow {
    async fn can_handshake(&self, _: HandshakeRequest) -> Verdict {
        self.0.sleep(ms(500)).await;
        Verdict::Allow
    }
}

/// Whoever is in the middle of a handshake is told the same as who comes later.
#[test]
fn b061_a_handshake_that_is_being_decided_when_the_server_drains() {
    let sim = Sim::new(1);
    let bayeux = sim.start(Bayeux::builder().policy(Slow(sim.clone()))).unwrap();
    let world = World { sim, bayeux };
    let handshake = world.client().post(&json!([{ "channel": "/meta/handshake" }]));
    world.pass(100);
    world.bayeux.drain(ms(1000));
    let reply = handshake.wait().messages().remove(0);
    assert_eq!(reply["error"], "503::draining");
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");
    assert_eq!(world.bayeux.stats().sessions, 0);
}

#[test]
fn issue_883_the_default_status_of_a_superseded_connect_is_not_408() {
    let world = World::new();
    let peer = world.open();
    let mut first = peer.hold();
    let second = peer.hold();
    assert_eq!(first.take().expect("it is answered").status, 500);
    drop(second);
    let mut http = HttpConfig::default();
    http.duplicate_meta_connect_http_response_code = 399;
    assert!(http.validate().is_err(), "and it cannot be a success");
}

#[test]
fn issue_970_a_late_answer_to_an_older_connect_does_not_start_the_expiry_under_a_newer_one() {
    let world = World::with(|config| config.timeout = ms(10_000));
    let peer = world.open();
    let older = peer.hold();
    world.session(&peer).deliver("/q", &1).unwrap();
    // The older connect was answered, but the answer is not taken until the newer one is held.
    let mut newer = peer.hold();
    world.pass(1_000);
    older.lose();
    // What was lost with it goes out with the newer one.
    let answer = newer.take().expect("it is answered at once");
    assert_eq!(answer.json(), json!([{ "channel": "/q", "data": 1 }, connected()]));

    let older = peer.hold();
    world.session(&peer).deliver("/q", &2).unwrap();
    let mut newer = peer.hold();
    world.pass(1_000);
    assert_eq!(older.wait().json(), json!([{ "channel": "/q", "data": 2 }, connected()]));
    world.pass(8_999);
    assert!(newer.is_held());
    assert!(world.find_session(&peer).is_some());
    world.pass(1);
    assert_eq!(newer.wait().json(), json!([connected()]));
}
