//! [`Ledger`]: what each session is owed, recomputed from the machine's own outputs.
//!
//! This is the *inside* view. The machine's outputs stand in one order, so whoever reads them knows
//! at each publish who subscribes, and which events each session is owed from then on, to the
//! event. Nothing of how the machine does it is used here: subscriptions are sets of texts, matched
//! by walking segments, and a queue is a list. What is watched stands in the documentation of the
//! [module](super).

use std::collections::BTreeMap;
use std::time::Duration;

use bayeux_core::{
    AckReply, Config, LinkId, Message, Overflow, Parcel, Refusal, RemovedReason, Request,
    RequestKind, SessionId, Time, Verb,
};

use super::account::{Account, LinkAccount, Owed};
use super::application;
use super::host::Violation;
use super::record::matches;

/// How late a driver may be, and a machine that was asked to let others go first.
pub(super) const SLACK: Duration = Duration::from_millis(60);

/// What each session is owed.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) config: Config,
    pub(super) accounts: BTreeMap<SessionId, Account>,
    pub(super) links: BTreeMap<LinkId, LinkAccount>,
    /// The messages that sessions are to begin with, by the links of their handshakes.
    pub(super) greetings: BTreeMap<LinkId, u64>,
    /// In whose name what was published.
    publishers: BTreeMap<u64, SessionId>,
    /// Since when the clock runs without a jump.
    pub(super) steady: Time,
    pub(super) forgotten: u64,
    /// Whether the books can tell which events a full queue drops.
    pub(super) strict: bool,
    /// Whether the application has wished for something since the books were compared.
    pub(super) wished: bool,
    /// Whether a channel was made since then.
    pub(super) channels_grew: bool,
    /// Whose connect was held last, since then.
    pub(super) latest_held: Option<SessionId>,
    /// When the last question was asked or settled.
    pub(super) asked: Time,
    /// Since when the server is draining.
    pub(super) draining: Option<Time>,
}

/// What the server's own goodbye comes on.
const GOODBYE: &str = "/meta/disconnect";

pub(super) type Checked = Result<(), Violation>;

pub(super) fn violation(invariant: &'static str, what: String) -> Checked {
    Err(Violation::new(invariant, what))
}

/// The number of a message of the simulation.
pub(super) fn number(message: &Message) -> Option<u64> {
    // Cheaper than reading it as JSON: nothing else writes `ext` here.
    let ext = message.ext()?;
    ext.as_str().strip_prefix("{\"sim\":")?.strip_suffix('}')?.parse().ok()
}

impl Ledger {
    /// `late` says whether inputs come while outputs wait: then the books do not see everything in
    /// the machine's order.
    pub(super) fn new(config: Config, late: bool) -> Self {
        let unbounded = config.limits.queue_bytes >= Config::default().limits.queue_bytes;
        Self {
            config,
            strict: unbounded && !late,
            wished: false,
            channels_grew: false,
            latest_held: None,
            asked: Time::ZERO,
            draining: None,
            accounts: BTreeMap::new(),
            links: BTreeMap::new(),
            greetings: BTreeMap::new(),
            publishers: BTreeMap::new(),
            steady: Time::ZERO,
            forgotten: 0,
        }
    }

    pub(super) fn jumped(&mut self, now: Time) {
        self.steady = now;
    }

    pub(super) fn opened(&mut self, link: LinkId, is_socket: bool, http2: bool, now: Time) {
        self.links.insert(link, LinkAccount::new(is_socket, http2, now));
    }

    /// A payload goes in.
    pub(super) fn receives(&mut self, link: LinkId, payload: &[Request], now: Time) {
        let is_connect = |it: &Request| matches!(it.kind, RequestKind::Connect { .. });
        let late = self.is_left(link);
        let mixed = payload.len() > 1 && payload.iter().any(is_connect);
        let mut is_socket = false;
        if let Some(open) = self.links.get_mut(&link) {
            is_socket = open.is_socket;
            open.busy = is_socket;
            open.mixed |= mixed;
            if !late {
                (open.heard, open.stirred, open.pinged) = (now, now, false);
                open.session = payload.iter().find_map(|it| it.client).or(open.session);
            }
        }
        for request in payload {
            let Some(session) = request.client else { continue };
            if let RequestKind::Publish { message, .. } = &request.kind {
                if let Some(number) = number(message) {
                    self.publishers.insert(number, session);
                }
            }
            let Some(account) = self.accounts.get_mut(&session) else { continue };
            account.stirred = now;
            if !late && (is_socket || is_connect(request)) {
                account.place = Some(link);
            }
            match &request.kind {
                RequestKind::Connect { advice } => {
                    if let Some(pause) = advice.and_then(|it| it.interval) {
                        account.asks_for(pause);
                    }
                }
                _ => account.used.1 = now,
            }
            // What the payload causes shall leave with its own response.
            if !is_socket && !payload.first().is_some_and(is_connect) {
                account.payloads.insert(link, None);
            }
        }
    }

    /// Whether the session that has spoken on a socket has gone on elsewhere. What comes on such a
    /// socket is dropped, and is no sign of life.
    fn is_left(&self, link: LinkId) -> bool {
        let open = self.links.get(&link).filter(|open| open.is_socket);
        let account = open.and_then(|open| self.accounts.get(&open.session?));
        account.is_some_and(|account| account.place.is_some_and(|place| place != link))
    }

    /// A question about a message of this session was asked, or is not open any more.
    pub(super) fn asked(&mut self, session: SessionId, open: bool, now: Time) -> Checked {
        self.asked = now;
        if let Some(account) = self.accounts.get_mut(&session) {
            (account.stirred, account.used.1) = (now, now);
            if open {
                account.questions += 1;
            } else {
                account.questions -= 1;
            }
        }
        self.check_questions(session)
    }

    /// Something happens that may move the session's end.
    pub(super) fn stirs(&mut self, session: SessionId, now: Time) {
        if let Some(account) = self.accounts.get_mut(&session) {
            account.stirred = now;
        }
    }

    /// The application delivers a message to a session.
    pub(super) fn delivers(&mut self, session: SessionId, number: u64) {
        let (policy, most) = self.overflow();
        if let Some(account) = self.accounts.get_mut(&session).filter(|it| it.ended.is_none()) {
            account.offer(Owed::new(number, "/direct", None), policy, most);
        }
    }

    /// If the handshake on this link makes a session, that begins with a message.
    pub(super) fn greets(&mut self, link: LinkId, number: u64) {
        self.greetings.insert(link, number);
    }

    /// What happens in a queue of so many events, as far as the books can tell.
    pub(super) fn overflow(&self) -> (Overflow, usize) {
        if self.strict {
            (self.config.overflow, self.config.limits.queue_messages)
        } else {
            (Overflow::Remove, usize::MAX)
        }
    }

    /// A message went to its subscribers.
    pub(super) fn relays(&mut self, message: &Message, now: Time) {
        let Some(number) = number(message) else { return };
        let (policy, most) = self.overflow();
        let (channel, wait) = (message.channel().as_str(), self.config.max_lazy_timeout);
        let lazy = !wait.is_zero() && matches(application::LAZY, channel);
        let publisher =
            self.publishers.get(&number).filter(|_| !self.config.broadcast_to_publisher);
        for (session, account) in &mut self.accounts {
            let mut subscriptions = account.subscriptions.iter();
            let reached = subscriptions.any(|it| matches(it, channel));
            if reached && account.ended.is_none() && publisher != Some(session) {
                let lazy = lazy.then(|| now + wait);
                account.offer(Owed::new(number, channel, lazy), policy, most);
            }
        }
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
        if open.superseded {
            return violation("one-held", format!("{link:?} was overtaken and is answered"));
        }
        (open.waits, open.answered, open.stirred) = (true, true, now);
        let numbers: Vec<_> = parcel.events.iter().filter_map(|it| number(it)).collect();
        let handshake = parcel.replies.iter().find(|reply| reply.details().client.is_some());
        let session = parcel.session.or(handshake.and_then(|reply| reply.details().client));
        open.parcels.push((session, numbers.clone()));
        let Some(session) = session else {
            if numbers.is_empty() {
                return Ok(());
            }
            return violation("only-subscribed", format!("{numbers:?} are nobody's"));
        };
        let (is_socket, heard, mixed) = (open.is_socket, open.heard, open.mixed);
        self.check_places(session, (link, parcel), since)?;
        let config = &self.config;
        let Some(account) = self.accounts.get_mut(&session) else {
            return violation("no-resurrection", format!("{session:?} was never there"));
        };
        account.payloads.remove(&link);
        account.farewell &= !parcel.events.iter().any(|it| it.channel().as_str() == GOODBYE);
        let connects = |it: &&bayeux_core::Reply| it.answers(Verb::Connect) && it.is_successful();
        let connect = parcel.replies.iter().find(connects);
        if let Some(reply) = connect {
            account.polls = reply.details().advice.is_some_and(|it| it.multiple_clients);
            if reply.details().advice.is_some() {
                account.advise = false;
            } else if !mixed && std::mem::take(&mut account.advise) {
                // (A connect among other messages may have been decided about long before.)
                return violation("places", format!("{session:?} goes on to poll"));
            }
        }
        if parcel.replies.iter().any(|it| !it.answers(Verb::Connect) && it.is_successful()) {
            account.used.0 = account.used.0.max(heard);
        }
        if let Some(reply) = handshake {
            account.acknowledged = matches!(reply.ack, Some(AckReply::Enabled(_)));
        }
        if parcel.replies.iter().any(|it| it.answers(Verb::Connect)) || handshake.is_some() {
            account.stirred = now;
            if account.ended.is_none() && parcel.replies.iter().any(|it| it.is_successful()) {
                account.quiet = since;
            }
        }
        let is_live = account.ended.is_none();
        if numbers.is_empty() {
            // A connect's answer over HTTP takes everything, if there is anything.
            let takes = is_live && connect.is_some() && !is_socket && !account.acknowledged;
            return if takes { account.take(link, &numbers, false) } else { Ok(()) };
        }
        if handshake.is_some() && !config.allow_message_delivery_during_handshake {
            let what = format!("{numbers:?} leave with the answer to a handshake");
            return violation("exact", what);
        }
        let waits = config.meta_connect_deliver_only || account.acknowledged;
        if is_live && waits && connect.is_none() && handshake.is_none() {
            return violation("exact", format!("{numbers:?} leave without a connect's answer"));
        }
        // Unless the client has spoken on the socket again since.
        let left = |since: Time| is_socket && heard <= since;
        let is_http = |link: LinkId| self.links.get(&link).is_some_and(|it| !it.is_socket);
        let held = account.held.filter(|_| is_live);
        let elsewhere = |(other, since, _): &(LinkId, Time, Duration)| {
            account.acknowledged || (left(*since) && is_http(*other))
        };
        if let Some((other, ..)) = held.filter(elsewhere) {
            // The answer to the held one has the number that counts; HTTP has taken the socket's place.
            return violation("exact", format!("{numbers:?} leave, and {other:?} is held"));
        }
        if is_live && parcel.replies.is_empty() && account.is_batched() {
            return violation("batch", format!("{numbers:?} leave in a batch"));
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
        if account.parted {
            let what = format!("{numbers:?} leave behind the goodbye of {session:?}");
            return violation("no-resurrection", what);
        }
        let parts = |it: &bayeux_core::Reply| it.answers(Verb::Disconnect) && it.is_successful();
        account.parted = parcel.replies.iter().any(parts);
        account.take(link, &numbers, is_socket)
    }

    /// The link is refused: what a socket was writing counts as written.
    pub(super) fn refuses(&mut self, link: LinkId, refusal: Refusal, now: Time) -> Checked {
        self.accounts.values_mut().for_each(|account| {
            account.payloads.remove(&link);
        });
        let Some(open) = self.links.get(&link) else {
            return violation("one-answer", format!("{link:?} is refused, and not open"));
        };
        if open.closed || (open.answered && !open.is_socket) {
            return violation("one-answer", format!("{link:?} was answered before"));
        }
        if open.waits && matches!(refusal, Refusal::Moved | Refusal::Draining) {
            let what =
                format!("{link:?} is closed, {refusal:?}, and it is not known what has left");
            return violation("one-answer", what);
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
            (open.waits, open.stirred) = (false, now);
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
        for account in self.accounts.values_mut() {
            if let Some(gone) = account.payloads.get_mut(&link) {
                *gone = Some(now);
            }
        }
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
    pub(super) fn forgets(&mut self, session: SessionId, now: Time) -> Checked {
        self.forgotten += 1;
        let config = &self.config;
        let Some(account) =
            self.accounts.get_mut(&session).filter(|it| it.ended.is_some() && !it.forgotten)
        else {
            let what = format!("{session:?} is forgotten and was not gone");
            return violation("no-resurrection", what);
        };
        if account.farewell && now < account.quiet + account.least(config) {
            let what = format!("{session:?} is forgotten, and its client does not know");
            return violation("farewell", what);
        }
        account.forgotten = true;
        Ok(())
    }
}
