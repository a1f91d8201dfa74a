//! [`Record`]: what the clients have sent and received, and what may be concluded from it.
//!
//! This is the *outside* view: it knows nothing of the server but what clients (and the
//! application) can see, so it holds at every level. Networks being what they are, much is only
//! known after a reply has come, and some things never; so there are things that must be received,
//! things that must not, and things that may.

use std::collections::{BTreeMap, BTreeSet};

use bayeux_core::{LinkId, Time};

use super::application::{Course, policy};
use super::host::{Removal, Violation};

/// The client that the application itself is.
pub(super) const OWN: usize = usize::MAX;

/// What was published, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) published: BTreeMap<u64, Published>,
    pub(super) visits: BTreeMap<String, Visit>,
    pub(super) numbers: u64,
    /// The sessions of the application itself.
    pub(super) own: Vec<String>,
    /// Whether the application is the one that the generated runs have.
    pub(super) usual: bool,
    /// Whether publishers get their own messages.
    pub(super) to_publisher: bool,
}

#[derive(Debug)]
pub(super) struct Published {
    pub(super) channel: String,
    pub(super) source: Source,
    pub(super) sent: Time,
    /// On which link it was sent: what one link carries is processed in its order.
    pub(super) link: Option<LinkId>,
    /// How often the network has carried it to the server.
    pub(super) copies: u32,
    /// When it was known whether it was done, and whether it was.
    pub(super) outcome: Option<(Time, bool)>,
}

/// Who published something, and for whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// A client, in this session.
    Session(String),
    /// The application, for everybody.
    Application,
    /// The application, for this session.
    Delivery(String),
}

/// One session, as its client sees it.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) client: usize,
    pub(super) ack: bool,
    /// Whether all of it happened on one connection, in order.
    pub(super) ordered: bool,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) ends: Vec<End>,
    pub(super) received: BTreeMap<u64, u32>,
    /// Handed over by the server, and lost without anybody's fault.
    pub(super) lost: BTreeSet<u64>,
    pub(super) dropped: usize,
    pub(super) removed: Option<Removal>,
    /// When the latest was sent of what was received.
    pub(super) latest: Time,
    /// The latest of what was received that was sent on each link.
    pub(super) latest_of: BTreeMap<LinkId, u64>,
    /// Whether what was received may come again.
    pub(super) again: bool,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) pattern: String,
    pub(super) asked: Time,
    pub(super) confirmed: Option<Time>,
    /// It was refused, or is known to be over.
    pub(super) over: Option<Time>,
    /// Whether the network may ask for it once more, at any time.
    pub(super) twice: bool,
}

/// The end of a subscription, which may come at any time from when it is asked for.
#[derive(Debug)]
pub(super) struct End {
    pub(super) pattern: String,
    pub(super) asked: Time,
    pub(super) confirmed: Option<Time>,
}

impl Record {
    pub(super) fn new(usual: bool, to_publisher: bool) -> Self {
        Self { usual, to_publisher, ..Self::default() }
    }

    /// Something is published; its number.
    pub(super) fn publish(&mut self, channel: &str, source: Source, now: Time) -> u64 {
        self.numbers += 1;
        let channel = channel.to_owned();
        let (sent, link, copies, outcome) = (now, None, 1, None);
        let published = Published { channel, source, sent, link, copies, outcome };
        self.published.insert(self.numbers, published);
        self.numbers
    }

    /// It is for this session, which has not been known before.
    pub(super) fn address(&mut self, number: u64, session: &str) {
        if let Some(published) = self.published.get_mut(&number) {
            published.source = Source::Delivery(session.to_owned());
        }
    }

    /// It is sent on this link.
    pub(super) fn carried_by(&mut self, number: u64, link: LinkId) {
        if let Some(published) = self.published.get_mut(&number) {
            published.link = Some(link);
        }
    }

    /// The network carries it once more.
    pub(super) fn copy(&mut self, number: u64) {
        if let Some(published) = self.published.get_mut(&number) {
            published.copies += 1;
        }
    }

    /// It is known whether it was done.
    pub(super) fn answered(&mut self, number: u64, done: bool, now: Time) -> Result<(), Violation> {
        let Some(published) = self.published.get_mut(&number) else { return Ok(()) };
        published.outcome = Some((now, done));
        if done && self.usual && published.is_silent() {
            let what = format!("{number} was accepted on {}", published.channel);
            return Err(Violation::new("no-effect-if-denied", what));
        }
        let seen = self.visits.values().any(|visit| visit.received.contains_key(&number));
        if !done && published.copies == 1 && seen {
            let what = format!("{number} was refused and has been received");
            return Err(Violation::new("no-effect-if-denied", what));
        }
        Ok(())
    }

    /// A session begins.
    pub(super) fn begin(&mut self, session: &str, client: usize, ack: bool, ordered: bool) {
        let visit = Visit {
            client,
            ack,
            ordered,
            subscriptions: Vec::new(),
            ends: Vec::new(),
            received: BTreeMap::new(),
            lost: BTreeSet::new(),
            dropped: 0,
            removed: None,
            latest: Time::ZERO,
            latest_of: BTreeMap::new(),
            again: false,
        };
        self.visits.insert(session.to_owned(), visit);
    }

    /// A session of the application itself begins, and subscribes.
    pub(super) fn begin_own(
        &mut self,
        session: &str,
        pattern: &str,
        now: Time,
    ) -> Result<(), Violation> {
        if !self.visits.contains_key(session) {
            self.begin(session, OWN, false, true);
            self.own.push(session.to_owned());
        }
        self.subscribe(session, pattern, now);
        self.subscribed(session, pattern, (now, now), (true, false))
    }

    /// The session goes on over another connection.
    pub(super) fn moved(&mut self, session: &str) {
        if let Some(visit) = self.visits.get_mut(session) {
            visit.ordered = false;
        }
    }

    /// A subscription is asked for.
    pub(super) fn subscribe(&mut self, session: &str, pattern: &str, now: Time) {
        let Some(visit) = self.visits.get_mut(session) else { return };
        let (pattern, confirmed, over) = (pattern.to_owned(), None, None);
        let subscription = Subscription { pattern, asked: now, confirmed, over, twice: false };
        visit.subscriptions.push(subscription);
    }

    /// The subscription that was asked for at `asked` was granted or not.
    pub(super) fn subscribed(
        &mut self,
        session: &str,
        pattern: &str,
        (asked, now): (Time, Time),
        (done, twice): (bool, bool),
    ) -> Result<(), Violation> {
        if done && self.usual && policy(pattern) != Course::Yes {
            let what = format!("a subscription to {pattern} was granted");
            return Err(Violation::new("no-effect-if-denied", what));
        }
        let Some(visit) = self.visits.get_mut(session) else { return Ok(()) };
        let mut subscriptions = visit.subscriptions.iter_mut();
        let found = subscriptions.find(|it| it.pattern == pattern && it.asked == asked);
        if let Some(subscription) = found {
            subscription.twice = twice;
            if done {
                subscription.confirmed = Some(now);
            } else if !twice {
                subscription.over = Some(now);
            }
        }
        Ok(())
    }

    /// The end of a subscription is asked for.
    pub(super) fn unsubscribe(&mut self, session: &str, pattern: &str, now: Time) {
        let Some(visit) = self.visits.get_mut(session) else { return };
        let end = End { pattern: pattern.to_owned(), asked: now, confirmed: None };
        visit.ends.push(end);
    }

    /// The end that was asked for at `asked` has come.
    pub(super) fn unsubscribed(
        &mut self,
        session: &str,
        pattern: &str,
        (asked, now): (Time, Time),
    ) {
        let Some(visit) = self.visits.get_mut(session) else { return };
        let same = |it: &&mut End| it.pattern == pattern && it.asked == asked;
        if let Some(end) = visit.ends.iter_mut().find(same) {
            end.confirmed = Some(now);
        }
        // What was asked for before is over, if nothing else is on its way.
        for it in visit.subscriptions.iter_mut().filter(|it| it.pattern == pattern) {
            if it.confirmed.is_some_and(|at| at < asked) && !it.twice {
                it.over = it.over.or(Some(now));
            }
        }
    }

    /// A channel is removed: whoever subscribes to it does not any more.
    pub(super) fn removed_channel(&mut self, pattern: &str, now: Time) {
        for visit in self.visits.values_mut() {
            let end = End { pattern: pattern.to_owned(), asked: now, confirmed: None };
            visit.ends.push(end);
        }
    }

    /// Whether a session has begun, and is not known to be gone.
    pub(super) fn is_there(&self, session: &str) -> bool {
        self.visits.get(session).is_some_and(|visit| visit.removed.is_none())
    }

    /// The session is gone.
    pub(super) fn removed(&mut self, session: &str, reason: Removal) {
        if let Some(visit) = self.visits.get_mut(session) {
            visit.removed = Some(reason);
        }
    }

    /// Events for the session were dropped.
    pub(super) fn dropped(&mut self, session: &str, count: usize) {
        if let Some(visit) = self.visits.get_mut(session) {
            visit.dropped += count;
        }
    }

    /// What was handed over to this client, and lost.
    pub(super) fn lost(&mut self, client: usize, numbers: &[u64]) {
        for visit in self.visits.values_mut().filter(|it| it.client == client) {
            visit.lost.extend(numbers);
        }
    }

    /// Whatever was published so far may have been on its way to this client, and been lost.
    pub(super) fn may_lose(&mut self, client: usize) {
        for visit in self.visits.values_mut().filter(|it| it.client == client && !it.ack) {
            visit.lost.extend(self.published.keys());
        }
    }

    /// The client says that it has received nothing: everything may come again.
    pub(super) fn expect_again(&mut self, session: &str) {
        if let Some(visit) = self.visits.get_mut(session) {
            visit.again = true;
        }
    }
}

/// Whether a pattern matches a channel: segment by segment, as the specification says it (§2.2.1).
pub(super) fn matches(pattern: &str, channel: &str) -> bool {
    fn walk(pattern: &[&str], channel: &[&str]) -> bool {
        match (pattern, channel) {
            (["**"], [_, ..]) | (["*"], [_]) | ([], []) => true,
            ([p, pattern @ ..], [c, channel @ ..]) if p == c => walk(pattern, channel),
            _ => false,
        }
    }
    let pattern: Vec<_> = pattern.split('/').collect();
    let channel: Vec<_> = channel.split('/').collect();
    walk(&pattern, &channel)
}
