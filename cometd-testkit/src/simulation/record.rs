//! [`Record`]: what the clients have sent and received, and what may be concluded from it.
//!
//! This is the *outside* view: it knows nothing of the server but what clients (and the
//! application) can see, so it holds at every level. Networks being what they are, much is only
//! known after a reply has come, and some things never; so there are things that must be received,
//! things that must not, and things that may.

use std::collections::{BTreeMap, BTreeSet};

use bayeux_core::{LinkId, Time};

use super::application::{ANSWER, Course, is_denied, is_stopped, policy};
use super::host::{Removal, Violation};

/// The client that the application itself is.
const OWN: usize = usize::MAX;

/// What was published, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Record {
    published: BTreeMap<u64, Published>,
    visits: BTreeMap<String, Visit>,
    numbers: u64,
    /// The sessions of the application itself.
    own: Vec<String>,
    /// Whether the application is the one that the generated runs have.
    usual: bool,
    /// Whether publishers get their own messages.
    to_publisher: bool,
}

#[derive(Debug)]
struct Published {
    channel: String,
    source: Source,
    sent: Time,
    /// On which link it was sent: what one link carries is processed in its order.
    link: Option<LinkId>,
    /// How often the network has carried it to the server.
    copies: u32,
    /// When it was known whether it was done, and whether it was.
    outcome: Option<(Time, bool)>,
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
struct Visit {
    client: usize,
    ack: bool,
    /// Whether all of it happened on one connection, in order.
    ordered: bool,
    subscriptions: Vec<Subscription>,
    ends: Vec<End>,
    received: BTreeMap<u64, u32>,
    /// Handed over by the server, and lost without anybody's fault.
    lost: BTreeSet<u64>,
    dropped: usize,
    removed: Option<Removal>,
    /// When the latest was sent of what was received.
    latest: Time,
    /// The latest of what was received that was sent on each link.
    latest_of: BTreeMap<LinkId, u64>,
    /// Whether what was received may come again.
    again: bool,
}

#[derive(Debug)]
struct Subscription {
    pattern: String,
    asked: Time,
    confirmed: Option<Time>,
    /// It was refused, or is known to be over.
    over: Option<Time>,
    /// Whether the network may ask for it once more, at any time.
    twice: bool,
}

/// The end of a subscription, which may come at any time from when it is asked for.
#[derive(Debug)]
struct End {
    pattern: String,
    asked: Time,
    confirmed: Option<Time>,
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

    /// What a client has received at once, on the channels that were named.
    pub(super) fn receive(
        &mut self,
        session: &str,
        events: &[(u64, String)],
    ) -> Result<(), Violation> {
        let usual = self.usual;
        let Some(visit) = self.visits.get_mut(session) else {
            let what = "events have come for a session that its client does not know";
            return Err(Violation::new("only-subscribed", what));
        };
        if !visit.ordered && !visit.ack {
            visit.latest = Time::ZERO;
            visit.latest_of.clear();
        }
        for (number, channel) in events {
            let is_answer = number & ANSWER != 0;
            let Some(published) = self.published.get(&(number & !ANSWER)) else {
                let what = format!("{number} was never published");
                return Err(Violation::new("only-subscribed", what));
            };
            let who = format!("{}: {number} on {channel}", visit.name());
            let source = &published.source;
            let expected = if is_answer || matches!(source, Source::Delivery(_)) {
                matches!(source, Source::Session(it) | Source::Delivery(it) if it == session)
            } else {
                visit.may_hear(&published.channel, published.sent)
            };
            // Messages on service channels are for the application alone.
            let service = !is_answer && channel.starts_with("/service/");
            if !expected || service || (!is_answer && *channel != published.channel) {
                return Err(Violation::new("only-subscribed", who));
            }
            let own = *source == Source::Session(session.to_owned());
            if own && !is_answer && !self.to_publisher {
                return Err(Violation::new("only-subscribed", format!("{who}, its own")));
            }
            let direct = is_answer || matches!(source, Source::Delivery(_));
            let refused = published.outcome.is_some_and(|(_, done)| !done);
            let silent = usual && published.is_silent();
            if !direct && (silent || (refused && published.copies == 1)) {
                return Err(Violation::new("no-effect-if-denied", who));
            }
            let count = visit.received.entry(*number).or_default();
            *count += 1;
            if *count > published.copies && !visit.again {
                return Err(Violation::new("no-duplicates", who));
            }
            let mut late = published.outcome.is_some_and(|(at, _)| at < visit.latest);
            if let Some(link) = published.link.filter(|_| !is_answer) {
                let latest = visit.latest_of.entry(link).or_default();
                late |= *latest > *number;
                *latest = (*latest).max(*number);
            }
            if late && *count == 1 && published.copies == 1 && !visit.again {
                return Err(Violation::new("fifo", format!("{who} came late")));
            }
            visit.latest = visit.latest.max(published.sent);
        }
        Ok(())
    }

    /// The client says that it has received nothing: everything may come again.
    pub(super) fn expect_again(&mut self, session: &str) {
        if let Some(visit) = self.visits.get_mut(session) {
            visit.again = true;
        }
    }

    /// Everything that the application's own sessions must have received by now they have received.
    pub(super) fn check_own(&self) -> Result<(), Violation> {
        self.own.iter().try_for_each(|session| self.check_owed(session))
    }

    /// Everything that a session must have received by now it has received.
    pub(super) fn check_owed(&self, session: &str) -> Result<(), Violation> {
        let Some(visit) = self.visits.get(session).filter(|it| it.removed.is_none()) else {
            return Ok(());
        };
        let missing = self.published.iter().filter(|(number, it)| {
            self.must_hear(session, visit, it) && !visit.received.contains_key(number)
        });
        let missing: Vec<_> = missing
            .map(|(number, _)| *number)
            .filter(|number| visit.ack || !visit.lost.contains(number))
            .collect();
        if missing.len() > visit.dropped {
            let invariant = if visit.ack { "ack-no-loss" } else { "no-loss" };
            let what = format!(
                "{} has not received {missing:?}, and {} were dropped",
                visit.name(),
                visit.dropped
            );
            return Err(Violation::new(invariant, what));
        }
        Ok(())
    }

    fn must_hear(&self, session: &str, visit: &Visit, it: &Published) -> bool {
        let settled = match (&it.source, it.outcome) {
            (_, Some((_, false))) => return false,
            (Source::Delivery(to), _) => return to == session,
            (Source::Session(from), _) if from == session && !self.to_publisher => return false,
            (_, None) => return false,
            (_, Some((at, true))) => at,
        };
        if self.usual && it.is_silent() || it.channel.starts_with("/service/") {
            return false;
        }
        visit.subscriptions.iter().any(|subscription| {
            let may_have_ended = visit.ends.iter().any(|end| {
                end.pattern == subscription.pattern
                    && end.asked <= settled
                    && end.confirmed.is_none_or(|at| at >= subscription.asked)
            });
            subscription.confirmed.is_some_and(|at| at < it.sent)
                && !may_have_ended
                && matches(&subscription.pattern, &it.channel)
        })
    }
}

impl Published {
    /// Whether nobody may receive it.
    fn is_silent(&self) -> bool {
        match self.source {
            Source::Session(_) => is_denied(&self.channel),
            Source::Application => is_stopped(&self.channel),
            Source::Delivery(_) => false,
        }
    }
}

impl Visit {
    fn name(&self) -> String {
        if self.client == OWN {
            return "the application".to_owned();
        }
        format!("c{}", self.client)
    }

    /// Whether something that was published at `sent` may be received.
    fn may_hear(&self, channel: &str, sent: Time) -> bool {
        self.subscriptions
            .iter()
            .any(|it| it.over.is_none_or(|over| over >= sent) && matches(&it.pattern, channel))
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
