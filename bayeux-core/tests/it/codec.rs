//! Bytes in, bytes out.

use bayeux_core::{Config, DecodeError, Decoder, RequestKind};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::bench::Bench;

fn decode(text: &str) -> Result<Vec<bayeux_core::Request>, DecodeError> {
    Decoder::new(&Config::default()).decode(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn what_is_no_payload() {
    let deep = format!("[{{\"data\":{}1{}}}]", "[".repeat(70), "]".repeat(70));
    let many = format!("[{}]", vec!["{}"; 1_001].join(","));
    let table = [
        ("", DecodeError::NotMessages),
        ("a", DecodeError::NotMessages),
        ("[", DecodeError::NotMessages),
        ("[{}] trailing", DecodeError::NotMessages),
        ("[{},]", DecodeError::NotMessages),
        ("null", DecodeError::NotMessages),
        ("\"text\"", DecodeError::NotMessages),
        ("[null]", DecodeError::NotMessages),
        ("[[]]", DecodeError::NotMessages),
        ("[]", DecodeError::Empty),
        (deep.as_str(), DecodeError::TooDeep),
        (many.as_str(), DecodeError::TooManyMessages),
    ];
    for (text, error) in table {
        assert_eq!(decode(text).unwrap_err(), error, "{text:.40}");
    }
    let bytes = Bytes::from_static(b"[{\"data\":\"\xff\"}]");
    assert_eq!(Decoder::new(&Config::default()).decode(&bytes).unwrap_err(), DecodeError::NotUtf8);
}

#[test]
fn brackets_inside_strings_are_not_nesting() {
    let text = format!(r#"[{{"channel":"/a","data":"{}\""}}]"#, "[".repeat(500));
    assert!(decode(&text).is_ok());
}

#[test]
fn a_lone_message_counts_as_a_payload_of_one() {
    let requests = decode(r#" {"channel":"/meta/handshake"} "#).unwrap();
    assert!(matches!(requests[0].kind, RequestKind::Handshake { .. }));
}

#[test]
fn the_last_of_two_members_counts() {
    let requests = decode(r#"[{"channel":"/a","channel":"/meta/disconnect"}]"#).unwrap();
    assert!(matches!(requests[0].kind, RequestKind::Disconnect));
}

#[test]
fn the_messages_of_several_texts_share_one_limit() {
    let mut config = Config::default();
    config.limits.payload_messages = 3;
    let decoder = Decoder::new(&config);
    let two = Bytes::from_static(b"[{},{}]");
    assert_eq!(decoder.decode_texts(std::slice::from_ref(&two)).unwrap().len(), 2);
    let error = decoder.decode_texts(&[two.clone(), two]).unwrap_err();
    assert_eq!(error, DecodeError::TooManyMessages);
    let lone = Bytes::from_static(b"{}");
    for (count, fits) in [(3, true), (4, false), (3_000, false)] {
        assert_eq!(decoder.decode_texts(&vec![lone.clone(); count]).is_ok(), fits, "{count}");
    }
}

/// What is wrong with a message is answered; the messages around it go on.
#[test]
fn wrong_members_get_their_error() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let id = &visitor.id;
    let table: &[(Value, &str)] = &[
        (json!({ "clientId": id }), "400::channel_missing"),
        (json!({ "clientId": id, "channel": null }), "400::channel_missing"),
        (json!({ "clientId": id, "channel": "" }), "400::channel_missing"),
        (json!({ "clientId": id, "channel": 5 }), "400::message_invalid"),
        (json!({ "clientId": 5, "channel": "/a" }), "400::message_invalid"),
        (json!({ "clientId": id, "channel": "/a", "ext": [] }), "400::message_invalid"),
        (json!({ "clientId": id, "channel": "a" }), "405::channel_invalid"),
        (json!({ "clientId": id, "channel": "constructor" }), "405::channel_invalid"),
        (json!({ "clientId": id, "channel": "/" }), "405::channel_invalid"),
        (json!({ "clientId": id, "channel": "/a//b" }), "405::channel_invalid"),
        (json!({ "clientId": id, "channel": "/a/*" }), "405::channel_invalid"),
        (json!({ "clientId": id, "channel": "/é" }), "405::channel_invalid"),
        (
            json!({ "clientId": id, "channel": format!("/{}", "a".repeat(512)) }),
            "405::channel_invalid",
        ),
        (json!({ "clientId": id, "channel": "/a".repeat(33) }), "405::channel_invalid"),
        (json!({ "clientId": id, "channel": "/meta/other" }), "404::meta_channel_unknown"),
        (json!({ "clientId": id, "channel": "/meta/subscribe/x" }), "404::meta_channel_unknown"),
        (json!({ "clientId": id, "channel": "/a", "id": "<script>" }), "405::message_id_invalid"),
        (json!({ "clientId": id, "channel": "/a", "id": { "o": 1 } }), "405::message_id_invalid"),
        (
            json!({ "clientId": id, "channel": "/a", "id": "a".repeat(65) }),
            "405::message_id_invalid",
        ),
        (json!({ "clientId": "nobody", "channel": "/a" }), "402::session_unknown"),
        (json!({ "channel": "/a" }), "402::session_unknown"),
        (json!({ "clientId": id, "channel": "/meta/subscribe" }), "403::subscription_missing"),
        (
            json!({ "clientId": id, "channel": "/meta/unsubscribe", "subscription": null }),
            "403::subscription_missing",
        ),
        (
            json!({ "clientId": id, "channel": "/meta/subscribe", "subscription": "" }),
            "403::subscription_missing",
        ),
        (
            json!({ "clientId": id, "channel": "/meta/subscribe", "subscription": 5 }),
            "403::subscription_invalid",
        ),
        (
            json!({ "clientId": id, "channel": "/meta/subscribe", "subscription": ["/a", 5] }),
            "403::subscription_invalid",
        ),
        (
            json!({ "clientId": id, "channel": "/meta/subscribe", "subscription": "no" }),
            "403::subscription_invalid",
        ),
        (
            json!({ "clientId": id, "channel": "/meta/subscribe", "subscription": "/meta/**" }),
            "403::subscribe_denied",
        ),
        (
            json!({ "clientId": id, "channel": "/meta/connect", "advice": [] }),
            "400::message_invalid",
        ),
        (
            json!({ "clientId": id, "channel": "/meta/connect", "advice": { "interval": "5" } }),
            "400::message_invalid",
        ),
        (
            json!({ "clientId": id, "channel": "/meta/connect", "connectionType": 5 }),
            "400::message_invalid",
        ),
    ];
    for (message, error) in table {
        let good = json!({ "clientId": id, "channel": "/good", "id": "g", "data": 1 });
        let reply = bench.send(&visitor, &json!([good, message, good]));
        assert_eq!(reply.len(), 3, "{message}");
        assert_eq!(reply[1]["error"], *error, "{message}");
        assert_eq!(reply[1]["successful"], false);
        for neighbour in [0, 2] {
            assert_eq!(reply[neighbour]["successful"], true, "{message}");
        }
    }
    let channels: Vec<_> = bench.server.channels().map(|it| it.pattern().to_string()).collect();
    assert_eq!(channels, ["/good"], "nothing wrong has left a trace");
}

#[test]
fn a_first_message_that_is_nobodys_does_not_spoil_the_others() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    let good = json!({ "clientId": visitor.id, "channel": "/a", "data": 1 });
    for first in [json!({ "channel": "/a" }), json!({ "channel": "/a", "clientId": 1 })] {
        let reply = bench.send(&visitor, &json!([first, good]));
        assert_eq!(reply[0]["successful"], false);
        assert_eq!(reply[1]["successful"], true);
    }
}

#[test]
fn ids_come_back_as_they_came() {
    let mut bench = Bench::new();
    let visitor = bench.visitor();
    for id in [json!("7a"), json!(42), json!(-1), json!(1.5), json!("a".repeat(64))] {
        let message = json!({ "clientId": visitor.id, "channel": "/a", "id": id, "data": 1 });
        assert_eq!(bench.send(&visitor, &json!([message]))[0]["id"], id);
    }
    let without = json!({ "clientId": visitor.id, "channel": "/a", "id": null, "data": 1 });
    assert_eq!(bench.send(&visitor, &json!([without]))[0].get("id"), None);
}

#[test]
fn data_and_ext_come_out_as_they_went_in() {
    let mut bench = Bench::new();
    let visitor = bench.subscriber("/a");
    for raw in ["1.0", "1e400", "12345678901234567890", r#"{"b":1,"a":"\u00e9\/"}"#, "null"] {
        let text = format!(
            r#"[{{"clientId":"{}","channel":"/a","secret":1,"data":{raw},"ext":{{"x":{raw}}}}}]"#,
            visitor.id
        );
        let requests = decode(&text).unwrap();
        let RequestKind::Publish { message, .. } = &requests[0].kind else { panic!("a publish") };
        let expected = format!(r#"{{"channel":"/a","data":{raw},"ext":{{"x":{raw}}}}}"#);
        assert_eq!(std::str::from_utf8(message.as_bytes()).unwrap(), expected);
    }
    let _ = bench.send(&visitor, &crate::bench::publish(&visitor, "/a", json!(0)));
}

#[test]
fn versions_and_connection_types_are_negotiated() {
    let mut bench = Bench::new();
    let mut handshake = |members: Value| {
        let mut message = json!({ "channel": "/meta/handshake" });
        message.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let link = bench.post(None, &json!([message]));
        bench.take(link)[0].clone()
    };
    for fine in [
        json!({}),
        json!({ "version": "1.0", "minimumVersion": "1.0" }),
        json!({ "version": "77.0", "minimumVersion": "0.9" }),
        json!({ "minimumVersion": "1.0beta" }),
        json!({ "supportedConnectionTypes": ["flash", "long-polling"] }),
    ] {
        assert_eq!(handshake(fine.clone())["successful"], true, "{fine}");
    }
    for (wrong, error) in [
        (json!({ "minimumVersion": "1.1" }), "300::version_unsupported"),
        (json!({ "minimumVersion": "2" }), "300::version_unsupported"),
        (json!({ "version": 1 }), "400::message_invalid"),
        (json!({ "supportedConnectionTypes": ["flash"] }), "301::connection_types_unsupported"),
        (json!({ "supportedConnectionTypes": [] }), "301::connection_types_unsupported"),
        (json!({ "supportedConnectionTypes": "long-polling" }), "400::message_invalid"),
    ] {
        let reply = handshake(wrong.clone());
        assert_eq!(reply["error"], error, "{wrong}");
        if !error.starts_with("400") {
            assert_eq!(reply["advice"], json!({ "reconnect": "none" }));
            assert_eq!(reply["supportedConnectionTypes"], json!(["websocket", "long-polling"]));
        }
    }
}
