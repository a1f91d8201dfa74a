//! C1 to C5, C53 and C59: how sessions are made and refused.

use bayeux_core::front::{Bayeux, HandshakeRequest, Policy};
use bayeux_core::http::{HttpConfig, SameSite};
use bayeux_core::{Event, Verdict};
use cometd_testkit::wire::{Answer, Client};
use serde_json::{Value, json};

use crate::support::{Peer, World, advice, unknown};

/// The `clientId` of an accepted handshake, whose reply must have exactly the members it should.
fn accepted(answer: &Answer, id: Option<&str>) -> String {
    assert_eq!(answer.status, 200);
    let client = answer.messages()[0]["clientId"].as_str().expect("a session").to_string();
    assert!(client.len() == 36 && client.bytes().all(|byte| byte.is_ascii_hexdigit()), "{client}");
    let mut expected = json!({
        "channel": "/meta/handshake", "successful": true, "clientId": client,
        "version": "1.0", "minimumVersion": "1.0",
        "supportedConnectionTypes": ["websocket", "long-polling"], "advice": advice(),
    });
    if let Some(id) = id {
        expected["id"] = id.into();
    }
    assert_eq!(answer.json(), json!([expected]));
    client
}

fn shake(client: &Client, members: Value) -> Answer {
    let mut message = json!({ "channel": "/meta/handshake" });
    for (name, value) in members.as_object().expect("an object") {
        message[name] = value.clone();
    }
    client.send(&json!([message]))
}

#[test]
fn c01_handshake_is_accepted_with_a_cookie_and_three_members_of_advice() {
    let world = World::new();
    let client = world.client();
    let answer = shake(
        &client,
        json!({
            "id": "1", "version": "1.0", "minimumVersion": "1.0",
            "supportedConnectionTypes": ["websocket", "long-polling"],
            "advice": { "timeout": 60000, "interval": 0 },
        }),
    );
    accepted(&answer, Some("1"));
    assert_eq!(answer.header("content-type"), Some("application/json;charset=UTF-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let cookie = answer.header("set-cookie").expect("a cookie");
    let value = cookie.strip_prefix("BAYEUX_BROWSER=").expect("the cookie's name");
    let (value, attributes) = value.split_at(36);
    assert!(value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{cookie}");
    assert_eq!(attributes, "; Path=/; HttpOnly");
}

#[test]
fn c02_handshake_without_members_is_accepted_and_foreign_types_are_refused() {
    let world = World::new();
    accepted(&shake(&world.client(), json!({})), None);
    accepted(&shake(&world.client(), json!({ "id": "8", "version": "77.0" })), Some("8"));
    let nothing_in_common = shake(
        &world.client(),
        json!({ "id": "9", "version": "77.0", "supportedConnectionTypes": ["flash"] }),
    );
    assert_eq!(
        nothing_in_common.json(),
        json!([{
            "id": "9", "channel": "/meta/handshake", "successful": false,
            "error": "301::connection_types_unsupported",
            "supportedConnectionTypes": ["websocket", "long-polling"], "advice": { "reconnect": "none" },
        }])
    );
    assert_eq!(nothing_in_common.header("set-cookie"), None);
    let too_new = shake(&world.client(), json!({ "id": "10", "minimumVersion": "1.0.1" }));
    assert_eq!(
        too_new.json(),
        json!([{
            "id": "10", "channel": "/meta/handshake", "successful": false,
            "error": "300::version_unsupported",
            "supportedConnectionTypes": ["websocket", "long-polling"], "advice": { "reconnect": "none" },
        }])
    );
    for member in ["version", "minimumVersion", "supportedConnectionTypes"] {
        let answer = shake(&world.client(), json!({ member: 1.0 }));
        let error = "400::message_invalid";
        let reply = json!({ "channel": "/meta/handshake", "successful": false, "error": error });
        assert_eq!(answer.json(), json!([reply]), "{member}");
    }
    assert_eq!(world.bayeux.sessions().len(), 2);
}

#[test]
fn c03_an_invented_cookie_is_replaced() {
    let world = World::new();
    let well_formed = format!("BAYEUX_BROWSER={}", "0".repeat(36));
    for cookie in ["BAYEUX_BROWSER=invented", &well_formed] {
        let client = world.client();
        client.set_cookie(Some(cookie));
        let answer = shake(&client, json!({ "id": "1" }));
        let id = accepted(&answer, Some("1"));
        assert!(answer.header("set-cookie").is_some_and(|set| !set.starts_with(cookie)));
        assert_ne!(client.cookie().as_deref(), Some(cookie));
        let peer = Peer { client, id };
        assert_eq!(peer.connect()[0]["successful"], true);
        // The invented one opens nothing.
        peer.client.set_cookie(Some(cookie));
        assert_eq!(peer.connect(), json!([unknown()]));
    }
    // A cookie that this server issued stays.
    let peer = world.open();
    assert_eq!(shake(&peer.client, json!({})).header("set-cookie"), None);
}

struct Doorman;

impl Policy for Doorman {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        let ext: Value = request.ext().unwrap_or_default();
        assert!(ext["fail"].is_null(), "the policy's own failure");
        Verdict::from(ext["no"].is_null())
    }
}

#[test]
fn c04_denied_handshake_and_a_policy_that_fails() {
    let world = World::build(Bayeux::builder().policy(Doorman), |_| ());
    for ext in [json!({ "no": 1 }), json!({ "fail": 1 })] {
        let answer = shake(&world.client(), json!({ "id": "1", "ext": ext }));
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.json(),
            json!([{
                "id": "1", "channel": "/meta/handshake", "successful": false,
                "error": "403::handshake_denied",
                "supportedConnectionTypes": ["websocket", "long-polling"], "advice": { "reconnect": "none" },
            }])
        );
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert!(world.bayeux.sessions().is_empty());
    assert_eq!(world.sim.reports().len(), 1, "the failure alone: {:?}", world.sim.reports());
    accepted(&shake(&world.client(), json!({})), None);
}

#[test]
fn c05_handshake_with_another_message_is_400_and_makes_nothing() {
    let world = World::new();
    let answer = world.client().send(&json!([
        { "id": "1", "channel": "/meta/handshake" },
        { "id": "2", "channel": "/p1", "data": 1 },
    ]));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), "a /meta/handshake must be the only message of its payload");
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(world.bayeux.stats().sessions, 0);
}

#[test]
fn c53_all_cookie_attributes() {
    let mut http = HttpConfig::default();
    http.browser_cookie_name = "X".into();
    http.browser_cookie_domain = Some("example.test".into());
    http.browser_cookie_path = Some("/c".into());
    http.browser_cookie_max_age = Some(60);
    http.browser_cookie_secure = true;
    http.browser_cookie_same_site = Some(SameSite::None);
    http.browser_cookie_partitioned = true;
    let world = World::build(Bayeux::builder().http(http), |_| ());
    let client = world.client();
    let answer = shake(&client, json!({ "id": "1" }));
    let id = accepted(&answer, Some("1"));
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("X="), "{cookie}");
    assert_eq!(
        &cookie[2 + 36..],
        "; Domain=example.test; Path=/c; Max-Age=60; HttpOnly; Secure; SameSite=None; Partitioned"
    );
    let peer = Peer { client, id };
    assert_eq!(peer.connect()[0]["successful"], true, "the cookie is found under its name");
}

#[test]
fn c59_a_session_may_be_disconnected_as_soon_as_it_is_added() {
    let world = World::new();
    world.bayeux.on_event(|notice| async move {
        if let (Event::SessionAdded { .. }, Some(session)) = (&notice.event, &notice.session) {
            session.disconnect().expect("the session was just added");
        }
    });
    let client = world.client();
    let id = accepted(&shake(&client, json!({ "id": "1" })), Some("1"));
    assert!(world.bayeux.sessions().is_empty());
    let peer = Peer { client, id };
    assert_eq!(
        peer.connect(),
        json!([
            { "channel": "/meta/disconnect", "successful": true },
            {
                "id": "c", "channel": "/meta/connect", "successful": false,
                "error": "402::session_unknown", "advice": { "reconnect": "none" },
            },
        ])
    );
    assert!(world.sim.reports().is_empty());
}
