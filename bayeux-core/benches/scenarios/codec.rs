//! Texts to requests, and parcels to texts.

use std::hint::black_box;

use bayeux_core::{Config, Decoder, Encoding, Events, Parcel, Transport, WallTime, encode};

use super::Scenario;
use super::publish::message;
use super::rig::{Rig, connect};

const CLIENT: &str = "000000000000000000010000000000000002";

/// A connect as the usual client writes it.
pub(crate) fn decode_connect() -> Scenario {
    let text = format!(
        r#"[{{"id":"17","channel":"/meta/connect","connectionType":"long-polling","clientId":"{CLIENT}"}}]"#
    );
    decode(1, text)
}

/// A publish of 128 bytes.
pub(crate) fn decode_publish() -> Scenario {
    decode(1, format!("[{}]", publish_text()))
}

/// Ten of them in one payload.
pub(crate) fn decode_batch() -> Scenario {
    decode(10, format!("[{}]", vec![publish_text(); 10].join(",")))
}

fn publish_text() -> String {
    let data = "x".repeat(126);
    format!(r#"{{"id":"18","channel":"/chat/room","clientId":"{CLIENT}","data":"{data}"}}"#)
}

fn decode(messages: usize, text: String) -> Scenario {
    let (decoder, text) = (Decoder::new(&Config::default()), text.into());
    let decoded = decoder.decode(&text).expect("a payload");
    assert_eq!(decoded.len(), messages);
    Scenario::new(messages, move || drop(black_box(decoder.decode(black_box(&text)))))
}

/// Events that leave together.
pub(crate) fn encode_events(count: usize) -> Scenario {
    let mut parcel = Parcel::default();
    parcel.events = std::iter::repeat_n(message("/chat/room"), count).collect::<Events>();
    encode_parcel(count, parcel)
}

/// The reply to a connect.
pub(crate) fn encode_reply() -> Scenario {
    let mut rig = Rig::new();
    let mut client = rig.handshake(Transport::LongPolling);
    for _ in 0..2 {
        let payload = connect(&client);
        rig.send(&mut client, payload);
        rig.settle();
    }
    // The second one is held until its time is over.
    drop(rig.answer());
    rig.ring_out(&client);
    encode_parcel(1, rig.answer())
}

fn encode_parcel(messages: usize, parcel: Parcel) -> Scenario {
    let mut out = Vec::new();
    Scenario::new(messages, move || {
        out.clear();
        let with = Encoding { offered: &[], wall: WallTime::from_millis(0) };
        encode(black_box(&parcel), with, &mut out);
        black_box(&out);
    })
}
