//! What clients do besides keeping themselves connected, rude things included.

use std::time::Duration;

use serde_json::{Value, json};

use super::action::{Deed, Via};
use super::client::{Client, What};
use super::record::Source;
use super::script::Fault;
use super::world::{Due, World};

impl World {
    /// A client does something, or something happens to it; chance is about `key`.
    pub(super) fn deed(&mut self, number: usize, deed: Deed, key: String) {
        let Some(client) = self.clients.get_mut(&number).filter(|client| client.is_here()) else {
            return;
        };
        let connected = client.session.is_some();
        match deed {
            Deed::Subscribe(patterns) => {
                client.wanted.extend(patterns.iter().cloned());
                if connected {
                    self.subscribe(number, &key, vec![patterns]);
                }
            }
            Deed::Unsubscribe(patterns) => {
                for pattern in &patterns {
                    client.wanted.remove(pattern);
                    client.subscribed.remove(pattern);
                }
                if connected {
                    self.unsubscribe(number, &key, patterns);
                }
            }
            Deed::Publish(channel, count) if connected => {
                let messages = (0..count).filter_map(|_| self.publish_message(number, &channel));
                let messages: Vec<_> = messages.collect();
                self.send(number, &key, messages);
            }
            Deed::Disconnect if connected => {
                let message = json!({ "channel": "/meta/disconnect" });
                self.send(number, &key, vec![(message, What::Disconnect)]);
                if let Some(client) = self.clients.get_mut(&number) {
                    client.forget_session();
                    client.connecting = None;
                }
                self.try_again(number);
            }
            Deed::Crash(millis) => self.crash(number, &key, millis),
            Deed::Forget(millis) => {
                client.forget_session();
                self.crash(number, &key, millis);
            }
            Deed::Vanish => self.vanish(number, true),
            Deed::Break => self.break_lines(number),
            Deed::HalfOpen => self.kill_lines(number),
            Deed::Stall(millis) => client.stalled = self.now + Duration::from_millis(millis),
            Deed::Switch(via) => self.switch(number, via),
            Deed::Again if connected => {
                self.expect_again(number);
                self.connect(number, &key);
            }
            Deed::Steal(channel) => self.steal(number, &key, &channel),
            Deed::Garbage => self.spoil(number, &key, "[{\"channel\":"),
            Deed::Mix(channel) if connected => {
                self.expect_again(number);
                let Some(connect) = self.connect_message(number) else { return };
                let mut messages: Vec<_> =
                    self.publish_message(number, &channel).into_iter().collect();
                // In front of a message that is thought about, its answer waits for that one's.
                let first = self.seed.about(&key).per_mille(500);
                let at = if first { 0 } else { messages.len() };
                messages.insert(at, (connect, What::Connect));
                let ids = self.send(number, &key, messages);
                if let Some(client) = self.clients.get_mut(&number) {
                    client.connecting = ids.into_iter().nth(at);
                }
            }
            Deed::Crowd => {
                let body = json!([
                    { "channel": "/meta/handshake", "version": "1.0" },
                    { "channel": "/open/a", "data": 1 },
                ]);
                self.spoil(number, &key, &body.to_string());
            }
            Deed::Stale if connected => {
                client.ack = client.ack.map(|_| 0);
                self.expect_again(number);
                self.connect(number, &key);
            }
            Deed::Nonsense => {
                let body = json!([{}, { "channel": 5, "id": [] }, { "channel": "/open/a" }]);
                self.spoil(number, &key, &body.to_string());
            }
            Deed::Publish(..) | Deed::Disconnect | Deed::Again | Deed::Mix(_) | Deed::Stale => {}
        }
    }

    /// Says what it has received while more is on its way to it: that may come again.
    fn expect_again(&mut self, number: usize) {
        if let Some(session) = self.clients.get(&number).and_then(|it| it.session.clone()) {
            self.record.expect_again(&session);
        }
    }

    fn publish_message(&mut self, number: usize, channel: &str) -> Option<(Value, What)> {
        let session = self.clients.get(&number)?.session.clone()?;
        let published = self.record.publish(channel, Source::Session(session), self.now);
        let data = (self.data.0)(channel, published);
        let message = json!({ "channel": channel, "data": data, "ext": { "sim": published } });
        Some((message, What::Publish(published)))
    }

    /// Subscribes to lists of channels, in one payload.
    pub(super) fn subscribe(&mut self, number: usize, key: &str, lists: Vec<Vec<String>>) {
        let Some(session) = self.clients.get(&number).and_then(|it| it.session.clone()) else {
            return;
        };
        let mut messages = Vec::new();
        for patterns in lists {
            for pattern in &patterns {
                self.record.subscribe(&session, pattern, self.now);
            }
            let subscription = one_or_all(&patterns);
            let message = json!({ "channel": "/meta/subscribe", "subscription": subscription });
            messages.push((message, What::Subscribe(patterns)));
        }
        self.send(number, key, messages);
    }

    fn unsubscribe(&mut self, number: usize, key: &str, patterns: Vec<String>) {
        let Some(session) = self.clients.get(&number).and_then(|it| it.session.clone()) else {
            return;
        };
        for pattern in &patterns {
            self.record.unsubscribe(&session, pattern, self.now);
        }
        let subscription = one_or_all(&patterns);
        let message = json!({ "channel": "/meta/unsubscribe", "subscription": subscription });
        self.send(number, key, vec![(message, What::Unsubscribe(patterns))]);
    }

    fn crash(&mut self, number: usize, key: &str, millis: u64) {
        // A process that ends closes its connections; a machine that loses its power does not.
        let silently = self.seed.about(key).per_mille(300);
        self.drop_connections(number, silently);
        self.after(Duration::from_millis(millis), Due::Back { client: number });
    }

    /// A client is gone for good.
    pub(super) fn vanish(&mut self, number: usize, silently: bool) {
        self.drop_connections(number, silently);
        if let Some(client) = self.clients.get_mut(&number) {
            client.go();
        }
    }

    /// A client waits for nothing any more, and has no connection.
    fn drop_connections(&mut self, number: usize, silently: bool) {
        for link in self.links_of(number) {
            self.abandon(link, silently);
        }
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.turn();
        client.pending.clear();
        (client.connecting, client.socket, client.bound) = (None, None, false);
        if let Some(session) = client.session.clone() {
            self.record.moved(&session);
        }
    }

    fn switch(&mut self, number: usize, via: Via) {
        // Its old connection may be one that has died without a word.
        let key = format!("c{number} switches at {}", self.now);
        self.drop_connections(number, self.seed.about(key).per_mille(300));
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.via = via;
        let turn = client.turn();
        self.after(Duration::from_millis(1), Due::GoOn { client: number, turn });
    }

    /// Publishes in the name of somebody else, where that must not be possible.
    fn steal(&mut self, number: usize, key: &str, channel: &str) {
        let Some(client) = self.clients.get(&number) else { return };
        let possible = match client.via {
            // A session's id is all that a socket needs that is nobody's.
            Via::WebSocket => {
                self.config.ws_require_handshake_per_connection || self.is_surely_bound(client)
            }
            Via::LongPolling | Via::CallbackPolling => !self.config.trust_client_session,
        };
        let browser = client.plan.browser;
        let mut others = self.clients.values().filter(|it| it.plan.browser != browser);
        let Some(victim) = others.find_map(|it| it.session.clone()).filter(|_| possible) else {
            return;
        };
        let source = Source::Session(victim.clone());
        let ext = json!({ "sim": self.record.publish(channel, source, self.now) });
        let message =
            json!({ "channel": channel, "clientId": victim, "data": "stolen", "ext": ext });
        self.send(number, key, vec![(message, What::Crime)]);
    }

    /// Whether a client's socket belongs to its session also when what it sends now arrives: its
    /// session cannot end before.
    fn is_surely_bound(&self, client: &Client) -> bool {
        let faults = [Fault::Delay, Fault::LatePoll, Fault::LateTick];
        let is_prompt = !self.is_real && faults.into_iter().all(|fault| self.rate(fault) == 0);
        let is_idle = client.pending.values().all(|it| it.what == What::Connect);
        let is_connected = client.connecting.is_some() && is_idle && !self.watches();
        let session = client.session.as_ref();
        let is_there = session.is_some_and(|session| self.record.is_there(session));
        client.bound && is_prompt && is_connected && is_there
    }

    /// Sends something whose replies are nobody's business.
    fn spoil(&mut self, number: usize, key: &str, body: &str) {
        let (link, _) = self.carry(number, key, body.to_owned(), None, &[]);
        self.trace.note(self.now, format_args!("c{number} > link {} rubbish", link.0));
    }
}

/// A single one as it is, several as a list.
fn one_or_all(patterns: &[String]) -> Value {
    match patterns {
        [one] => json!(one),
        all => json!(all),
    }
}
