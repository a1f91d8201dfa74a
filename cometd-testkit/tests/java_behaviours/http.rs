//! 8.10, HTTP, and 8.12, the policy as an application uses it.

use std::sync::Arc;

use bayeux_core::Verdict;
use bayeux_core::front::{Bayeux, HandshakeRequest, Incoming, PeerAddr, Policy, PublishRequest};
use bayeux_core::http::HttpConfig;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::helpers::Log;
use crate::support::{Peer, World};

#[test]
fn b177_b178_what_is_no_payload_and_what_is_no_post() {
    let world = World::new();
    for body in [r#"[{"channel":"/meta/handshake"}"#, r#"[{"channel":"/meta/hands"#, "[]", ""] {
        assert_eq!(world.client().post_text(body).wait().status, 400, "{body}");
    }
    for (method, status) in [("GET", 405), ("FOO", 405), ("OPTIONS", 204)] {
        let client = world.client();
        let mut request = client.request(r#"[{"channel":"/meta/handshake"}]"#);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = client.start(request).wait();
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (status, Some("POST, OPTIONS"))
        );
    }
    assert_eq!(world.bayeux.stats().sessions, 0);
}

#[test]
fn b178_limits_of_a_payload() {
    let world = World::with(|config| {
        config.limits.payload_messages = 2;
        config.limits.json_depth = 4;
    });
    let message = r#"{"channel":"/x"}"#;
    for (body, status, what) in [
        (format!("[{message},{message}]"), 200, None),
        (
            format!("[{message},{message},{message}]"),
            400,
            Some("the payload has too many messages"),
        ),
        (r#"[{"data":[[1]]}]"#.to_string(), 200, None),
        (r#"[{"data":[[[1]]]}]"#.to_string(), 400, Some("the payload is nested too deeply")),
        (r#"[{"data":"[[[[[["}]"#.to_string(), 200, None),
    ] {
        let answer = world.client().post_text(body.clone()).wait();
        assert_eq!(answer.status, status, "{body}");
        if let Some(what) = what {
            assert_eq!(answer.text(), what);
        }
    }
}

#[test]
fn b180_paths_and_queries_do_not_matter() {
    let world = World::new();
    for path in ["/", "/cometd/handshake", "/cometd/connect", "/cometd/x.y?a=b&message=z"] {
        let client = world.client();
        let mut request = client.request(r#"[{"channel":"/meta/handshake"}]"#);
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(client.start(request).wait().messages()[0]["successful"], true, "{path}");
    }
}

#[test]
fn b183_a_page_of_a_listed_origin() {
    let mut http = HttpConfig::default();
    http.allowed_origins = vec!["https://app.example".into()];
    let world = World::build(Bayeux::builder().http(http), |_| ());
    let client = world.client();
    for (origin, granted) in [("https://app.example", true), ("https://evil.example", false)] {
        let mut preflight = client.request("");
        *preflight.method_mut() = Method::OPTIONS;
        let headers = preflight.headers_mut();
        headers.insert("origin", HeaderValue::from_static(origin));
        headers.insert("access-control-request-method", HeaderValue::from_static("POST"));
        let answer = client.start(preflight).wait();
        assert_eq!(answer.status, 204);
        let allowed = answer.header("access-control-allow-methods");
        assert_eq!(allowed, granted.then_some("GET, POST, OPTIONS"));

        let mut handshake = client.request(r#"[{"channel":"/meta/handshake"}]"#);
        handshake.headers_mut().insert("origin", HeaderValue::from_static(origin));
        let answer = client.start(handshake).wait();
        assert_eq!(answer.status, 200);
        let readable = answer.header("access-control-allow-origin");
        assert_eq!(readable, granted.then_some(origin));
        let credentials = answer.header("access-control-allow-credentials");
        assert_eq!(credentials, granted.then_some("true"));
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
}

#[test]
fn b183_what_a_page_can_send_without_asking_is_taken_from_listed_origins_only() {
    let mut http = HttpConfig::default();
    http.allowed_origins = vec!["https://app.example".into()];
    let world = World::build(Bayeux::builder().http(http), |_| ());
    let client = world.client();
    let form = "message=%5B%7B%22channel%22%3A%22%2Fmeta%2Fhandshake%22%7D%5D";
    let json = r#"[{"channel":"/meta/handshake"}]"#;
    for (kind, body, from_listed, from_foreign) in [
        (Some("application/x-www-form-urlencoded"), form, 200, 403),
        (Some("text/plain"), form, 200, 415),
        (None, json, 200, 403),
        (Some("application/json"), json, 200, 200),
    ] {
        for (origin, status) in
            [("https://app.example", from_listed), ("https://evil.example", from_foreign)]
        {
            let mut request = client.request(body);
            let headers = request.headers_mut();
            headers.remove("content-type");
            if let Some(kind) = kind {
                headers.insert("content-type", HeaderValue::from_static(kind));
            }
            headers.insert("origin", HeaderValue::from_static(origin));
            headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
            assert_eq!(client.start(request).wait().status, status, "{kind:?} {origin}");
        }
    }
}

#[test]
fn b184_the_context_of_a_message() {
    let world = World::new();
    let log = Log::default();
    let to = log.clone();
    world.channel("/service/x").on_message(move |incoming: Incoming| {
        let context = incoming.context().expect("the request is there");
        to.push((
            context.header("x-custom").map(str::to_owned),
            context.peer().map(|it| it.to_string()),
            context.uri().path().to_string(),
            context.method().clone(),
            context.transport().name(),
        ));
        async {}
    });
    let peer = world.open();
    let message = json!([{ "channel": "/service/x", "clientId": peer.id, "data": 1 }]);
    let mut request = peer.client.request(message.to_string());
    *request.uri_mut() = "/cometd/".parse().unwrap();
    request.headers_mut().insert("x-custom", HeaderValue::from_static("yes"));
    request.extensions_mut().insert(PeerAddr("192.0.2.1:4711".parse().unwrap()));
    assert_eq!(peer.client.start(request).wait().messages()[0]["successful"], true);
    let expected = (
        Some("yes".to_string()),
        Some("192.0.2.1:4711".to_string()),
        "/cometd/".to_string(),
        Method::POST,
        "long-polling",
    );
    assert_eq!(log.take(), [expected]);
}

/// Remembers who a session belongs to, and lets only its owner publish on a user's channel.
struct Accounts;

impl Policy for Accounts {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        let ext: Value = request.ext().unwrap_or_default();
        let (user, password) = (&ext["user"], &ext["password"]);
        if let (Some(user), Some("secret")) = (user.as_str(), password.as_str()) {
            request.session.set_attribute("user", user.to_string());
            return Verdict::Allow;
        }
        Verdict::deny()
    }

    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        let user: Option<Arc<String>> = request.session.attribute("user");
        let own = user.is_some_and(|user| request.message.channel().as_str() == format!("/{user}"));
        Verdict::from(own)
    }
}

#[test]
fn b205_authentication_from_end_to_end() {
    let world = World::build(Bayeux::builder().policy(Accounts), |_| ());
    let handshake = |ext: Value| {
        let client = world.client();
        let message = json!([{ "channel": "/meta/handshake", "ext": ext }]);
        let id = client.send(&message).messages()[0]["clientId"].as_str().map(str::to_owned);
        id.map(|id| Peer { client, id })
    };
    assert!(handshake(json!({})).is_none());
    assert!(handshake(json!({ "user": "ann", "password": "guess" })).is_none());
    let ann = handshake(json!({ "user": "ann", "password": "secret" })).expect("she may come in");
    let publish = |channel: &str| json!({ "channel": channel, "data": 1 });
    assert_eq!(ann.ask(publish("/ann"))[0]["successful"], true);
    assert_eq!(ann.ask(publish("/bob"))[0]["error"], "403::publish_denied");
    assert_eq!(
        world.session(&ann).attribute::<String>("user").as_deref(),
        Some(&"ann".to_string())
    );
}

#[test]
fn b205_a_policy_that_never_answers_denies() {
    struct Silent;
    impl Policy for Silent {
        async fn can_handshake(&self, _: HandshakeRequest) -> Verdict {
            std::future::pending().await
        }
    }
    let world = World::build(Bayeux::builder().policy(Silent), |_| ());
    let before = world.sim.now();
    let answer = world.client().send(&json!([{ "channel": "/meta/handshake" }]));
    assert_eq!(answer.messages()[0]["error"], "403::handshake_denied");
    assert_eq!(world.sim.now().since(before), crate::support::ms(30_000));
    assert_eq!(world.bayeux.stats().expired_questions, 1);
}
