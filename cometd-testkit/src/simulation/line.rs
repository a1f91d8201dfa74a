//! [`Line`]: one request or one socket as the network sees it.

use std::time::Duration;

use bayeux_core::Time;

/// What the server sends at once may take it so long to send, where tasks run late.
const AT_ONCE: Duration = Duration::from_millis(10);

/// One request or one socket, as the network sees it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) client: usize,
    pub(super) opened: Time,
    /// What chance is about.
    pub(super) key: String,
    pub(super) is_socket: bool,
    /// The session that its events belong to.
    pub(super) session: Option<String>,
    /// The ids of the replies that are to come, if it is a request whose replies are known.
    pub(super) expected: Option<Vec<String>>,
    /// Whether nobody waits for the response: the network sent the request a second time.
    pub(super) is_twin: bool,
    /// Whether the server knows the link, and has not let go of it.
    pub(super) server_open: bool,
    /// Whether the client listens.
    pub(super) client_open: bool,
    /// Whether nothing gets through any more, and nobody is told.
    pub(super) dead: bool,
    /// Whether the server was told that the connection is gone.
    pub(super) told_gone: bool,
    /// When the last thing has reached the server, or will have.
    pub(super) last_up: Time,
    /// When the last thing has reached the client, or will have.
    pub(super) last_down: Time,
    /// When the network will have taken everything that the server has sent so far.
    pub(super) last_taken: Time,
    pub(super) texts: u64,
    pub(super) taken: u64,
    /// The first of the texts that may belong together with the last one, and when the last one was
    /// sent or taken. What belongs together the server writes at once, or as the network takes it.
    pub(super) piece: (u64, Time),
    /// Whether nothing is taken any more, as the connection breaks; what was sent since.
    pub(super) breaks: Option<Vec<String>>,
}

impl Line {
    /// Whether the client will see what the server sends now. Over a network that `is_real`
    /// something may come that was handed over before the server knew that the connection was gone.
    pub(super) fn listens(&self, is_real: bool) -> bool {
        self.client_open && !self.dead && !(is_real && self.told_gone)
    }

    /// A text is sent; its number.
    pub(super) fn send(&mut self, now: Time) -> u64 {
        let number = self.texts;
        self.texts += 1;
        if self.taken == number && self.piece.1 + AT_ONCE < now {
            self.piece.0 = number;
        }
        self.piece.1 = now;
        number
    }

    /// Whether a part of what was sent at once has been taken, and the rest may not have been.
    pub(super) fn is_torn(&self, now: Time) -> bool {
        let more = self.taken < self.texts || now <= self.piece.1 + AT_ONCE;
        self.is_socket && self.taken > self.piece.0 && more
    }
}
