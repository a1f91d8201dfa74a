//! 8.4, disconnect: from either side, alone and among other messages.

use bayeux_core::{Event, RemovedReason};
use serde_json::json;

use crate::helpers::Log;
use crate::support::{World, connected, unknown};

#[test]
fn b091_disconnect_succeeds_and_those_who_asked_are_told() {
    let world = World::new();
    let log = Log::default();
    let peer = world.open();
    let session = world.session(&peer);
    session.set_attribute("user", "ann".to_string()).unwrap();
    let to = log.clone();
    session
        .on_removed(move |session, reason| async move {
            let user = session.attribute::<String>("user").map(|user| user.to_string());
            to.push((user, reason));
        })
        .unwrap();
    assert_eq!(
        peer.ask(json!({ "id": "1", "channel": "/meta/disconnect" })),
        json!([{ "id": "1", "channel": "/meta/disconnect", "successful": true }])
    );
    assert_eq!(log.take(), [(Some("ann".to_string()), RemovedReason::Disconnected)]);
    assert!(session.on_removed(|_, _| async {}).is_err());
}

#[test]
fn b092_what_follows_a_disconnect_in_its_payload_is_refused() {
    let world = World::new();
    let peer = world.open();
    assert_eq!(
        peer.ask_all([
            json!({ "channel": "/meta/disconnect" }),
            json!({ "channel": "/meta/subscribe", "subscription": "/foo" }),
        ]),
        json!([
            { "channel": "/meta/disconnect", "successful": true },
            {
                "channel": "/meta/subscribe", "subscription": "/foo", "successful": false,
                "error": "402::session_unknown",
            },
        ])
    );
    assert!(!world.has_channel("/foo"));
}

#[test]
fn b093_what_precedes_a_disconnect_in_its_payload_is_done() {
    let world = World::new();
    let seen = Log::default();
    let to = seen.clone();
    world.channel("/foo").on_message(move |incoming| {
        to.push(incoming.raw_data().to_string());
        async {}
    });
    let peer = world.open();
    assert_eq!(
        peer.ask_all([
            json!({ "channel": "/foo", "data": 1 }),
            json!({ "channel": "/meta/disconnect" }),
            json!({ "channel": "/foo", "data": 2 }),
        ]),
        json!([
            { "channel": "/foo", "successful": true },
            { "channel": "/meta/disconnect", "successful": true },
            { "channel": "/foo", "successful": false, "error": "402::session_unknown" },
        ])
    );
    assert_eq!(seen.take(), ["1"]);
}

#[test]
fn b094_to_b096_the_server_disconnects_after_its_last_deliveries() {
    for (broadcast_to_publisher, held_at_the_time) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let world = World::with(|config| config.broadcast_to_publisher = broadcast_to_publisher);
        let reasons = Log::of_events(&world, |event| match event {
            Event::SessionRemoved { reason, .. } => Some(*reason),
            _ => None,
        });
        let peer = world.open();
        let held = held_at_the_time.then(|| peer.hold());
        let session = world.session(&peer);
        session
            .batch(|| {
                session.deliver("/bye", "farewell").unwrap();
                session.disconnect().unwrap();
            })
            .unwrap();
        world.sim.settle();
        assert_eq!(reasons.take(), [RemovedReason::DisconnectedByServer]);
        let mut reply = if held_at_the_time { connected() } else { unknown() };
        reply["advice"] = json!({ "reconnect": "none" });
        let answer = held.map_or_else(|| peer.connect(), |held| held.wait().json());
        assert_eq!(
            answer,
            json!([
                { "channel": "/bye", "data": "farewell" },
                { "channel": "/meta/disconnect", "successful": true },
                reply,
            ])
        );
        assert_eq!(peer.connect(), json!([unknown()]));
        assert_eq!(world.bayeux.stats().sessions, 0);
    }
}

/// Without a batch the delivery has the connect answered, and the end comes before that is written.
#[test]
fn b095_the_end_of_a_session_joins_a_response_that_is_not_written_yet() {
    let world = World::new();
    let peer = world.open();
    let held = peer.hold();
    let session = world.session(&peer);
    session.deliver("/bye", "farewell").unwrap();
    session.disconnect().unwrap();
    let mut reply = connected();
    reply["advice"] = json!({ "reconnect": "none" });
    assert_eq!(
        held.wait().json(),
        json!([
            { "channel": "/bye", "data": "farewell" },
            { "channel": "/meta/disconnect", "successful": true },
            reply,
        ])
    );
    assert_eq!(world.bayeux.stats().sessions, 0);
}

/// A client that never comes back for its farewell leaves nothing behind.
#[test]
fn b094_a_farewell_that_nobody_takes_is_forgotten() {
    let world = World::new();
    let peer = world.open();
    world.session(&peer).disconnect().unwrap();
    assert_eq!(world.bayeux.stats().sessions, 1);
    world.pass(2_000);
    assert_eq!(world.bayeux.stats().sessions, 0);
    assert_eq!(world.bayeux.stats().removed.expired, 0, "it was disconnected");
    assert_eq!(peer.connect(), json!([unknown()]));
}
