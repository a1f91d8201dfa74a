//! Remote calls, over long-polling and over WebSocket.

use std::collections::BTreeMap;
use std::future::Ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bayeux_core::NameError;
use bayeux_core::front::{Call, Error};
use cometd_testkit::wire::{connect, publish};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::peer::{Line, Peer, answer, failure, install_sleep, world};

#[derive(Deserialize)]
struct Query {
    prefix: String,
}

#[derive(Serialize)]
struct Refusal {
    code: u32,
    missing: String,
}

async fn contacts(call: Call<Query>) -> Result<Vec<String>, Refusal> {
    assert!(call.session().exists() && call.context().is_some());
    assert_eq!(call.channel().as_str(), format!("/service/contacts/{}", call.param("group")));
    match call.param("group") {
        "friends" => Ok(vec![format!("{}nn", call.data.prefix)]),
        missing => Err(Refusal { code: 404, missing: missing.to_owned() }),
    }
}

#[test]
fn an_answer_that_is_there_leaves_with_the_reply() {
    let (sim, bayeux) = world();
    for target in ["contacts/{group}", "/slash/{it}"] {
        match target {
            "/slash/{it}" => bayeux.remote_call(target, |call: Call<Value>| async move {
                Err::<(), _>(format!("no {}", call.param("it")))
            }),
            _ => bayeux.remote_call(target, contacts),
        }
        .unwrap();
    }
    for peer in Peer::each(&sim, &bayeux) {
        let query = || json!({ "prefix": "A" });
        let came = peer.call(7, "contacts/friends", query());
        assert_eq!(came, Some(answer(7, "contacts/friends", true, json!(["Ann"]))));
        let came = peer.call(8, "contacts/foes", query());
        let refusal = json!({ "code": 404, "missing": "foes" });
        assert_eq!(came, Some(answer(8, "contacts/foes", false, refusal)));
        let came = peer.call(9, "slash/way", Value::Null);
        assert_eq!(came, Some(answer(9, "slash/way", false, "no way")));
        assert_eq!(peer.call(10, "contacts/friends/old", query()), None, "another target");
        assert_eq!(peer.answers(), Vec::<Value>::new());
    }
    assert_eq!(sim.reports(), Vec::<String>::new());
}

#[test]
fn nothing_waits_for_a_slow_handler() {
    let (sim, bayeux) = world();
    install_sleep(&sim, &bayeux, "sleep");
    bayeux.remote_call("contacts/{group}", contacts).unwrap();
    for peer in Peer::each(&sim, &bayeux) {
        assert_eq!(peer.call(1, "sleep", 100), None);
        assert_eq!(peer.call(2, "sleep", 2), None);
        assert_eq!(peer.call(3, "sleep", 1), None);
        let query = json!({ "prefix": "A" });
        assert!(peer.call(4, "contacts/friends", query.clone()).is_some(), "the sender goes on");
        for other in Peer::each(&sim, &bayeux) {
            assert!(other.call(4, "contacts/friends", query.clone()).is_some());
        }
        sim.advance(Duration::from_secs(3));
        let expected =
            [answer(3, "sleep", true, "slept 1 s"), answer(2, "sleep", true, "slept 2 s")];
        assert_eq!(peer.answers(), expected);
        // Longer than any question of the server may take.
        for _ in 0..12 {
            assert_eq!(peer.answers(), Vec::<Value>::new());
            peer.send(&json!([publish(&peer.id, "/alive", 1)]));
            sim.advance(Duration::from_secs(8));
        }
        sim.advance(Duration::from_secs(1));
        assert_eq!(peer.answers(), [answer(1, "sleep", true, "slept 100 s")]);
    }
    assert_eq!(sim.reports(), Vec::<String>::new());
}

#[test]
fn a_payload_is_processed_to_its_end_while_its_calls_are_in_progress() {
    let (sim, bayeux) = world();
    install_sleep(&sim, &bayeux, "sleep");
    for peer in Peer::each(&sim, &bayeux) {
        let call = publish(&peer.id, "/service/sleep", 1);
        let came = peer.send(&json!([call, call, publish(&peer.id, "/a", 1)]));
        assert_eq!(came.len(), 3);
        sim.advance(Duration::from_secs(1));
        assert_eq!(peer.answers().len(), 2);
    }
}

#[test]
fn a_late_answer_ends_a_held_connect() {
    let (sim, bayeux) = world();
    install_sleep(&sim, &bayeux, "sleep");
    let peer = Peer::polling(&sim, &bayeux);
    let Line::Polling(client) = &peer.line else { return };
    let mut held = client.post(&json!([connect(&peer.id)]));
    peer.call(1, "sleep", 5);
    assert!(held.is_held());
    sim.advance(Duration::from_secs(5));
    let came = held.take().unwrap().messages();
    assert!(came.contains(&answer(1, "sleep", true, "slept 5 s")), "{came:?}");
}

#[test]
fn a_panic_is_an_internal_error_to_the_client_and_reported_in_full() {
    let (sim, bayeux) = world();
    let called =
        bayeux.remote_call("early", |_: Call<()>| -> Ready<Result<(), ()>> { panic!("early") });
    called.unwrap();
    let sleeper = sim.clone();
    let called = bayeux.remote_call("late/{when}", move |call: Call<u64>| {
        let sleep = sleeper.sleep(Duration::from_secs(call.data));
        async move {
            sleep.await;
            assert!(call.params().get("other").is_some(), "password: secret");
            Ok::<_, ()>(())
        }
    });
    called.unwrap();
    for peer in Peer::each(&sim, &bayeux) {
        let why = "internal error";
        assert_eq!(peer.call(1, "early", ()), Some(failure(1, "early", why)));
        assert_eq!(peer.call(2, "late/now", 0), Some(failure(2, "late/now", why)));
        assert_eq!(peer.call(3, "late/later", 1), None);
        sim.advance(Duration::from_secs(1));
        assert_eq!(peer.answers(), [failure(3, "late/later", why)]);
    }
    let expected = [
        "remote call on /service/early panicked: early",
        "remote call on /service/late/{when} panicked: password: secret",
        "remote call on /service/late/{when} panicked: password: secret",
    ];
    assert_eq!(sim.reports(), [expected, expected].concat());
}

#[test]
fn an_answer_without_a_json_form_is_an_internal_error_too() {
    let (sim, bayeux) = world();
    let called = bayeux.remote_call("map", |call: Call<bool>| async move {
        let map = BTreeMap::from([((1, 2), 3)]);
        if call.data { Ok(map) } else { Err(map) }
    });
    called.unwrap();
    for peer in Peer::each(&sim, &bayeux) {
        for (number, data) in [(1, true), (2, false)] {
            let came = peer.call(number, "map", data);
            assert_eq!(came, Some(failure(number, "map", "internal error")));
        }
    }
    let report = "remote call on /service/map failed: key must be a string";
    assert_eq!(sim.reports(), [report; 4]);
}

#[test]
fn data_of_the_wrong_shape_fails_the_call() {
    let (sim, bayeux) = world();
    bayeux.remote_call("contacts/{group}", contacts).unwrap();
    for peer in Peer::each(&sim, &bayeux) {
        let why = "missing field `prefix` at line 1 column 2";
        let came = peer.call(1, "contacts/friends", json!({}));
        assert_eq!(came, Some(failure(1, "contacts/friends", why)));
    }
    let report = "remote call on /service/contacts/{group} got data that it cannot read, at line 1 \
                  column 2";
    assert_eq!(sim.reports(), [report; 2]);
}

#[test]
fn a_call_without_an_id_is_answered_without_one() {
    let (sim, bayeux) = world();
    let called = bayeux.remote_call("echo", |call: Call<Value>| async move {
        if call.data == 1 { Ok(call.data) } else { Err(call.data) }
    });
    called.unwrap();
    for peer in Peer::each(&sim, &bayeux) {
        for (data, successful) in [(1, true), (2, false)] {
            let mut message = publish(&peer.id, "/service/echo", data);
            message.as_object_mut().unwrap().remove("id");
            let came = peer.send(&json!([message]));
            let expected =
                json!({ "channel": "/service/echo", "successful": successful, "data": data });
            assert_eq!(came.len(), 2);
            assert!(came.contains(&expected), "{came:?}");
        }
    }
}

#[test]
fn the_answer_to_a_session_that_is_gone_is_dropped() {
    let (sim, bayeux) = world();
    let done = Arc::new(Mutex::new(0));
    let (mark, sleeper) = (Arc::clone(&done), sim.clone());
    let called = bayeux.remote_call("work", move |call: Call<()>| {
        let (mark, sleep) = (Arc::clone(&mark), sleeper.sleep(Duration::from_secs(5)));
        async move {
            sleep.await;
            assert!(!call.session().exists());
            *mark.lock().unwrap() += 1;
            if *mark.lock().unwrap() == 1 { Ok("done") } else { Err("done") }
        }
    });
    called.unwrap();
    let tasks = sim.tasks();
    for peer in Peer::each(&sim, &bayeux) {
        assert_eq!(peer.call(1, "work", ()), None);
        peer.send(&json!([{ "channel": "/meta/disconnect", "clientId": peer.id }]));
    }
    sim.advance(Duration::from_secs(10));
    assert_eq!(*done.lock().unwrap(), 2, "handlers run to their end");
    assert_eq!(sim.tasks(), tasks);
    assert_eq!(sim.reports(), Vec::<String>::new());
}

#[test]
fn removing_a_handler_leaves_calls_in_progress_alone() {
    let (sim, bayeux) = world();
    let listener = install_sleep(&sim, &bayeux, "sleep/{where}");
    let peers = Peer::both(&sim, &bayeux);
    for peer in &peers {
        assert_eq!(peer.call(1, "sleep/here", 1), None);
    }
    assert!(bayeux.remove_listener(&listener));
    assert!(!bayeux.remove_listener(&listener));
    for peer in &peers {
        assert_eq!(peer.call(2, "sleep/here", 0), None);
    }
    sim.advance(Duration::from_secs(2));
    for peer in &peers {
        assert_eq!(peer.answers(), [answer(1, "sleep/here", true, "slept 1 s")]);
    }
}

#[test]
fn what_is_no_target_is_refused() {
    let (_, bayeux) = world();
    for (target, error) in [
        ("", NameError::NoSlash),
        ("/", NameError::NoSlash),
        ("//a", NameError::EmptySegment),
        ("a/{}", NameError::EmptyVariable),
        ("{a}/{a}", NameError::DuplicateVariable),
    ] {
        let called = bayeux.remote_call(target, |_: Call<()>| async { Ok::<_, ()>(()) });
        assert!(matches!(called, Err(Error::Name(it)) if it == error), "{target:?}");
    }
    assert!(bayeux.channels().is_empty());
}
