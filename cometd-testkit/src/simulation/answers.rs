//! What a client makes of what it receives: replies, events, advice, and the lack of them.

use std::time::Duration;

use bayeux_core::LinkId;
use serde_json::Value;

use super::action::Via;
use super::client::What;
use super::host::Violation;
use super::network::number_of;
use super::world::{Due, Received, World};

impl World {
    /// A response has come.
    pub(super) fn received_response(
        &mut self,
        number: usize,
        link: LinkId,
        status: u16,
        cookie: Option<String>,
        body: &str,
    ) {
        if let (Some(client), Some(cookie)) = (self.clients.get(&number), cookie) {
            self.jars.insert(client.plan.browser, cookie);
        }
        self.coverage.hit_status(status);
        if status != 200 {
            self.trace.note(self.now, format_args!("c{number} < link {} status {status}", link.0));
            return self.disconnected(number, link);
        }
        let replies = self.received(number, link, body);
        let expected = self.lines.get(&link).and_then(|line| line.expected.as_ref());
        if let Some(expected) = expected.filter(|it| **it != replies) {
            let what = format!("c{number}: {replies:?} answer {expected:?}");
            self.blame(Err(Violation::new("echo", what)));
        }
    }

    /// Messages have come; the ids of the replies among them.
    pub(super) fn received(&mut self, number: usize, link: LinkId, body: &str) -> Vec<String> {
        let Ok(Value::Array(messages)) = serde_json::from_str::<Value>(body) else {
            let what = format!("c{number}: {body} is no array of messages");
            self.blame(Err(Violation::new("echo", what)));
            return Vec::new();
        };
        self.check_private(number, body);
        self.messages += messages.len() as u64;
        let (mut ids, mut events, mut said) = (Vec::new(), Vec::new(), Vec::new());
        let session = self.lines.get(&link).and_then(|line| line.session.clone());
        let mut new_session = None;
        for message in &messages {
            let channel = message["channel"].as_str().unwrap_or_default();
            let data = message.get("data");
            if let (Some(seen), Some(data)) = (&mut self.seen, data) {
                let (channel, data) = (channel.to_owned(), data.clone());
                seen.push(Received { client: number, channel, data });
            }
            if let Some(event) = number_of(message) {
                said.push(format!("#{event} {channel}"));
                events.push((event, channel.to_owned()));
                let answered = ids.len() > usize::from(new_session.is_some());
                let checked = check_event(number, message, answered);
                self.blame(checked);
                continue;
            }
            // An application's answer has the id of the message that it answers.
            let Some(id) = message["id"].as_str().filter(|_| data.is_none()) else {
                said.push(channel.to_owned());
                continue;
            };
            let done = message["successful"] == true;
            said.push(format!(
                "{id} {}",
                if done { "ok" } else { message["error"].as_str().unwrap_or("failed") }
            ));
            self.coverage.hit_reply(channel, message["error"].as_str(), done);
            ids.push(id.to_owned());
            if message["channel"] == "/meta/handshake" && done {
                new_session = message["clientId"].as_str().map(str::to_owned);
            }
        }
        self.trace.note(self.now, format_args!("c{number} < link {} {}", link.0, said.join(", ")));
        if let Some(session) = &new_session {
            // Events may come with the handshake's reply.
            self.welcome(number, session, &messages);
            if let Some(line) = self.lines.get_mut(&link) {
                line.session = Some(session.clone());
            }
        }
        if let (false, Some(session)) = (events.is_empty(), new_session.or(session)) {
            self.coverage.hit("events received");
            let received = self.record.receive(&session, &events);
            self.blame(received);
        }
        for message in &messages {
            if message.get("id").is_some() && message.get("data").is_none() {
                self.replied(number, link, message);
            }
        }
        ids
    }

    /// Nobody learns the id of somebody else's session.
    fn check_private(&mut self, number: usize, body: &str) {
        let others = self.clients.values().filter(|other| other.number != number);
        let mut known = others.filter_map(|other| other.session.as_ref());
        if let Some(id) = known.find(|id| body.contains(id.as_str())) {
            let owner = self.clients.values().find(|it| it.session.as_ref() == Some(id));
            let owner = owner.map_or(usize::MAX, |it| it.number);
            let what = format!("c{number} learns the session of c{owner}");
            self.violation.get_or_insert(Violation::new("private", what));
        }
    }

    fn welcome(&mut self, number: usize, session: &str, messages: &[Value]) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.forget_session();
        client.session = Some(session.to_owned());
        let ack = messages.iter().find_map(|it| it["ext"].get("ack"));
        // A number if events have come already.
        client.ack = ack.map(|it| it["batch"].as_u64().unwrap_or(0));
        client.bound = client.via == Via::WebSocket;
        client.refused = None;
        let (ack, ordered) = (client.ack.is_some(), client.via == Via::WebSocket);
        let greeting = client.greeting.take();
        self.record.begin(session, number, ack, ordered);
        if let Some(greeting) = greeting {
            self.record.address(greeting, session);
        }
    }

    fn replied(&mut self, number: usize, link: LinkId, reply: &Value) {
        let now = self.now;
        let id = reply["id"].as_str().unwrap_or_default();
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Some(pending) = client.pending.remove(id) else {
            let what = format!("c{number}: nobody waits for {id}");
            return self.blame(Err(Violation::new("echo", what)));
        };
        if pending.link != link || reply["channel"] != pending.channel {
            let what = format!("c{number}: {id} is answered with {reply}");
            return self.blame(Err(Violation::new("echo", what)));
        }
        let in_turn = self.check_turn(number, link, id);
        self.blame(in_turn);
        let done = reply["successful"] == true;
        self.follow_advice(number, &reply["advice"]);
        let session = pending.session.as_deref().unwrap_or_default();
        let (times, certain) = ((pending.sent, now), done || !pending.twice);
        match &pending.what {
            What::Handshake => self.handshaken(number, id, reply, done),
            What::Connect => self.connected(number, id, session, reply, done),
            What::Subscribe(patterns) => {
                for pattern in patterns {
                    let how = (done, pending.twice);
                    let subscribed = self.record.subscribed(session, pattern, times, how);
                    self.blame(subscribed);
                }
                let Some(client) = self.clients.get_mut(&number) else { return };
                for pattern in patterns {
                    if !done {
                        client.wanted.remove(pattern);
                    } else if client.session.as_deref() == Some(session) {
                        client.subscribed.insert(pattern.clone());
                    }
                }
            }
            What::Unsubscribe(patterns) => {
                for pattern in patterns.iter().filter(|_| done && !pending.twice) {
                    self.record.unsubscribed(session, pattern, times);
                }
            }
            What::Publish(published) => {
                if certain {
                    let answered = self.record.answered(*published, done, now);
                    self.blame(answered);
                }
            }
            What::Disconnect => {}
            What::Crime => {
                if done {
                    let what = format!("c{number} used the session of somebody else: {reply}");
                    self.blame(Err(Violation::new("private", what)));
                }
            }
        }
    }

    /// What one socket carries is dealt with in its order: nothing that was sent before is still
    /// without an answer, but for connects, which are held.
    fn check_turn(&self, number: usize, link: LinkId, id: &str) -> Result<(), Violation> {
        let socket = self.lines.get(&link).filter(|line| line.is_socket);
        let Some(client) = self.clients.get(&number).filter(|_| socket.is_some()) else {
            return Ok(());
        };
        let order = |id: &str| id.split('x').nth(1).and_then(|it| it.parse::<u64>().ok());
        let mut before = client.pending.iter().filter(|(it, _)| order(it) < order(id));
        match before.find(|(_, it)| it.link == link && it.what != What::Connect) {
            Some((earlier, _)) => {
                let what = format!("c{number}: {id} is answered, and {earlier} is not");
                Err(Violation::new("echo", what))
            }
            None => Ok(()),
        }
    }

    fn follow_advice(&mut self, number: usize, advice: &Value) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let millis = |name: &str| advice[name].as_u64().map(Duration::from_millis);
        client.interval = millis("interval").unwrap_or(client.interval);
        client.hold = millis("timeout").unwrap_or(client.hold);
    }

    fn handshaken(&mut self, number: usize, id: &str, reply: &Value, done: bool) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if client.connecting.as_deref() == Some(id) {
            client.connecting = None;
        }
        if !done {
            let full = reply["error"].as_str().filter(|error| error.starts_with("503:"));
            client.refused = full.map(str::to_owned);
            client.error = reply["error"].as_str().map(str::to_owned);
            return self.try_again(number);
        }
        client.error = None;
        let wanted: Vec<_> = client.wanted.iter().cloned().collect();
        let turn = client.turn();
        if !wanted.is_empty() {
            let key = format!("c{number} subscribes after {id}");
            self.subscribe(number, &key, wanted.into_iter().map(|it| vec![it]).collect());
        }
        self.go_on(number, turn);
    }

    fn connected(&mut self, number: usize, id: &str, session: &str, reply: &Value, done: bool) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&number) else { return };
        let current = client.connecting.as_deref() == Some(id);
        if current {
            client.connecting = None;
        }
        if client.session.as_deref() != Some(session) {
            return;
        }
        if done {
            if let (Some(ack), Some(batch)) = (&mut client.ack, reply["ext"]["ack"].as_u64()) {
                *ack = batch;
            }
            (client.well, client.failures, client.refused) = (Some(now), 0, None);
        }
        if reply["advice"]["multiple-clients"] == true {
            self.coverage.hit("multiple clients");
        }
        let Some(client) = self.clients.get_mut(&number).filter(|_| current) else { return };
        match (reply["advice"]["reconnect"].as_str(), done) {
            (Some("handshake"), _) => {
                client.forget_session();
                client.failures += 1;
                if client.failures > 3 {
                    // It does not help, so there is no hurry.
                    return self.try_again(number);
                }
                let turn = client.turn();
                self.go_on(number, turn);
            }
            (Some("none"), _) => {
                // The page would tell its user, who loads it again after a while.
                if reply["advice"]["multiple-clients"] == true {
                    client.refused = Some("too many of one browser".to_owned());
                }
                client.forget_session();
                self.try_again(number);
            }
            (_, true) => {
                let (turn, interval) = (client.turn(), client.interval);
                self.after(interval, Due::GoOn { client: number, turn });
            }
            (_, false) => self.try_again(number),
        }
    }

    /// Goes on after a while, which grows.
    pub(super) fn try_again(&mut self, number: usize) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        client.failures += 1;
        let backoff = Duration::from_millis(u64::from(client.failures.min(10)) * 100);
        let (turn, wait) = (client.turn(), backoff.max(client.interval));
        self.after(wait, Due::GoOn { client: number, turn });
    }

    /// A connection is gone, with whatever was to be answered on it.
    pub(super) fn disconnected(&mut self, number: usize, link: LinkId) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if client.socket == Some(link) {
            (client.socket, client.bound) = (None, false);
            if let Some(session) = client.session.clone() {
                self.record.moved(&session);
            }
        }
        self.drop_pending(number, link);
    }

    /// Nothing is awaited on this link any more.
    fn drop_pending(&mut self, number: usize, link: LinkId) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let connecting = client.connecting.clone();
        client.pending.retain(|_, it| it.link != link);
        let waits = connecting.is_some_and(|id| !client.pending.contains_key(&id));
        if waits {
            client.connecting = None;
        }
        // A socket is the client's whole connection.
        let lonely = client.connecting.is_none() && client.via == Via::WebSocket;
        if waits || lonely {
            self.try_again(number);
        }
    }

    /// A reply has not come in time.
    pub(super) fn lose_patience(&mut self, number: usize, id: &str) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Some(pending) = client.pending.get(id) else { return };
        let (link, what) = (pending.link, pending.what.clone());
        let is_socket = client.socket == Some(link);
        if is_socket && !matches!(what, What::Connect | What::Handshake) {
            return;
        }
        if is_socket && client.connecting.as_deref() != Some(id) {
            // A connect that another one has overtaken.
            return;
        }
        self.trace.note(self.now, format_args!("c{number} waits no longer for {id}"));
        self.coverage.hit("impatience");
        self.abandon(link, false);
        self.disconnected(number, link);
    }
}

/// What stands in an event is what its publisher has said, and not who said it. `answered` says
/// whether replies stand in front of it: clients act upon a reply, so what they have missed until
/// then has to come first.
fn check_event(number: usize, event: &Value, answered: bool) -> Result<(), Violation> {
    if event.get("id").is_some() || event.get("clientId").is_some() {
        let what = format!("c{number} learns who has published {event}");
        return Err(Violation::new("private", what));
    }
    if answered {
        let what = format!("c{number}: {event} comes behind a reply");
        return Err(Violation::new("echo", what));
    }
    Ok(())
}
