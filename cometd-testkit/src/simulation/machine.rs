//! [`Machine`]: the bare state machine as a [`Host`], level 0.
//!
//! Most runs are of this level: there is nothing between the world and [`Server`] but the codec, so
//! a run costs next to nothing, and each output of the machine can be looked at in its order (see
//! [`Ledger`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bayeux_core::{
    Answer, BrowserId, ChannelName, Command, Config, Decoder, Input, Json, LinkId, LinkInfo,
    Message, MessageParts, QuestionId, RemovedReason, Server, SessionId, Time, Transport,
};
use bytes::Bytes;

use super::host::{Down, Gauges, Host, Removal, Request, Up, Violation};
use super::ledger::Ledger;
use super::script::{Fault, Faults, Script, ScriptError};
use super::seed::Seed;

/// The bare state machine.
pub struct Machine {
    pub(super) server: Server,
    pub(super) decoder: Decoder,
    pub(super) config: Config,
    pub(super) seed: Seed,
    pub(super) faults: Faults,
    /// When the faults stop.
    heal: Time,
    /// How far the server's clock is ahead of the world's.
    ahead: Duration,
    /// The server's time.
    pub(super) now: Time,
    pub(super) links: BTreeMap<LinkId, Open>,
    pub(super) thinking: BTreeMap<(Time, u64), (QuestionId, Answer)>,
    pub(super) asked: BTreeMap<QuestionId, SessionId>,
    pub(super) questions: u64,
    pub(super) downs: VecDeque<Down>,
    pub(super) ledger: Ledger,
    pub(super) notes: Vec<String>,
    /// When the outputs are looked at that wait.
    pub(super) polls_at: Option<Time>,
    /// When the first of them may have come about.
    pub(super) since: Time,
    pub(super) inputs: u64,
}

/// A link that the machine knows.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) is_socket: bool,
    /// Whether a parcel was handed over of which nothing is known yet.
    pub(super) sent: bool,
    /// Whether the socket may not give its next payload.
    pub(super) busy: bool,
    pub(super) waiting: VecDeque<Vec<bayeux_core::Request>>,
}

impl Machine {
    /// A machine with the application of the generated runs.
    ///
    /// # Errors
    ///
    /// When the options make no sense.
    pub fn new(script: &Script) -> Result<Self, ScriptError> {
        let config = script.config()?;
        let entropy = script.seed.entropy();
        let mut relaying = config.clone();
        // What is relayed stands in the machine's output at the moment when it was delivered.
        relaying.relay = true;
        let server = Server::new(relaying, entropy, Time::ZERO)
            .map_err(|_| ScriptError::new("the options make no sense", ""))?;
        let mut machine = Self {
            decoder: Decoder::new(&config),
            ledger: Ledger::new(config.clone(), script.faults.get(Fault::LatePoll) > 0),
            server,
            config,
            seed: script.seed,
            faults: script.faults,
            heal: Time::from_millis(script.heal),
            ahead: Duration::ZERO,
            now: Time::ZERO,
            links: BTreeMap::new(),
            thinking: BTreeMap::new(),
            asked: BTreeMap::new(),
            questions: 0,
            downs: VecDeque::new(),
            notes: Vec::new(),
            polls_at: None,
            since: Time::ZERO,
            inputs: 0,
        };
        machine.set_up();
        Ok(machine)
    }

    pub(super) fn rate(&self, fault: Fault) -> u64 {
        if self.now < self.heal { self.faults.get(fault) } else { 0 }
    }

    pub(super) fn command(&mut self, command: Command) {
        self.ledger.wishes();
        self.input(Input::Command(command));
    }

    pub(super) fn input(&mut self, input: Input) {
        if self.polls_at.is_none() {
            self.since = self.now;
        }
        self.server.handle(self.now, input);
    }

    fn request(&mut self, link: LinkId, request: Request) -> Result<(), Violation> {
        let payload = match self.decoder.decode(&Bytes::from(request.body)) {
            Ok(payload) => payload,
            Err(error) => {
                let (cookie, body) = (None, error.what().to_owned());
                self.downs.push_back(Down::Response { link, status: 400, cookie, body });
                return Ok(());
            }
        };
        let transport =
            if request.callback { Transport::CallbackPolling } else { Transport::LongPolling };
        let browser = request.cookie.as_deref().and_then(BrowserId::parse);
        let info = LinkInfo::new(transport).browser(browser).http2(request.http2);
        self.links.insert(link, Open::default());
        self.ledger.opened(link, false, request.http2, self.now);
        self.input(Input::Open { link, info });
        self.receive(link, payload);
        Ok(())
    }

    pub(super) fn receive(&mut self, link: LinkId, payload: Vec<bayeux_core::Request>) {
        self.ledger.receives(link, &payload, self.now);
        self.input(Input::Receive { link, payload });
    }

    fn text(&mut self, link: LinkId, text: String) {
        let Some(open) = self.links.get_mut(&link) else { return };
        match self.decoder.decode(&Bytes::from(text)) {
            Ok(payload) if open.busy => open.waiting.push_back(payload),
            Ok(payload) => {
                open.busy = true;
                self.receive(link, payload);
            }
            Err(_) => {
                // What is being written is written to its end.
                self.taken(link);
                self.close(link);
                self.downs.push_back(Down::Closed { link, code: 1007 });
            }
        }
    }

    pub(super) fn close(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.ledger.closed(link, self.now);
            self.input(Input::Close { link });
        }
    }

    fn taken(&mut self, link: LinkId) {
        let Some(open) = self.links.get_mut(&link).filter(|open| open.sent) else { return };
        open.sent = false;
        if !open.is_socket {
            self.links.remove(&link);
        }
        self.ledger.landed(link, true, self.now);
        self.input(Input::Sent { link, delivered: true });
    }

    fn gone(&mut self, link: LinkId) {
        let lost = self.links.get(&link).is_some_and(|open| open.sent && !open.is_socket);
        if lost && link.0 % 2 == 0 {
            // Saying so and closing the link are the same.
            self.links.remove(&link);
            self.ledger.closed(link, self.now);
            return self.input(Input::Sent { link, delivered: false });
        }
        self.close(link);
    }

    /// Looks at the outputs, or lets them wait for a while.
    fn settle(&mut self) -> Result<(), Violation> {
        self.inputs += 1;
        let draw = self.seed.about(format_args!("poll {}", self.inputs));
        if self.polls_at.is_none() && draw.per_mille(self.rate(Fault::LatePoll)) {
            self.polls_at = Some(self.now + draw.then(1).up_to_millis(5));
            return Ok(());
        }
        if self.polls_at.is_some_and(|at| at > self.now) {
            return Ok(());
        }
        self.drain()
    }

    /// The world's time that is the server's `at`.
    fn world_time(&self, at: Time) -> Time {
        Time::from_micros(at.as_micros().saturating_sub(self.ahead.as_micros() as u64))
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("now", &self.now).finish_non_exhaustive()
    }
}

/// The message of a number.
pub(super) fn message(channel: &str, number: u64) -> Option<Message> {
    let ext = Json::from_text(&format!("{{\"sim\":{number}}}")).ok()?;
    let data = Json::from_text("\"from the application\"").ok()?;
    Some(Message::with(ChannelName::parse(channel).ok()?, &MessageParts::data(data).ext(ext)))
}

pub(super) fn removal(reason: RemovedReason) -> Removal {
    match reason {
        RemovedReason::DisconnectedByServer => Removal::DisconnectedByServer,
        RemovedReason::Expired => Removal::Expired,
        RemovedReason::Overflowed => Removal::Overflowed,
        RemovedReason::Inactive => Removal::Inactive,
        _ => Removal::Disconnected,
    }
}

impl Host for Machine {
    fn up(&mut self, now: Time, up: Up) -> Result<(), Violation> {
        self.now = now + self.ahead;
        match up {
            Up::Request { link, request } => self.request(link, request)?,
            Up::Dial { link, .. } => {
                self.links.insert(link, Open { is_socket: true, ..Open::default() });
                self.ledger.opened(link, true, false, self.now);
                let info = LinkInfo::new(Transport::WebSocket);
                self.input(Input::Open { link, info });
            }
            Up::Text { link, text } => self.text(link, text),
            Up::Pong { link } => {
                self.ledger.alive(link);
                self.input(Input::Alive { link });
            }
            Up::Gone { link } => self.gone(link),
            Up::Taken { link } => self.taken(link),
            Up::Received { link, number } => {
                self.ledger.received(link, number);
                return Ok(());
            }
            Up::Wish(wish) => self.wish(wish)?,
            Up::Jump(by) => {
                self.ahead += by;
                self.now = now + self.ahead;
                self.ledger.jumped(self.now);
                self.input(Input::Tick);
            }
        }
        self.settle()
    }

    fn poll_down(&mut self) -> Option<Down> {
        self.downs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Time> {
        let due = self.server.poll_timeout().map(|at| {
            let draw = self.seed.about(format_args!("tick {}", at.as_micros()));
            let late = draw.per_mille(self.rate(Fault::LateTick));
            at + if late { draw.then(1).up_to_millis(40) } else { Duration::ZERO }
        });
        let answer = self.thinking.first_key_value().map(|((at, _), _)| *at);
        [due, answer, self.polls_at].into_iter().flatten().min().map(|at| self.world_time(at))
    }

    fn tick(&mut self, now: Time) -> Result<(), Violation> {
        self.now = now + self.ahead;
        while let Some(entry) = self.thinking.first_entry().filter(|it| it.key().0 <= self.now) {
            let (question, answer) = entry.remove();
            self.settled(question)?;
            self.input(Input::Answer(answer));
        }
        self.input(Input::Tick);
        if self.server.poll_timeout().is_some_and(|at| at <= self.now) {
            let what = format!("nothing moves at {}", self.now);
            return Err(Violation::new("progress", what));
        }
        self.settle()
    }

    fn gauges(&self) -> Gauges {
        let stats = self.server.stats();
        Gauges {
            sessions: stats.sessions,
            browsers: stats.browsers,
            channels: stats.channels,
            links: stats.links,
            questions: stats.questions,
            queued: (stats.census.queue_events(), stats.census.queue_bytes()),
            tasks: 0,
        }
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    fn check_settled(&mut self) -> Result<(), Violation> {
        self.ledger.check_settled()
    }

    fn check_over(&mut self) -> Result<(), Violation> {
        if let Some(at) = self.server.poll_timeout() {
            return Err(Violation::new("no-leak", format!("something is due at {at}")));
        }
        self.ledger.check_over()
    }
}
