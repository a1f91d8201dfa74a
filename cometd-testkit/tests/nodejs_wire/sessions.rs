//! C35 to C41, C46 and C58: the end of sessions, lost connections, and several in one browser.

use serde_json::{Value, json};

use crate::support::{Peer, World, advice, connected, ms, unknown};

fn told_to_stop() -> Value {
    let mut reply = connected();
    reply["advice"] = json!({ "reconnect": "none" });
    reply
}

#[test]
fn c35_disconnect_answers_the_held_connect_with_advice_to_stop() {
    let world = World::new();
    let peer = world.open();
    let mut held = peer.hold();
    world.pass(200);
    assert_eq!(
        peer.ask(json!({ "id": "4", "channel": "/meta/disconnect" })),
        json!([{ "id": "4", "channel": "/meta/disconnect", "successful": true }])
    );
    let answer = held.take().expect("it is answered at once");
    assert_eq!(answer.json(), json!([told_to_stop()]));
}

#[test]
fn c36_unknown_sessions_get_402_and_advice_on_connect_only() {
    let world = World::new();
    let peer = world.open();
    peer.ask(json!({ "channel": "/meta/disconnect" }));
    assert_eq!(peer.connect(), json!([unknown()]));
    for message in [
        json!({ "id": "6", "channel": "/meta/subscribe", "subscription": "/x" }),
        json!({ "id": "6", "channel": "/meta/unsubscribe", "subscription": ["/x"] }),
        json!({ "id": "7", "channel": "/x" }),
        json!({ "id": "8", "channel": "/meta/disconnect" }),
    ] {
        let mut expected = message.clone();
        expected["successful"] = false.into();
        expected["error"] = "402::session_unknown".into();
        assert_eq!(peer.ask(message), json!([expected]));
    }
    // What has no channel is found out before its session is looked for.
    assert_eq!(
        world.client().send(&json!([{}])).json(),
        json!([{ "successful": false, "error": "400::channel_missing" }])
    );
}

#[test]
fn c37_the_cookie_has_to_be_the_sessions_own() {
    let world = World::new();
    let peer = world.open();
    let own = peer.client.cookie().expect("a cookie");
    let foreign = world.open().client.cookie();
    for cookie in [None, Some("BAYEUX_BROWSER=zzz"), foreign.as_deref()] {
        peer.client.set_cookie(cookie);
        assert_eq!(peer.connect(), json!([unknown()]), "{cookie:?}");
    }
    peer.client.set_cookie(Some(&format!("other=1; {own}; more=2")));
    let mut expected = connected();
    expected["advice"] = advice();
    assert_eq!(
        peer.ask(json!({ "id": "c", "channel": "/meta/connect", "advice": { "timeout": 0 } })),
        json!([expected])
    );
}

#[test]
fn c38_a_client_learns_that_the_server_disconnected_it_held_or_not() {
    let world = World::new();
    let event = json!({ "channel": "/meta/disconnect", "successful": true });

    let peer = world.open();
    let held = peer.hold();
    world.pass(100);
    world.session(&peer).disconnect().unwrap();
    assert_eq!(held.wait().json(), json!([event, told_to_stop()]));
    assert_eq!(peer.connect(), json!([unknown()]));

    let peer = world.open();
    world.session(&peer).disconnect().unwrap();
    assert!(world.find_session(&peer).is_none());
    let mut refused = unknown();
    refused["advice"] = json!({ "reconnect": "none" });
    assert_eq!(peer.connect(), json!([event, refused]));
    assert_eq!(peer.connect(), json!([unknown()]));
}

#[test]
fn c39_a_silent_session_expires() {
    let world = World::new();
    let client = world.client();
    let id = client.handshake();
    let peer = Peer { client, id };
    world.pass(1_999);
    assert!(world.find_session(&peer).is_some());
    world.pass(1);
    assert!(world.find_session(&peer).is_none());
    assert_eq!(peer.connect(), json!([unknown()]));
}

/// What a connect is told that is not held because its browser has one held already.
fn surplus() -> Value {
    let mut reply = connected();
    reply["advice"] = json!({
        "reconnect": "retry", "interval": 2000, "timeout": 1500, "multiple-clients": true,
    });
    reply
}

#[test]
fn c40_the_second_session_of_a_browser_polls_until_it_may_be_held() {
    let world = World::new();
    let a = world.open();
    let held = a.hold();
    let client = a.client.tab();
    let id = client.handshake();
    let b = Peer { client, id };
    assert_eq!(b.connect(), json!([surplus()]));
    assert_eq!(
        b.connect(),
        json!([{
            "id": "c", "channel": "/meta/connect", "successful": true,
            "advice": { "reconnect": "retry", "interval": 2000, "multiple-clients": true },
        }])
    );
    assert_eq!(held.wait().json(), json!([connected()]));
    // Clients keep the last interval that they were told, so they are told when it is over.
    let answer = b.hold().wait().json();
    let mut expected = connected();
    expected["advice"] = advice();
    assert_eq!(answer, json!([expected]));
    assert_eq!(b.connect(), json!([connected()]));
}

#[test]
fn c41_surplus_sessions_can_be_refused_and_holding_switched_off() {
    let world = World::with(|config| config.multi_session_interval = ms(0));
    let a = world.open();
    let b = world.open_tab(&a);
    let mut held = a.hold();
    assert_eq!(
        b.connect(),
        json!([{
            "id": "c", "channel": "/meta/connect", "successful": false,
            "advice": { "reconnect": "none", "multiple-clients": true },
        }])
    );
    assert!(held.is_held());

    let world = World::with(|config| config.max_sessions_per_browser = Some(0));
    let client = world.client();
    let id = client.handshake();
    let peer = Peer { client, id };
    let connect = json!({ "id": "c", "channel": "/meta/connect", "advice": { "timeout": 0 } });
    assert_eq!(peer.ask(connect), json!([surplus()]));
}

#[test]
fn c46_an_event_survives_a_broken_connect() {
    let world = World::new();
    let peer = world.open();
    peer.hold().lose();
    world.session(&peer).deliver("/q", "kept").unwrap();
    assert_eq!(peer.connect(), json!([{ "channel": "/q", "data": "kept" }, connected()]));

    // So does one that was in the response when the connection broke.
    let held = peer.hold();
    world.session(&peer).deliver("/q", "kept again").unwrap();
    held.lose();
    assert_eq!(peer.connect(), json!([{ "channel": "/q", "data": "kept again" }, connected()]));
}

#[test]
fn c58_an_interval_of_the_wrong_type_is_refused_and_no_session_is_immortal() {
    let world = World::new();
    let peer = world.open();
    for advice in [json!({ "timeout": 0, "interval": "5" }), json!({ "timeout": [] }), json!("x")] {
        assert_eq!(
            peer.ask(json!({ "id": "2", "channel": "/meta/connect", "advice": advice })),
            json!([{
                "id": "2", "channel": "/meta/connect", "successful": false,
                "error": "400::message_invalid",
            }])
        );
    }
    world.pass(2_000);
    assert!(world.find_session(&peer).is_none());

    // A very long one is clamped.
    let peer = world.open();
    let wish = json!({ "timeout": 0, "interval": 1_000_000_000_000_u64 });
    let answer = peer.ask(json!({ "channel": "/meta/connect", "advice": wish }));
    assert_eq!(answer[0]["advice"]["interval"], 300_000);
    world.pass(300_000 + 2_000);
    assert!(world.find_session(&peer).is_none());
}
