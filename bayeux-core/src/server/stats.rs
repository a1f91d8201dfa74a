//! [`Stats`]: what the server holds, and what met which bound.

/// Counters and gauges as plain numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions now, those that wait to be told of their end included.
    pub sessions: usize,
    /// Browsers with sessions now.
    pub browsers: usize,
    /// Channels now.
    pub channels: usize,
    /// Exchanges now, being processed, held, or being answered; and WebSockets.
    pub links: usize,
    /// WebSockets now, those without a session included.
    pub sockets: usize,
    /// Questions without an answer now.
    pub questions: usize,
    /// Connects held now.
    pub held: usize,
    /// Messages received from clients.
    pub messages_received: u64,
    /// Events queued for sessions, each session's copy counted.
    pub events_queued: u64,
    /// Events handed over with responses, again those that came back included.
    pub events_sent: u64,
    /// Events that came back because their response did not get out.
    pub events_returned: u64,
    /// Events dropped at a bound of a queue.
    pub events_dropped: u64,
    /// Handshakes refused at `limits.sessions`.
    pub refused_sessions: u64,
    /// Messages refused at `limits.channels`.
    pub refused_channels: u64,
    /// Subscribes refused at `limits.session_subscriptions`.
    pub refused_subscriptions: u64,
    /// Messages refused at `limits.questions` or `limits.session_questions`.
    pub refused_questions: u64,
    /// Questions that met their deadline.
    pub expired_questions: u64,
    /// Sessions that expired.
    pub expired_sessions: u64,
    /// Sessions removed because their queue was full.
    pub overflowed_sessions: u64,
    /// Connects refused because the session sent another one.
    pub superseded_connects: u64,
    /// WebSockets closed because their peer was silent.
    pub idle_sockets: u64,
    /// Messages of sessions that are not known (`402`).
    pub unknown_sessions: u64,
    /// Inputs about links or tickets that are gone: races, or a driver's mistake.
    pub ignored_inputs: u64,
}
