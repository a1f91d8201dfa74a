//! From a publish to the parcels of its subscribers, and what becomes of them.

use std::sync::Arc;

use bayeux_core::{Json, Message, Request, Transport};

use super::Scenario;
use super::rig::{Client, Rig, connect, pattern};

const ROOM: &str = "/chat/room";

/// A message of 128 bytes on `channel`.
pub(crate) fn message(channel: &str) -> Arc<Message> {
    let data = Json::new(&"x".repeat(126)).expect("a string");
    Message::new(channel.try_into().expect("a name"), data).into()
}

/// Subscribers that take every event at once.
pub(crate) struct Audience {
    pub(crate) rig: Rig,
    message: Arc<Message>,
    pub(crate) clients: Vec<Client>,
    /// What those on long-polling connect with next.
    connects: Vec<Vec<Request>>,
}

impl Audience {
    /// `count` subscribers with connects that are held, beside those whom `rig` has already.
    pub(crate) fn new(mut rig: Rig, transport: Transport, count: usize) -> Self {
        let room = pattern(ROOM);
        let clients = (0..count).map(|_| rig.subscriber(transport, &room)).collect();
        Self { rig, message: message(ROOM), clients, connects: Vec::new() }
    }

    /// Clients write their next connects: done apart, since it is not the server's work.
    pub(crate) fn prepare(&mut self) {
        if self.clients.first().is_some_and(Client::connects_again) {
            self.connects.extend(self.clients.iter().map(connect));
        }
    }

    /// A publish, into the queues and no further.
    pub(crate) fn publish(&mut self) {
        self.rig.publish(&self.message);
    }

    /// A publish, its deliveries, and the connects that follow them.
    pub(crate) fn round(&mut self) {
        self.publish();
        let delivered = self.rig.settle();
        assert_eq!(delivered, self.clients.len(), "each of them gets it");
        for (client, payload) in self.clients.iter_mut().zip(self.connects.drain(..)) {
            self.rig.send(client, payload);
            assert_eq!(self.rig.settle(), 0, "the connect is held");
        }
    }

    fn scenario(mut self) -> Scenario {
        Scenario::new(self.clients.len(), move || {
            self.prepare();
            self.round();
        })
    }
}

/// A publish to WebSockets.
pub(crate) fn to_sockets(count: usize) -> Scenario {
    Audience::new(Rig::new(), Transport::WebSocket, count).scenario()
}

/// A publish that answers held connects, whose clients connect again.
pub(crate) fn to_connects(count: usize) -> Scenario {
    Audience::new(Rig::new(), Transport::LongPolling, count).scenario()
}

/// A publish to ten WebSockets on a server with others that have nothing to do with it.
pub(crate) fn in_a_crowd(others: usize) -> Scenario {
    let mut rig = Rig::new();
    super::crowd::join(&mut rig, others);
    Audience::new(rig, Transport::WebSocket, 10).scenario()
}
