//! [`Server`]: the protocol as a state machine.
//!
//! One mutator, two polls. [`Server::handle`] takes what happened, [`Server::poll_output`] yields
//! what is to be done about it, in one total order, and [`Server::poll_timeout`] says when to come
//! back if nothing else happens. Nothing in here knows JSON, HTTP, threads or clocks.
//!
//! The rooms of this house, one noun or verb each:
//!
//! - `link`, `payload`: one exchange and the messages in it; a payload walks its messages one after
//!   another and can be parked between any two steps while the application decides something.
//! - `socket`: a link that takes payloads again and again, and is written to at any time.
//! - `handshake`, `connect`, `subscribe`, `publish`, `disconnect`: what each message does.
//! - `denial`: what a client is told about a message that was refused.
//! - `farewell`: what is left of a session that is gone.
//! - `setup`: how a session begins, and how one ends that nobody uses.
//! - `session`, `queue`, `channels`, `timers`, `questions`, `rules`: what the server remembers.
//! - `deliver`: how an event gets into a queue, wakes a connect, and leaves in a parcel.
//! - `outbox`: what is to be done, in one order.
//! - `command`, `drain`: what the application wants.
//! - `input`, `output`, `question`, `event`, `stats`, `view`: the words of the interface.

mod census;
mod channels;
mod command;
mod connect;
mod deliver;
mod denial;
mod disconnect;
mod drain;
mod event;
mod farewell;
mod figures;
mod handshake;
mod input;
mod keyed;
mod keys;
mod latency;
mod link;
mod outbox;
mod output;
mod payload;
mod publish;
mod question;
mod questions;
mod queue;
mod rules;
mod session;
mod setup;
mod socket;
mod stats;
mod subscribe;
mod timers;
mod view;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use channels::Channels;
use keyed::NumberMap;
use keys::{ChannelKey, SessionKey, SocketKey};
use link::{Link, LinkState};
use outbox::Outbox;
use questions::Questions;
use session::Sessions;
use slotmap::SlotMap;
use socket::Socket;
use timers::{TimerKey, Timers};

pub use census::{Census, SessionState};
pub use event::{Event, EventKind, RemovedReason, ResumeCause};
pub use figures::{Figure, FigureKind};
pub use input::{Command, Input, Receipt, Timing};
pub use latency::Latencies;
pub use link::LinkInfo;
pub use output::{Due, Output, Refusal};
pub use question::{
    Answer, AskCreate, AskExtend, AskHandshake, AskListen, AskPublish, AskSubscribe, Denial,
    ListenVerdict, Operation, Question, QuestionId, Ticket, Verdict,
};
pub use rules::{RuleList, Rules, Ruling};
pub use setup::{Activity, Delivery, Setup};
pub use stats::{Removals, Replies, Stats};
pub use view::{ChannelView, SessionView};

use crate::config::Config;
use crate::entropy::Entropy;
use crate::id::{LinkId, SessionId};
use crate::message::Parcel;
use crate::options::ConfigError;
use crate::time::Time;

/// A Bayeux server without input, output, clock or randomness of its own.
///
/// The same inputs at the same times, with the same entropy and polled at the same points, give
/// the same outputs to the byte.
pub struct Server {
    config: Config,
    entropy: Box<dyn Entropy>,
    /// The latest time that was passed in.
    now: Time,
    sessions: Sessions,
    channels: Channels,
    links: NumberMap<LinkId, Link>,
    timers: Timers,
    questions: Questions,
    rules: Rules,
    extended: Extended,
    outbox: Outbox,
    /// Set while the server prepares for its end: how far returning clients are spread.
    draining: Option<Duration>,
    /// Sessions that are gone, or about to go, and how much of them is still on its way out.
    farewells: BTreeMap<SessionId, u32>,
    /// The number of the latest fan-out; sessions remember which one reached them last.
    fan_outs: u64,
    /// How many events were queued since the latest input.
    burst: usize,
    /// Room for the subscribers of one fan-out, kept between them.
    reached: Vec<SessionKey>,
    sockets: SlotMap<SocketKey, Socket>,
    /// How many of them are WebSockets; the others are local.
    websockets: usize,
    stats: Stats,
}

/// What the application's extensions want to see.
#[derive(Clone, Copy, Default)]
struct Extended {
    /// Clients' messages before anything is done with them.
    incoming: bool,
    /// Published messages before they go to their subscribers.
    outgoing: bool,
}

impl Server {
    /// A server at time `now`.
    ///
    /// `entropy` must be the operating system's generator in production: session ids are drawn
    /// from it.
    ///
    /// # Errors
    ///
    /// When the configuration does not make sense.
    pub fn new(
        config: Config,
        mut entropy: Box<dyn Entropy>,
        now: Time,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let (sessions, channels) = (Sessions::new(), Channels::new(&mut entropy));
        Ok(Self {
            config,
            entropy,
            now,
            sessions,
            channels,
            links: NumberMap::default(),
            timers: Timers::default(),
            questions: Questions::default(),
            rules: Rules::default(),
            extended: Extended::default(),
            outbox: Outbox::default(),
            draining: None,
            farewells: BTreeMap::new(),
            fan_outs: 0,
            burst: 0,
            reached: Vec::new(),
            sockets: SlotMap::with_key(),
            websockets: 0,
            stats: Stats::default(),
        })
    }

    /// Takes one input. Never fails: a peer's mistake becomes a reply, and an input about
    /// something that is gone (a race with its end) is counted and otherwise ignored.
    ///
    /// Times should not run backwards; one that does counts as the latest seen.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.now = self.now.max(now);
        self.burst = 0;
        // What became of a parcel counts before anything that is due: a socket that is idle at this
        // very moment would be refused, and then what it was writing counts as written.
        if let Input::Sent { link, delivered } = input {
            self.sent(link, delivered);
        } else if let Input::Close { link } = input {
            self.close(link);
        }
        self.ring();
        match input {
            Input::Open { link, info } => self.open(link, info),
            Input::Receive { link, payload } => self.receive(link, payload),
            Input::Sent { .. } | Input::Close { .. } | Input::Tick => {}
            Input::Alive { link } => self.alive(link),
            Input::Answer(answer) => self.answer(answer),
            Input::Command(command) => self.command(command),
            Input::Relay(message) => self.relayed(&message),
        }
    }

    /// The next thing to do, in the order of the causes.
    ///
    /// Outputs may be drained after each input or after several. An answer keeps the place where
    /// it became due, but the events in it are taken when it is popped: what was queued until then
    /// leaves with it.
    pub fn poll_output(&mut self) -> Option<Output> {
        loop {
            match self.poll_due()? {
                Due::Output(output) => return Some(output),
                Due::Answer(link) => {
                    if let Some(parcel) = self.collect(self.now, link) {
                        return Some(Output::Send { link, parcel });
                    }
                }
            }
        }
    }

    /// The same for a driver that makes up parcels one by one: a link that has an answer is only
    /// named, and whoever writes to it calls [`Server::collect`] when it comes to that.
    ///
    /// What is queued until then leaves with it, and what each of many receivers is owed is looked
    /// up when it is written, not once for all of them before. [`Server::poll_output`] is made of
    /// these two.
    pub fn poll_due(&mut self) -> Option<Due> {
        self.outbox.pop()
    }

    /// What the link is owed, if it was named by [`Server::poll_due`] and has not been refused or
    /// closed since. As after [`Output::Send`], what becomes of it is to be said with
    /// [`Input::Sent`]. There may be outputs afterwards.
    ///
    /// While a link is named and not collected, the events of a session that is there stay in its queue:
    /// closing the link loses none of them.
    pub fn collect(&mut self, now: Time, link: LinkId) -> Option<Parcel> {
        self.now = self.now.max(now);
        self.dispatch(link)
    }

    /// When to call [`Server::handle`] with [`Input::Tick`] if nothing happens before. It may be
    /// earlier than anything is due, never later.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        Stats {
            sessions: self.sessions.len(),
            census: *self.sessions.census(),
            browsers: self.sessions.browsers(),
            channels: self.channels.len(),
            links: self.links.len(),
            questions: self.questions.len(),
            held: self.sessions.census().held_connects(),
            sockets: self.websockets,
            ..self.stats
        }
    }

    /// Does what is due.
    fn ring(&mut self) {
        while let Some(key) = self.timers.pop_due(self.now) {
            match key {
                TimerKey::Session(session) => self.session_due(session),
                TimerKey::Lazy(session) => self.lazy_due(session),
                TimerKey::Activity(session) => self.activity_due(session),
                TimerKey::Socket(socket) => self.socket_due(socket),
                TimerKey::Channel(channel) => self.channel_due(channel),
                TimerKey::Question(question) => self.question_due(question),
                TimerKey::Payload(link) => self.payload_due(link),
            }
        }
    }

    fn session_due(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.deadline > self.now {
            // The deadline moved on since the timer was armed.
            session.armed = session.deadline;
            self.timers.arm(session.armed, TimerKey::Session(key));
        } else if session.held.is_some() {
            // Its entry is spent; resuming the connect sets the next deadline.
            session.armed = Time::FAR_FUTURE;
            self.resume(key, ResumeCause::Timeout);
        } else {
            session.armed = Time::FAR_FUTURE;
            let processing = self.now.since(session.heard);
            let patient = self.config.max_processing.is_none_or(|most| processing < most);
            if session.questions > 0 && patient {
                // A session does not expire while the application decides about its messages.
                let at = self.now + session.max_interval(&self.config);
                let most = self.config.max_processing.map(|most| session.heard + most);
                return self.set_deadline(key, most.map_or(at, |most| most.min(at)));
            }
            self.remove_session(key, RemovedReason::Expired);
        }
    }

    /// Sets when the session's held connect is answered or the session expires.
    fn set_deadline(&mut self, key: SessionKey, at: Time) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.deadline = at;
        if at < session.armed {
            self.timers.disarm(session.armed, TimerKey::Session(key));
            session.armed = at;
            self.timers.arm(at, TimerKey::Session(key));
        }
    }

    /// Starts to count the session's silence: its client was answered, or lost. While a connect is
    /// held there is no silence, and the deadline is the end of the hold: an earlier connect that
    /// comes to its end only now, since the application thought about it, has no say in that.
    fn start_expiry(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get(key).filter(|session| session.held.is_none()) {
            self.set_deadline(key, session.expiry(self.now, &self.config));
        }
    }

    /// Counts a sign of life that is no connect: the session lasts at least `max_interval` more.
    fn postpone_expiry(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        if session.held.is_none() {
            let at = session.deadline.max(self.now + session.max_interval(&self.config));
            self.set_deadline(key, at);
        }
    }

    /// The channel of this pattern, made if need be. Limits are for the caller to check.
    fn create_channel(&mut self, pattern: &crate::channel::Pattern) -> ChannelKey {
        if let Some(key) = self.channels.find(pattern) {
            return key;
        }
        let key = self.channels.insert(pattern.clone(), self.now);
        self.tell(Event::ChannelAdded { channel: pattern.clone() });
        self.watch_channel(key);
        key
    }

    /// Looks after a channel that may have become idle.
    fn watch_channel(&mut self, key: ChannelKey) {
        let grace = self.config.sweep_period * 3;
        let Some(channel) = self.channels.get_mut(key) else { return };
        channel.used = self.now;
        if channel.is_idle() && !channel.watched {
            channel.watched = true;
            self.timers.arm(self.now + grace, TimerKey::Channel(key));
        }
    }

    fn channel_due(&mut self, key: ChannelKey) {
        let grace = self.config.sweep_period * 3;
        let Some(channel) = self.channels.get_mut(key) else { return };
        channel.watched = false;
        if !channel.is_idle() {
            return;
        }
        let due = channel.used + grace;
        if due > self.now {
            channel.watched = true;
            self.timers.arm(due, TimerKey::Channel(key));
        } else if let Some(channel) = self.channels.remove(key) {
            self.tell(Event::ChannelRemoved { channel: channel.pattern });
        }
    }

    fn tell(&mut self, event: Event) {
        self.outbox.push(Output::Tell(event));
    }

    fn refuse(&mut self, link: LinkId, refusal: Refusal) {
        if let Some(socket) = self.socket_key(link) {
            // What is being written goes on to be written; only what comes next does not.
            self.close_socket(socket, true);
        } else {
            self.links.remove(&link);
        }
        self.outbox.push(Output::Refuse { link, refusal });
    }

    /// The id of a session that may be gone.
    fn session_id(&self, key: SessionKey) -> Option<SessionId> {
        self.sessions.get(key).map(|session| session.id)
    }

    fn open(&mut self, link: LinkId, info: LinkInfo) {
        if info.transport.is_stream() {
            return self.open_socket(link, info);
        }
        let fresh = self.links.insert(link, Link { info, state: LinkState::Open }).is_none();
        debug_assert!(fresh, "a link id was used twice");
    }
}
