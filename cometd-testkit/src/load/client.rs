//! [`Client`]: a Bayeux client as a state machine; what it wants to say lies in buffers.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::cursor::Cursor;
use super::frame::{self, Kind};
use super::http::Requests;
use super::lane::Incoming;
use super::plan::{Plan, Scenario, Transport};
use super::reply::{self, Reply};
use super::stamp::{Finders, Stamp};
use super::tally::Tally;

/// Where a client is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// It is not connected.
    Away,
    /// It waits for a WebSocket.
    Upgrading,
    Handshaking,
    Subscribing,
    /// It has a session and sends connects.
    Ready,
    /// It has said that it goes.
    Leaving,
    /// The server ended the session, or the connection.
    Lost,
}

/// Its connection for everything, or for connects only.
pub(super) const FIRST: usize = 0;
/// Its connection for publishes, over HTTP.
pub(super) const SECOND: usize = 1;

/// One HTTP request carries that many bytes of publishes at most.
const REQUEST: usize = 16 * 1024;

/// What a client needs to take what comes in.
pub(super) struct Desk<'a> {
    pub(super) finder: &'a Finders,
    pub(super) tally: &'a mut Tally,
    /// What channels' names begin with.
    pub(super) prefix: &'a str,
    /// A publish's reply is what is delivered.
    pub(super) echoes: bool,
}

pub(super) struct Client {
    transport: Transport,
    ack: bool,
    /// It leaves after its first connect.
    passing: bool,
    pub(super) stage: Stage,
    requests: Requests,
    /// As JSON, with its quotes.
    id: String,
    /// The last batch of events that is acknowledged, if the server does that.
    acknowledged: Option<Value>,
    subscriptions: Vec<(u16, Cursor)>,
    /// What is to be written on each connection.
    pub(super) out: [Vec<u8>; 2],
    /// Publishes that wait for the answer to others.
    waiting: VecDeque<Vec<u8>>,
    /// A request with publishes is under way.
    busy: bool,
    /// Publishes without a reply: their ids, and when they were due.
    unanswered: VecDeque<(u32, u64)>,
    next_id: u32,
    /// When this life of a passing client should have begun.
    pub(super) born: u64,
    /// It connects again after that time.
    pub(super) pause: Option<Duration>,
    /// It was lost, and nobody has looked at that yet.
    pub(super) missed: bool,
}

impl Client {
    pub(super) fn new(plan: &Plan, mut subscriptions: Vec<u16>) -> Self {
        subscriptions.sort_unstable();
        Self {
            transport: plan.transport,
            ack: plan.ack,
            passing: plan.scenario == Scenario::Churn,
            stage: Stage::Away,
            requests: Requests {
                path: plan.path.clone(),
                host: plan.host.clone(),
                cookies: String::new(),
            },
            id: String::new(),
            acknowledged: None,
            subscriptions: (subscriptions.into_iter())
                .map(|channel| (channel, Cursor::default()))
                .collect(),
            out: [Vec::new(), Vec::new()],
            waiting: VecDeque::new(),
            busy: false,
            unanswered: VecDeque::new(),
            next_id: 0,
            born: 0,
            pause: None,
            missed: false,
        }
    }

    pub(super) fn subscriptions(&self) -> impl Iterator<Item = (u16, &Cursor)> {
        self.subscriptions.iter().map(|(channel, cursor)| (*channel, cursor))
    }

    /// Publishes whose replies are still to come.
    pub(super) fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// A new life, due at that time.
    pub(super) fn begin(&mut self, born: u64) {
        self.born = born;
        self.requests.cookies.clear();
        self.id.clear();
        self.acknowledged = None;
        match self.transport {
            Transport::WebSocket => {
                self.requests.upgrade(&mut self.out[FIRST]);
                self.stage = Stage::Upgrading;
            }
            Transport::LongPolling => self.handshake(),
        }
    }

    fn handshake(&mut self) {
        let ext = if self.ack { r#","ext":{"ack":true}"# } else { "" };
        let transport = self.transport.name();
        self.say(
            FIRST,
            &format!(
                r#"[{{"channel":"/meta/handshake","version":"1.0","minimumVersion":"1.0","supportedConnectionTypes":["{transport}"],"id":"h"{ext}}}]"#
            ),
        );
        self.stage = Stage::Handshaking;
    }

    fn subscribe(&mut self, prefix: &str) {
        if self.subscriptions.is_empty() {
            self.stage = Stage::Ready;
            self.connect();
            return;
        }
        let mut text =
            format!(r#"[{{"channel":"/meta/subscribe","clientId":{},"id":"s","#, self.id);
        text.push_str(r#""subscription":["#);
        for (at, (channel, _)) in self.subscriptions.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let _ = write!(text, r#"{comma}"{prefix}/{channel}""#);
        }
        text.push_str("]}]");
        self.say(FIRST, &text);
        self.stage = Stage::Subscribing;
    }

    /// Sends a connect.
    pub(super) fn connect(&mut self) {
        let mut text = format!(
            r#"[{{"channel":"/meta/connect","clientId":{},"connectionType":"{}","id":"c""#,
            self.id,
            self.transport.name()
        );
        if let Some(acknowledged) = &self.acknowledged {
            let _ = write!(text, r#","ext":{{"ack":{acknowledged}}}"#);
        }
        if self.passing {
            // Some servers hold the first connect, too.
            text.push_str(r#","advice":{"timeout":0}"#);
        }
        text.push_str("}]");
        self.say(FIRST, &text);
    }

    fn leave(&mut self) {
        let text = format!(r#"[{{"channel":"/meta/disconnect","clientId":{},"id":"d"}}]"#, self.id);
        self.say(FIRST, &text);
        self.stage = Stage::Leaving;
    }

    /// Publishes messages, each with its channel, in one payload, or as soon as a connection is free.
    pub(super) fn publish(&mut self, prefix: &str, payload: usize, stamps: &[Stamp]) {
        let mut text = Vec::new();
        for stamp in stamps {
            if !text.is_empty() {
                text.push(b',');
            }
            let (channel, id) = (stamp.channel, self.next_id);
            self.next_id = self.next_id.wrapping_add(1);
            self.unanswered.push_back((id, stamp.due));
            let head = format!(
                r#"{{"channel":"{prefix}/{channel}","clientId":{},"id":"{id}","data":"#,
                self.id
            );
            text.extend_from_slice(head.as_bytes());
            stamp.write(payload, &mut text);
            text.push(b'}');
        }
        self.waiting.push_back(text);
        self.publish_waiting();
    }

    fn publish_waiting(&mut self) {
        while !self.busy {
            let Some(mut text) = self.waiting.pop_front() else { return };
            text.insert(0, b'[');
            if self.transport == Transport::LongPolling {
                while let Some(next) = self.waiting.front() {
                    if text.len() + next.len() > REQUEST {
                        break;
                    }
                    text.push(b',');
                    text.extend_from_slice(next);
                    self.waiting.pop_front();
                }
            }
            text.push(b']');
            match self.transport {
                Transport::WebSocket => frame::write(Kind::Text, &text, &mut self.out[FIRST]),
                Transport::LongPolling => {
                    self.requests.post(&text, &mut self.out[SECOND]);
                    self.busy = true;
                }
            }
        }
    }

    fn say(&mut self, lane: usize, text: &str) {
        match self.transport {
            Transport::WebSocket => frame::write(Kind::Text, text.as_bytes(), &mut self.out[lane]),
            Transport::LongPolling => self.requests.post(text.as_bytes(), &mut self.out[lane]),
        }
    }

    /// Takes what has come in.
    pub(super) fn take(&mut self, lane: usize, incoming: Incoming<'_>, desk: &mut Desk<'_>) {
        match incoming {
            Incoming::Upgraded { cookies } => {
                self.requests.keep(cookies);
                self.handshake();
            }
            Incoming::Text(text) => self.text(lane, text, desk),
            Incoming::Ping(payload) => frame::write(Kind::Pong, payload, &mut self.out[FIRST]),
            Incoming::Response { status, cookies, close, body } => {
                self.requests.keep(cookies);
                if status == 200 {
                    self.text(lane, body, desk);
                } else {
                    self.lose(format!("status {status}"), desk.tally);
                }
                if close && self.stage != Stage::Lost && self.stage != Stage::Away {
                    self.lose("connection: close".to_owned(), desk.tally);
                }
                if lane == SECOND {
                    self.busy = false;
                    self.publish_waiting();
                }
            }
        }
    }

    fn text(&mut self, lane: usize, text: &[u8], desk: &mut Desk<'_>) {
        let mut events = false;
        for stamp in desk.finder.stamps(text) {
            events = true;
            match self.subscriptions.binary_search_by_key(&stamp.channel, |it| it.0) {
                Ok(at) => desk.tally.arrived(stamp, self.subscriptions[at].1.arrived(stamp, lane)),
                Err(_) => desk.tally.trouble("a message that was not subscribed to".to_owned()),
            }
        }
        if events {
            desk.tally.text();
        }
        if desk.finder.has_reply(text) {
            match reply::read(text) {
                Ok(replies) => replies.into_iter().for_each(|it| self.reply(it, desk)),
                Err(error) => self.lose(format!("what came is no message: {error}"), desk.tally),
            }
        }
    }

    fn reply(&mut self, reply: Reply<'_>, desk: &mut Desk<'_>) {
        let Some(successful) = reply.successful else { return };
        let channel = reply.channel.as_deref().unwrap_or_default();
        if !channel.starts_with("/meta/") {
            self.published(&reply, successful, desk);
            return;
        }
        if !successful {
            let error = reply.error.as_deref().unwrap_or("no error said");
            let lost = match &reply.advice {
                Some(advice) => advice.reconnect.as_deref() != Some("retry"),
                None => channel != "/meta/connect",
            };
            if lost {
                self.lose(format!("{channel}: {error}"), desk.tally);
                return;
            }
            desk.tally.trouble(format!("{channel}: {error}"));
        }
        match (channel, self.stage) {
            ("/meta/handshake", Stage::Handshaking) => {
                let Some(id) = reply.client_id else {
                    self.lose("a handshake without a clientId".to_owned(), desk.tally);
                    return;
                };
                id.get().clone_into(&mut self.id);
                let acknowledges = reply.ext.and_then(|it| it.ack);
                if acknowledges.is_some_and(|it| it != Value::Bool(false)) {
                    self.acknowledged = Some((-1).into());
                }
                self.subscribe(desk.prefix);
            }
            ("/meta/subscribe", Stage::Subscribing) => {
                self.stage = Stage::Ready;
                self.connect();
            }
            ("/meta/connect", Stage::Ready) => {
                if self.acknowledged.is_some() {
                    if let Some(ack) = reply.ext.and_then(|it| it.ack) {
                        self.acknowledged = Some(ack);
                    }
                }
                let interval = reply.advice.and_then(|it| it.interval).unwrap_or(0.0);
                let pause = Duration::try_from_secs_f64(interval / 1_000.0).unwrap_or_default();
                if self.passing {
                    self.leave();
                } else if pause.is_zero() {
                    self.connect();
                } else {
                    self.pause = Some(pause);
                }
            }
            ("/meta/disconnect", Stage::Leaving) => {
                self.stage = Stage::Away;
                desk.tally.delivery(self.born);
            }
            _ => {}
        }
    }

    fn published(&mut self, reply: &Reply<'_>, successful: bool, desk: &mut Desk<'_>) {
        let id = reply.id.as_deref().and_then(|it| it.parse().ok());
        let at = self.unanswered.iter().position(|unanswered| Some(unanswered.0) == id);
        let Some((_, due)) = at.and_then(|at| self.unanswered.remove(at)) else {
            desk.tally.trouble("a reply to nothing".to_owned());
            return;
        };
        if !successful {
            desk.tally.refused += 1;
            let error = reply.error.as_deref().unwrap_or("no error said");
            desk.tally.trouble(format!("publish: {error}"));
        }
        if self.subscriptions.is_empty() && desk.echoes {
            desk.tally.delivery(due);
        }
    }

    /// There is no session any more.
    pub(super) fn lose(&mut self, why: String, tally: &mut Tally) {
        if self.stage == Stage::Lost {
            return;
        }
        (self.stage, self.missed) = (Stage::Lost, true);
        tally.sessions_lost += 1;
        tally.trouble(why);
    }
}
