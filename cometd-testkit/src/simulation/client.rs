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
use super::host::{Request, Up};
use super::record::Source;
use super::script::{Fault, Plan};
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
    pub(super) here: bool,
    pub(super) session: Option<String>,
    /// The number of the last batch, if it acknowledges.
    pub(super) ack: Option<u64>,
    pub(super) interval: Duration,
    pub(super) hold: Duration,
    /// Counts what it went on with; plans that were made before are void.
    pub(super) turn: u64,
    /// The connect or handshake that keeps it going.
    pub(super) connecting: Option<String>,
    pub(super) socket: Option<LinkId>,
    /// Whether its session is that of its socket.
    pub(super) bound: bool,
    pub(super) wanted: BTreeSet<String>,
    pub(super) subscribed: BTreeSet<String>,
    pub(super) pending: BTreeMap<String, Pending>,
    pub(super) ids: u64,
    /// The number of the message that its next session begins with.
    pub(super) greeting: Option<u64>,
    pub(super) failures: u32,
    /// It reads nothing until then.
    pub(super) stalled: Time,
    /// When a connect last succeeded.
    pub(super) well: Option<Time>,
    /// Why there is no session, if the server has said that there can be none.
    pub(super) refused: Option<String>,
    /// What its last handshake was refused with.
    pub(super) error: Option<String>,
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
            greeting: None,
            failures: 0,
            stalled: Time::ZERO,
            well: None,
            refused: None,
            error: None,
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
        let well = self.well.map_or("never well".to_owned(), |at| format!("was well at {at}"));
        let error = self.error.as_ref().map_or(String::new(), |it| format!(", was told {it}"));
        Some(format!("c{number} has {session}, {well}, waits for {pending:?}{error}"))
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
        let mut ext = if client.plan.ack { json!({ "ack": true }) } else { json!({}) };
        // Where the application is asked about handshakes, it greets those who want that.
        let greets = self.record.usual && self.faults.get(Fault::Think) > 0;
        client.greeting = (greets && client.plan.greeted).then(|| {
            let source = Source::Delivery(String::new());
            self.record.publish("/direct", source, self.now)
        });
        if let Some(number) = client.greeting {
            self.coverage.hit("greeting");
            ext["sim"] = json!(number);
        }
        if let Some(Value::Object(own)) = (self.ext.0)(number) {
            own.into_iter().for_each(|(name, value)| ext[name] = value);
        }
        if ext != json!({}) {
            message["ext"] = ext;
        }
        client.bound = false;
        // Most take a new socket for a new session; one that stays becomes the new session's.
        let stays = self.seed.about(format_args!("{key} stays")).per_mille(300);
        if let Some(socket) = client.socket.take_if(|_| !stays) {
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

    pub(super) fn connect_message(&mut self, number: usize) -> Option<Value> {
        let client = self.clients.get(&number)?;
        let via = client.via.name();
        let mut message = json!({ "channel": "/meta/connect", "connectionType": via });
        if let Some(ack) = client.ack {
            message["ext"] = json!({ "ack": ack });
        }
        if let Some(advice) = self.wanted_advice(client) {
            self.coverage.hit("client asks for other times");
            message["advice"] = advice;
        }
        Some(message)
    }

    /// What a client asks for with its next connect: some ask for other times now and then.
    fn wanted_advice(&self, client: &Client) -> Option<Value> {
        let draw = self.seed.about(format_args!("c{} asks {}", client.number, client.ids));
        if !client.plan.asks || !draw.per_mille(300) {
            return None;
        }
        let mut advice = json!({ "timeout": draw.then(1).one_of([0, 20, 200]) });
        if draw.then(2).per_mille(300) {
            advice["interval"] = json!(draw.then(3).one_of([0, 100]));
        }
        Some(advice)
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
        numbers.iter().for_each(|it| self.record.carried_by(*it, link));
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
}
