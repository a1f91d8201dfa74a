//! [`World`]: the clients, the network and the application's wishes, as a state machine.
//!
//! Like the server, it does no input or output: a driver carries what [`World::poll_up`] yields to
//! a [`Host`](super::host::Host), what comes back to [`World::down`], and calls [`World::tick`]
//! when it is time. So the same world runs against a server in memory and against an adapter.
//!
//! A run has these parts:
//!
//! 1. *Storm*: the script is played, and the network does its worst.
//! 2. *Calm*: all faults stop, and the application takes back what it set up. Whoever is still there
//!    goes on; after a while all must be well, and what is stuck is named.
//! 3. *Probe*: something is published for every subscription, and must be received.
//! 4. *Leave*: all clients are gone, some of them without a word. In the end nothing may be left.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bayeux_core::{Config, LinkId, Time};
use serde_json::{Value, json};

use super::action::Action;
use super::client::Client;
use super::coverage::Coverage;
use super::host::{Down, Up, Violation, Wish};
use super::line::Line;
use super::record::Record;
use super::script::{Fault, Faults, Script, ScriptError};
use super::seed::Seed;
use super::swarm::Universe;
use super::trace::Trace;

/// Clients, network, and the application's wishes.
#[derive(Debug)]
pub struct World {
    pub(super) seed: Seed,
    pub(super) config: Config,
    pub(super) faults: Faults,
    pub(super) steps: Vec<(u64, Action)>,
    pub(super) heal: Time,
    pub(super) now: Time,
    agenda: BTreeMap<(Time, u64), Due>,
    numbers: u64,
    ups: VecDeque<Up>,
    pub(super) clients: BTreeMap<usize, Client>,
    pub(super) jars: BTreeMap<usize, String>,
    pub(super) lines: BTreeMap<LinkId, Line>,
    pub(super) links: u64,
    /// Whether what the server hands over at once may come in several texts of a socket.
    pub(super) pieces: bool,
    /// Whether nobody says what the network has taken, and time is real.
    pub(super) is_real: bool,
    pub(super) record: Record,
    pub(super) trace: Trace,
    pub(super) coverage: Coverage,
    pub(super) part: Part,
    /// What the application set up and has to take back.
    pub(super) undo: Vec<Wish>,
    pub(super) draining: bool,
    /// When all must be well that is waited for.
    pub(super) deadline: Time,
    pub(super) violation: Option<Violation>,
    /// How many messages the clients have sent and received.
    pub(super) messages: u64,
    pub(super) universe: Universe,
    /// What clients publish: from a channel and a number.
    pub(super) data: Data,
    /// What clients say about themselves in their handshakes.
    pub(super) ext: Ext,
    /// What clients have received, if somebody wants to know.
    pub(super) seen: Option<Vec<Received>>,
}

/// What clients publish on a channel, as the n-th message of the run.
#[derive(Clone)]
pub(super) struct Data(pub(super) Arc<Maker>);

type Maker = dyn Fn(&str, u64) -> Value + Send + Sync;

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Data")
    }
}

/// What a client says about itself: an object, if anything.
#[derive(Clone)]
pub(super) struct Ext(pub(super) Arc<dyn Fn(usize) -> Option<Value> + Send + Sync>);

impl fmt::Debug for Ext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ext")
    }
}

/// An event that a client has received.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Received {
    /// The client.
    pub client: usize,
    /// The channel.
    pub channel: String,
    /// The data.
    pub data: Value,
}

/// How far a run has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Part {
    /// Faults happen.
    Storm,
    /// They do not any more.
    Calm,
    /// What is published is to be received.
    Probe,
    /// Everything that had to be received was.
    Settled,
    /// All clients are gone.
    Leave,
    /// Nothing happens any more.
    Over,
}

/// What is due at some time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Step(usize),
    Start(usize),
    /// Something reaches the server.
    Up(Up),
    /// A response has come to its client.
    Response {
        link: LinkId,
        status: u16,
        cookie: Option<String>,
        body: String,
    },
    /// A text has come to its client.
    Text {
        link: LinkId,
        text: String,
        number: u64,
    },
    /// A client notices that its connection is gone.
    Noticed(LinkId),
    /// A client has waited for long enough for the reply of this id.
    Impatient {
        client: usize,
        id: String,
    },
    /// A client goes on: connects, or begins again.
    GoOn {
        client: usize,
        turn: u64,
    },
    /// A client that has crashed is back.
    Back {
        client: usize,
    },
    Part(Part),
    /// The n-th message of the probe.
    Probe(usize),
}

impl World {
    /// The world of a script. Whether the application on the server is the `usual` one, that of the
    /// generated runs, decides whether it is known what may be received.
    ///
    /// # Errors
    ///
    /// When the server's options make no sense.
    pub fn new(script: &Script, usual: bool, keep_trace: bool) -> Result<Self, ScriptError> {
        let config = script.config()?;
        let heal = Time::from_millis(script.heal);
        let record = Record::new(usual, config.broadcast_to_publisher);
        let mut world = Self {
            seed: script.seed,
            faults: script.faults,
            steps: script.steps.clone(),
            heal,
            now: Time::ZERO,
            agenda: BTreeMap::new(),
            numbers: 0,
            ups: VecDeque::new(),
            clients: BTreeMap::new(),
            jars: BTreeMap::new(),
            lines: BTreeMap::new(),
            links: 0,
            pieces: false,
            is_real: false,
            record,
            trace: Trace::new(keep_trace),
            coverage: Coverage::default(),
            part: Part::Storm,
            undo: Vec::new(),
            draining: false,
            deadline: Time::ZERO,
            violation: None,
            messages: 0,
            universe: Universe::usual(),
            data: Data(Arc::new(usual_data)),
            ext: Ext(Arc::new(|_| None)),
            seen: None,
            config,
        };
        for (number, (at, _)) in script.steps.iter().enumerate() {
            let at = Time::from_millis(*at);
            if at <= heal {
                world.at(at, Due::Step(number));
            }
        }
        for (number, plan) in &script.clients {
            world.clients.insert(*number, Client::new(*number, *plan));
            world.at(Time::from_millis(plan.start), Due::Start(*number));
        }
        world.at(heal, Due::Part(Part::Calm));
        // What happens on the server's side is not seen here, only that it may.
        for fault in [Fault::Think, Fault::LateTick, Fault::LatePoll] {
            if script.faults.get(fault) > 0 {
                world.coverage.hit(fault.name());
            }
        }
        Ok(world)
    }

    /// Lets clients use an application that is not the usual one: what they publish, and where they
    /// publish and subscribe. What they receive is kept.
    pub(super) fn using(mut self, universe: Universe, data: Data, ext: Ext) -> Self {
        (self.universe, self.data, self.ext) = (universe, data, ext);
        self.seen = Some(Vec::new());
        self
    }

    /// What clients have received, if it was kept.
    pub(super) fn take_seen(&mut self) -> Vec<Received> {
        self.seen.take().unwrap_or_default()
    }

    /// The server may write what it hands over at once as several texts of a socket. If such a
    /// connection breaks in the middle of it, the rest does not come again: what may have arrived is
    /// not sent twice, unless its client acknowledges.
    pub fn expect_pieces(&mut self) {
        self.pieces = true;
    }

    /// The network is one of which nobody knows what it has taken, but that it takes all it can; and
    /// time is real.
    pub fn over_real_sockets(&mut self) {
        (self.pieces, self.is_real) = (true, true);
    }

    /// The next thing that reaches the server, now.
    pub fn poll_up(&mut self) -> Option<Up> {
        self.ups.pop_front()
    }

    /// When to call [`tick`](Self::tick).
    pub fn poll_timeout(&self) -> Option<Time> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does the first thing that is due at `now`.
    ///
    /// # Errors
    ///
    /// What the clients have seen that must not be.
    pub fn tick(&mut self, now: Time) -> Result<(), Violation> {
        self.now = self.now.max(now);
        if self.poll_timeout().is_some_and(|at| at <= now) {
            if let Some((_, due)) = self.agenda.pop_first() {
                self.happen(due)?;
            }
        }
        self.violation.take().map_or(Ok(()), Err)
    }

    /// Takes what the server has for its clients.
    ///
    /// # Errors
    ///
    /// What the clients have seen that must not be.
    pub fn down(&mut self, now: Time, down: Down) -> Result<(), Violation> {
        self.now = self.now.max(now);
        self.carry_down(down)?;
        self.violation.take().map_or(Ok(()), Err)
    }

    /// Whether the run is over.
    pub fn is_over(&self) -> bool {
        self.part == Part::Over
    }

    /// How far the run has come.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The virtual time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// What happened.
    pub fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// How many messages the clients have sent and received.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// What was met with.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    pub(super) fn at(&mut self, at: Time, due: Due) {
        self.numbers += 1;
        self.agenda.insert((at.max(self.now), self.numbers), due);
    }

    pub(super) fn after(&mut self, delay: Duration, due: Due) {
        self.at(self.now + delay, due);
    }

    /// Something reaches the server now.
    pub(super) fn up(&mut self, up: Up) {
        self.ups.push_back(up);
    }

    pub(super) fn rate(&self, fault: Fault) -> u64 {
        // What the server has sent that is still there nobody can take from it.
        let impossible = self.is_real && matches!(fault, Fault::LoseResponse | Fault::Slow);
        if self.part == Part::Storm && !impossible { self.faults.get(fault) } else { 0 }
    }

    /// Notes a violation that was found where nothing can be returned.
    pub(super) fn blame(&mut self, result: Result<(), Violation>) {
        if let Err(violation) = result {
            self.violation.get_or_insert(violation);
        }
    }

    fn happen(&mut self, due: Due) -> Result<(), Violation> {
        match due {
            Due::Step(number) => self.step(number),
            Due::Start(client) | Due::Back { client } => self.start(client),
            Due::Up(up) => self.arrive(up),
            Due::Response { link, status, cookie, body } => {
                self.respond(link, status, cookie, &body);
            }
            Due::Text { link, text, number } => self.hear(link, &text, number),
            Due::Noticed(link) => self.notice(link),
            Due::Impatient { client, id } => self.lose_patience(client, &id),
            Due::GoOn { client, turn } => self.go_on(client, turn),
            Due::Part(part) => self.begin(part)?,
            Due::Probe(number) => self.probe(number),
        }
        Ok(())
    }

    fn step(&mut self, number: usize) {
        let Some((at, action)) = self.steps.get(number).cloned() else { return };
        self.trace.note(self.now, format_args!("---- {action}"));
        self.coverage.hit_action(&action);
        match action {
            Action::Client(client, deed) => {
                self.deed(client, deed.clone(), format!("{at} c{client} {deed}"));
            }
            Action::App(work) => self.work(&work),
            Action::Jump(millis) => self.up(Up::Jump(Duration::from_millis(millis))),
        }
    }
}

fn usual_data(channel: &str, number: u64) -> Value {
    json!({ "number": number, "text": format!("Grüße von {channel}, \u{2028}") })
}
