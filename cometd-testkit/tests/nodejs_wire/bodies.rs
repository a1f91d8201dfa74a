//! C47, C48, C52 and C54: bodies that are no payload, and messages with something wrong in them.

use serde_json::json;

use crate::support::{World, connected};

#[test]
fn c47_what_is_no_payload_is_400_and_a_lone_object_is_a_message() {
    let world = World::new();
    let not_messages = "the payload is not a JSON array of Bayeux messages";
    let empty = "the payload has no messages";
    for (body, what) in [
        (&b"a"[..], not_messages),
        (b"", not_messages),
        (b"[]", empty),
        (b"null", not_messages),
        (b"\"abc\"", not_messages),
        (b"5", not_messages),
        (b"[null]", not_messages),
        (b"[5]", not_messages),
        (b"[[]]", not_messages),
        (b"[{}", not_messages),
        (b"[{}]x", not_messages),
        (b"[{\"channel\":\"/a\xff\"}]", "the payload is not UTF-8"),
    ] {
        let answer = world.client().post_text(body).wait();
        let text = String::from_utf8_lossy(body);
        assert_eq!((answer.status.as_u16(), answer.text()), (400, what), "{text}");
        assert_eq!(answer.header("content-type"), Some("text/plain;charset=UTF-8"));
    }
    for body in ["{}", r#"{"length":1,"0":{"channel":"/meta/handshake","id":"1"}}"#] {
        let answer = world.client().post_text(body).wait();
        let reply = json!([{ "successful": false, "error": "400::channel_missing" }]);
        assert_eq!((answer.status.as_u16(), answer.json()), (200, reply), "{body}");
    }
    assert_eq!(world.bayeux.stats().sessions, 0);
    let answer = world.client().post_text(r#"{"channel":"/meta/handshake","id":"1"}"#).wait();
    assert_eq!(answer.messages().len(), 1);
    assert_eq!(answer.messages()[0]["successful"], true);
}

#[test]
fn c48_invalid_names_and_types_are_answered_and_the_payload_goes_on() {
    let world = World::new();
    let peer = world.open();
    let mut held = peer.hold();
    let subscribe = |id: &str, subscription| json!({ "id": id, "channel": "/meta/subscribe", "subscription": subscription });
    assert_eq!(
        peer.ask_all([
            subscribe("3", json!("noslash")),
            subscribe("4", json!(5)),
            subscribe("5", json!(["/a", 5])),
            json!({ "id": "6", "channel": "noslash", "data": 1 }),
            json!({ "id": "7", "channel": "constructor", "data": 1 }),
            json!({ "id": "8", "channel": 8, "data": 1 }),
            json!({ "id": "9", "channel": "/x", "ext": "x" }),
            json!({ "id": "10", "channel": "/x", "clientId": 10 }),
            json!({ "id": "11", "channel": "/x", "data": 1 }),
        ]),
        json!([
            { "id": "3", "channel": "/meta/subscribe", "subscription": "noslash",
              "successful": false, "error": "403::subscription_invalid" },
            { "id": "4", "channel": "/meta/subscribe", "subscription": 5,
              "successful": false, "error": "403::subscription_invalid" },
            { "id": "5", "channel": "/meta/subscribe", "subscription": ["/a", 5],
              "successful": false, "error": "403::subscription_invalid" },
            { "id": "6", "channel": "noslash",
              "successful": false, "error": "405::channel_invalid" },
            { "id": "7", "channel": "constructor",
              "successful": false, "error": "405::channel_invalid" },
            { "id": "8", "channel": 8, "successful": false, "error": "400::message_invalid" },
            { "id": "9", "channel": "/x", "successful": false, "error": "400::message_invalid" },
            { "id": "10", "channel": "/x", "successful": false, "error": "400::message_invalid" },
            { "id": "11", "channel": "/x", "successful": true },
        ])
    );
    // Nothing is left behind that would keep events from the held connect.
    assert!(held.is_held());
    world.session(&peer).deliver("/late", "msg").unwrap();
    let answer = held.take().expect("it is answered at once");
    assert_eq!(answer.json(), json!([{ "channel": "/late", "data": "msg" }, connected()]));
}

#[test]
fn c52_every_exchange_is_answered_whoever_has_read_its_body() {
    let world = World::new();
    let peer = world.open();
    // A body is bytes here, never a tree that somebody else has parsed.
    assert_eq!(
        peer.ask(json!({ "id": "2", "channel": "/meta/subscribe", "subscription": "bad" })),
        json!([{
            "id": "2", "channel": "/meta/subscribe", "subscription": "bad",
            "successful": false, "error": "403::subscription_invalid",
        }])
    );
}

#[test]
fn c54_text_numbers_and_escapes_arrive_to_the_byte() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/utf");
    let data = r#"{"b":"5 €","a":"\u20ac\/","n":[1.0,1e400,12345678901234567890],"b":"twice"}"#;
    let id = &peer.id;
    let body = format!(r#"[{{"id":"3","channel":"/utf","clientId":"{id}","data":{data}}}]"#);
    let answer = peer.client.post_text(body).wait();
    assert_eq!(
        answer.text(),
        format!(
            r#"[{{"channel":"/utf","data":{data}}},{{"id":"3","channel":"/utf","successful":true}}]"#
        )
    );
}
