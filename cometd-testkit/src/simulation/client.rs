//! [`Client`]: one client, which knows what its own messages say and nothing else.
//!
//! It behaves as Bayeux clients do: shakes hands, subscribes, keeps one connect out, follows
//! advice, tries again after a while, gives up what takes too long. What it does besides, and what
//! rude clients do, is in [`deeds`](super::deeds).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bayeux_core::{LinkId, Time};
use serde_json::{Value, json};

use super::action::Via;
use super::host::{Request, Up, Violation};
use super::network::number_of;
use super::script::Plan;
use super::world::{Due, World};

/// How long a client waits for an answer, beyond the time that a connect may be held.
const PATIENCE: Duration = Duration::from_secs(3);

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) plan: Plan,
    /// How it talks at the moment.
    pub(super) via: Via,
    here: bool,
    pub(super) session: Option<String>,
    /// The number of the last batch, if it acknowledges.
    pub(super) ack: Option<u64>,
    interval: Duration,
    hold: Duration,
    /// Counts what it went on with; plans that were made before are void.
    turn: u64,
    /// The connect or handshake that keeps it going.
    pub(super) connecting: Option<String>,
    pub(super) socket: Option<LinkId>,
    /// Whether its session is that of its socket.
    pub(super) bound: bool,
    pub(super) wanted: BTreeSet<String>,
    pub(super) subscribed: BTreeSet<String>,
    pub(super) pending: BTreeMap<String, Pending>,
    ids: u64,
    failures: u32,
    /// It reads nothing until then.
    pub(super) stalled: Time,
    /// When a connect last succeeded.
    well: Option<Time>,
    /// Why there is no session, if the server has said.
    refused: Option<String>,
}

/// A message that was sent and is not answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pending {
    pub(super) link: LinkId,
    pub(super) channel: String,
    pub(super) sent: Time,
    pub(super) what: What,
    /// Whether the network has sent it twice.
    pub(super) twice: bool,
    pub(super) session: Option<String>,
}

/// What a message was to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    Handshake,
    Connect,
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
    Publish(u64),
    Disconnect,
    /// It must not succeed.
    Crime,
}

impl Client {
    pub(super) fn new(number: usize, plan: Plan) -> Self {
        Self {
            number,
            plan,
            via: plan.via,
            here: true,
            session: None,
            ack: None,
            interval: Duration::ZERO,
            hold: Duration::ZERO,
            turn: 0,
            connecting: None,
            socket: None,
            bound: false,
            wanted: BTreeSet::new(),
            subscribed: BTreeSet::new(),
            pending: BTreeMap::new(),
            ids: 0,
            failures: 0,
            stalled: Time::ZERO,
            well: None,
            refused: None,
        }
    }

    /// Whether it has not gone for good.
    pub(super) fn is_here(&self) -> bool {
        self.here
    }

    /// Why it is not well, having had all the time it needs since `calm`.
    pub(super) fn stuck(&self, calm: Time) -> Option<String> {
        let well = self.session.is_some() && self.well.is_some_and(|at| at > calm);
        if well || self.refused.is_some() {
            return None;
        }
        let (pending, number) = (self.pending.keys().collect::<Vec<_>>(), self.number);
        let session = if self.session.is_some() { "a session" } else { "no session" };
        Some(format!("c{number} has {session}, was well at {:?}, waits for {pending:?}", self.well))
    }

    /// It is gone for good.
    pub(super) fn go(&mut self) {
        self.here = false;
    }

    /// What was planned before is void.
    pub(super) fn turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    pub(super) fn forget_session(&mut self) {
        (self.session, self.ack, self.bound) = (None, None, false);
        self.subscribed.clear();
    }
}

impl World {
    /// A client comes, or comes back.
    pub(super) fn start(&mut self, number: usize) {
        let Some(client) = self.clients.get_mut(&number).filter(|client| client.here) else {
            return;
        };
        let turn = client.turn();
        self.go_on(number, turn);
    }

    /// Shakes hands, or connects.
    pub(super) fn go_on(&mut self, number: usize, turn: u64) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if turn != client.turn || !client.here || client.connecting.is_some() {
            return;
        }
        client.ids += 1;
        let key = format!("c{number} goes on {}", client.ids);
        match client.session {
            Some(_) => self.connect(number, &key),
            None => self.handshake(number, &key),
        }
    }

    fn handshake(&mut self, number: usize, key: &str) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let mut message = json!({
            "channel": "/meta/handshake",
            "version": "1.0",
            "supportedConnectionTypes": ["websocket", "long-polling", "callback-polling"],
        });
        if client.plan.ack {
            message["ext"] = json!({ "ack": true });
        }
        client.bound = false;
        // A socket that was somebody's before stays that session's.
        if let Some(socket) = client.socket.take() {
            self.abandon(socket, false);
        }
        let ids = self.send(number, key, vec![(message, What::Handshake)]);
        if let Some(client) = self.clients.get_mut(&number) {
            client.connecting = ids.into_iter().next();
        }
    }

    pub(super) fn connect(&mut self, number: usize, key: &str) {
        let Some(message) = self.connect_message(number) else { return };
        let ids = self.send(number, key, vec![(message, What::Connect)]);
        if let Some(client) = self.clients.get_mut(&number) {
            client.connecting = ids.into_iter().next();
        }
    }

    pub(super) fn connect_message(&self, number: usize) -> Option<Value> {
        let client = self.clients.get(&number)?;
        let via = client.via.name();
        let mut message = json!({ "channel": "/meta/connect", "connectionType": via });
        if let Some(ack) = client.ack {
            message["ext"] = json!({ "ack": ack });
        }
        Some(message)
    }

    /// Sends messages in one payload; their ids.
    pub(super) fn send(
        &mut self,
        number: usize,
        key: &str,
        messages: Vec<(Value, What)>,
    ) -> Vec<String> {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&number).filter(|client| client.here) else {
            return Vec::new();
        };
        let (mut ids, mut texts, mut pending) = (Vec::new(), Vec::new(), Vec::new());
        for (mut message, what) in messages {
            client.ids += 1;
            let id = format!("c{number}x{}", client.ids);
            message["id"] = json!(id);
            if let (Some(session), None) = (&client.session, message.get("clientId")) {
                if what != What::Handshake {
                    message["clientId"] = json!(session);
                }
            }
            let channel = message["channel"].as_str().unwrap_or_default().to_owned();
            let (session, twice, link) = (client.session.clone(), false, LinkId(0));
            pending.push(Pending { link, channel, sent: now, what, twice, session });
            ids.push(id);
            texts.push(message);
        }
        let what: Vec<_> =
            ids.iter().zip(&pending).map(|(id, it)| format!("{id} {}", it.channel)).collect();
        self.messages += texts.len() as u64;
        let body = Value::Array(texts).to_string();
        let numbers: Vec<_> = pending
            .iter()
            .filter_map(|it| match it.what {
                What::Publish(number) => Some(number),
                _ => None,
            })
            .collect();
        let expected = Some(ids.clone());
        let (link, twice) = self.carry(number, key, body, expected, &numbers);
        self.trace.note(now, format_args!("c{number} > link {} {}", link.0, what.join(", ")));
        let hold = self.clients.get(&number).map_or(Duration::ZERO, |client| client.hold);
        for (id, mut it) in ids.iter().zip(pending) {
            (it.link, it.twice) = (link, twice);
            let patience = if it.what == What::Connect { hold + PATIENCE } else { PATIENCE };
            self.after(patience, Due::Impatient { client: number, id: id.clone() });
            if let Some(client) = self.clients.get_mut(&number) {
                client.pending.insert(id.clone(), it);
            }
        }
        ids
    }

    /// Puts a payload on its way: its link, and whether it goes twice.
    pub(super) fn carry(
        &mut self,
        number: usize,
        key: &str,
        body: String,
        expected: Option<Vec<String>>,
        numbers: &[u64],
    ) -> (LinkId, bool) {
        let Some(client) = self.clients.get(&number) else { return (LinkId(0), false) };
        let (via, http2) = (client.via, client.plan.http2);
        let cookie = self.jars.get(&client.plan.browser).cloned();
        self.coverage.hit(via.name());
        if via != Via::WebSocket {
            let callback = via == Via::CallbackPolling;
            let request = Request { callback, http2: http2 && !callback, cookie, body };
            return self.post(number, key.to_owned(), expected, request, numbers);
        }
        let link = match client.socket {
            Some(link) => link,
            None => self.dial(number, format!("{key} dial"), cookie),
        };
        if let Some(client) = self.clients.get_mut(&number) {
            client.socket = Some(link);
        }
        self.push(link, key, Up::Text { link, text: body });
        (link, false)
    }

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
            if let Some(event) = number_of(message) {
                said.push(format!("#{event} {channel}"));
                events.push((event, channel.to_owned()));
                let answered = ids.len() > usize::from(new_session.is_some());
                let checked = check_event(number, message, answered);
                self.blame(checked);
                continue;
            }
            let Some(id) = message["id"].as_str() else {
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
            if message.get("id").is_some() && number_of(message).is_none() {
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
        self.record.begin(session, number, ack, ordered);
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
            return self.try_again(number);
        }
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
