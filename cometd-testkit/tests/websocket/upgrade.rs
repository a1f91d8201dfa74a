//! Getting there.

use bayeux_core::front::{Bayeux, HandshakeRequest, Incoming, Policy};
use bayeux_core::http::HttpConfig;
use bayeux_core::{Transport, Verdict};
use cometd_testkit::wire::{Client, publish};
use http::Request;
use serde_json::json;

use crate::support::World;

#[test]
fn websocket_is_offered_first() {
    let world = World::new();
    let socket = world.client().socket();
    let reply = socket.ask(&json!([{ "channel": "/meta/handshake" }]));
    assert_eq!(reply[0]["supportedConnectionTypes"], json!(["websocket", "long-polling"]));
    assert_eq!(reply[0]["advice"]["timeout"], 1500);
    assert!(reply[0].get("x-messages").is_none());
}

#[test]
fn where_it_is_not_on_offer_there_is_no_upgrade() {
    let world = World::with(|config| config.allowed_transports = vec![Transport::LongPolling]);
    let answer = world.client().open_socket(Request::default()).unwrap_err();
    assert_eq!(answer.status, 405);
}

#[test]
fn a_foreign_page_gets_none_and_a_listed_one_does() {
    let mut http = HttpConfig::default();
    http.allowed_origins = vec!["https://app.example".to_owned()];
    let world = World::build(Bayeux::builder().http(http), |_| ());
    let ask = |origin: &str| {
        let request = Request::builder().header("origin", origin).body(()).unwrap();
        world.client().open_socket(request).map(drop).map_err(|answer| answer.status.as_u16())
    };
    assert_eq!(ask("https://evil.example"), Err(403));
    assert_eq!(ask("https://app.example"), Ok(()));
    assert_eq!(ask("http://server.example"), Ok(()));
}

/// Lets in whoever has a cookie of the application.
struct SignedIn;

impl Policy for SignedIn {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        let context = request.context.expect("the request that was upgraded");
        let signed_in = context.header("cookie").is_some_and(|it| it.contains("login=ann"));
        if signed_in {
            request.session.set_attribute("name", "ann".to_owned());
        }
        Verdict::from(signed_in && context.transport() == Transport::WebSocket)
    }
}

#[test]
fn handlers_see_the_request_that_was_upgraded_for_as_long_as_the_socket_is_open() {
    let world = World::build(Bayeux::builder().policy(SignedIn), |_| ());
    world.channel("/service/me").on_message(|incoming: Incoming| async move {
        let context = incoming.context().expect("the request that was upgraded");
        let me = json!({
            "agent": context.header("user-agent"),
            "uri": context.uri().to_string(),
            "name": incoming.session().and_then(|it| it.attribute::<String>("name")).as_deref(),
        });
        incoming.reply(&me)
    });
    let open = |client: &Client| {
        let request = Request::builder().uri("/cometd?x=1").header("user-agent", "Tester");
        client.open_socket(request.body(()).unwrap()).unwrap()
    };
    let stranger = world.client();
    let socket = open(&stranger);
    let reply = socket.ask(&json!([{ "channel": "/meta/handshake" }]));
    assert_eq!(reply[0]["error"], "403::handshake_denied");

    let ann = world.client();
    ann.set_cookie(Some("login=ann"));
    let socket = open(&ann);
    let id = socket.open("/a");
    for _ in 0..2 {
        world.pass(1_000);
        socket.send(&json!([publish(&id, "/service/me", json!(null))]));
        let texts = socket.receive_all();
        let result = texts.iter().flatten().find(|it| it.get("data").is_some()).unwrap();
        assert_eq!(
            result["data"],
            json!({ "agent": "Tester", "uri": "/cometd?x=1", "name": "ann" })
        );
    }
}

#[test]
fn a_policys_attributes_of_a_denied_handshake_are_not_the_next_ones() {
    struct Second;
    impl Policy for Second {
        async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
            let ext = request.ext::<serde_json::Value>().unwrap_or_default();
            if ext["first"] == true {
                request.session.set_attribute("role", "admin".to_owned());
                return Verdict::deny();
            }
            Verdict::Allow
        }
    }
    let world = World::build(Bayeux::builder().policy(Second), |_| ());
    let socket = world.client().socket();
    socket.ask(&json!([{ "channel": "/meta/handshake", "ext": { "first": true } }]));
    let id = socket.handshake();
    let session = world.bayeux.session(bayeux_core::SessionId::parse(&id).unwrap()).unwrap();
    assert_eq!(session.attribute::<String>("role"), None);
}
