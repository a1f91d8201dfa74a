//! [`Traffic`]: who publishes what, and when.

use std::collections::{HashMap, VecDeque};
use std::io;

use hdrhistogram::Histogram;

use super::client::Stage;
use super::drive::Drive;
use super::plan::{Plan, Rate, Scenario};
use super::stamp::Stamp;
use crate::sim::Random;

/// Messages that are published in one go, before it is looked at what has come.
const ROUNDS: usize = 1_000;

/// A channel of the run.
#[derive(Clone, Copy, Default)]
pub(super) struct Channel {
    pub(super) subscribers: u32,
    pub(super) published: u32,
}

pub(super) struct Traffic {
    pub(super) channels: Vec<Channel>,
    /// Messages published, or lives begun, since the run began.
    pub(super) begun: u64,
    /// How much later than it was due each thing was begun, in nanoseconds.
    pub(super) late: Histogram<u64>,
    random: Random,
    /// Who publishes.
    publishers: Vec<usize>,
    /// One more than the number of what a publisher published last on a channel.
    last: HashMap<(usize, u16), u32>,
    /// What is due is due so many nanoseconds after the one before; nothing is due by the clock
    /// without.
    every: Option<f64>,
    /// When the first was due, and how many were.
    since: u64,
    due: u64,
    /// Deliveries that may be on their way.
    window: u64,
    /// Lives that are due and have no client to live them.
    backlog: VecDeque<u64>,
    stamps: Vec<Stamp>,
}

impl Traffic {
    pub(super) fn new(plan: &Plan, subscribed: &[Vec<u16>], random: Random) -> io::Result<Self> {
        let mut channels = vec![Channel::default(); plan.channels.into()];
        for channel in subscribed.iter().flatten() {
            channels[usize::from(*channel)].subscribers += 1;
        }
        let publishers = match plan.publishers {
            0 => (0..plan.clients).collect(),
            _ if plan.subscribes() => (plan.clients..plan.sessions()).collect(),
            _ => (0..plan.clients).collect(),
        };
        let per_message = if plan.subscribes() {
            let all: u64 = channels.iter().map(|it| u64::from(it.subscribers)).sum();
            all as f64 / channels.len() as f64
        } else {
            1.0
        };
        let per_burst = per_message * f64::from(if plan.subscribes() { plan.batch } else { 1 });
        Ok(Self {
            channels,
            begun: 0,
            late: Histogram::new(3).map_err(io::Error::other)?,
            random,
            publishers,
            last: HashMap::new(),
            every: match plan.rate {
                Rate::Paced(rate) => Some(per_burst / rate * 1e9),
                Rate::Max => None,
            },
            since: 0,
            due: 0,
            window: ((per_message * f64::from(plan.window)) as u64).max(1),
            backlog: VecDeque::new(),
            stamps: Vec::new(),
        })
    }

    /// From now on something is due.
    pub(super) fn start(&mut self, drive: &mut Drive<'_>) {
        self.since = drive.now();
        drive.free.clear();
        if self.every.is_none() || drive.plan.scenario == Scenario::Churn {
            drive.free.extend(0..drive.clients.len());
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.every.map(|every| self.since + (self.due as f64 * every) as u64)
    }

    /// Does all that is due.
    pub(super) fn go(&mut self, drive: &mut Drive<'_>) {
        for lost in std::mem::take(&mut drive.lost) {
            self.give_up(drive, lost);
        }
        let now = drive.now();
        while let Some(due) = self.next().filter(|due| *due <= now) {
            self.due += 1;
            self.late.saturating_record(now - due);
            self.one(drive, due);
        }
        match (drive.plan.scenario, self.every) {
            (Scenario::Fanout | Scenario::Rooms | Scenario::Cometd, None) => {
                for _ in 0..ROUNDS {
                    if drive.tally.outstanding >= self.window || !self.goes_on(drive) {
                        break;
                    }
                    self.one(drive, now);
                }
            }
            (Scenario::Echo, None) => {
                for client in std::mem::take(&mut drive.free) {
                    if drive.clients[client].unanswered() == 0 {
                        self.publish(drive, client, now);
                    }
                }
            }
            (Scenario::Churn, None) => {
                for client in std::mem::take(&mut drive.free) {
                    self.live(drive, client, now);
                }
            }
            (Scenario::Churn, Some(_)) => self.catch_up(drive),
            (Scenario::Echo, Some(_)) | (Scenario::Hold, _) => {}
            (Scenario::Fanout | Scenario::Rooms | Scenario::Cometd, Some(_)) => {}
        }
    }

    /// Begins lives that were due before.
    pub(super) fn catch_up(&mut self, drive: &mut Drive<'_>) {
        while let Some(due) = self.backlog.front().copied() {
            let Some(client) = drive.free.pop() else { return };
            self.backlog.pop_front();
            self.live(drive, client, due);
        }
    }

    /// Whether something is due that could not be begun.
    pub(super) fn is_behind(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// One burst, or one life, that is due.
    fn one(&mut self, drive: &mut Drive<'_>, due: u64) {
        match drive.plan.scenario {
            Scenario::Hold => {}
            Scenario::Churn => self.backlog.push_back(due),
            _ => {
                let at = self.random.below(self.publishers.len() as u64) as usize;
                self.publish(drive, self.publishers[at], due);
            }
        }
    }

    fn live(&mut self, drive: &mut Drive<'_>, client: usize, due: u64) {
        self.begun += 1;
        drive.tally.outstanding += 1;
        drive.begin(client, due);
    }

    fn publish(&mut self, drive: &mut Drive<'_>, client: usize, due: u64) {
        if drive.clients[client].stage != Stage::Ready {
            return;
        }
        let plan = drive.plan;
        self.stamps.clear();
        for _ in 0..if plan.subscribes() { plan.batch } else { 1 } {
            let channel = self.random.below(self.channels.len() as u64) as u16;
            let there = &mut self.channels[usize::from(channel)];
            let number = there.published;
            there.published += 1;
            drive.tally.outstanding += if plan.subscribes() { there.subscribers.into() } else { 1 };
            let after = self.last.insert((client, channel), number + 1).unwrap_or(0);
            self.stamps.push(Stamp { channel, number, after, due });
        }
        self.begun += self.stamps.len() as u64;
        drive.clients[client].publish(&plan.prefix, plan.payload, &self.stamps);
        drive.flush(client);
    }

    /// What a lost client had still to get will not come.
    fn give_up(&mut self, drive: &mut Drive<'_>, lost: usize) {
        let client = &drive.clients[lost];
        let mut missing = 0;
        for (channel, cursor) in client.subscriptions() {
            let there = &mut self.channels[usize::from(channel)];
            missing += cursor.missing(there.published);
            there.subscribers = there.subscribers.saturating_sub(1);
        }
        match drive.plan.scenario {
            Scenario::Echo => missing = client.unanswered() as u64,
            Scenario::Churn => missing = 1,
            _ => {}
        }
        drive.tally.outstanding = drive.tally.outstanding.saturating_sub(missing);
        drive.tally.given_up += missing;
    }

    /// Whether there is anybody who can publish, and anybody to get it.
    fn goes_on(&self, drive: &Drive<'_>) -> bool {
        self.channels.iter().any(|it| it.subscribers > 0)
            && self.publishers.iter().any(|it| drive.clients[*it].stage == Stage::Ready)
    }

    /// What was begun and has not come, whoever should have got it.
    pub(super) fn lost(&self, drive: &Drive<'_>) -> u64 {
        drive.tally.outstanding + drive.tally.given_up + self.backlog.len() as u64
    }
}
