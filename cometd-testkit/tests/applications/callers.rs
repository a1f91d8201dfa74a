//! Remote calls that are answered later, and how many may be in progress.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bayeux_core::front::{Bayeux, Binary, Call, Caller, Error};
use bayeux_core::{Config, Json, MessageParts, z85};
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::publish;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::peer::{Peer, answer, failure, install_sleep, world, world_with};

#[test]
fn calls_in_progress_are_bounded_for_each_session() {
    let (sim, bayeux) = world_with(|config| config.limits.session_calls = 2);
    install_sleep(&sim, &bayeux, "sleep");
    install_sleep(&sim, &bayeux, "sleep/{more}");
    for peer in Peer::each(&sim, &bayeux) {
        for number in 1..=5 {
            assert_eq!(peer.call(number, "sleep", 0).unwrap()["successful"], true);
        }
        assert_eq!(peer.call(6, "sleep", 1), None);
        assert_eq!(peer.call(7, "sleep/more", 2), None);
        let too_many = peer.call(8, "sleep", 0);
        assert_eq!(too_many, Some(failure(8, "sleep", "too many calls")));
        sim.advance(Duration::from_secs(1));
        assert_eq!(peer.answers().len(), 1);
        assert_eq!(peer.call(9, "sleep", 5), None, "one place is free again");
        let too_many = peer.call(10, "sleep", 0);
        assert_eq!(too_many, Some(failure(10, "sleep", "too many calls")));
    }
    assert_eq!((bayeux.front_stats().calls, bayeux.front_stats().refused_calls), (3, 4));
    assert_eq!(sim.reports(), Vec::<String>::new());
}

#[test]
fn calls_in_progress_are_bounded_in_all_also_those_of_sessions_that_are_gone() {
    let (sim, bayeux) = world_with(|config| config.limits.calls = 2);
    install_sleep(&sim, &bayeux, "sleep");
    let [one, two] = Peer::both(&sim, &bayeux);
    assert_eq!(one.call(1, "sleep", 5), None);
    assert_eq!(two.call(1, "sleep", 7), None);
    one.send(&json!([{ "channel": "/meta/disconnect", "clientId": one.id }]));
    let too_many = two.call(2, "sleep", 0);
    assert_eq!(too_many, Some(failure(2, "sleep", "too many calls")));
    sim.advance(Duration::from_secs(5));
    assert!(two.call(3, "sleep", 0).is_some());
}

#[test]
fn a_limit_of_zero_is_refused() {
    for change in [(|config| config.limits.calls = 0) as fn(&mut Config), |config| {
        config.limits.session_calls = 0
    }] {
        let mut config = Config::default();
        change(&mut config);
        assert!(Sim::new(1).start(Bayeux::builder().config(config)).is_err());
    }
}

/// Keeps the callers of `target`.
fn keep(bayeux: &Bayeux, target: &str) -> Arc<Mutex<Vec<Caller>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let called = bayeux.on_call(target, move |_: Call<Value>, caller: Caller| {
        keep.lock().unwrap().push(caller);
        async {}
    });
    called.unwrap();
    kept
}

#[test]
fn a_caller_is_answered_from_anywhere_at_any_time() {
    let (sim, bayeux) = world();
    let kept = keep(&bayeux, "doors/{which}");
    for peer in Peer::each(&sim, &bayeux) {
        for number in 1..=3 {
            assert_eq!(peer.call(number, "doors/front", 1), None);
        }
        sim.advance(Duration::from_secs(5));
        assert_eq!(peer.answers(), Vec::<Value>::new());
        let callers = std::mem::take(&mut *kept.lock().unwrap());
        std::thread::spawn(move || {
            let mut callers = callers.into_iter().rev();
            let mut next = || callers.next().unwrap();
            assert!(next().session().exists());
            next().result(&"come in");
            next().failure(&["closed"]);
        })
        .join()
        .unwrap();
        let expected = [
            failure(3, "doors/front", "no answer"),
            answer(2, "doors/front", true, "come in"),
            answer(1, "doors/front", false, json!(["closed"])),
        ];
        assert_eq!(peer.answers(), expected);
    }
    assert_eq!(sim.reports(), Vec::<String>::new());
}

#[test]
fn a_caller_whose_handler_panics_gets_no_answer() {
    let (sim, bayeux) = world();
    let called = bayeux.on_call("panic", |_: Call<()>, caller: Caller| async move {
        assert!(!caller.session().exists(), "it is there");
        caller.result(&1);
    });
    called.unwrap();
    for peer in Peer::each(&sim, &bayeux) {
        assert_eq!(peer.call(1, "panic", ()), Some(failure(1, "panic", "no answer")));
    }
    assert_eq!(sim.reports(), ["remote call on /service/panic panicked: it is there"; 2]);
}

#[test]
fn a_caller_counts_until_it_is_answered_and_its_handler_is_done() {
    let (sim, bayeux) = world_with(|config| config.limits.session_calls = 1);
    let sleeper = sim.clone();
    let called = bayeux.on_call("more", move |_: Call<()>, caller: Caller| {
        let sleep = sleeper.sleep(Duration::from_secs(5));
        async move {
            caller.result(&"more to do");
            sleep.await;
        }
    });
    called.unwrap();
    let kept = keep(&bayeux, "keep");
    for peer in Peer::each(&sim, &bayeux) {
        assert_eq!(peer.call(1, "more", ()), Some(answer(1, "more", true, "more to do")));
        assert_eq!(peer.call(2, "more", ()), Some(failure(2, "more", "too many calls")));
        sim.advance(Duration::from_secs(5));
        assert_eq!(peer.call(3, "keep", ()), None, "the handler is done");
        assert_eq!(peer.call(4, "keep", ()), Some(failure(4, "keep", "too many calls")));
        let caller = kept.lock().unwrap().pop().unwrap();
        caller.result(&());
        assert_eq!(peer.answers(), [answer(3, "keep", true, Value::Null)]);
        assert_eq!(peer.call(5, "keep", ()), None, "the caller was answered");
        kept.lock().unwrap().clear();
        assert_eq!(peer.answers(), [failure(5, "keep", "no answer")]);
    }
}

#[test]
fn a_caller_that_outlives_its_session_or_is_forgotten_with_it_hurts_nobody() {
    let (sim, bayeux) = world();
    let called = bayeux.on_call("keep", |call: Call<()>, caller: Caller| async move {
        // Dropped with the session's attributes, when the session is gone.
        let _ = call.session().set_attribute("caller", Mutex::new(Some(caller)));
    });
    called.unwrap();
    let kept = keep(&bayeux, "elsewhere");
    for peer in Peer::each(&sim, &bayeux) {
        assert_eq!(peer.call(1, "keep", ()), None);
        assert_eq!(peer.call(2, "elsewhere", ()), None);
        peer.send(&json!([{ "channel": "/meta/disconnect", "clientId": peer.id }]));
        kept.lock().unwrap().pop().unwrap().result(&1);
    }
    sim.advance(Duration::from_secs(30));
    assert_eq!(sim.reports(), Vec::<String>::new());
}

#[test]
fn the_application_itself_does_not_call() {
    let (sim, bayeux) = world();
    let kept = keep(&bayeux, "doors");
    let peer = Peer::socket(&sim, &bayeux);
    let session = bayeux.sessions().pop().unwrap();
    let server = bayeux.clone();
    let published = sim.block_on(async move {
        server.publish("/service/doors", &1).await?;
        server.publish_from(&session, "/service/doors", &2).await
    });
    published.unwrap();
    let callers = std::mem::take(&mut *kept.lock().unwrap());
    assert_eq!(callers.len(), 1, "unless it does so in the name of a session");
    callers.into_iter().for_each(|it| it.result(&"in"));
    let expected = json!({ "channel": "/service/doors", "successful": true, "data": "in" });
    assert_eq!(peer.answers(), [expected]);
}

#[test]
fn bytes_are_called_with_and_answered_with() {
    let (sim, bayeux) = world();
    let called = bayeux.on_call("reverse", |call: Call<IgnoredAny>, caller: Caller| async move {
        let binary = Binary::of(call.message());
        match binary {
            Ok(Some(Binary { mut bytes, .. })) => {
                bytes.reverse();
                caller.parts(Binary::new(bytes).into_parts().unwrap());
            }
            other => caller.parts(MessageParts::data(Json::NULL).successful(other.is_err())),
        }
    });
    called.unwrap();
    for peer in Peer::each(&sim, &bayeux) {
        let mut message = publish(&peer.id, "/service/reverse", json!({ "data": "HelloWorld" }));
        message["ext"] = json!({ "binary": {} });
        let came = peer.send(&json!([message]));
        let answer = came.iter().find(|it| it.get("data").is_some()).unwrap();
        assert_eq!(answer["successful"], true);
        assert_eq!(answer["ext"], json!({ "binary": {} }));
        assert_eq!(answer["data"]["data"], z85::encode(b"\x5b\xf7\x59\xb5\x6f\xd2\x4f\x86"));
        let nothing = peer.call(1, "reverse", "no bytes");
        assert_eq!(nothing.unwrap()["successful"], false);
    }
}

#[test]
fn a_local_session_calls_like_any_other() {
    let (sim, bayeux) = world();
    let called = bayeux.remote_call("twice/{what}", |call: Call<u32>| async move {
        if call.param("what") == "number" { Ok(call.data * 2) } else { Err("what?") }
    });
    called.unwrap();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&answers);
    let kept = sim.block_on(async move {
        let local = bayeux.local_session().await?;
        local.on_message("/service/twice/*", move |message| {
            heard.lock().unwrap().push(format!("{message:?}"));
            async {}
        })?;
        local.publish("/service/twice/number", &21).await?;
        local.publish("/service/twice/word", &21).await?;
        Ok::<_, Error>(local)
    });
    sim.settle();
    let expected = [
        r#"{"channel":"/service/twice/number","successful":true,"data":42}"#,
        r#"{"channel":"/service/twice/word","successful":false,"data":"what?"}"#,
    ];
    assert_eq!(*answers.lock().unwrap(), expected);
    drop(kept.unwrap());
}
