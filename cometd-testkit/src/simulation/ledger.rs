//! [`Ledger`]: what each session is owed, recomputed from the machine's own outputs.
//!
//! This is the *inside* view. The machine's outputs stand in one order, so whoever reads them knows
//! at each publish who subscribes, and which events each session is owed from then on, to the
//! event. Nothing of how the machine does it is used here: subscriptions are sets of texts, matched
//! by walking segments, and a queue is a list.
//!
//! | invariant | statement |
//! | --- | --- |
//! | `one-answer` | a request gets one answer; a parcel goes to a link that is open and waits for none |
//! | `exact` | a parcel carries what its session is owed, in its order, and leaves nothing out |
//! | `only-subscribed` | it carries nothing else |
//! | `no-resurrection` | nothing is sent to, or told about, a session of which nothing is left |
//! | `one-held` | a session has one held connect at most, on a link that waits |
//! | `held-bound` | a held connect ends in time |
//! | `expiry-window` | a session expires neither before nor after its time |
//! | `subscriptions` | subscriptions begin and end once, and views agree |
//! | `bounded` | no queue and no table exceeds its limit |
//! | `census` | the machine's own numbers agree with what it said |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bayeux_core::{
    AckReply, Config, Event, LinkId, Message, Parcel, RemovedReason, Request, RequestKind, Server,
    SessionId, Time, Verb,
};

use super::host::Violation;
use super::record::matches;

/// How late a driver may be, and a machine that was asked to let others go first.
const SLACK: Duration = Duration::from_millis(60);

/// What each session is owed.
#[derive(Debug)]
pub(super) struct Ledger {
    config: Config,
    accounts: BTreeMap<SessionId, Account>,
    links: BTreeMap<LinkId, LinkAccount>,
    /// In whose name what was published.
    publishers: BTreeMap<u64, SessionId>,
    /// Since when the clock runs without a jump.
    steady: Time,
    forgotten: u64,
}

#[derive(Debug)]
struct Account {
    /// Why it has ended, if it has.
    ended: Option<RemovedReason>,
    forgotten: bool,
    acknowledged: bool,
    subscriptions: BTreeSet<String>,
    owed: VecDeque<Owed>,
    /// Events that were dropped, and are among those that are owed.
    dropped: usize,
    held: Option<(LinkId, Time, Duration)>,
    /// When its silence began to count for certain.
    quiet: Time,
    /// The last time that anything happened that may have moved its end.
    stirred: Time,
    questions: usize,
}

#[derive(Debug)]
struct Owed {
    number: u64,
    flying: Option<LinkId>,
    /// Whether the client has it.
    received: bool,
}

#[derive(Debug)]
struct LinkAccount {
    is_socket: bool,
    /// Whether a parcel was sent of which it is not known what became.
    waits: bool,
    answered: bool,
    closed: bool,
    /// What was sent, in order.
    parcels: Vec<(Option<SessionId>, Vec<u64>)>,
}

type Checked = Result<(), Violation>;

fn violation(invariant: &'static str, what: String) -> Checked {
    Err(Violation::new(invariant, what))
}

/// The number of a message of the simulation.
pub(super) fn number(message: &Message) -> Option<u64> {
    // Cheaper than reading it as JSON: nothing else writes `ext` here.
    let ext = message.ext()?;
    ext.as_str().strip_prefix("{\"sim\":")?.strip_suffix('}')?.parse().ok()
}

impl Ledger {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            accounts: BTreeMap::new(),
            links: BTreeMap::new(),
            publishers: BTreeMap::new(),
            steady: Time::ZERO,
            forgotten: 0,
        }
    }

    pub(super) fn jumped(&mut self, now: Time) {
        self.steady = now;
    }

    pub(super) fn opened(&mut self, link: LinkId, is_socket: bool) {
        let account = LinkAccount {
            is_socket,
            waits: false,
            answered: false,
            closed: false,
            parcels: Vec::new(),
        };
        self.links.insert(link, account);
    }

    /// A payload goes in.
    pub(super) fn receives(&mut self, payload: &[Request], now: Time) {
        for request in payload {
            let Some(session) = request.client else { continue };
            if let RequestKind::Publish { message, .. } = &request.kind {
                if let Some(number) = number(message) {
                    self.publishers.insert(number, session);
                }
            }
            if let Some(account) = self.accounts.get_mut(&session) {
                account.stirred = now;
            }
        }
    }

    /// A question about a message of this session was asked, or is not open any more.
    pub(super) fn asked(&mut self, session: SessionId, open: bool, now: Time) {
        if let Some(account) = self.accounts.get_mut(&session) {
            account.stirred = now;
            if open {
                account.questions += 1;
            } else {
                account.questions -= 1;
            }
        }
    }

    /// Something happens that may move the session's end.
    pub(super) fn stirs(&mut self, session: SessionId, now: Time) {
        if let Some(account) = self.accounts.get_mut(&session) {
            account.stirred = now;
        }
    }

    /// The application delivers a message to a session.
    pub(super) fn delivers(&mut self, session: SessionId, number: u64) {
        if let Some(account) = self.accounts.get_mut(&session).filter(|it| it.ended.is_none()) {
            account.owed.push_back(Owed { number, flying: None, received: false });
        }
    }

    /// A message went to its subscribers.
    pub(super) fn relays(&mut self, message: &Message) {
        let Some(number) = number(message) else { return };
        let publisher =
            self.publishers.get(&number).filter(|_| !self.config.broadcast_to_publisher);
        for (session, account) in &mut self.accounts {
            let mut subscriptions = account.subscriptions.iter();
            let reached = subscriptions.any(|it| matches(it, message.channel().as_str()));
            if reached && account.ended.is_none() && publisher != Some(session) {
                account.owed.push_back(Owed { number, flying: None, received: false });
            }
        }
    }

    pub(super) fn tells(&mut self, event: &Event, since: Time, now: Time) -> Checked {
        match event {
            Event::SessionAdded { session, .. } => {
                let account = Account {
                    ended: None,
                    forgotten: false,
                    acknowledged: false,
                    subscriptions: BTreeSet::new(),
                    owed: VecDeque::new(),
                    dropped: 0,
                    held: None,
                    quiet: since,
                    stirred: now,
                    questions: 0,
                };
                if self.accounts.insert(*session, account).is_some() {
                    return violation("no-resurrection", format!("{session:?} was made twice"));
                }
            }
            Event::SessionRemoved { session, reason } => {
                return self.removed(*session, *reason, now);
            }
            Event::Subscribed { session, channel } => {
                let account = self.live(*session)?;
                if !account.subscriptions.insert(channel.to_string()) {
                    return violation("subscriptions", format!("twice to {channel}"));
                }
            }
            Event::Unsubscribed { session, channel } => {
                let Some(account) = self.accounts.get_mut(session) else { return Ok(()) };
                if !account.subscriptions.remove(channel.as_str()) {
                    return violation("subscriptions", format!("no end without {channel}"));
                }
            }
            Event::Suspended { session, link, timeout } => {
                let account = self.live(*session)?;
                let before = account.held.replace((*link, now, *timeout));
                if let Some((other, ..)) = before {
                    return violation("one-held", format!("{link:?} beside {other:?}"));
                }
                if self.links.get(link).is_none_or(|it| it.answered && !it.is_socket) {
                    return violation("one-held", format!("{link:?} does not wait"));
                }
            }
            Event::Resumed { session, link, .. } => {
                let steady = self.steady;
                let Some(account) = self.accounts.get_mut(session) else {
                    return violation("no-resurrection", format!("{session:?} is resumed"));
                };
                (account.quiet, account.stirred) = (since, now);
                let Some((held, since, timeout)) = account.held.take() else {
                    return violation("one-held", format!("{link:?} was not held"));
                };
                if held != *link {
                    return violation("one-held", format!("{held:?} was held, not {link:?}"));
                }
                if now > since + timeout + SLACK && since >= steady {
                    return violation("held-bound", format!("{link:?} was held since {since}"));
                }
            }
            Event::EventsDropped { session, count } => {
                if let Some(account) = self.accounts.get_mut(session) {
                    account.dropped += count;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn live(&mut self, session: SessionId) -> Result<&mut Account, Violation> {
        let account = self.accounts.get_mut(&session).filter(|it| it.ended.is_none());
        account.ok_or_else(|| Violation::new("no-resurrection", format!("{session:?} is gone")))
    }

    fn removed(&mut self, session: SessionId, reason: RemovedReason, now: Time) -> Checked {
        let least = self.config.max_interval;
        let account = self.live(session)?;
        account.ended = Some(reason);
        if account.held.is_some() {
            return violation("one-held", format!("{session:?} ends while a connect is held"));
        }
        if reason == RemovedReason::Expired && now < account.quiet + least {
            let what = format!(
                "{session:?} expires {:?} after its client was heard",
                now.since(account.quiet)
            );
            return violation("expiry-window", what);
        }
        Ok(())
    }

    /// A parcel leaves.
    pub(super) fn sends(
        &mut self,
        link: LinkId,
        parcel: &Parcel,
        since: Time,
        now: Time,
    ) -> Checked {
        let Some(open) = self.links.get_mut(&link) else {
            return violation("one-answer", format!("{link:?} is not open"));
        };
        if open.waits || open.closed || (open.answered && !open.is_socket) {
            return violation("one-answer", format!("{link:?} was answered before"));
        }
        (open.waits, open.answered) = (true, true);
        let numbers: Vec<_> = parcel.events.iter().filter_map(|it| number(it)).collect();
        let handshake = parcel.replies.iter().find(|reply| reply.client.is_some());
        let session = parcel.session.or(handshake.and_then(|reply| reply.client));
        open.parcels.push((session, numbers.clone()));
        let Some(session) = session else {
            if numbers.is_empty() {
                return Ok(());
            }
            return violation("only-subscribed", format!("{numbers:?} are nobody's"));
        };
        let is_socket = open.is_socket;
        let Some(account) = self.accounts.get_mut(&session) else {
            return violation("no-resurrection", format!("{session:?} was never there"));
        };
        if let Some(reply) = handshake {
            account.acknowledged = matches!(reply.ack, Some(AckReply::Enabled(_)));
        }
        if parcel.replies.iter().any(|it| it.answers(Verb::Connect)) || handshake.is_some() {
            account.stirred = now;
            if account.ended.is_none() && parcel.replies.iter().any(|it| it.is_successful()) {
                account.quiet = since;
            }
        }
        if numbers.is_empty() {
            return Ok(());
        }
        if account.forgotten {
            return violation(
                "no-resurrection",
                format!("{session:?} is forgotten and gets {numbers:?}"),
            );
        }
        let silent = [RemovedReason::Expired, RemovedReason::Overflowed];
        if account.ended.is_some_and(|reason| silent.contains(&reason)) {
            return violation(
                "no-resurrection",
                format!("{session:?} is gone and gets {numbers:?}"),
            );
        }
        account.take(link, &numbers, is_socket)
    }

    /// The link is refused: what a socket was writing counts as written.
    pub(super) fn refuses(&mut self, link: LinkId, now: Time) -> Checked {
        let Some(open) = self.links.get(&link) else {
            return violation("one-answer", format!("{link:?} is refused, and not open"));
        };
        if open.closed || (open.answered && !open.is_socket) {
            return violation("one-answer", format!("{link:?} was answered before"));
        }
        self.landed(link, true, now);
        if let Some(open) = self.links.get_mut(&link) {
            (open.answered, open.closed) = (true, true);
        }
        Ok(())
    }

    /// What became of the parcel that the link was sent.
    pub(super) fn landed(&mut self, link: LinkId, delivered: bool, now: Time) {
        self.land(link, delivered);
        if let Some(open) = self.links.get_mut(&link) {
            open.waits = false;
            if let Some((Some(session), _)) = open.parcels.last() {
                if let Some(account) = self.accounts.get_mut(session) {
                    account.stirred = now;
                }
            }
        }
    }

    /// The link is closed by its client.
    pub(super) fn closed(&mut self, link: LinkId, now: Time) {
        self.landed(link, false, now);
        if let Some(open) = self.links.get_mut(&link) {
            open.closed = true;
        }
    }

    fn land(&mut self, link: LinkId, delivered: bool) {
        for account in self.accounts.values_mut().filter(|it| !it.acknowledged) {
            if delivered {
                account.owed.retain(|it| it.flying != Some(link));
            } else {
                account.owed.iter_mut().filter(|it| it.flying == Some(link)).for_each(|it| {
                    it.flying = None;
                });
            }
        }
    }

    /// The client has what was sent on the link as the n-th.
    pub(super) fn received(&mut self, link: LinkId, number: u64) {
        let Some(open) = self.links.get(&link) else { return };
        let Some((Some(session), numbers)) = open.parcels.get(number as usize) else { return };
        let Some(account) = self.accounts.get_mut(session) else { return };
        for number in numbers {
            // What was published twice is owed twice.
            let mut same = account.owed.iter_mut().filter(|it| it.number == *number);
            if let Some(owed) = same.find(|it| !it.received) {
                owed.received = true;
            }
        }
    }

    /// Nothing is left of a session.
    pub(super) fn forgets(&mut self, session: SessionId) -> Checked {
        self.forgotten += 1;
        match self.accounts.get_mut(&session) {
            Some(account) if account.ended.is_some() && !account.forgotten => {
                account.forgotten = true;
                Ok(())
            }
            _ => violation("no-resurrection", format!("{session:?} is forgotten and was not gone")),
        }
    }

    /// Compares the books with what the machine says of itself.
    pub(super) fn check(&self, server: &Server, now: Time) -> Checked {
        let stats = server.stats();
        let limits = &self.config.limits;
        if stats.sessions > limits.sessions || stats.held > stats.sessions {
            return violation("bounded", format!("{stats:?}"));
        }
        let live = self.accounts.iter().filter(|(_, account)| account.ended.is_none());
        let mut held = 0;
        for (session, account) in live {
            let Some(view) = server.session(*session) else {
                return violation("census", format!("{session:?} is not there"));
            };
            held += usize::from(account.held.is_some());
            if view.queue_messages() > limits.queue_messages {
                return violation("bounded", format!("{} in a queue", view.queue_messages()));
            }
            let owed = account.owed.len() - account.dropped.min(account.owed.len());
            if !account.acknowledged && view.queue_messages() != owed {
                let what = format!("{} are queued, {owed} are owed", view.queue_messages());
                return violation("census", what);
            }
            if view.is_held() != account.held.is_some() {
                return violation("one-held", format!("{session:?} is held, or is not"));
            }
            account.check_time(*session, &self.config, self.steady, now)?;
        }
        if server.sessions().count()
            != self.accounts.values().filter(|it| it.ended.is_none()).count()
            || held != stats.held
        {
            return violation("census", format!("{stats:?}"));
        }
        Ok(())
    }

    /// Compares the subscriptions, which costs more.
    pub(super) fn check_subscriptions(&self, server: &Server) -> Checked {
        for (session, account) in self.accounts.iter().filter(|(_, it)| it.ended.is_none()) {
            let Some(view) = server.session(*session) else { continue };
            let seen: BTreeSet<_> = view.subscriptions().iter().map(ToString::to_string).collect();
            if seen != account.subscriptions {
                let what = format!("{seen:?}, not {:?}", account.subscriptions);
                return violation("subscriptions", what);
            }
        }
        Ok(())
    }

    /// All is quiet, and everybody has had time to get what is owed.
    pub(super) fn check_settled(&self) -> Checked {
        for (session, account) in self.accounts.iter().filter(|(_, it)| it.ended.is_none()) {
            let waiting: Vec<_> = account.owed.iter().filter(|it| !it.received).collect();
            if waiting.len() > account.dropped {
                let what = format!(
                    "{session:?} waits for {waiting:?}, and {} were dropped",
                    account.dropped
                );
                return violation("no-loss", what);
            }
        }
        Ok(())
    }

    /// All is over: each request was answered, and each session has ended.
    pub(super) fn check_over(&self) -> Checked {
        if let Some((link, _)) = self.links.iter().find(|(_, it)| !it.answered && !it.closed) {
            return violation("one-answer", format!("{link:?} was never answered"));
        }
        if self.forgotten != self.accounts.len() as u64 {
            let what = format!("{} sessions, {} forgotten", self.accounts.len(), self.forgotten);
            return violation("no-leak", what);
        }
        Ok(())
    }
}

impl Account {
    /// A parcel takes events with these numbers.
    fn take(&mut self, link: LinkId, numbers: &[u64], is_socket: bool) -> Checked {
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
                    owed.flying = Some(link);
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

    /// Its time is not over.
    fn check_time(&self, id: SessionId, config: &Config, steady: Time, now: Time) -> Checked {
        if let Some((link, since, timeout)) = self.held {
            if now > since + timeout + SLACK && since >= steady {
                return violation("held-bound", format!("{link:?} is held since {since}"));
            }
            return Ok(());
        }
        let interval = config.interval.max(config.multi_session_interval);
        let most = self.stirred.max(steady) + interval + config.max_interval + SLACK;
        if now > most && self.questions == 0 {
            let what = format!(
                "{id:?} is there {:?} after its last sign of life",
                now.since(self.stirred)
            );
            return violation("expiry-window", what);
        }
        Ok(())
    }
}
