//! C29, C30, C33 and C34: who gets a message, on which response, and in whose name.

use serde_json::json;

use crate::support::{World, connected, ms};

#[test]
fn c29_overlapping_subscriptions_give_one_copy() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe(json!(["/w/x", "/w/*", "/**"]));
    assert_eq!(
        peer.ask(json!({ "id": "11", "channel": "/w/x", "data": "dup" })),
        json!([
            { "channel": "/w/x", "data": "dup" },
            { "id": "11", "channel": "/w/x", "successful": true },
        ])
    );
}

#[test]
fn c30_own_events_ride_on_the_publish_and_the_connect_stays_held() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/news");
    let mut held = peer.hold();
    let before = world.sim.now();
    assert_eq!(
        peer.ask(json!({ "id": "13", "channel": "/news", "data": "mine" })),
        json!([
            { "channel": "/news", "data": "mine" },
            { "id": "13", "channel": "/news", "successful": true },
        ])
    );
    assert!(held.is_held());
    assert_eq!(held.wait().json(), json!([connected()]));
    assert_eq!(world.sim.now().since(before), ms(1500));
}

#[test]
fn c33_each_messages_client_id_is_checked() {
    let world = World::new();
    let (peer, victim) = (world.open(), world.open());
    for id in ["bogus", &victim.id] {
        assert_eq!(
            peer.ask_all([
                json!({ "id": "1", "channel": "/meta/subscribe", "subscription": "/wrongid" }),
                json!({ "id": "2", "channel": "/wrongid", "clientId": id, "data": "x" }),
                json!({ "id": "3", "channel": "/wrongid", "data": "y" }),
            ]),
            json!([
                { "channel": "/wrongid", "data": "y" },
                {
                    "id": "1", "channel": "/meta/subscribe", "subscription": "/wrongid",
                    "successful": true,
                },
                {
                    "id": "2", "channel": "/wrongid", "successful": false,
                    "error": "402::session_unknown",
                },
                { "id": "3", "channel": "/wrongid", "successful": true },
            ])
        );
    }
}

#[test]
fn c34_a_handshake_behind_another_message_refuses_the_payload() {
    let world = World::new();
    let peer = world.open();
    peer.subscribe("/i");
    let message = |id: &str, channel: &str| json!({ "id": id, "channel": channel, "data": 1 });
    let mut first = message("3", "/i");
    first["clientId"] = peer.id.clone().into();
    let answer = peer.client.send(&json!([first, message("4", "/meta/handshake")]));
    assert_eq!(answer.status, 400);
    assert_eq!(world.bayeux.sessions().len(), 1);
    assert_eq!(world.session(&peer).queue_messages(), 0, "nothing of it was done");
}
