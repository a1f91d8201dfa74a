//! A load generator for any Bayeux server, and what it sees (feature `load`; the binary is
//! `cometd-load`).
//!
//! One thread holds all clients, on plain sockets, and does for a delivery as little as is possible to be
//! sure of it: it finds the stamp in the text, asks the subscriber's cursor whether
//! it is one that was expected, and counts it. So on two cores, one for the server and one for this
//! program, it is nearly always the server that is measured; where it is not, the report says so. To
//! load a server of many cores, run several of these at the same time with different `prefix`es.
//!
//! - `plan`: what is done; `traffic`: who publishes what, and when;
//! - `client`: a client as a state machine; `reply`, `stamp`: what it reads;
//! - `drive`: its connections; `lane`, `http`, `frame`: what is on them;
//! - `cursor`, `tally`, `process`: what is counted; `report`, `plot`: how it is shown.
//!
//! # Time
//!
//! A paced load is *open*: each message is due at a time that does not depend on the server, its latency
//! counts from then, and a client that has to wait for an answer before it may publish catches up
//! afterwards. A load without pace is *closed*: a bounded number of messages is on its way.

mod alarm;
mod client;
mod cursor;
mod drive;
mod frame;
mod http;
mod lane;
mod plan;
mod plot;
mod process;
mod reply;
mod report;
mod stamp;
mod summary;
mod tally;
mod traffic;

use std::io;
use std::time::Duration;

use client::{Client, Stage};
use drive::Drive;
use traffic::Traffic as Publishing;

pub use plan::{Plan, Rate, Scenario, Transport};
pub use plot::{PlotError, plot};
pub use report::{Checks, Generator, Latency, Ready, Report, Server, Traffic};

use crate::sim::Random;
use process::{Usage, usage};
use summary::Measured;

/// Clients that are on their way to a session at the same time.
const OPENING: usize = 64;

/// Sessions that are there before memory is measured: what a server needs once is not theirs.
const FEW: usize = 100;

/// How long a server may take before there is no more hope for what is missing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it is listened for what must not come any more.
const LINGERING: Duration = Duration::from_millis(100);

/// How often progress is told.
const TELLING: Duration = Duration::from_millis(100);

/// A generator that is busy for more than that part of the time may have been what was measured.
const BUSY: f64 = 90.0;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The plan's parts do not fit together.
    #[error("{0}")]
    Plan(String),
    /// The operating system refuses what is needed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Clients got no session.
    #[error("{} of {} clients got no session: {why}", .sessions - .ready, .sessions)]
    NotReady {
        /// Clients that have one.
        ready: usize,
        /// Clients.
        sessions: usize,
        /// What the first trouble was.
        why: String,
    },
    /// There is no such process, or its figures may not be read.
    #[error("nothing is known of process {0}")]
    NoProcess(u32),
}

/// What a run is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Clients get their sessions.
    Connecting,
    /// The load runs, and nothing is measured yet.
    WarmingUp,
    /// The load runs and is measured.
    Measuring,
    /// Nothing new is published; what is under way arrives.
    Draining,
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// How much of that is done, from 0 to 1.
    pub part: f64,
    /// Sessions that are there.
    pub sessions: usize,
    /// Deliveries so far.
    pub delivered: u64,
}

/// Loads a server as planned; `tell` hears how far it is, ten times a second.
///
/// Blocks the thread for the whole run.
///
/// # Errors
///
/// [`LoadError`] says what stood in the way. A server that loses messages or sessions is no error: see
/// [`Checks`].
pub fn run(plan: &Plan, tell: &mut dyn FnMut(Progress)) -> Result<Report, LoadError> {
    if let Some(mistake) = plan.mistake() {
        return Err(LoadError::Plan(mistake));
    }
    if let Some(pid) = plan.pid {
        usage(Some(pid)).ok_or(LoadError::NoProcess(pid))?;
    }
    let mut random = Random::new(plan.seed);
    let subscribed = subscriptions(plan, &mut random);
    let clients = subscribed.iter().map(|it| Client::new(plan, it.clone())).collect();
    let mut run = Run {
        plan,
        drive: Drive::new(plan, clients)?,
        traffic: Publishing::new(plan, &subscribed, random)?,
        tell,
        told: 0,
    };
    let ready = run.connect()?;
    run.load(ready)
}

/// The channels of each client; those that only publish have none.
fn subscriptions(plan: &Plan, random: &mut Random) -> Vec<Vec<u16>> {
    let channels: Vec<u16> = (0..plan.channels).collect();
    let each = |client: usize, random: &mut Random| match plan.subscriptions {
        _ if !plan.subscribes() || client >= plan.clients => Vec::new(),
        all if all == plan.channels => channels.clone(),
        // As many in each room.
        1 => vec![(client % usize::from(plan.channels)) as u16],
        some => {
            let mut drawn = channels.clone();
            for at in 0..usize::from(some) {
                let other = at + random.below((drawn.len() - at) as u64) as usize;
                drawn.swap(at, other);
            }
            drawn.truncate(some.into());
            drawn
        }
    };
    (0..plan.sessions()).map(|client| each(client, random)).collect()
}

/// What is known when all sessions are there.
struct Connected {
    ready: Ready,
    few: Option<Usage>,
    all: Option<Usage>,
    /// Sessions that `few` does not count.
    others: usize,
}

struct Run<'a> {
    plan: &'a Plan,
    drive: Drive<'a>,
    traffic: Publishing,
    tell: &'a mut dyn FnMut(Progress),
    told: u64,
}

impl Run<'_> {
    fn usage(&self) -> Option<Usage> {
        usage(Some(self.plan.pid?))
    }

    fn progress(&mut self, phase: Phase, part: f64, sessions: usize) {
        let now = self.drive.now();
        if now >= self.told {
            self.told = now + nanos(TELLING);
            let delivered = self.drive.tally.delivered;
            (self.tell)(Progress { phase, part, sessions, delivered });
        }
    }

    /// Gives every client a session; those that come and go get theirs later.
    fn connect(&mut self) -> Result<Connected, LoadError> {
        let sessions = match self.plan.scenario {
            Scenario::Churn => 0,
            _ => self.plan.sessions(),
        };
        let before = self.usage();
        let warm = FEW.min(sessions / 10);
        let mut few = before.clone();
        let start = self.drive.now();
        let mut last = (0, start);
        let (mut begun, mut ready) = (0, 0);
        while ready < sessions {
            // Nothing more begins until the few are there and counted.
            let most = if ready < warm { warm } else { sessions };
            while begun < most && begun - ready < OPENING {
                let now = self.drive.now();
                self.drive.begin(begun, now);
                begun += 1;
            }
            let now = self.drive.now();
            self.drive.turn(now + nanos(TELLING))?;
            let was = ready;
            let begun_now = &self.drive.clients[..begun];
            ready = begun_now.iter().filter(|it| it.stage == Stage::Ready).count();
            if was < warm && ready >= warm {
                few = self.usage();
            }
            let now = self.drive.now();
            if ready != last.0 {
                last = (ready, now);
            }
            if self.drive.tally.sessions_lost > 0 || now - last.1 > nanos(PATIENCE) {
                let trouble = self.drive.tally.troubles.keys().next().cloned();
                let why = trouble.unwrap_or_else(|| "no answer".to_owned());
                return Err(LoadError::NotReady { ready, sessions, why });
            }
            self.progress(Phase::Connecting, ready as f64 / sessions as f64, ready);
        }
        let end = self.drive.now();
        let settled = end + nanos(self.plan.settle);
        while self.drive.now() < settled {
            self.drive.turn(settled)?;
        }
        let all = self.usage();
        let cpu = spent(before.as_ref(), all.as_ref());
        let ready = Ready {
            sessions,
            seconds: seconds(end - start),
            server_cpu_us_per_session: cpu
                .filter(|_| sessions > 0)
                .map(|cpu| cpu * 1e6 / sessions as f64),
        };
        Ok(Connected { ready, few, all, others: sessions - warm })
    }

    /// Publishes, measures, and waits for what is under way.
    fn load(mut self, connected: Connected) -> Result<Report, LoadError> {
        self.traffic.start(&mut self.drive);
        let start = self.drive.now();
        let begin = start + nanos(self.plan.warmup);
        let end = begin + nanos(self.plan.duration);
        self.publish_until(Phase::WarmingUp, start, begin)?;
        let (server, own) = (self.usage(), usage(None));
        let begun = self.drive.now();
        self.drive.tally.due = begun..end;
        self.drive.tally.counted = begun..u64::MAX;
        self.traffic.late.reset();
        self.publish_until(Phase::Measuring, begin, end)?;
        let ended = self.drive.now();
        let (server_end, own_end) = (self.usage(), usage(None));
        self.drive.tally.counted.end = ended;
        self.drain()?;
        let took = seconds(ended - begun);
        let measured = Measured {
            took,
            server_cpu: spent(server.as_ref(), server_end.as_ref()),
            own_cpu: spent(own.as_ref(), own_end.as_ref()),
            resident: server_end.map(|it| it.resident),
        };
        Ok(self.report(connected, &measured))
    }

    fn publish_until(&mut self, phase: Phase, start: u64, end: u64) -> Result<(), LoadError> {
        let sessions = self.plan.sessions();
        loop {
            let now = self.drive.now();
            if now >= end {
                return Ok(());
            }
            self.traffic.go(&mut self.drive);
            let next = self.traffic.next().unwrap_or(u64::MAX).min(now + nanos(TELLING));
            self.drive.turn(next.min(end))?;
            self.progress(phase, (now - start) as f64 / (end - start) as f64, sessions);
        }
    }

    /// Waits until everything has arrived, or nothing arrives any more.
    fn drain(&mut self) -> Result<(), LoadError> {
        let mut last = (self.drive.tally.delivered, self.drive.now());
        // What comes twice comes after the last one, perhaps.
        let lingering = self.drive.now() + nanos(LINGERING);
        while self.drive.tally.outstanding > 0
            || self.traffic.is_behind()
            || self.drive.now() < lingering
        {
            self.traffic.catch_up(&mut self.drive);
            let now = self.drive.now();
            self.drive.turn(now + nanos(TELLING))?;
            let delivered = self.drive.tally.delivered;
            if delivered != last.0 {
                last = (delivered, now);
            }
            if now - last.1 > nanos(PATIENCE) {
                return Ok(());
            }
            let all = (delivered + self.drive.tally.outstanding).max(1);
            self.progress(Phase::Draining, delivered as f64 / all as f64, self.plan.sessions());
        }
        Ok(())
    }
}

/// The seconds on processors between two looks at a process.
fn spent(from: Option<&Usage>, to: Option<&Usage>) -> Option<f64> {
    from.zip(to).map(|(from, to)| to.cpu_since(from).as_secs_f64())
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
