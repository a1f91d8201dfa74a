//! What else clients do: they come, go, and change their subscriptions.

use bayeux_core::{Pattern, RequestKind, Subscription, Transport};

use super::Scenario;
use super::publish::Audience;
use super::rig::{Client, Rig, pattern, payload};

/// A session is made, and ended by its client.
pub(crate) fn come_and_go(transport: Transport) -> Scenario {
    let mut rig = Rig::new();
    super::crowd::join(&mut rig, 100);
    Scenario::new(1, move || {
        let mut client = rig.handshake(transport);
        let goodbye = payload(Some(client.session), RequestKind::Disconnect);
        rig.send(&mut client, goodbye);
        rig.settle();
        if transport == Transport::WebSocket {
            rig.input(bayeux_core::Input::Close { link: client.link });
            rig.settle();
        }
    })
}

/// A client on a WebSocket subscribes to a channel that has `others` already, and unsubscribes.
pub(crate) fn subscribe(others: usize) -> Scenario {
    let mut audience = Audience::new(Rig::new(), Transport::WebSocket, others);
    let mut client = audience.rig.handshake(Transport::WebSocket);
    let room = pattern("/chat/room");
    Scenario::new(1, move || {
        let rig = &mut audience.rig;
        rig.moment();
        ask(rig, &mut client, &room, RequestKind::Subscribe);
        ask(rig, &mut client, &room, RequestKind::Unsubscribe);
    })
}

fn ask(rig: &mut Rig, client: &mut Client, room: &Pattern, kind: fn(Subscription) -> RequestKind) {
    let patterns = Ok(vec![room.clone()]);
    let request = payload(Some(client.session), kind(Subscription { patterns, echo: None }));
    rig.send(client, request);
    rig.settle();
    assert!(rig.answer().replies[0].is_successful());
}
