//! [`Advice`]: what the server tells a client about its next steps.

use core::time::Duration;

/// What a client should do after this response (Bayeux §3.3, `advice.reconnect`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reconnect {
    /// Connect again with the same session.
    Retry,
    /// Make a new session.
    Handshake,
    /// Stop.
    None,
}

impl Reconnect {
    /// The word on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Handshake => "handshake",
            Self::None => "none",
        }
    }
}

/// The `advice` of a reply. Members that are `None` are left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Advice {
    /// What to do next.
    pub reconnect: Option<Reconnect>,
    /// How long to wait before doing it; whole milliseconds on the wire.
    pub interval: Option<Duration>,
    /// How long the next connect will be held; whole milliseconds on the wire.
    pub timeout: Option<Duration>,
    /// How long the session outlives a lost connection, so that the client can tell when a new
    /// handshake is due; whole milliseconds on the wire.
    pub max_interval: Option<Duration>,
    /// Whether the browser has more sessions than may be held at the same time.
    pub multiple_clients: bool,
}

impl Advice {
    /// Advice that says only what to do next.
    pub const fn reconnect(reconnect: Reconnect) -> Self {
        Self {
            reconnect: Some(reconnect),
            interval: None,
            timeout: None,
            max_interval: None,
            multiple_clients: false,
        }
    }

    /// The advice that goes with an unknown session: make a new one, at once.
    pub(crate) const HANDSHAKE: Self =
        Self { interval: Some(Duration::ZERO), ..Self::reconnect(Reconnect::Handshake) };

    /// Sets the pause before the next step.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }
}
