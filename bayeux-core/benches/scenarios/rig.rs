//! [`Rig`]: a server with everything that drives it.
//!
//! It does what a driver does and no more: each input is followed by all outputs, and each parcel by
//! the news that it was taken. Keys and ids come from a counter, so that a run can be repeated to the
//! instruction.

use bayeux_core::{
    BrowserId, Command, Config, Entropy, Input, LinkId, LinkInfo, Message, Output, Parcel, Pattern,
    Request, RequestKind, Server, SessionId, Time, Transport,
};
use std::sync::Arc;
use std::time::Duration;

/// Counts up: every id is different, and the same in every run.
struct Counter(u64);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 += 1;
            chunk.copy_from_slice(&self.0.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// A session, and the link that it is on.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    pub(crate) session: SessionId,
    pub(crate) link: LinkId,
    browser: Option<BrowserId>,
    transport: Transport,
}

impl Client {
    /// Whether its connect is answered by an event, so that it has to connect again.
    pub(crate) fn connects_again(&self) -> bool {
        self.transport != Transport::WebSocket
    }
}

pub(crate) struct Rig {
    pub(crate) server: Server,
    now: Time,
    links: u64,
    /// The links that were given a parcel that is not confirmed yet.
    given: Vec<LinkId>,
    /// The latest parcel that answers something.
    answer: Option<Parcel>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let mut config = Config::default();
        config.limits.sessions = usize::MAX;
        config.limits.channels = usize::MAX;
        let server = Server::new(config, Box::new(Counter(0)), Time::ZERO);
        Self {
            server: server.expect("the defaults are valid"),
            now: Time::ZERO,
            links: 0,
            given: Vec::new(),
            answer: None,
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.server.handle(self.now, input);
    }

    /// A moment passes: so little that nothing is ever due by it.
    pub(crate) fn moment(&mut self) {
        self.now = self.now + Duration::from_micros(1);
    }

    /// Time passes until something is due, which happens.
    pub(crate) fn ring(&mut self) {
        self.now = self.server.poll_timeout().expect("something is due some day").max(self.now);
        self.input(Input::Tick);
    }

    /// Time passes until the held connect of a client is answered for want of events.
    pub(crate) fn ring_out(&mut self, client: &Client) {
        while self.server.session(client.session).is_some_and(|it| it.is_held()) {
            self.ring();
        }
        self.settle();
    }

    /// Takes all outputs, and says of each parcel that it was taken. How many events there were.
    pub(crate) fn settle(&mut self) -> usize {
        let (mut events, mut at) = (self.take_outputs(), 0);
        while let Some(&link) = self.given.get(at) {
            self.input(Input::Sent { link, delivered: true });
            events += self.take_outputs();
            at += 1;
        }
        self.given.clear();
        events
    }

    fn take_outputs(&mut self) -> usize {
        let mut events = 0;
        while let Some(output) = self.server.poll_output() {
            if let Output::Send { link, parcel } = output {
                events += parcel.events.len();
                self.given.push(link);
                if !parcel.replies.is_empty() {
                    self.answer = Some(parcel);
                }
            }
        }
        events
    }

    /// The latest parcel with replies in it.
    pub(crate) fn answer(&mut self) -> Parcel {
        self.answer.take().expect("an answer")
    }

    pub(crate) fn open(&mut self, transport: Transport, browser: Option<BrowserId>) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        self.input(Input::Open { link, info: LinkInfo::new(transport).browser(browser) });
        link
    }

    /// A new session, which has not connected.
    pub(crate) fn handshake(&mut self, transport: Transport) -> Client {
        self.moment();
        let link = self.open(transport, None);
        let kind = RequestKind::Handshake { too_new: false, transports: None };
        self.input(Input::Receive { link, payload: payload(None, kind) });
        self.settle();
        let parcel = self.answer();
        let session = parcel.replies[0].details().client.expect("a session");
        Client { session, link, browser: parcel.browser, transport }
    }

    /// A client sends a payload. Over HTTP that takes a link of its own.
    pub(crate) fn send(&mut self, client: &mut Client, payload: Vec<Request>) {
        if client.connects_again() {
            client.link = self.open(client.transport, client.browser);
        }
        self.input(Input::Receive { link: client.link, payload });
    }

    /// A session that subscribes to `pattern` and whose connect is held.
    pub(crate) fn subscriber(&mut self, transport: Transport, pattern: &Pattern) -> Client {
        let mut client = self.handshake(transport);
        self.subscribe(client.session, pattern);
        for _ in 0..2 {
            let payload = connect(&client);
            self.send(&mut client, payload);
            self.settle();
        }
        assert!(self.server.session(client.session).is_some_and(|it| it.is_held()));
        client
    }

    /// The application subscribes a session.
    pub(crate) fn subscribe(&mut self, session: SessionId, pattern: &Pattern) {
        self.input(Input::Command(Command::Subscribe { session, pattern: pattern.clone() }));
        self.settle();
    }

    /// The application publishes.
    pub(crate) fn publish(&mut self, message: &Arc<Message>) {
        self.moment();
        let message = Arc::clone(message);
        self.input(Input::Command(Command::Publish { message, from: None, receipt: None }));
    }
}

/// A payload of one message.
pub(crate) fn payload(client: Option<SessionId>, kind: RequestKind) -> Vec<Request> {
    vec![Request { id: None, client, ext: None, extensions: None, kind }]
}

/// The payload of a connect.
pub(crate) fn connect(client: &Client) -> Vec<Request> {
    payload(Some(client.session), RequestKind::Connect { advice: None })
}

pub(crate) fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).expect("a channel or wildcard")
}
