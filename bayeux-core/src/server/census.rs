//! [`Census`]: how many sessions there are of each kind, and what is queued for them.
//!
//! Kept up to date with each change, so that a dashboard's question costs the same however many
//! sessions there are.

use super::session::Session;
use crate::transport::Transport;

/// What a session is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum SessionState {
    /// Its handshake was accepted, and no connect has come yet.
    Handshaken,
    /// A connect of it is held: its client is there. Local sessions always are.
    Held,
    /// It is between two connects; or its client is lost, and it will expire.
    Waiting,
    /// The server has ended it, and its client is still to be told.
    Ended,
}

impl SessionState {
    /// All of them.
    pub const ALL: &'static [Self] = &STATES;

    /// A word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshaken => "handshaken",
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
        }
    }
}

const STATES: [SessionState; 4] =
    [SessionState::Handshaken, SessionState::Held, SessionState::Waiting, SessionState::Ended];

const TRANSPORTS: [Transport; 4] =
    [Transport::WebSocket, Transport::LongPolling, Transport::CallbackPolling, Transport::Local];

/// Sessions by transport and state, and what is queued for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    sessions: [[usize; STATES.len()]; TRANSPORTS.len()],
    events: usize,
    bytes: usize,
}

/// What a session counts for.
#[derive(Clone, Copy)]
pub(super) struct Share {
    transport: Transport,
    state: SessionState,
    events: usize,
    bytes: usize,
}

impl Share {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            transport: session.transport,
            state: session.state(),
            events: session.queue.len(),
            bytes: session.queue.bytes(),
        }
    }
}

impl Census {
    /// How many sessions there are of this transport (that of the last message) and state.
    pub fn sessions(&self, transport: Transport, state: SessionState) -> usize {
        self.sessions[transport as usize][state as usize]
    }

    /// All transports and states with how many sessions there are.
    pub fn all(&self) -> impl Iterator<Item = (Transport, SessionState, usize)> {
        let states = move |transport| {
            STATES.map(|state| (transport, state, self.sessions(transport, state)))
        };
        TRANSPORTS.into_iter().flat_map(states)
    }

    /// Events in the queues of all sessions, those on their way included.
    pub fn queue_events(&self) -> usize {
        self.events
    }

    /// What these events cost, in bytes. One that is in several queues counts several times here,
    /// but is in memory only once.
    pub fn queue_bytes(&self) -> usize {
        self.bytes
    }

    /// Connects that are held. Local sessions have none.
    pub(super) fn held_connects(&self) -> usize {
        let held = self.all().filter(|&(transport, state, _)| {
            transport != Transport::Local && state == SessionState::Held
        });
        held.map(|(_, _, count)| count).sum()
    }

    pub(super) fn add(&mut self, share: Share) {
        self.sessions[share.transport as usize][share.state as usize] += 1;
        self.events += share.events;
        self.bytes += share.bytes;
    }

    /// A queue has changed from so many events, and bytes, to so many.
    pub(super) fn requeue(&mut self, before: (usize, usize), after: (usize, usize)) {
        self.events = self.events + after.0 - before.0;
        self.bytes = self.bytes + after.1 - before.1;
    }

    pub(super) fn remove(&mut self, share: Share) {
        self.sessions[share.transport as usize][share.state as usize] -= 1;
        self.events -= share.events;
        self.bytes -= share.bytes;
    }
}
