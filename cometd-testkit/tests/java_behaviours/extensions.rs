//! The built-in extensions on the wire: timesync, timestamp, advice with `maxInterval`.

use bayeux_core::front::{Error, Incoming};
use serde_json::{Value, json};

use crate::support::{World, connected};

/// What the simulation's wall clock says at time zero.
const EPOCH: i64 = 978_307_200_000;

fn connect(timesync: Value) -> Value {
    json!({ "id": "c", "channel": "/meta/connect", "ext": { "timesync": timesync } })
}

#[test]
fn b221_timesync_is_on_replies_to_those_who_ask() {
    let world = World::new();
    let peer = world.open();
    // Old clients tell neither lag nor offset, and get no accuracy.
    let answer = peer.ask(json!({
        "channel": "/meta/subscribe", "subscription": "/a", "ext": { "timesync": { "tc": 5.0 } },
    }));
    assert_eq!(answer[0]["ext"], json!({ "timesync": { "tc": 5.0, "ts": EPOCH, "p": 0 } }));
    // A client that begins.
    let answer = peer.ask(connect(json!({ "tc": EPOCH - 70, "l": 0, "o": 0 })));
    let timesync = json!({ "tc": EPOCH - 70, "ts": EPOCH, "p": 1_500, "a": -70 });
    assert_eq!(answer[0]["ext"], json!({ "timesync": timesync }));
    // One that knows the time well enough is not told again, and one that does not is.
    let now = EPOCH + 1_500;
    let well = json!({ "tc": now - 70, "l": 20, "o": 74 });
    assert_eq!(peer.ask(connect(well)), json!([connected()]));
    let now = now + 1_500;
    let badly = json!({ "tc": now - 70, "l": 20, "o": 75 });
    let timesync = json!({ "tc": now - 70, "ts": now, "p": 1_500, "a": 25 });
    assert_eq!(peer.ask(connect(badly))[0]["ext"], json!({ "timesync": timesync }));
    // A publish has none.
    let publish = json!({ "channel": "/a", "data": 1, "ext": { "timesync": { "tc": 5 } } });
    assert_eq!(peer.ask(publish)[1]["ext"], Value::Null);
}

#[test]
fn timesync_that_makes_no_sense_is_not_answered() {
    let world = World::new();
    let peer = world.open();
    for nonsense in [json!(null), json!(5), json!({ "l": 1 }), json!({ "tc": "5" }), json!([])] {
        assert_eq!(peer.ask(connect(nonsense)), json!([connected()]));
    }
}

#[test]
fn b221_timestamps_are_on_everything_for_those_who_ask() {
    let world = World::new();
    let client = world.client();
    let id = client.handshake_with(&json!({ "timestamp": true }));
    let peer = crate::support::Peer { client, id };
    let other = world.open();
    other.subscribe("/t");
    let stamp = json!("Mon Jan 01 00:00:00 UTC 2001");
    assert_eq!(peer.connect()[0]["timestamp"], stamp);
    let subscribe = json!({ "channel": "/meta/subscribe", "subscription": "/t" });
    assert_eq!(peer.ask(subscribe)[0]["timestamp"], stamp);
    world.pass(1_000);
    world.publish("/t", json!("x")).expect("nobody vetoes");
    let later = json!("Mon Jan 01 00:00:01 UTC 2001");
    let answer = peer.connect();
    let event = json!({ "timestamp": later, "channel": "/t", "data": "x" });
    assert_eq!((&answer[0], &answer[1]["timestamp"]), (&event, &later));
    assert_eq!(other.connect()[0], json!({ "channel": "/t", "data": "x" }));
    let answer = peer.ask(json!({ "channel": "/meta/disconnect" }));
    assert_eq!(answer[0]["timestamp"], later);
}

#[test]
fn a_held_connect_that_the_server_ends_has_a_timestamp_too() {
    let world = World::new();
    let client = world.client();
    let id = client.handshake_with(&json!({ "timestamp": true }));
    let peer = crate::support::Peer { client, id };
    peer.connect();
    let held = peer.hold();
    world.session(&peer).disconnect().expect("it is there");
    let answer = held.wait().messages();
    assert_eq!(answer.len(), 2);
    for message in answer {
        assert_eq!(message["timestamp"], "Mon Jan 01 00:00:00 UTC 2001", "{message}");
    }
}

#[test]
fn extensions_that_are_off_do_nothing() {
    let world = World::with(|config| {
        config.extensions.timesync = false;
        config.extensions.timestamp = false;
    });
    let client = world.client();
    let id = client.handshake_with(&json!({ "timestamp": true }));
    let peer = crate::support::Peer { client, id };
    let answer = peer.ask(connect(json!({ "tc": 1 })));
    assert_eq!((&answer[0]["ext"], &answer[0]["timestamp"]), (&Value::Null, &Value::Null));
}

#[test]
fn b029_advice_tells_the_max_interval_where_handshakes_are_to_be_foreseen() {
    let world = World::with(|config| config.handshake_reconnect = true);
    let client = world.client();
    let answer = client.send(&json!([{ "channel": "/meta/handshake" }])).messages();
    let advice =
        json!({ "reconnect": "retry", "interval": 0, "timeout": 1500, "maxInterval": 2000 });
    assert_eq!(answer[0]["advice"], advice);
    let id = answer[0]["clientId"].as_str().expect("a session").to_owned();
    let peer = crate::support::Peer { client, id };
    assert_eq!(peer.connect()[0]["advice"], advice);
}

#[test]
fn b222_binary_data_passes_between_clients_and_is_bytes_for_the_application() {
    let world = World::new();
    let (from, to) = (world.open(), world.open());
    to.subscribe("/files");
    world.channel("/files").on_message(|incoming: Incoming| async move {
        let binary = incoming.binary()?.ok_or(Error::SessionGone)?;
        assert_eq!(binary.bytes, [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b, 0xff]);
        assert_eq!((binary.last, binary.meta.is_some()), (false, true));
        Ok::<(), Error>(())
    });
    world.channel("/service/reverse").on_message(|incoming: Incoming| async move {
        let mut binary = incoming.binary()?.ok_or(Error::SessionGone)?;
        binary.bytes.reverse();
        incoming.reply_parts(binary.into_parts()?)
    });
    let ext = json!({ "binary": {} });
    let data = json!({ "data": "HelloWorld@@", "last": false, "meta": { "n": 1 } });
    from.ask(json!({ "channel": "/files", "data": data, "ext": ext }));
    let event = json!({ "channel": "/files", "data": data, "ext": ext });
    assert_eq!(to.connect()[0], event);
    let call = json!({ "data": "HelloWorld", "last": true });
    let call = json!({ "id": "7", "channel": "/service/reverse", "data": call, "ext": ext });
    let result = bayeux_core::z85::encode(&[0x5b, 0xf7, 0x59, 0xb5, 0x6f, 0xd2, 0x4f, 0x86]);
    let expected = json!({
        "id": "7", "channel": "/service/reverse", "successful": true,
        "data": { "data": result, "last": true }, "ext": ext,
    });
    assert_eq!(from.ask(call)[0], expected);
    assert!(world.sim.reports().is_empty(), "{:?}", world.sim.reports());
    // What is marked and is not binary is the sender's mistake, and reported.
    from.ask(json!({ "channel": "/service/reverse", "data": { "data": "\"" }, "ext": ext }));
    assert!(world.sim.reports()[0].contains("not binary"), "{:?}", world.sim.reports());
}
