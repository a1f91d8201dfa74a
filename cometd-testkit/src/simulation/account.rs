//! [`Account`]: what the books say about one session, whose dues are a list; and [`LinkAccount`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bayeux_core::{BrowserId, Config, LinkId, Overflow, RemovedReason, SessionId, Time};

use super::host::Violation;
use super::ledger::{Checked, SLACK, violation};

/// How much later something may happen that has let others go first several times.
const PATIENCE: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub(super) struct Account {
    /// Why it has ended, if it has.
    pub(super) ended: Option<RemovedReason>,
    pub(super) forgotten: bool,
    /// Whether its held connect was answered because it ends.
    pub(super) dismissed: bool,
    /// Whether the server's own goodbye is still to leave.
    pub(super) farewell: bool,
    /// Whether its last events have left with the answer to its client's goodbye.
    pub(super) parted: bool,
    pub(super) acknowledged: bool,
    pub(super) browser: Option<BrowserId>,
    pub(super) subscriptions: BTreeSet<String>,
    pub(super) owed: VecDeque<Owed>,
    /// Events that were dropped, and are among those that are owed.
    pub(super) dropped: usize,
    /// How many events were dropped as the machine tells it, and as the policy says; where the books
    /// can tell which ones.
    pub(super) overflow: (usize, usize),
    pub(super) held: Option<(LinkId, Time, Duration)>,
    /// When a connect was last let go of.
    pub(super) released: Time,
    /// When its silence began to count for certain.
    pub(super) quiet: Time,
    /// The last time that anything happened that may have moved its end.
    pub(super) stirred: Time,
    pub(super) questions: usize,
    /// Where its client has spoken last, with a connect or on a socket.
    pub(super) place: Option<LinkId>,
    /// The shortest and the longest pause between connects that its client has asked for.
    pub(super) pauses: Option<(Duration, Duration)>,
    /// Whether the client was told to poll, and whether it has to be told that it need not.
    pub(super) polls: bool,
    pub(super) advise: bool,
    /// Payloads that hold its events back; and when their client has gone.
    pub(super) payloads: BTreeMap<LinkId, Option<Time>>,
    /// How often the application holds its events back.
    pub(super) batches: usize,
    /// Whether it has ended a batch that it had not begun: then one of a payload has ended early.
    pub(super) stray: bool,
    /// After which time without use it ends.
    pub(super) activity: Option<Duration>,
    /// When it was last used: for certain, and at the latest.
    pub(super) used: (Time, Time),
}

#[derive(Debug)]
pub(super) struct Owed {
    pub(super) number: u64,
    pub(super) channel: String,
    /// How long it may wait for company.
    pub(super) lazy: Option<Time>,
    pub(super) flying: Option<LinkId>,
    /// Whether it has ever left.
    pub(super) sent: bool,
    /// Whether the client has it.
    pub(super) received: bool,
}

/// What the books say about one link.
#[derive(Debug)]
pub(super) struct LinkAccount {
    pub(super) is_socket: bool,
    pub(super) http2: bool,
    /// Whether a parcel was sent of which it is not known what became.
    pub(super) waits: bool,
    pub(super) answered: bool,
    pub(super) closed: bool,
    /// Whether its connect was overtaken by a newer one.
    pub(super) superseded: bool,
    /// Whether a payload of the socket is being dealt with.
    pub(super) busy: bool,
    /// Who has last spoken on it.
    pub(super) session: Option<SessionId>,
    /// Whether a connect has come on it among other messages.
    pub(super) mixed: bool,
    /// When its latest payload came that was not too late.
    pub(super) heard: Time,
    /// When anything last happened to it.
    pub(super) stirred: Time,
    /// Whether it was pinged since it was last heard.
    pub(super) pinged: bool,
    /// When a connect that was held on it was last lost.
    pub(super) lost: Option<Time>,
    /// What was sent, in order.
    pub(super) parcels: Vec<(Option<SessionId>, Vec<u64>)>,
}

impl LinkAccount {
    pub(super) fn new(is_socket: bool, http2: bool, now: Time) -> Self {
        Self {
            is_socket,
            http2,
            waits: false,
            answered: false,
            closed: false,
            superseded: false,
            busy: false,
            session: None,
            mixed: false,
            heard: now,
            stirred: now,
            pinged: false,
            lost: None,
            parcels: Vec::new(),
        }
    }
}

impl Owed {
    pub(super) fn new(number: u64, channel: &str, lazy: Option<Time>) -> Self {
        let channel = channel.to_owned();
        Self { number, channel, lazy, flying: None, sent: false, received: false }
    }

    /// Whether it has to leave as soon as it can.
    fn is_urgent(&self, now: Time) -> bool {
        self.lazy.is_none_or(|at| now > at + SLACK)
    }
}

impl Account {
    pub(super) fn new(since: Time, now: Time) -> Self {
        Self {
            ended: None,
            forgotten: false,
            dismissed: false,
            farewell: false,
            parted: false,
            acknowledged: false,
            browser: None,
            subscriptions: BTreeSet::new(),
            owed: VecDeque::new(),
            dropped: 0,
            overflow: (0, 0),
            held: None,
            released: Time::ZERO,
            quiet: since,
            stirred: now,
            questions: 0,
            place: None,
            pauses: None,
            polls: false,
            advise: false,
            payloads: BTreeMap::new(),
            batches: 0,
            stray: false,
            activity: None,
            used: (Time::ZERO, now),
        }
    }

    /// One more event in a queue of at most so many: what has to go goes.
    pub(super) fn offer(&mut self, owed: Owed, policy: Overflow, most: usize) {
        if self.acknowledged || policy == Overflow::Remove {
            return self.owed.push_back(owed);
        }
        let flying = self.owed.iter().filter(|it| it.flying.is_some()).count();
        while self.owed.len() >= most {
            let mut here = self.owed.iter().enumerate().filter(|(_, it)| it.flying.is_none());
            let oldest = here.clone().next().map(|(at, _)| at);
            let same = here.find(|(_, it)| it.channel == owed.channel).map(|(at, _)| at);
            let victim = match policy {
                _ if flying >= most => None,
                Overflow::DropOldest => oldest,
                Overflow::KeepLatest => same.or(oldest),
                _ => None,
            };
            self.overflow.1 += 1;
            let Some(victim) = victim else { return };
            self.owed.remove(victim);
        }
        self.owed.push_back(owed);
    }

    /// A parcel takes events with these numbers.
    pub(super) fn take(&mut self, link: LinkId, numbers: &[u64], is_socket: bool) -> Checked {
        if self.acknowledged {
            return self.take_again(numbers, is_socket);
        }
        let mut at = 0;
        for number in numbers {
            loop {
                let Some(owed) = self.owed.get_mut(at) else {
                    let what = format!("#{number} is not owed, or not now");
                    return violation("only-subscribed", what);
                };
                if owed.flying.is_some() {
                    at += 1;
                } else if owed.number == *number {
                    (owed.flying, owed.sent, owed.lazy) = (Some(link), true, None);
                    at += 1;
                    break;
                } else if self.dropped > 0 {
                    self.dropped -= 1;
                    self.owed.remove(at);
                } else {
                    let what = format!("#{number} leaves before #{}", owed.number);
                    return violation("exact", what);
                }
            }
        }
        let left = self.owed.iter().skip(at).filter(|it| it.flying.is_none()).count();
        if !is_socket && left > self.dropped {
            return violation("exact", format!("{left} events stay behind on {link:?}"));
        }
        Ok(())
    }

    /// The same where the client acknowledges: what it has may be left out in front (and comes again
    /// if an old connect says that it has less); all else leaves in order, and over HTTP together.
    fn take_again(&mut self, numbers: &[u64], is_socket: bool) -> Checked {
        let has = self.owed.iter().take_while(|it| it.received).count();
        // The most that it may have first: what was published twice has one number.
        let dropped = (0..=has).rev().find_map(|from| self.dropped_from(from, numbers, is_socket));
        let Some(dropped) = dropped else {
            let owed: Vec<_> = self.owed.iter().skip(has).map(|it| it.number).collect();
            return violation("exact", format!("{numbers:?} leave, {owed:?} are owed"));
        };
        self.dropped -= dropped.len();
        for at in dropped.into_iter().rev() {
            self.owed.remove(at);
        }
        for owed in self.owed.iter_mut().filter(|it| numbers.contains(&it.number)) {
            (owed.sent, owed.lazy) = (true, None);
        }
        Ok(())
    }

    /// What must have been dropped if the events from this one on left with these numbers; `None` if
    /// that cannot be.
    fn dropped_from(&self, from: usize, numbers: &[u64], is_socket: bool) -> Option<Vec<usize>> {
        let (mut numbers, mut dropped) = (numbers.iter().peekable(), Vec::new());
        for (at, owed) in self.owed.iter().enumerate().skip(from) {
            if is_socket && numbers.peek().is_none() {
                // The rest follows when this is written.
                break;
            }
            if numbers.next_if_eq(&&owed.number).is_none() {
                dropped.push(at);
            }
        }
        (numbers.next().is_none() && dropped.len() <= self.dropped).then_some(dropped)
    }

    /// Whether something holds its events back.
    pub(super) fn is_held_back(&self, now: Time) -> bool {
        let held_back = |gone: &Option<Time>| match gone {
            None => true,
            // The payload is dealt with to its end, and nothing tells when that is.
            Some(at) => self.questions > 0 || now < self.stirred.max(*at) + PATIENCE,
        };
        self.batches > 0 || self.payloads.values().any(held_back)
    }

    /// Whether the application holds its events back for certain.
    pub(super) fn is_batched(&self) -> bool {
        self.batches > 0 && !self.stray && self.ended.is_none()
    }

    /// Nothing is here that has to leave, though it can.
    pub(super) fn check_prompt(&self, id: SessionId, now: Time) -> Checked {
        let here = self.owed.iter().filter(|it| it.flying.is_none() && it.is_urgent(now));
        let late: Vec<_> = here.filter(|it| !self.acknowledged || !it.sent).collect();
        if late.len() > self.dropped && !self.is_held_back(now) {
            return violation("prompt", format!("{late:?} stay behind, and {id:?} is reachable"));
        }
        Ok(())
    }

    /// How long it lasts at least after its client was answered.
    pub(super) fn least(&self, config: &Config) -> Duration {
        let polling = if self.polls { config.multi_session_interval } else { Duration::ZERO };
        let asked = self.pauses.map_or(config.interval, |(least, _)| least);
        config.interval.min(asked).max(polling) + config.max_interval
    }

    /// Its client asks for this pause between connects.
    pub(super) fn asks_for(&mut self, pause: Duration) {
        let (least, most) = self.pauses.unwrap_or((pause, pause));
        self.pauses = Some((least.min(pause), most.max(pause)));
    }

    /// Its time is not over.
    pub(super) fn check_time(
        &self,
        id: SessionId,
        config: &Config,
        steady: Time,
        now: Time,
    ) -> Checked {
        if let Some(period) = self.activity.filter(|_| self.questions == 0) {
            if now > self.used.1.max(steady) + period + PATIENCE {
                let what = format!("{id:?} is there, and was not used since {}", self.used.1);
                return violation("activity", what);
            }
        }
        if let Some((link, since, timeout)) = self.held {
            if now > since + timeout + SLACK && since >= steady {
                return violation("held-bound", format!("{link:?} is held since {since}"));
            }
            return Ok(());
        }
        let asked = self.pauses.map_or(Duration::ZERO, |(_, most)| most);
        let interval = config.interval.max(config.multi_session_interval).max(asked);
        let since = self.stirred.max(steady);
        let mut most = interval + config.max_interval;
        match config.max_processing {
            Some(deciding) if self.questions > 0 => most = most.max(deciding),
            None if self.questions > 0 => return Ok(()),
            _ => {}
        }
        if now > since + most + SLACK {
            let what = format!(
                "{id:?} is there {:?} after its last sign of life",
                now.since(self.stirred)
            );
            return violation("expiry-window", what);
        }
        Ok(())
    }

    /// It ends for this reason.
    pub(super) fn check_end(
        &self,
        id: SessionId,
        reason: RemovedReason,
        config: &Config,
        now: Time,
    ) -> Checked {
        if self.held.is_some() {
            return violation("one-held", format!("{id:?} ends while a connect is held"));
        }
        match reason {
            RemovedReason::Expired => {
                let deciding = self.questions > 0 && config.max_processing.is_none();
                if now < self.quiet + self.least(config) || deciding {
                    let quiet = now.since(self.quiet);
                    let what = format!("{id:?} expires {quiet:?} after its client was heard");
                    return violation("expiry-window", what);
                }
            }
            RemovedReason::Inactive
                if self.activity.is_none_or(|period| now < self.used.0 + period) =>
            {
                let what = format!("{id:?} ends, and was used at {}", self.used.0);
                return violation("activity", what);
            }
            _ => {}
        }
        Ok(())
    }
}

/// That an account is not found is told in one way.
pub(super) fn gone(session: SessionId) -> Violation {
    Violation::new("no-resurrection", format!("{session:?} is gone"))
}
