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

use super::action::{Action, Deed, Work};
use super::application;
use super::client::Client;
use super::coverage::Coverage;
use super::host::{Down, Gauges, Up, Violation, Wish};
use super::line::Line;
use super::record::{Record, Source, matches};
use super::script::{Fault, Faults, Script, ScriptError};
use super::seed::Seed;
use super::swarm::Universe;
use super::trace::Trace;

/// How often it is looked whether all is well.
const LOOK: Duration = Duration::from_millis(700);

/// Clients, network, and the application's wishes.
#[derive(Debug)]
pub struct World {
    pub(super) seed: Seed,
    pub(super) config: Config,
    pub(super) faults: Faults,
    steps: Vec<(u64, Action)>,
    heal: Time,
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
    pub(super) record: Record,
    pub(super) trace: Trace,
    pub(super) coverage: Coverage,
    pub(super) part: Part,
    /// What the application set up and has to take back.
    undo: Vec<Wish>,
    pub(super) draining: bool,
    /// When all must be well that is waited for.
    deadline: Time,
    pub(super) violation: Option<Violation>,
    /// How many messages the clients have sent and received.
    pub(super) messages: u64,
    universe: Universe,
    /// What clients publish: from a channel and a number.
    pub(super) data: Data,
    /// What clients have received, if somebody wants to know.
    pub(super) seen: Option<Vec<Received>>,
}

/// What clients publish on a channel, as the n-th message of the run.
#[derive(Clone)]
pub(super) struct Data(pub(super) Arc<Made>);

type Made = dyn Fn(&str, u64) -> Value + Send + Sync;

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Data")
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
        Ok(world)
    }

    /// Lets clients use an application that is not the usual one: what they publish, and where they
    /// publish and subscribe. What they receive is kept.
    pub(super) fn using(mut self, universe: Universe, data: Data) -> Self {
        (self.universe, self.data, self.seen) = (universe, data, Some(Vec::new()));
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
        if self.part == Part::Storm { self.faults.get(fault) } else { 0 }
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

    /// Whether the application ends sessions that are not used.
    pub(super) fn watches(&self) -> bool {
        self.steps.iter().any(|(_, action)| matches!(action, Action::App(Work::Activity(..))))
    }

    fn session_of(&self, client: usize) -> Option<String> {
        self.clients.get(&client).and_then(|it| it.session.clone())
    }

    fn work(&mut self, work: &Work) {
        let now = self.now;
        let millis = Duration::from_millis;
        let wish = match work {
            Work::Publish(channel) => {
                let number = self.record.publish(channel, Source::Application, now);
                Some(Wish::Publish { channel: channel.clone(), number })
            }
            Work::Deliver(to) => self.session_of(*to).map(|session| {
                let source = Source::Delivery(session.clone());
                let number = self.record.publish("/direct", source, now);
                Wish::Deliver { session, number }
            }),
            Work::Disconnect(whom) => {
                self.session_of(*whom).map(|session| Wish::Disconnect { session })
            }
            Work::Batch(whose, begin) => self.session_of(*whose).map(|session| {
                if *begin {
                    self.undo.push(Wish::Batch { session: session.clone(), begin: false });
                }
                Wish::Batch { session, begin: *begin }
            }),
            Work::Subscribe(whom, pattern, on) => self.session_of(*whom).map(|session| {
                let pattern = pattern.clone();
                if *on {
                    self.record.subscribe(&session, &pattern, now);
                } else {
                    self.record.unsubscribe(&session, &pattern, now);
                }
                Wish::Subscribe { session, pattern, on: *on }
            }),
            Work::Activity(whose, period) => self.session_of(*whose).map(|session| {
                self.undo.push(Wish::Activity { session: session.clone(), period: None });
                Wish::Activity { session, period: period.map(millis) }
            }),
            Work::Timeout(whose, timeout) => self
                .session_of(*whose)
                .map(|session| Wish::Timeout { session, timeout: millis(*timeout) }),
            Work::Extend(on) => {
                self.undo.push(Wish::Extend { on: false });
                Some(Wish::Extend { on: *on })
            }
            Work::Listen(pattern, on) => {
                let pattern = pattern.clone();
                self.undo.push(Wish::Listen { pattern: pattern.clone(), on: false });
                Some(Wish::Listen { pattern, on: *on })
            }
            Work::Authorize(pattern, on) => {
                let pattern = pattern.clone();
                self.undo.push(Wish::Authorize { pattern: pattern.clone(), on: false });
                Some(Wish::Authorize { pattern, on: *on })
            }
            Work::Remove(pattern) => {
                self.record.removed_channel(pattern, now);
                Some(Wish::Remove { pattern: pattern.clone() })
            }
            Work::Drain(spread) => {
                self.draining = true;
                Some(Wish::Drain { spread: millis(*spread) })
            }
        };
        if let Some(wish) = wish {
            self.up(Up::Wish(wish));
        }
    }

    /// The longest time after which, without faults, a client has got over whatever happened to it.
    fn patience(&self) -> Duration {
        let config = &self.config;
        let steps = self.steps.iter().map(|(_, action)| match action {
            Action::App(Work::Timeout(_, millis)) => Duration::from_millis(*millis),
            _ => Duration::ZERO,
        });
        let timeout = steps.max().unwrap_or_default().max(config.timeout);
        let interval = config.interval.max(config.multi_session_interval);
        2 * (timeout + interval + config.max_interval + config.question_timeout)
            + Duration::from_secs(30)
    }

    fn begin(&mut self, part: Part) -> Result<(), Violation> {
        self.part = part;
        match part {
            Part::Storm => {}
            Part::Calm => {
                self.trace.note(self.now, "==== Calm");
                for wish in std::mem::take(&mut self.undo).into_iter().rev() {
                    self.up(Up::Wish(wish));
                }
                self.deadline = self.now + self.patience();
                let next = if self.draining { Part::Leave } else { Part::Probe };
                self.after(LOOK, Due::Part(next));
            }
            Part::Probe => {
                if self.waits_for(Part::Calm, self.check_well())? {
                    return Ok(());
                }
                self.after(Duration::from_millis(1), Due::Probe(0));
            }
            Part::Settled => {
                if self.waits_for(Part::Probe, self.check_owed())? {
                    return Ok(());
                }
                self.after(Duration::from_millis(1), Due::Part(Part::Leave));
            }
            Part::Leave => self.leave(),
            Part::Over => {}
        }
        Ok(())
    }

    /// Whether the run stays in an earlier part, since something is not yet as it must become.
    fn waits_for(&mut self, part: Part, checked: Result<(), Violation>) -> Result<bool, Violation> {
        let next = self.part;
        if checked.is_ok() || self.now >= self.deadline {
            self.trace.note(self.now, format_args!("==== {next:?}"));
            return checked.map(|()| false);
        }
        self.part = part;
        self.after(LOOK, Due::Part(next));
        Ok(true)
    }

    /// What the host has seen of what must be by now; it is asked again until the time is over.
    ///
    /// # Errors
    ///
    /// What has not come, when there was time enough.
    pub fn settled(&mut self, checked: Result<(), Violation>) -> Result<bool, Violation> {
        if checked.is_ok() {
            return Ok(true);
        }
        self.waits_for(Part::Probe, checked).map(|waits| !waits)
    }

    /// All clients that are there have a session by now.
    fn check_well(&self) -> Result<(), Violation> {
        let stuck = self.clients.values().filter(|client| client.is_here());
        let stuck: Vec<_> = stuck.filter_map(|client| client.stuck(self.heal)).collect();
        if stuck.is_empty() {
            return Ok(());
        }
        Err(Violation::new("convergence", stuck.join("; ")))
    }

    /// Publishes for one of the channels that clients subscribe to; behind the last one, looks
    /// whether everything has been received.
    fn probe(&mut self, number: usize) {
        let wanted = |channel: &&String| {
            let clients = self.clients.values().filter(|client| client.is_here());
            let mut patterns = clients.flat_map(|client| &client.subscribed);
            patterns.any(|pattern| matches(pattern, channel))
        };
        let usual = self.universe.usual;
        let channels = self.universe.channels.iter();
        let channels = channels.filter(|it| !usual || !application::is_denied(it));
        let mut channels = channels.filter(|it| !it.starts_with("/service/")).filter(wanted);
        let channel = channels.nth(number).cloned();
        if let Some(channel) = channel {
            if usual {
                let published = self.record.publish(&channel, Source::Application, self.now);
                self.up(Up::Wish(Wish::Publish { channel, number: published }));
            } else {
                self.probe_as_client(channel);
            }
            self.after(Duration::from_millis(1_500), Due::Probe(number + 1));
        } else {
            self.deadline = self.now + self.patience();
            self.after(LOOK, Due::Part(Part::Settled));
        }
    }

    /// Nothing is published in the name of an application that is not ours.
    fn probe_as_client(&mut self, channel: String) {
        let mut here = self.clients.values().filter(|client| client.is_here());
        if let Some(client) = here.find(|client| client.session.is_some()) {
            let (number, key) = (client.number, format!("probe {channel}"));
            self.deed(number, Deed::Publish(channel, 1), key);
        }
    }

    /// What had to be received was.
    fn check_owed(&self) -> Result<(), Violation> {
        let here = self.clients.values().filter(|client| client.is_here());
        let mut sessions = here.filter_map(|client| client.session.as_ref());
        sessions.try_for_each(|session| self.record.check_owed(session))?;
        self.record.check_own()
    }

    /// All clients go.
    fn leave(&mut self) {
        let clients: Vec<_> = self.clients.keys().copied().collect();
        for client in clients {
            let silently = self.seed.about(format_args!("c{client} leaves")).per_mille(500);
            self.vanish(client, silently);
        }
        let idle = self.config.ws_idle_timeout + self.config.ws_ping_interval;
        let rest = 2 * self.patience() + 2 * idle + Duration::from_secs(400);
        self.after(rest, Due::Part(Part::Over));
    }

    /// Compares what the server holds in the end with what it held in the beginning.
    ///
    /// # Errors
    ///
    /// When something is left.
    pub fn check_gone(&self, before: Gauges, after: Gauges) -> Result<(), Violation> {
        if before == after {
            return Ok(());
        }
        let what = format!("before anybody came {before:?}, after everybody left {after:?}");
        Err(Violation::new("no-leak", what))
    }
}

fn usual_data(channel: &str, number: u64) -> Value {
    json!({ "number": number, "text": format!("Grüße von {channel}, \u{2028}") })
}
