//! Random inputs of every kind on many links, exchanges and sockets, of a few sessions, checked after
//! each poll.
//!
//! Nothing is expected of single replies. What must hold whatever happens: nothing panics, gauges
//! agree with what can be seen, an event reaches whom it is owed and nobody else, exactly once for
//! each response that got out, and when everybody has left nothing is left behind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bayeux_core::{
    Activity, Answer, BrowserId, Census, ChannelSettings, Command, Decoder, Input, LinkId,
    LinkInfo, ListenVerdict, Output, Parcel, Question, Removals, RuleList, Ruling, SessionId,
    SessionState, SessionView, Transport, Verdict,
};
use serde_json::{Value, json};

use crate::bench::{Bench, message, pattern};

const SEEDS: u64 = 40;
const STEPS: usize = 400;
/// Clients 0 and 1, 2 and 3, … share a browser.
const CLIENTS: usize = 6;
const QUEUE: usize = 12;
const CHANNELS: [&str; 6] = ["/a", "/a/b", "/b/c", "/l/x", "/ask/x", "/service/x"];
const PATTERNS: [&str; 8] = ["/a", "/a/*", "/**", "/b/**", "/l/x", "/ask/*", "/service/x", "/*"];
/// Who gets the clients' own messages is not foretold; their numbers are above this.
const LATE: u64 = 1 << 40;

/// SplitMix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.roll(from.len() as u64) as usize])
    }
}

/// A link that the storm has not ended.
struct Open {
    client: usize,
    /// Whose events its parcels may carry: of a socket those who were ever bound to it.
    sessions: Vec<SessionId>,
    /// The numbers that the parcel on its way does carry, with whose they are.
    sent: Option<Vec<(SessionId, u64)>>,
    /// Of a socket: whether it may give its next payload.
    ready: Option<bool>,
}

struct Storm {
    bench: Bench,
    dice: Dice,
    decoder: Decoder,
    clients: [(Option<SessionId>, Option<BrowserId>); CLIENTS],
    open: BTreeMap<LinkId, Open>,
    questions: Vec<Question>,
    numbers: u64,
    /// What each session must get, and whether it got it for good.
    owed: BTreeMap<(SessionId, u64), bool>,
    /// Connects that were told to poll because their browser has another one held.
    surplus: usize,
    /// Sessions of which nothing is left.
    forgotten: BTreeSet<SessionId>,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut bench = Bench::with(|config| {
            config.allowed_transports = vec![Transport::LongPolling, Transport::CallbackPolling];
            config.limits.queue_messages = QUEUE;
            config.limits.sessions = CLIENTS - 1;
            config.limits.channels = 7;
            config.limits.burst_events = 2;
            config.limits.session_subscriptions = 4;
            config.limits.questions = 8;
            config.limits.handshake_questions = 4;
            config.limits.session_questions = 3;
            config.allow_message_delivery_during_handshake = seed % 3 == 0;
            config.meta_connect_deliver_only = seed % 5 == 0;
            config.multi_session_interval = Duration::from_secs(seed % 4);
        });
        bench.rules(|rules| {
            let ask = RuleList::new(Ruling::Allow).rule(pattern("/ask/**"), Ruling::Ask);
            rules.handshake = if seed % 2 == 0 { Ruling::Ask } else { Ruling::Allow };
            (rules.create, rules.subscribe, rules.publish) = (ask.clone(), ask.clone(), ask);
        });
        let decoder = Decoder::new(bench.server.config());
        Self {
            bench,
            decoder,
            dice: Dice(seed),
            clients: [(None, None); CLIENTS],
            open: BTreeMap::new(),
            questions: Vec::new(),
            numbers: 0,
            owed: BTreeMap::new(),
            surplus: 0,
            forgotten: BTreeSet::new(),
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn message(&mut self, client: usize) -> Value {
        // Now and then somebody else's session, or none.
        let whose = if self.dice.roll(12) == 0 { self.dice.roll(6) as usize } else { client };
        let id = self.clients[whose].0.map_or("x".to_owned(), |it| it.to_string());
        let patterns = [(); 2].map(|()| self.dice.pick(&PATTERNS));
        let mut message = match self.dice.roll(20) {
            0..=7 => json!({ "channel": "/meta/connect", "id": 1 }),
            8 => json!({ "channel": "/meta/connect", "advice": { "timeout": 700 } }),
            9..=10 => json!({ "channel": "/meta/subscribe", "subscription": patterns }),
            11 => json!({ "channel": "/meta/unsubscribe", "subscription": patterns[0] }),
            12 if self.dice.roll(4) == 0 => json!({ "channel": "/meta/disconnect" }),
            13 => json!({ "channel": 7, "id": [] }),
            14 => json!({ "channel": "/meta/handshake" }),
            _ => json!({ "channel": self.dice.pick(&CHANNELS), "data": self.number() + LATE }),
        };
        message["clientId"] = json!(id);
        message
    }

    fn post(&mut self, client: usize, messages: &Value) {
        let link = LinkId(self.number());
        let kinds = [Transport::LongPolling, Transport::LongPolling, Transport::CallbackPolling];
        let info = LinkInfo::new(self.dice.pick(&kinds).unwrap()).browser(self.clients[client].1);
        let info = info.http2(self.dice.roll(3) == 0);
        let mut owners = messages.as_array().into_iter().flatten();
        let session = owners.find_map(|it| SessionId::parse(it["clientId"].as_str()?));
        let sessions = session.into_iter().collect();
        self.open.insert(link, Open { client, sessions, sent: None, ready: None });
        self.bench.input(Input::Open { link, info });
        let payload = self.decoder.decode(&messages.to_string().into()).unwrap();
        self.bench.input(Input::Receive { link, payload });
    }

    /// The same on a WebSocket: on one of the client's that is ready, or on a new one.
    fn push(&mut self, client: usize, messages: &Value) {
        let ready = |open: &Open| open.client == client && open.ready == Some(true);
        let sockets: Vec<_> =
            self.open.iter().filter(|(_, open)| ready(open)).map(|(link, _)| *link).collect();
        let link = match self.dice.pick(&sockets) {
            Some(link) if self.dice.roll(6) > 0 => link,
            _ => {
                let link = LinkId(self.number());
                self.open.insert(
                    link,
                    Open { client, sessions: Vec::new(), sent: None, ready: Some(true) },
                );
                let info = LinkInfo::new(Transport::WebSocket);
                self.bench.input(Input::Open { link, info });
                link
            }
        };
        // A session may be bound, and be gone again when this is over.
        let mut owners = messages.as_array().into_iter().flatten();
        let session = owners.find_map(|it| SessionId::parse(it["clientId"].as_str()?));
        if let Some(open) = self.open.get_mut(&link) {
            open.ready = Some(false);
            open.sessions.extend(session);
        }
        let payload = self.decoder.decode(&messages.to_string().into()).unwrap();
        self.bench.input(Input::Receive { link, payload });
        self.note_bindings();
    }

    fn note_bindings(&mut self) {
        for (id, link) in self.bench.server.sessions().map(|it| (it.id(), it.socket())) {
            let Some(open) = link.and_then(|link| self.open.get_mut(&link)) else { continue };
            if !open.sessions.contains(&id) {
                open.sessions.push(id);
            }
        }
    }

    fn send(&mut self, client: usize, messages: &Value) {
        if self.dice.roll(2) == 0 {
            self.push(client, messages);
        } else {
            self.post(client, messages);
        }
    }

    fn step(&mut self) {
        let client = self.dice.roll(CLIENTS as u64) as usize;
        let links: Vec<_> = self.open.keys().copied().collect();
        let at = self.dice.roll(links.len() as u64 + 1) as usize;
        match (self.dice.roll(35), self.clients[client].0) {
            (0..=12, Some(_)) => {
                let count = self.dice.pick(&[1, 1, 1, 1, 2, 3]).unwrap();
                let messages = (0..count).map(|_| self.message(client)).collect();
                self.send(client, &Value::Array(messages));
            }
            (0..=3, None) => self.send(client, &json!([{ "channel": "/meta/handshake" }])),
            (13..=18, _) => {
                let delivered = self.dice.roll(3) > 0;
                self.end(links.get(at).copied(), delivered);
            }
            (19, _) => self.close(links.get(at).copied()),
            (20..=24, _) if !self.questions.is_empty() => self.answer(),
            (25..=28, Some(session)) => {
                self.foretell(|it| it.id() == session);
                let message = message("/direct", json!(self.numbers)).into();
                self.bench.command(Command::Deliver { session, message });
            }
            (29..=31, _) => {
                let channel = CHANNELS[self.dice.roll(3) as usize];
                let name = channel.try_into().unwrap();
                self.foretell(|it| it.subscriptions().iter().any(|it| it.matches(&name)));
                self.bench.publish(channel, json!(self.numbers));
            }
            (32, Some(session)) => self.command(session),
            (33, _) => {
                let millis = self.dice.roll(900) * self.dice.pick(&[1, 1, 1, 70]).unwrap();
                self.bench.now = self.bench.now + Duration::from_millis(millis);
            }
            _ => self.bench.input(Input::Tick),
        }
        // Several inputs may pass before the driver polls.
        if self.dice.roll(4) > 0 {
            self.poll();
        }
    }

    /// Says what became of a link's response, if it has one.
    fn end(&mut self, link: impl IntoIterator<Item = LinkId>, delivered: bool) {
        // What a refused socket was writing counts as written; whether it was refused is looked up.
        self.poll();
        for link in link {
            let Some(sent) = self.open.get_mut(&link).and_then(|it| it.sent.take()) else {
                continue;
            };
            if self.open.get(&link).is_some_and(|it| it.ready.is_none()) {
                self.open.remove(&link);
            }
            if delivered {
                self.owed.extend(sent.into_iter().map(|it| (it, true)));
            }
            self.bench.input(Input::Sent { link, delivered });
        }
    }

    fn close(&mut self, links: impl IntoIterator<Item = LinkId>) {
        for link in links {
            self.open.remove(&link);
            self.bench.input(Input::Close { link });
        }
    }

    fn answer(&mut self) {
        let at = self.dice.roll(self.questions.len() as u64) as usize;
        let yes = self.dice.roll(4) > 0;
        let verdict = Verdict::from(yes);
        self.bench.input(Input::Answer(match self.questions.swap_remove(at) {
            Question::Handshake(it) => Answer::Handshake(it.ticket, verdict, Box::default()),
            Question::Create(it) => Answer::Create(it.ticket, verdict),
            Question::Subscribe(it) => Answer::Subscribe(it.ticket, verdict),
            Question::Publish(it) => Answer::Publish(it.ticket, verdict),
            Question::Extend(it) => Answer::Extend(it.ticket, yes.then_some(it.request)),
            Question::Listen(it) if yes => Answer::Listen(it.ticket, ListenVerdict::Continue),
            Question::Listen(it) => Answer::Listen(it.ticket, ListenVerdict::Veto),
        }));
    }

    /// The next number is owed to these sessions. What is due happens before it is looked who they
    /// are, as it will happen before the message is queued.
    fn foretell(&mut self, who: impl Fn(&SessionView<'_>) -> bool) {
        let number = self.number();
        self.bench.input(Input::Tick);
        let reached = self.bench.server.sessions().filter(who);
        self.owed.extend(reached.map(|it| ((it.id(), number), false)));
    }

    fn command(&mut self, session: SessionId) {
        let (pattern, yes) = (pattern(self.dice.pick(&PATTERNS).unwrap()), self.dice.roll(2) == 0);
        let listened = crate::bench::pattern(["/l/x", "/meta/connect"][self.dice.roll(2) as usize]);
        let settings = ChannelSettings::new().lazy(yes);
        let period = Duration::from_millis(self.dice.roll(20_000));
        let authorized = crate::bench::pattern(["/ask/*", "/b/**"][self.dice.roll(2) as usize]);
        self.bench.command(match self.dice.roll(11) {
            0 => Command::Disconnect { session },
            1 => Command::BeginBatch { session },
            2 => Command::EndBatch { session },
            3 => Command::RemoveChannel { pattern },
            4..=5 => Command::ListenChannel { pattern: listened, listen: yes },
            6 => Command::Extend { incoming: yes, outgoing: false },
            7 => Command::ExtendSession { session, incoming: yes },
            8 => {
                Command::SetActivity { session, activity: yes.then(|| Activity::of_client(period)) }
            }
            9 => Command::AuthorizeChannel { pattern: authorized, authorize: yes },
            _ => Command::ConfigureChannel { pattern, settings },
        });
    }

    fn poll(&mut self) {
        self.note_bindings();
        self.bench.drain();
        // Some links are written to later than others.
        for link in std::mem::take(&mut self.bench.named) {
            if self.dice.roll(3) == 0 {
                self.bench.named.push(link);
            } else {
                self.bench.collect(link);
            }
        }
        // An answer to a ping may have outputs of its own.
        let mut outputs = VecDeque::from(self.bench.outputs());
        while let Some(output) = outputs.pop_front() {
            match output {
                Output::Send { link, parcel } => self.receive(link, &parcel),
                Output::Refuse { link, .. } => {
                    // What a socket is writing is written to its end.
                    let sent = self.open.remove(&link).and_then(|it| it.sent);
                    self.owed.extend(sent.into_iter().flatten().map(|it| (it, true)));
                }
                Output::Resume { link } => {
                    // It may have been closed since.
                    if let Some(open) = self.open.get_mut(&link) {
                        let before = open.ready.replace(true);
                        assert_eq!(before, Some(false), "it gave a payload before");
                    }
                }
                Output::Ping { link } => {
                    if self.dice.roll(2) == 0 {
                        self.bench.input(Input::Alive { link });
                        outputs.extend(self.bench.outputs());
                    }
                }
                Output::Ask(question) => self.questions.push(question),
                Output::Forget { session } => {
                    assert!(self.bench.server.session(session).is_none());
                    assert!(self.forgotten.insert(session), "nothing is left, once");
                }
                Output::Withdraw(question) => {
                    assert!(!self.bench.server.is_open(question), "nobody waits for it");
                }
                Output::Tell(_) | Output::Relay(_) => {}
            }
        }
        let (stats, server) = (self.bench.server.stats(), &self.bench.server);
        assert_eq!(stats.held, server.sessions().filter(|it| it.is_held()).count());
        for (transport, state, count) in stats.census.all() {
            let alike = |it: &SessionView<'_>| (it.transport(), it.state()) == (transport, state);
            let expected = match state {
                SessionState::Ended => continue,
                _ => server.sessions().filter(alike).count(),
            };
            assert_eq!(count, expected, "{transport:?} {state:?}");
        }
        let counted: usize = stats.census.all().map(|(_, _, count)| count).sum();
        assert_eq!(counted, stats.sessions, "each session is counted once");
        if server.sessions().count() == stats.sessions {
            // Nobody waits to be told of the end.
            let queued: usize = server.sessions().map(|it| it.queue_bytes()).sum();
            assert_eq!(stats.census.queue_bytes(), queued);
        }
        assert!(stats.links >= self.open.len(), "what is open is known");
        assert!(stats.questions <= self.questions.len().min(8 + 4) && stats.sessions < CLIENTS);
        assert!(server.sessions().all(|it| it.queue_messages() <= QUEUE));
        assert!(server.sessions().all(|it| (it.queue_messages() == 0) == (it.queue_bytes() == 0)));
    }

    fn receive(&mut self, link: LinkId, parcel: &Parcel) {
        let mut open = self.open.remove(&link).expect("an answer goes to a link that is open");
        assert!(open.sent.is_none(), "a link is answered once");
        if let Some(id) = parcel.replies.iter().find_map(|reply| reply.details().client) {
            let browser = parcel.browser.or(self.clients[open.client].1);
            self.clients[open.client] = (Some(id), browser);
            open.sessions.push(id);
            // The browser's other client has the cookie, too, unless a session of its own needs
            // the one that it has: as with two tabs that shake hands at the same moment.
            let other = &mut self.clients[open.client ^ 1];
            if other.0.is_none_or(|it| self.bench.server.session(it).is_none()) {
                other.1 = browser;
            }
        }
        let advice = parcel.replies.iter().filter_map(|reply| reply.details().advice.as_ref());
        self.surplus += advice.filter(|it| it.multiple_clients).count();
        let farewell =
            parcel.events.iter().position(|event| event.channel().as_str() == "/meta/disconnect");
        let numbers = parcel.events.iter().enumerate();
        let numbers = numbers.filter_map(|(at, event)| Some((at, event.data().read().ok()?)));
        let mut sent: Vec<(SessionId, u64)> = Vec::new();
        for (at, number) in numbers {
            let on_its_way = |it: &(SessionId, u64)| {
                let mut others = self.open.values().filter_map(|open| open.sent.as_ref());
                sent.contains(it) || others.any(|sent| sent.contains(it))
            };
            // Owed, and on its way once.
            let owed = |id: &&SessionId| {
                let it = (**id, number);
                self.owed.get(&it) == Some(&false) && !on_its_way(&it)
            };
            // Most likely it is the one who is bound now; last events are of one who was before.
            let bound = self.bench.server.sessions().find(|it| it.socket() == Some(link));
            let bound = bound.map(|it| it.id());
            // In front of a farewell it is the one who is told it.
            let leaving = farewell.is_some_and(|farewell| at < farewell);
            let before = open.sessions.iter().filter(|it| leaving && Some(**it) != bound);
            let owner = before.chain(&bound).chain(&open.sessions).find(owed);
            // Nobody foretold who gets the clients' own messages.
            let late = (number > LATE).then(|| open.sessions.last()).flatten();
            let id = *owner.or(late).unwrap_or_else(|| panic!("{number} is owed"));
            sent.push((id, number));
        }
        for id in &open.sessions {
            let foretold = sent.iter().filter(|it| it.0 == *id && it.1 < LATE);
            assert!(foretold.is_sorted_by(|one, next| one.1 < next.1), "events keep their order");
        }
        open.sent = Some(sent);
        self.open.insert(link, open);
    }

    /// Ends every link and question.
    fn settle(&mut self) {
        for channel in ["/l/x", "/meta/connect"] {
            self.bench.command(Command::ListenChannel { pattern: pattern(channel), listen: false });
        }
        for channel in ["/ask/*", "/b/**"] {
            let pattern = pattern(channel);
            self.bench.command(Command::AuthorizeChannel { pattern, authorize: false });
        }
        self.bench.command(Command::Extend { incoming: false, outgoing: false });
        for (_, session) in self.live() {
            self.bench.command(Command::ExtendSession { session, incoming: false });
        }
        self.quiesce();
        self.close(self.open.keys().copied().collect::<Vec<_>>());
        self.quiesce();
        let stats = self.bench.server.stats();
        let gauges = (stats.links, stats.sockets, stats.held);
        assert_eq!(gauges, (0, 0, 0), "what was closed is gone");
    }

    /// Answers all questions, and lets payloads that have let others go first come to their end.
    fn quiesce(&mut self) {
        for _ in 0..20 {
            self.poll();
            while !self.questions.is_empty() {
                self.answer();
                self.poll();
            }
            self.bench.now = self.bench.now + Duration::from_micros(1);
            self.bench.input(Input::Tick);
        }
        self.poll();
        while !self.bench.named.is_empty() {
            self.poll();
        }
    }

    fn live(&self) -> Vec<(usize, SessionId)> {
        let sessions = self.clients.iter().enumerate().filter_map(|(at, it)| Some((at, it.0?)));
        sessions.filter(|(_, it)| self.bench.server.session(*it).is_some()).collect()
    }

    fn connect(&mut self, client: usize, id: SessionId) {
        let message = json!([{ "channel": "/meta/connect", "clientId": id.to_string() }]);
        match self.bench.server.session(id).and_then(|it| it.browser()) {
            Some(_) => self.post(client, &message),
            None => self.push(client, &message),
        }
    }

    /// Everybody gets what is left, and then could be held.
    fn collect(&mut self) {
        for round in 0..4 {
            for (client, session) in self.live() {
                (0..40).for_each(|_| self.bench.command(Command::EndBatch { session }));
                if round % 2 == 0 {
                    self.connect(client, session);
                }
            }
            self.poll();
            self.end(self.open.keys().copied().collect::<Vec<_>>(), true);
            self.bench.pass(2_500);
        }
        self.settle();
        for (client, id) in self.live() {
            let mut owed = self.owed.range((id, 0)..(id, LATE));
            assert_eq!(owed.find(|(_, got)| !**got), None, "everything owed was delivered");
            let surplus = self.surplus;
            self.connect(client, id);
            self.poll();
            assert_eq!(self.surplus, surplus, "no connect of this browser is held");
            self.settle();
        }
    }
}

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_left_behind() {
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut storm = Storm::new(seed);
        // Half of them with a driver that makes up parcels when it writes them.
        storm.bench.late = seed % 2 == 1;
        for _ in 0..3 {
            (0..STEPS).for_each(|_| storm.step());
            storm.settle();
            storm.collect();
        }
        storm.bench.pass(3_600_000);
        storm.quiesce();
        let stats = storm.bench.server.stats();
        let gauges = [stats.sessions, stats.browsers, stats.channels, stats.links, stats.questions];
        assert_eq!(gauges, [0; 5], "nothing is left behind");
        assert_eq!(stats.census, Census::default());
        assert_eq!(storm.forgotten.len() as u64, stats.added_sessions);
        assert_eq!(stats.added_sessions, removals(&stats.removed), "each has ended for a reason");
        assert_eq!(storm.bench.server.poll_timeout(), None);
    }
}

fn removals(removed: &Removals) -> u64 {
    let Removals { disconnected, disconnected_by_server, expired, .. } = removed;
    let Removals { expired_unconnected, overflowed, inactive, .. } = removed;
    disconnected + disconnected_by_server + expired + expired_unconnected + overflowed + inactive
}
