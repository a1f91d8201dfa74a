//! [`Drive`]: the clients of a run on their connections, on one thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::alarm::Alarm;
use super::client::{Client, Desk, FIRST, SECOND, Stage};
use super::lane::{Broken, Lane};
use super::plan::{Plan, Rate, Scenario};
use super::stamp::Finders;
use super::tally::Tally;

/// The timer's; a lane's token is the client's number times two, and its own.
const ALARM: Token = Token(usize::MAX - 1);

/// What is read in one go.
const READ: usize = 256 * 1024;

/// Events that are taken from the operating system in one go.
const EVENTS: usize = 1_024;

pub(super) struct Drive<'a> {
    pub(super) plan: &'a Plan,
    pub(super) clients: Vec<Client>,
    pub(super) tally: Tally,
    /// Clients that were lost since this was looked at.
    pub(super) lost: Vec<usize>,
    /// Clients that can begin something: a next life, or a next publish.
    pub(super) free: Vec<usize>,
    lanes: Vec<[Option<Lane>; 2]>,
    finder: Finders,
    poll: Poll,
    events: Events,
    alarm: Alarm,
    /// When clients connect again that pause between connects.
    pauses: BinaryHeap<Reverse<(u64, usize)>>,
    buffer: Vec<u8>,
    unchunked: Vec<u8>,
    start: Instant,
}

impl<'a> Drive<'a> {
    pub(super) fn new(plan: &'a Plan, clients: Vec<Client>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = Alarm::new(poll.registry(), ALARM)?;
        Ok(Self {
            plan,
            lanes: clients.iter().map(|_| [None, None]).collect(),
            clients,
            tally: Tally::new(),
            lost: Vec::new(),
            free: Vec::new(),
            finder: Finders::new(),
            poll,
            events: Events::with_capacity(EVENTS),
            alarm,
            pauses: BinaryHeap::new(),
            buffer: vec![0; READ],
            unchunked: Vec::new(),
            start: Instant::now(),
        })
    }

    /// Nanoseconds since the run began.
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_nanos().try_into().unwrap_or(u64::MAX)
    }

    /// Begins a client's life, due at that time.
    pub(super) fn begin(&mut self, client: usize, due: u64) {
        self.clients[client].begin(due);
        self.flush(client);
    }

    /// Waits until something happens, or until then, and takes what has come.
    pub(super) fn turn(&mut self, until: u64) -> io::Result<()> {
        let until = match self.pauses.peek() {
            Some(Reverse((at, _))) => until.min(*at),
            None => until,
        };
        let wait = Duration::from_nanos(until.saturating_sub(self.now()));
        let timeout = if wait.is_zero() { wait } else { self.alarm.set(wait)? };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let token = event.token();
            if token != ALARM {
                let (writable, ended) = (event.is_writable(), event.is_read_closed());
                self.happened(token.0 / 2, token.0 % 2, writable, ended);
            }
        }
        self.events = events;
        let now = self.now();
        while let Some(&Reverse((at, client))) = self.pauses.peek() {
            if at > now {
                break;
            }
            self.pauses.pop();
            if self.clients[client].stage == Stage::Ready {
                self.clients[client].connect();
                self.flush(client);
            }
        }
        Ok(())
    }

    fn happened(&mut self, client: usize, number: usize, writable: bool, ended: bool) {
        let Some(mut lane) = self.lanes[client][number].take() else { return };
        let it = &mut self.clients[client];
        // What it says first is still to be written when a connection is there at last.
        let written = if writable { lane.write(&mut it.out[number]) } else { Ok(()) };
        self.tally.now = self.start.elapsed().as_nanos().try_into().unwrap_or(u64::MAX);
        let mut desk = Desk {
            finder: &self.finder,
            tally: &mut self.tally,
            prefix: &self.plan.prefix,
            echoes: self.plan.scenario == Scenario::Echo,
        };
        let result = written.and_then(|()| {
            lane.read(&mut self.buffer, &mut self.unchunked, ended, |incoming| {
                it.take(number, incoming, &mut desk);
            })
        });
        match result {
            Ok(()) => self.lanes[client][number] = Some(lane),
            Err(broken) => self.broken(client, number, broken),
        }
        self.settle(client);
        self.flush(client);
    }

    /// A connection that ended.
    fn broken(&mut self, client: usize, number: usize, broken: Broken) {
        let it = &mut self.clients[client];
        let idle = number == SECOND && it.unanswered() == 0;
        // A server may close what is idle, or whose session has gone.
        if !idle && it.stage != Stage::Away {
            it.lose(broken.to_string(), &mut self.tally);
        }
        it.out[number].clear();
    }

    /// Looks at what has become of a client.
    fn settle(&mut self, client: usize) {
        let it = &mut self.clients[client];
        if let Some(pause) = it.pause.take() {
            let at = self.tally.now.saturating_add(pause.as_nanos().try_into().unwrap_or(u64::MAX));
            self.pauses.push(Reverse((at, client)));
        }
        match it.stage {
            Stage::Away => {
                self.lanes[client] = [None, None];
                self.free.push(client);
            }
            Stage::Lost if std::mem::take(&mut it.missed) => {
                self.lanes[client] = [None, None];
                self.lost.push(client);
            }
            Stage::Ready
                if self.plan.scenario == Scenario::Echo
                    && self.plan.rate == Rate::Max
                    && it.unanswered() == 0 =>
            {
                self.free.push(client);
            }
            _ => {}
        }
    }

    /// Writes what a client wants to say.
    pub(super) fn flush(&mut self, client: usize) {
        for number in [FIRST, SECOND] {
            if self.clients[client].out[number].is_empty() {
                continue;
            }
            if let Err(broken) = self.write(client, number) {
                self.lanes[client][number] = None;
                self.broken(client, number, broken);
                self.settle(client);
            }
        }
    }

    fn write(&mut self, client: usize, number: usize) -> Result<(), Broken> {
        let it = &mut self.clients[client];
        if it.stage == Stage::Lost {
            it.out[number].clear();
            return Ok(());
        }
        let lane = match &mut self.lanes[client][number] {
            Some(lane) => lane,
            none => {
                let token = Token(client * 2 + number);
                let registry = self.poll.registry();
                none.insert(Lane::open(self.plan.address, self.plan.transport, registry, token)?)
            }
        };
        lane.write(&mut it.out[number])
    }
}
