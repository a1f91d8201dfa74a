//! [`Bench`]: a server with a hand on its clock.

use std::time::Duration;

use bayeux_core::{
    AskListen, AskPublish, Command, Config, Decoder, Due, Encoding, Entropy, Event, Input, LinkId,
    LinkInfo, Message, Output, Pattern, Question, Refusal, Rules, Server, SessionId, Time,
    Transport, WallTime, encode,
};
use serde_json::{Value, json};

/// Counts up: every id is different, and the same in every run.
pub(crate) struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 += 1;
            chunk.copy_from_slice(&self.0.to_be_bytes()[..chunk.len()]);
        }
    }
}

pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) now: Time,
    decoder: Decoder,
    transports: Vec<Transport>,
    links: u64,
    /// Outputs that were not asked for yet.
    seen: Vec<Output>,
    /// Whether links that have an answer are only named until they are collected.
    pub(crate) late: bool,
    pub(crate) named: Vec<LinkId>,
}

/// A session with the browser that it belongs to.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) id: String,
    browser: Option<bayeux_core::BrowserId>,
}

impl Visitor {
    /// Another session of the same browser.
    pub(crate) fn tab(&self, id: &str) -> Self {
        Self { id: id.to_owned(), browser: self.browser }
    }

    pub(crate) fn session(&self) -> SessionId {
        SessionId::parse(&self.id).unwrap()
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        configure(&mut config);
        let decoder = Decoder::new(&config);
        let transports = config.allowed_transports.clone();
        let server = Server::new(config, Box::new(Counter(0)), Time::ZERO).unwrap();
        Self {
            server,
            now: Time::ZERO,
            decoder,
            transports,
            links: 0,
            seen: Vec::new(),
            late: false,
            named: Vec::new(),
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.server.handle(self.now, input);
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    pub(crate) fn rules(&mut self, change: impl FnOnce(&mut Rules)) {
        let mut rules = Rules::new();
        change(&mut rules);
        self.command(Command::SetRules(rules.into()));
    }

    /// Sends a payload on a new link.
    pub(crate) fn post(&mut self, visitor: Option<&Visitor>, messages: &Value) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        let browser = visitor.and_then(|visitor| visitor.browser);
        let info = LinkInfo::new(Transport::LongPolling).browser(browser);
        let payload = self.decoder.decode(&messages.to_string().into()).unwrap();
        self.input(Input::Open { link, info });
        self.input(Input::Receive { link, payload });
        link
    }

    /// Opens a WebSocket.
    pub(crate) fn socket(&mut self) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        self.input(Input::Open { link, info: LinkInfo::new(Transport::WebSocket) });
        link
    }

    /// Sends a payload on a WebSocket, without waiting for its turn.
    pub(crate) fn tell(&mut self, link: LinkId, messages: &Value) {
        let payload = self.decoder.decode(&messages.to_string().into()).unwrap();
        self.input(Input::Receive { link, payload });
    }

    /// Sends a payload on a WebSocket, and takes what comes back.
    pub(crate) fn call(&mut self, link: LinkId, messages: &Value) -> Vec<Value> {
        self.tell(link, messages);
        let answer = self.take(link);
        assert_eq!(self.resumes(link), 1, "the next payload may come");
        answer
    }

    /// How often the socket was told that its next payload may come.
    pub(crate) fn resumes(&mut self, link: LinkId) -> usize {
        self.count(|output| matches!(output, Output::Resume { link: it } if *it == link))
    }

    /// How often it was said that nothing is left of the session.
    pub(crate) fn forgets(&mut self, id: SessionId) -> usize {
        self.count(|output| matches!(output, Output::Forget { session } if *session == id))
    }

    /// How often the peer of the socket was to be pinged.
    pub(crate) fn pings(&mut self, link: LinkId) -> usize {
        self.count(|output| matches!(output, Output::Ping { link: it } if *it == link))
    }

    fn count(&mut self, wanted: impl Fn(&Output) -> bool) -> usize {
        self.drain();
        let before = self.seen.len();
        self.seen.retain(|output| !wanted(output));
        before - self.seen.len()
    }

    /// A session that was made on a WebSocket, and has not connected.
    pub(crate) fn guest(&mut self, link: LinkId) -> Visitor {
        let handshake = json!([{ "id": "1", "channel": "/meta/handshake", "version": "1.0" }]);
        let answer = self.call(link, &handshake);
        let id = answer[0]["clientId"].as_str().expect("a session").to_owned();
        Visitor { id, browser: None }
    }

    /// A session on a WebSocket that subscribes to `/a` and whose connect is held.
    pub(crate) fn held_guest(&mut self) -> (LinkId, Visitor) {
        let link = self.socket();
        let guest = self.guest(link);
        self.call(link, &subscribe(&guest, "/a"));
        self.call(link, &connect(&guest));
        self.hold_on(link, &guest);
        (link, guest)
    }

    /// A session on a WebSocket whose connect is held, and the one that it has left with its event,
    /// 1 on `/a`, on its way.
    pub(crate) fn moved_guest(&mut self) -> (LinkId, LinkId, Visitor) {
        let (old, guest) = self.held_guest();
        self.publish("/a", json!(1));
        self.answer(old).expect("it is handed over");
        let new = self.socket();
        self.hold_on(new, &guest);
        (old, new, guest)
    }

    /// Holds a connect on a WebSocket.
    pub(crate) fn hold_on(&mut self, link: LinkId, visitor: &Visitor) {
        self.tell(link, &connect(visitor));
        assert_eq!(self.answer(link), None, "the connect is held");
        assert_eq!(self.resumes(link), 1, "other payloads may come meanwhile");
        assert!(self.server.session(visitor.session()).unwrap().is_held());
    }

    /// Lets time pass; what is due happens at its time.
    pub(crate) fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.server.poll_timeout().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
            self.drain();
        }
        self.now = end;
        self.input(Input::Tick);
    }

    pub(crate) fn drain(&mut self) {
        if !self.late {
            self.seen.extend(std::iter::from_fn(|| self.server.poll_output()));
            return;
        }
        while let Some(due) = self.server.poll_due() {
            match due {
                Due::Output(output) => self.seen.push(output),
                Due::Answer(link) => self.named.push(link),
            }
        }
    }

    /// Collects what a link is owed, which may be nothing any more.
    pub(crate) fn collect(&mut self, link: LinkId) {
        if let Some(parcel) = self.server.collect(self.now, link) {
            self.seen.push(Output::Send { link, parcel });
        }
        self.drain();
    }

    /// The answer to a link, if it was sent; not yet confirmed.
    pub(crate) fn answer(&mut self, link: LinkId) -> Option<Vec<Value>> {
        self.drain();
        let at = self
            .seen
            .iter()
            .position(|output| matches!(output, Output::Send { link: it, .. } if *it == link))?;
        let Output::Send { parcel, .. } = self.seen.remove(at) else { unreachable!() };
        let mut text = Vec::new();
        let wall = WallTime::from_millis(self.now.as_micros() / 1_000);
        encode(&parcel, Encoding { offered: &self.transports, wall }, &mut text);
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// The answer to a link, which is delivered.
    pub(crate) fn take(&mut self, link: LinkId) -> Vec<Value> {
        let answer = self.answer(link).expect("an answer");
        self.input(Input::Sent { link, delivered: true });
        answer
    }

    pub(crate) fn send(&mut self, visitor: &Visitor, messages: &Value) -> Vec<Value> {
        let link = self.post(Some(visitor), messages);
        self.take(link)
    }

    pub(crate) fn refusal(&mut self, link: LinkId) -> Option<Refusal> {
        self.drain();
        self.seen.iter().find_map(|output| match output {
            Output::Refuse { link: it, refusal } if *it == link => Some(*refusal),
            _ => None,
        })
    }

    pub(crate) fn question(&mut self) -> Question {
        self.drain();
        let at = self.seen.iter().position(|output| matches!(output, Output::Ask(_)));
        match self.seen.remove(at.expect("a question")) {
            Output::Ask(question) => question,
            _ => unreachable!(),
        }
    }

    pub(crate) fn publish_question(&mut self) -> AskPublish {
        match self.question() {
            Question::Publish(question) => question,
            other => panic!("a publish question: {other:?}"),
        }
    }

    pub(crate) fn listen_question(&mut self) -> AskListen {
        match self.question() {
            Question::Listen(question) => question,
            other => panic!("a listen question: {other:?}"),
        }
    }

    pub(crate) fn has_question(&mut self) -> bool {
        self.drain();
        self.seen.iter().any(|output| matches!(output, Output::Ask(_)))
    }

    /// The events so far, which are forgotten.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.drain();
        let (events, rest) = std::mem::take(&mut self.seen)
            .into_iter()
            .partition::<Vec<_>, _>(|output| matches!(output, Output::Tell(_)));
        self.seen = rest;
        let event = |output| match output {
            Output::Tell(event) => Some(event),
            _ => None,
        };
        events.into_iter().filter_map(event).collect()
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        self.drain();
        std::mem::take(&mut self.seen)
    }

    /// A session that has not connected.
    pub(crate) fn newcomer(&mut self, ext: &Value) -> Visitor {
        let handshake =
            json!([{ "id": "1", "channel": "/meta/handshake", "version": "1.0", "ext": ext }]);
        let link = self.post(None, &handshake);
        self.drain();
        let browser = self.seen.iter().find_map(|output| match output {
            Output::Send { link: it, parcel } if *it == link => parcel.browser,
            _ => None,
        });
        let answer = self.take(link);
        let id = answer[0]["clientId"].as_str().expect("a session").to_owned();
        Visitor { id, browser }
    }

    /// A session that has connected once.
    pub(crate) fn visitor(&mut self) -> Visitor {
        let visitor = self.newcomer(&json!({}));
        self.send(&visitor, &connect(&visitor));
        visitor
    }

    /// A session that subscribes to `channel`.
    pub(crate) fn subscriber(&mut self, channel: &str) -> Visitor {
        let visitor = self.visitor();
        self.send(&visitor, &subscribe(&visitor, channel));
        visitor
    }

    /// Holds a connect.
    pub(crate) fn hold(&mut self, visitor: &Visitor) -> LinkId {
        let link = self.post(Some(visitor), &connect(visitor));
        assert_eq!(self.answer(link), None, "the connect is held");
        link
    }

    /// The application publishes.
    pub(crate) fn publish(&mut self, channel: &str, data: Value) {
        let message = message(channel, data).into();
        self.command(Command::Publish { message, from: None, receipt: None });
    }

    /// The application delivers.
    pub(crate) fn deliver(&mut self, visitor: &Visitor, data: Value) {
        let (session, message) = (visitor.session(), message("/direct", data).into());
        self.command(Command::Deliver { session, message });
    }
}

pub(crate) fn message(channel: &str, data: Value) -> Message {
    Message::new(channel.try_into().unwrap(), bayeux_core::Json::new(&data).unwrap())
}

pub(crate) fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

pub(crate) fn connect(visitor: &Visitor) -> Value {
    json!([{
        "id": "c",
        "channel": "/meta/connect",
        "clientId": visitor.id,
        "connectionType": "long-polling",
    }])
}

pub(crate) fn subscribe(visitor: &Visitor, channel: &str) -> Value {
    json!([{
        "id": "s",
        "channel": "/meta/subscribe",
        "clientId": visitor.id,
        "subscription": channel,
    }])
}

pub(crate) fn publish(visitor: &Visitor, channel: &str, data: Value) -> Value {
    json!([{ "id": "p", "channel": channel, "clientId": visitor.id, "data": data }])
}

/// The data of the events in an answer.
pub(crate) fn data(answer: &[Value]) -> Vec<Value> {
    answer.iter().filter_map(|message| message.get("data").cloned()).collect()
}
