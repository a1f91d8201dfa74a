//! [`Session`] and [`Sessions`]: who is here, and what they are owed.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::census::{Census, SessionState, Share};
use super::keyed::DrawnMap;
use super::keys::{ChannelKey, SessionKey, SocketKey};
use super::queue::Queue;
use super::setup::Watch;
use crate::channel::Overflow;
use crate::config::Config;
use crate::id::{BrowserId, LinkId, SessionId};
use crate::time::Time;
use crate::transport::Transport;

/// How far a session has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// The handshake was accepted; no connect yet.
    Handshaken,
    /// There was a connect.
    Connected,
    /// The server ended the session while no connect was held. To the application it is gone; it
    /// stays until its client asks again (or its deadline comes) so that the client gets what was
    /// queued and learns that it was disconnected.
    Farewell,
}

/// `state`, `transport`, `queue` and `held` change in [`Sessions::change`] only: they are counted.
///
/// In this order: what a delivery looks at is together, since in a burst to many each session is in no
/// cache, and each line of it is waited for.
#[repr(C)]
pub(super) struct Session {
    pub(super) queue: Queue,
    /// The WebSocket that the session's events are pushed to.
    pub(super) socket: Option<SocketKey>,
    /// The link that holds the session's connect.
    pub(super) held: Option<LinkId>,
    /// How many batches are open; while there are any, events do not wake the held connect.
    pub(super) batches: u32,
    pub(super) state: State,
    /// The transport of the last message.
    pub(super) transport: Transport,
    pub(super) connect_only: bool,
    /// What happens when the queue is full, whatever the channel says.
    pub(super) overflow: Option<Overflow>,
    /// When lazy events are due; in the far future if there are none.
    pub(super) lazy: Time,
    pub(super) watch: Option<Box<Watch>>,
    pub(super) id: SessionId,
    /// Whether the client wants a timestamp on each message.
    pub(super) timestamp: bool,
    /// How many connects there were; one that is not the latest any more is not answered.
    pub(super) connects: u32,
    /// Payloads of its client that are being processed, and answers that are due.
    pub(super) answers: u16,
    pub(super) broadcast_to_publisher: bool,
    /// Whether the next connect reply carries the server's advice.
    pub(super) advise: bool,
    /// When the held connect is answered; when the session expires while none is held.
    pub(super) deadline: Time,
    /// The moment of the session's entry in the timers, never later than `deadline`. A deadline
    /// that moves on leaves the entry alone; it is armed again when it goes off.
    pub(super) armed: Time,
    /// The publish that reached this session last, so that overlapping subscriptions give one copy.
    pub(super) reached_by: u64,
    /// The browser that made the session; `None` if it was made over a WebSocket.
    pub(super) browser: Option<BrowserId>,
    /// Whether the held connect takes one of its browser's places.
    pub(super) takes_place: bool,
    /// Whether the session was told to poll because its browser has too many.
    pub(super) surplus: bool,
    /// Whether the application wants to see the session's messages before anything is done with
    /// them.
    pub(super) extended: bool,
    /// How often the session came to a socket or left one.
    pub(super) moves: u32,
    /// Questions about this session's messages that are open.
    pub(super) questions: u32,
    /// The network's delay as the client has computed it with timesync, in milliseconds.
    pub(super) lag: Option<u32>,
    /// When the client last sent a message.
    pub(super) heard: Time,
    pub(super) subscriptions: Vec<ChannelKey>,
    /// What the client's last connect asked for.
    pub(super) client_interval: Option<Duration>,
    pub(super) overrides: Option<Box<Overrides>>,
}

/// What the application set for one session; `None` is as the configuration says.
#[derive(Clone, Copy, Default)]
pub(super) struct Overrides {
    pub(super) timeout: Option<Duration>,
    pub(super) interval: Option<Duration>,
    pub(super) max_interval: Option<Duration>,
}

impl Session {
    /// A session that was just accepted; its deadline is for the caller to set.
    pub(super) fn new(
        id: SessionId,
        browser: Option<BrowserId>,
        transport: Transport,
        now: Time,
        config: &Config,
    ) -> Self {
        Self {
            id,
            browser,
            state: State::Handshaken,
            transport,
            queue: Queue::default(),
            held: None,
            takes_place: false,
            socket: None,
            moves: 0,
            deadline: Time::FAR_FUTURE,
            armed: Time::FAR_FUTURE,
            lazy: Time::FAR_FUTURE,
            batches: 0,
            answers: 0,
            questions: 0,
            reached_by: 0,
            subscriptions: Vec::new(),
            // The first connect of a session repeats the advice of the handshake: that reply is
            // the first thing that a client acts upon.
            advise: true,
            surplus: false,
            connects: 0,
            connect_only: config.meta_connect_deliver_only,
            broadcast_to_publisher: config.broadcast_to_publisher,
            timestamp: false,
            extended: false,
            overflow: None,
            heard: now,
            lag: None,
            watch: None,
            client_interval: None,
            overrides: None,
        }
    }

    /// What the session is doing.
    pub(super) fn state(&self) -> SessionState {
        match self.state {
            State::Farewell => SessionState::Ended,
            // It does not connect, but is there.
            _ if self.held.is_some() || self.transport == Transport::Local => SessionState::Held,
            State::Handshaken => SessionState::Handshaken,
            State::Connected => SessionState::Waiting,
        }
    }

    fn overridden<T>(&self, pick: impl FnOnce(&Overrides) -> Option<T>) -> Option<T> {
        self.overrides.as_deref().and_then(pick)
    }

    /// How long connects are held.
    pub(super) fn timeout(&self, config: &Config) -> Duration {
        self.overridden(|it| it.timeout).unwrap_or(config.timeout)
    }

    /// The pause between connects that the client is told, or asked for.
    pub(super) fn interval(&self, config: &Config) -> Duration {
        self.client_interval
            .or_else(|| self.overridden(|it| it.interval))
            .unwrap_or(config.interval)
    }

    /// How long the session may be silent, beyond its interval.
    pub(super) fn max_interval(&self, config: &Config) -> Duration {
        self.overridden(|it| it.max_interval).unwrap_or(config.max_interval)
    }

    /// When the session expires if its client was answered at `now` and is silent from then on.
    pub(super) fn expiry(&self, now: Time, config: &Config) -> Time {
        if self.transport == Transport::Local {
            // It cannot be lost, and has no heartbeat.
            return Time::FAR_FUTURE;
        }
        let mut interval = self.interval(config);
        if self.surplus {
            interval = interval.max(config.multi_session_interval);
        }
        now + interval + self.max_interval(config)
    }

    /// Whether events travel only with connect replies. Acknowledged ones do, since it is the
    /// connects that acknowledge them.
    pub(super) fn delivers_with_connect_only(&self) -> bool {
        // A local session never connects.
        self.transport != Transport::Local
            && (self.connect_only
                || self.transport == Transport::CallbackPolling
                || self.queue.is_acknowledged())
    }

    /// Whether the session exists as far as the application is concerned.
    pub(super) fn is_live(&self) -> bool {
        self.state != State::Farewell
    }

    /// Records that the session subscribes to `channel`; false if it did already.
    pub(super) fn subscribe(&mut self, channel: ChannelKey) -> bool {
        match self.subscriptions.binary_search(&channel) {
            Ok(_) => false,
            Err(at) => {
                self.subscriptions.insert(at, channel);
                true
            }
        }
    }

    /// Records that the session does not subscribe to `channel`; false if it did not.
    pub(super) fn unsubscribe(&mut self, channel: ChannelKey) -> bool {
        match self.subscriptions.binary_search(&channel) {
            Ok(at) => {
                self.subscriptions.remove(at);
                true
            }
            Err(_) => false,
        }
    }
}

/// The sessions by handle and by id, and the browsers that have some.
pub(super) struct Sessions {
    table: slotmap::SlotMap<SessionKey, Session>,
    by_id: DrawnMap<SessionId, SessionKey>,
    browsers: DrawnMap<BrowserId, Browser>,
    census: Census,
}

/// What is shared by the sessions of one cookie.
#[derive(Default)]
pub(super) struct Browser {
    sessions: u32,
    /// How many of them have a connect held.
    pub(super) held: u32,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            table: slotmap::SlotMap::with_key(),
            by_id: DrawnMap::default(),
            browsers: DrawnMap::default(),
            census: Census::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.table.get(key)
    }

    pub(super) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.table.get_mut(key)
    }

    /// Changes what is counted of a session.
    pub(super) fn change<T>(
        &mut self,
        key: SessionKey,
        change: impl FnOnce(&mut Session) -> T,
    ) -> Option<T> {
        let session = self.table.get_mut(key)?;
        let before = Share::of(session);
        let changed = change(session);
        self.census.remove(before);
        self.census.add(Share::of(session));
        Some(changed)
    }

    /// Changes a session's queue, which is all that a delivery does.
    pub(super) fn change_queue<T>(
        &mut self,
        key: SessionKey,
        change: impl FnOnce(&mut Queue) -> T,
    ) -> Option<T> {
        let queue = &mut self.table.get_mut(key)?.queue;
        let before = (queue.len(), queue.bytes());
        let changed = change(queue);
        self.census.requeue(before, (queue.len(), queue.bytes()));
        Some(changed)
    }

    /// How many there are of each kind, and what is queued for them.
    pub(super) fn census(&self) -> &Census {
        &self.census
    }

    /// The session of this id, farewells included.
    pub(super) fn find(&self, id: SessionId) -> Option<SessionKey> {
        self.by_id.get(&id).copied()
    }

    /// The session of this id, if it exists as far as the application is concerned.
    pub(super) fn find_live(&self, id: SessionId) -> Option<SessionKey> {
        self.find(id).filter(|&key| self.get(key).is_some_and(Session::is_live))
    }

    pub(super) fn insert(&mut self, session: Session) -> SessionKey {
        let (id, browser) = (session.id, session.browser);
        self.census.add(Share::of(&session));
        let key = self.table.insert(session);
        self.by_id.insert(id, key);
        if let Some(browser) = browser {
            self.browsers.entry(browser).or_default().sessions += 1;
        }
        key
    }

    pub(super) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let session = self.table.remove(key)?;
        self.census.remove(Share::of(&session));
        self.by_id.remove(&session.id);
        if let Some(id) = session.browser {
            if let Some(browser) = self.browsers.get_mut(&id) {
                browser.sessions -= 1;
                if browser.sessions == 0 {
                    self.browsers.remove(&id);
                }
            }
        }
        Some(session)
    }

    /// Whether this server knows the browser: a cookie that it did not issue, or whose sessions
    /// are all gone, is not adopted but replaced.
    pub(super) fn knows_browser(&self, id: BrowserId) -> bool {
        self.browsers.contains_key(&id)
    }

    pub(super) fn browser_mut(&mut self, id: BrowserId) -> Option<&mut Browser> {
        self.browsers.get_mut(&id)
    }

    pub(super) fn browsers(&self) -> usize {
        self.browsers.len()
    }

    /// All sessions, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionKey, &Session)> {
        self.table.iter()
    }
}
