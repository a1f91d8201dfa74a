//! C49 to C51 and C56: cookies, methods, types and pipelining.

use bayeux_core::{Config, Transport};
use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde_json::json;

use crate::support::{World, connected, unknown};

#[test]
fn c49_cookie_values_that_are_names_of_something_else_are_no_cookies() {
    let world = World::new();
    for value in ["constructor", "__proto__", "toString", "", "\"\"", "="] {
        let peer = world.open();
        let cookie = format!("BAYEUX_BROWSER={value}");
        peer.client.set_cookie(Some(&cookie));
        assert_eq!(peer.connect(), json!([unknown()]), "{value}");
        let answer = peer.client.send(&json!([{ "id": "1", "channel": "/meta/handshake" }]));
        assert_eq!(answer.messages()[0]["successful"], true, "{value}");
        assert!(answer.header("set-cookie").is_some(), "{value}");
    }
}

#[test]
fn c50_other_methods_are_405_and_options_is_204() {
    let world = World::new();
    let client = world.client();
    for (method, status) in [
        (Method::GET, 405),
        (Method::PUT, 405),
        (Method::OPTIONS, 204),
        (Method::DELETE, 405),
        (Method::HEAD, 405),
        (Method::PATCH, 405),
    ] {
        let mut request = client.request("");
        *request.method_mut() = method.clone();
        let answer = client.start(request).wait();
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(answer.header("allow"), Some("POST, OPTIONS"), "{method}");
    }
}

#[test]
fn c51_jsonp_upgrades_forms_and_plain_text() {
    let polling = |config: &mut Config| config.allowed_transports = vec![Transport::LongPolling];
    let world = World::with(polling);
    let client = world.client();
    // JSONP and WebSocket are not on offer.
    let mut jsonp = client.request("");
    *jsonp.method_mut() = Method::GET;
    *jsonp.uri_mut() = "/?jsonp=cb&message=%5B%5D".parse().unwrap();
    assert_eq!(client.start(jsonp).wait().status, 405);
    let mut upgrade = client.request("");
    *upgrade.method_mut() = Method::GET;
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        upgrade.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    assert_eq!(client.start(upgrade.clone()).wait().status, 405);

    let typed = |kind: &'static str, body: &'static str| {
        let mut request = client.request(Bytes::from_static(body.as_bytes()));
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        client.start(request).wait()
    };
    let form = "message=%5B%7B%22id%22%3A%221%22%2C%22channel%22%3A%22%2Fmeta%2Fhandshake%22%7D%5D";
    let answer = typed("application/x-www-form-urlencoded", form);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.messages()[0]["successful"], true);
    assert!(answer.header("set-cookie").is_some());
    let answer = typed("text/plain", r#"[{"id":"1","channel":"/meta/handshake"}]"#);
    assert_eq!(answer.status, 415);
    assert_eq!(answer.text(), "Content-Type must be application/json");

    // Where JSONP is on offer, an upgrade is a GET without its parameters.
    let world = World::with(|config| {
        polling(config);
        config.allowed_transports.push(Transport::CallbackPolling);
    });
    assert_eq!(world.client().start(upgrade.clone()).wait().status, 400);

    // Where WebSocket is on offer, this is one without a version.
    assert_eq!(World::new().client().start(upgrade).wait().status, 426);
}

#[test]
fn c56_a_publish_behind_a_held_connect_is_answered() {
    let world = World::new();
    let peer = world.open();
    let held = peer.hold();
    let publish = peer.start(json!({ "id": "4", "channel": "/pp", "data": 1 }));
    // A connection that pipelines takes the answers in order: the connect's comes first.
    assert_eq!(held.wait().json(), json!([connected()]));
    assert_eq!(publish.wait().json(), json!([{ "id": "4", "channel": "/pp", "successful": true }]));
}
