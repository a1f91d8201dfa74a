//! [`Stats`]: what the server holds, what it has done, and what met which bound.

use super::census::{Census, SessionState};
use super::event::RemovedReason;
use super::latency::Latencies;
use crate::message::BayeuxError;

/// Counters and gauges as plain numbers. What is "now" is a gauge, the others only grow.
///
/// [`Stats::figures`] lists them with names for a monitoring system.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions now, those that wait to be told of their end included.
    pub sessions: usize,
    /// The same by transport and state; and what is queued for them.
    pub census: Census,
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
    /// Sessions whose handshake was accepted.
    pub added_sessions: u64,
    /// Sessions that ended, by reason.
    pub removed: Removals,
    /// Messages received from clients.
    pub messages_received: u64,
    /// Replies handed over.
    pub replies: Replies,
    /// Events queued for sessions, each session's copy counted.
    pub events_queued: u64,
    /// Events handed over with responses, again those that came back included.
    pub events_sent: u64,
    /// Events that came back because their response did not get out, or was not acknowledged.
    pub events_returned: u64,
    /// Events that were not queued because the queue was full.
    pub events_dropped: u64,
    /// Events that were queued and made room for newer ones.
    pub events_displaced: u64,
    /// Events that were queued, and not on their way, when their session ended.
    pub events_lost: u64,
    /// How long events were queued before they were handed over for the first time.
    pub delivery: Latencies,
    /// Handshakes refused at `limits.sessions`.
    pub refused_sessions: u64,
    /// Messages refused at `limits.channels`.
    pub refused_channels: u64,
    /// Subscribes refused at `limits.session_subscriptions`.
    pub refused_subscriptions: u64,
    /// Messages refused at `limits.questions`, `limits.session_questions` or
    /// `limits.handshake_questions`.
    pub refused_questions: u64,
    /// Questions that met their deadline.
    pub expired_questions: u64,
    /// Connects refused because the session sent another one.
    pub superseded_connects: u64,
    /// WebSockets closed because their peer was silent.
    pub idle_sockets: u64,
    /// Messages of sessions that are not known (`402`).
    pub unknown_sessions: u64,
    /// Inputs about links or tickets that are gone: races, or a driver's mistake.
    pub ignored_inputs: u64,
}

/// How many sessions ended for which reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Removals {
    /// Their clients said so.
    pub disconnected: u64,
    /// The application said so.
    pub disconnected_by_server: u64,
    /// Their clients were silent for too long.
    pub expired: u64,
    /// The same, and there had never been a connect: clients that get no further than the
    /// handshake.
    pub expired_unconnected: u64,
    /// Their queues were full.
    pub overflowed: u64,
    /// They were not used for too long.
    pub inactive: u64,
}

impl Removals {
    pub(super) fn count(&mut self, reason: RemovedReason, state: SessionState) {
        let counter = match reason {
            RemovedReason::Disconnected => &mut self.disconnected,
            RemovedReason::DisconnectedByServer => &mut self.disconnected_by_server,
            RemovedReason::Expired if state == SessionState::Handshaken => {
                &mut self.expired_unconnected
            }
            RemovedReason::Expired => &mut self.expired,
            RemovedReason::Overflowed => &mut self.overflowed,
            RemovedReason::Inactive => &mut self.inactive,
        };
        *counter += 1;
    }
}

const ERRORS: usize = BayeuxError::TEXTS.len();

/// How many replies were handed over, and what they said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Replies {
    successful: u64,
    failed: [u64; ERRORS],
    /// Failures without an error: connects that were answered because there was a newer one.
    unspecified: u64,
}

impl Replies {
    pub(super) fn count(&mut self, outcome: &Result<(), Option<BayeuxError>>) {
        let counter = match outcome {
            Ok(()) => &mut self.successful,
            Err(None) => &mut self.unspecified,
            Err(Some(error)) => {
                let at = BayeuxError::TEXTS.iter().position(|&text| text == error.text());
                at.and_then(|at| self.failed.get_mut(at)).unwrap_or(&mut self.unspecified)
            }
        };
        *counter += 1;
    }

    /// Successful ones.
    pub fn successful(&self) -> u64 {
        self.successful
    }

    /// Unsuccessful ones by the last field of their error, such as `session_unknown`; it is empty
    /// for those without an error.
    pub fn failed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let errors = BayeuxError::TEXTS.iter().copied().zip(self.failed);
        errors.chain(core::iter::once(("", self.unspecified)))
    }

    /// Unsuccessful ones with this error, whatever its reason.
    pub fn failed_with(&self, error: &BayeuxError) -> u64 {
        self.failed().find(|(text, _)| *text == error.text()).map_or(0, |(_, count)| count)
    }
}
