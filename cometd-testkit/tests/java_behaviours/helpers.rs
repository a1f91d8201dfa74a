//! What these tests need beside what all wire tests share: events recorded, queues looked into.

use std::sync::{Arc, Mutex};

use bayeux_core::Event;
use serde_json::{Value, json};

use crate::support::{Peer, World};

/// What happened, in order.
pub(crate) struct Log<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Vec::new())))
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Log<T> {
    /// A log of what `pick` makes of a server's events.
    pub(crate) fn of_events(
        world: &World,
        pick: impl Fn(&Event) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let log = Self::default();
        let to = log.clone();
        world.bayeux.on_event(move |notice| {
            if let Some(it) = pick(&notice.event) {
                to.push(it);
            }
            async {}
        });
        log
    }

    pub(crate) fn push(&self, it: T) {
        self.0.lock().expect("no test panics in here").push(it);
    }

    /// Takes what has happened since the last time.
    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut *self.0.lock().expect("no test panics in here"))
    }
}

/// A connect (with the id `c`) that asks to be answered at once.
pub(crate) fn connect_now() -> Value {
    json!({ "id": "c", "channel": "/meta/connect", "advice": { "timeout": 0 } })
}

/// The events that wait for a session, as channel and data.
pub(crate) fn events(peer: &Peer) -> Vec<(String, Value)> {
    let answer = peer.ask(connect_now());
    let (reply, events) =
        answer.as_array().and_then(|all| all.split_last()).expect("there is a reply");
    assert_eq!(reply["successful"], true, "{answer}");
    let text = |event: &Value| event["channel"].as_str().expect("a channel").to_string();
    events.iter().map(|event| (text(event), event["data"].clone())).collect()
}

/// The data of the events that wait for a session.
pub(crate) fn data(peer: &Peer) -> Vec<Value> {
    events(peer).into_iter().map(|(_, data)| data).collect()
}
