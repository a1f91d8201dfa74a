//! 8.9, callback-polling (JSONP).

use bayeux_core::Transport;
use bayeux_core::front::Bayeux;
use bayeux_core::http::HttpConfig;
use cometd_testkit::wire::{Answer, Client};
use http::Method;
use serde_json::{Value, json};

use crate::support::{World, connected};

fn world() -> World {
    World::with(|config| config.allowed_transports.push(Transport::CallbackPolling))
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// Gets `query`, with the client's cookie.
fn get(client: &Client, query: &str) -> Answer {
    let mut request = client.request("");
    *request.method_mut() = Method::GET;
    request.headers_mut().remove("content-type");
    *request.uri_mut() = format!("/cometd?{query}").parse().expect("a URI");
    let answer = client.start(request).wait();
    client.keep_cookie(&answer);
    answer
}

/// Asks as a page does; what its function is called with.
fn call(client: &Client, messages: &Value) -> Value {
    let query = format!("jsonp=cb&message={}", encode(&messages.to_string()));
    let answer = get(client, &query);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/javascript;charset=UTF-8"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=f.txt"));
    let json = answer.text().strip_prefix("/**/cb(").and_then(|text| text.strip_suffix(')'));
    serde_json::from_str(json.expect("a call")).expect("JSON")
}

#[test]
fn b172_b173_callbacks_are_short_and_plain() {
    let world = world();
    let longest = "x".repeat(64);
    let message = encode(r#"[{"channel":"/meta/handshake"}]"#);
    for (callback, status) in [
        (&longest[..], 200),
        ("a-b_c.d", 200),
        (&"x".repeat(65), 400),
        ("", 400),
        ("a b", 400),
        ("a\r\nb", 400),
        ("a:b", 400),
        ("a(", 400),
    ] {
        let query = format!("jsonp={}&message={message}", encode(callback));
        assert_eq!(get(&world.client(), &query).status, status, "{callback:?}");
    }
    assert_eq!(get(&world.client(), &format!("message={message}")).status, 400);
    assert_eq!(get(&world.client(), "jsonp=cb").status, 400);
    assert_eq!(get(&world.client(), "jsonp=cb&message=%5B").status, 400);
}

#[test]
fn b174_b176_a_whole_conversation() {
    let world = world();
    let client = world.client();
    let reply = call(&client, &json!([{ "channel": "/meta/handshake" }]));
    assert_eq!(
        reply[0]["supportedConnectionTypes"],
        json!(["websocket", "long-polling", "callback-polling"])
    );
    let id = reply[0]["clientId"].as_str().expect("a session");
    let connect = json!([{ "id": "c", "channel": "/meta/connect", "clientId": id }]);
    assert_eq!(call(&client, &connect)[0]["successful"], true);
    let subscribe = |verb: &str| json!([{ "channel": format!("/meta/{verb}"), "clientId": id, "subscription": "/foo" }]);
    assert_eq!(call(&client, &subscribe("subscribe"))[0]["successful"], true);
    // Events never come with anything but a connect.
    let data = "\u{20ac} \u{2028} </script>";
    let publish = json!([{ "channel": "/foo", "clientId": id, "data": data }]);
    assert_eq!(call(&client, &publish), json!([{ "channel": "/foo", "successful": true }]));
    assert_eq!(call(&client, &connect), json!([{ "channel": "/foo", "data": data }, connected()]));
    assert_eq!(call(&client, &connect), json!([connected()]), "held until the timeout");
    assert_eq!(call(&client, &subscribe("unsubscribe"))[0]["successful"], true);
    let disconnect = json!([{ "channel": "/meta/disconnect", "clientId": id }]);
    assert_eq!(call(&client, &disconnect)[0]["successful"], true);
    assert_eq!(world.bayeux.stats().sessions, 0);
}

#[test]
fn b174_polling_and_jsonp_share_sessions() {
    let world = world();
    let peer = world.open();
    peer.subscribe("/foo");
    let connect = json!([{ "id": "c", "channel": "/meta/connect", "clientId": peer.id }]);
    let reply = call(&peer.client, &connect);
    assert_eq!(reply[0]["successful"], true);
    assert_eq!(reply[0]["advice"]["reconnect"], "retry", "another transport, advice again");
}

#[test]
fn b175_a_query_that_is_too_long_is_414() {
    let mut http = HttpConfig::default();
    http.max_message_size = 100;
    let world = World::build(Bayeux::builder().http(http), |config| {
        config.allowed_transports.push(Transport::CallbackPolling);
    });
    let message = encode(r#"[{"channel":"/meta/handshake"}]"#);
    let query = format!("jsonp=cb&message={message}");
    assert!(query.len() < 100, "{}", query.len());
    assert_eq!(get(&world.client(), &query).status, 200);
    let query = format!("{query}&x={}", "y".repeat(100));
    assert_eq!(get(&world.client(), &query).status, 414);
}
