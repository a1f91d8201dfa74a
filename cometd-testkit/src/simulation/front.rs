//! [`Front`]: a whole server as a [`Host`], level 1.
//!
//! What the clients send goes the way that it goes in an adapter: requests are planned from their
//! heads and served as exchanges, WebSockets are upgraded and pumped, and the application runs as
//! tasks. Between the world and the server's sockets nothing is left out but the bytes of HTTP and
//! WebSocket framing.
//!
//! The executor polls only tasks that were woken, in an order drawn from the seed: a lost wake-up
//! shows as a client that waits for ever.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bayeux_core::front::{Bayeux, Received};
use bayeux_core::http::Plan;
use bayeux_core::{LinkId, Time};

use super::app::Application;
use super::front_http;
use super::front_socket::Offered;
use super::host::{Down, Gauges, Host, Request, Up, Violation};
use super::outbox::Outbox;
use super::script::{Fault, Faults, Script, ScriptError};
use super::seed::Seed;
use super::usual::{self, Thinker, Usual};
use super::wishes::Wishes;
use crate::line::{self, End, Line, SharedLine};
use crate::sim::{Sim, Spawned};

/// How often tasks may be polled before time has to pass.
const MOST_POLLS: usize = 100_000;

/// How long it may take, where tasks run late, until it is reported that a handler was too slow.
const EXCUSED: Duration = Duration::from_millis(50);

/// A whole server.
pub struct Front {
    sim: Sim,
    bayeux: Bayeux,
    seed: Seed,
    faults: Faults,
    /// When the faults stop.
    heal: Time,
    /// How far the server's clock is ahead of the world's.
    ahead: Duration,
    outbox: Outbox,
    wishes: Wishes,
    exchanges: BTreeMap<LinkId, Spawned<()>>,
    sockets: BTreeMap<LinkId, Wired>,
    /// The application, if it is the one of the generated runs.
    usual: Option<Arc<Usual>>,
    /// When the tasks run that were woken, if they wait.
    runs_at: Option<Time>,
    inputs: u64,
    /// Whether what is reported of handlers ends the run.
    strict: bool,
    /// Until when it does not, since the clock has jumped: whoever was thinking is too late.
    excused: Time,
}

struct Wired {
    line: SharedLine<Offered>,
    task: Spawned<()>,
}

impl Front {
    /// A server with this application.
    ///
    /// # Errors
    ///
    /// When the options make no sense.
    pub fn new(script: &Script, application: &dyn Application) -> Result<Self, ScriptError> {
        Self::start_on(script, quiet(script), Outbox::default(), application, None)
    }

    /// A server with the application of the generated runs.
    ///
    /// # Errors
    ///
    /// When the options make no sense.
    pub fn usual(script: &Script) -> Result<Self, ScriptError> {
        let (sim, outbox) = (quiet(script), Outbox::default());
        let usual = Arc::new(Usual::new(script, Arc::new(sim.clone()), &outbox)?);
        Self::start_on(script, sim, outbox, &*usual, Some(Arc::clone(&usual)))
    }

    fn start_on(
        script: &Script,
        sim: Sim,
        outbox: Outbox,
        application: &dyn Application,
        usual: Option<Arc<Usual>>,
    ) -> Result<Self, ScriptError> {
        let builder = Bayeux::builder().config(script.config()?);
        let bayeux = application.start(&sim, builder).map_err(|error| {
            ScriptError::new("the application does not start", error.to_string())
        })?;
        outbox.listen_to(&bayeux);
        let thinker = match &usual {
            Some(usual) => usual.thinker().clone(),
            None => Thinker::new(script, Arc::new(sim.clone())),
        };
        let wishes = Wishes::new(&bayeux, thinker, &outbox);
        sim.settle();
        Ok(Self {
            sim,
            bayeux,
            seed: script.seed,
            faults: script.faults,
            heal: Time::from_millis(script.heal),
            ahead: Duration::ZERO,
            outbox,
            wishes,
            exchanges: BTreeMap::new(),
            sockets: BTreeMap::new(),
            usual,
            runs_at: None,
            inputs: 0,
            strict: false,
            excused: Time::ZERO,
        })
    }

    /// Lets the run end when a handler fails, or takes too long.
    pub(super) fn be_strict(&mut self) {
        self.strict = true;
    }

    fn rate(&self, fault: Fault) -> u64 {
        if self.sim.now() < self.heal { self.faults.get(fault) } else { 0 }
    }

    fn request(&mut self, link: LinkId, request: Request) -> Result<(), Violation> {
        let callback = request.callback;
        let as_form = self.seed.about(format_args!("link {} is a form", link.0)).per_mille(150);
        let (head, body) = front_http::request(request, as_form);
        match self.bayeux.plan(&head) {
            Plan::Answer(response) => {
                self.outbox.put(front_http::response(link, callback, response));
            }
            Plan::Exchange(exchange) => {
                let exchange = self.bayeux.exchange(exchange, head, body);
                let outbox = self.outbox.clone();
                let task = self.sim.spawn(async move {
                    let (response, receipt) = exchange.await;
                    let mut outbox = outbox.lock();
                    let status = response.status().as_u16();
                    outbox.notes.push(format!("link {} answered {status}", link.0));
                    outbox.downs.push_back(front_http::response(link, callback, response));
                    outbox.receipts.insert(link, receipt);
                });
                self.exchanges.insert(link, task);
            }
            Plan::Upgrade(_) => {
                return Err(Violation::new("echo", "a request without an upgrade was upgraded"));
            }
        }
        Ok(())
    }

    fn dial(&mut self, link: LinkId, cookie: Option<&str>) {
        let head = front_http::upgrade(cookie);
        if let Plan::Upgrade(_) = self.bayeux.plan(&head) {
            let chance = self.seed.about(format_args!("line {}", link.0));
            let line = Line::new(Offered::new(link, &self.outbox, chance));
            let socket = self.bayeux.socket(head, End::new(&self.sim, &line));
            let task = self.sim.spawn(socket);
            self.sockets.insert(link, Wired { line, task });
        } else {
            // What a browser makes of an upgrade that was refused.
            self.outbox.put(Down::Closed { link, code: 1006 });
        }
    }

    fn arrive(&self, link: LinkId, received: Received) {
        if let Some(socket) = self.sockets.get(&link) {
            line::change(&socket.line, |line| line.arrive(received));
        }
    }

    fn taken(&mut self, link: LinkId) {
        self.exchanges.remove(&link);
        let receipt = self.outbox.lock().receipts.remove(&link);
        if let Some(receipt) = receipt {
            return receipt.delivered();
        }
        if let Some(socket) = self.sockets.get(&link) {
            line::change(&socket.line, |line| {
                line.network.take();
                // What is wrong with the line the server finds out by itself.
                let _ = line.flow();
            });
        }
    }

    fn gone(&mut self, link: LinkId) {
        if let Some(task) = self.exchanges.remove(&link) {
            task.abort();
        }
        let receipt = self.outbox.lock().receipts.remove(&link);
        drop(receipt);
        if let Some(Wired { line, task }) = self.sockets.remove(&link) {
            line::change(&line, Line::lose);
            // Some runtimes tell the task, others drop it.
            if self.seed.about(format_args!("link {} is gone", link.0)).per_mille(300) {
                task.abort();
            }
        }
    }

    /// Runs what was woken, or lets it wait for a while.
    fn settle(&mut self) -> Result<(), Violation> {
        self.inputs += 1;
        let now = self.sim.now();
        let draw = self.seed.about(format_args!("poll {}", self.inputs));
        if self.runs_at.is_none() && draw.per_mille(self.rate(Fault::LatePoll)) {
            self.runs_at = Some(now + draw.then(1).up_to_millis(5));
            return Ok(());
        }
        if self.runs_at.is_some_and(|at| at > now) {
            return Ok(());
        }
        self.runs_at = None;
        if !self.sim.settle_within(MOST_POLLS) {
            return Err(Violation::new("progress", "tasks wake each other for ever"));
        }
        let reports = self.sim.take_reports();
        if let Some(panic) = self.sim.panics().pop() {
            return Err(Violation::new("no-panic", panic));
        }
        let strict = self.strict && self.sim.now() >= self.excused;
        if let (true, Some(report)) = (strict, reports.first()) {
            return Err(Violation::new("no-report", report.clone()));
        }
        self.outbox.lock().notes.extend(reports.into_iter().map(|it| format!("report: {it}")));
        Ok(())
    }

    /// The world's time that is the server's `at`.
    fn world_time(&self, at: Time) -> Time {
        Time::from_micros(at.as_micros().saturating_sub(self.ahead.as_micros() as u64))
    }
}

/// A runtime for a run.
fn quiet(script: &Script) -> Sim {
    let sim = Sim::new(script.seed.0);
    sim.keep_quiet();
    sim
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("now", &self.sim.now()).finish_non_exhaustive()
    }
}

impl Host for Front {
    fn up(&mut self, now: Time, up: Up) -> Result<(), Violation> {
        if let Up::Received { .. } = up {
            // Nothing that the server sees: it does not even learn what time it is.
            return Ok(());
        }
        self.sim.jump_to(now + self.ahead);
        match up {
            Up::Request { link, request } => self.request(link, request)?,
            Up::Dial { link, cookie } => self.dial(link, cookie.as_deref()),
            Up::Text { link, text } => self.arrive(link, Received::Text(text.into())),
            Up::Pong { link } => self.arrive(link, Received::Control),
            Up::Gone { link } => self.gone(link),
            Up::Taken { link } => self.taken(link),
            Up::Received { .. } => {}
            Up::Wish(wish) => self.wishes.grant(&self.sim, wish),
            Up::Jump(by) => {
                self.ahead += by;
                self.sim.jump_to(now + self.ahead);
                self.excused = self.sim.now() + EXCUSED;
            }
        }
        self.settle()
    }

    fn poll_down(&mut self) -> Option<Down> {
        let down = self.outbox.take();
        if let Some(Down::Closed { link, .. }) = &down {
            self.sockets.remove(link);
        }
        down
    }

    fn poll_timeout(&self) -> Option<Time> {
        let due = self.sim.next_wakeup().map(|at| {
            let draw = self.seed.about(format_args!("tick {}", at.as_micros()));
            let late = draw.per_mille(self.rate(Fault::LateTick));
            at + if late { draw.then(1).up_to_millis(40) } else { Duration::ZERO }
        });
        [due, self.runs_at].into_iter().flatten().min().map(|at| self.world_time(at))
    }

    fn tick(&mut self, now: Time) -> Result<(), Violation> {
        self.sim.jump_to(now + self.ahead);
        if self.sim.next_wakeup().is_some_and(|at| at <= self.sim.now()) {
            return Err(Violation::new("progress", format!("nothing moves at {now}")));
        }
        self.settle()
    }

    fn gauges(&self) -> Gauges {
        usual::gauges(&self.bayeux, self.usual.as_deref(), Some(self.sim.tasks()))
    }

    fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.outbox.lock().notes)
    }

    fn check_over(&mut self) -> Result<(), Violation> {
        // What another application does by itself it may go on to do.
        let Some(usual) = &self.usual else { return Ok(()) };
        if !usual.is_told() {
            return Err(Violation::new("no-leak", "a session's end was not told"));
        }
        match self.sim.next_wakeup() {
            Some(at) => Err(Violation::new("no-leak", format!("something is due at {at}"))),
            None => Ok(()),
        }
    }
}
