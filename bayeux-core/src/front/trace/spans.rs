//! [`Spans`]: which session has which span, and what is done within it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::OnceLock;

use tracing::Span;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::span;

use super::words::{Log, What};
use crate::id::SessionId;
use crate::message::Parcel;
use crate::server::{Event, RemovedReason};
use crate::transport::Transport;

/// Whether anybody may want what is logged at `level`. Two numbers are compared; no subscriber is
/// called.
pub(super) fn is_wanted(level: LevelFilter) -> bool {
    level <= STATIC_MAX_LEVEL && level <= LevelFilter::current()
}

/// Whether sessions that begin get a span.
pub(in crate::front) fn makes_spans() -> bool {
    is_wanted(LevelFilter::INFO)
}

/// The spans of the sessions that have one. Under the lock.
#[derive(Default)]
pub(in crate::front) struct Spans {
    by_session: BTreeMap<SessionId, SessionSpan>,
    /// Sessions that have lost events, and got none since. One warning is enough for each time:
    /// a client that does not read its events would else cause one with every event.
    losing: BTreeSet<SessionId>,
}

impl Spans {
    /// The span of a session, if it has one.
    pub(in crate::front) fn of(&self, session: Option<SessionId>) -> SessionSpan {
        let span = session.and_then(|id| self.by_session.get(&id));
        span.cloned().unwrap_or_default()
    }

    /// Notes what happened. `transport` is that of the link which a session begins on.
    pub(in crate::front) fn note(
        &mut self,
        event: &Event,
        transport: Option<Transport>,
        log: &mut Log,
    ) {
        let (level, session, what) = match event {
            Event::SessionAdded { session, .. } => {
                if makes_spans() {
                    self.by_session.insert(*session, SessionSpan::to_be_made());
                }
                // The level is that of the span.
                (LevelFilter::INFO, session, What::Added { transport })
            }
            Event::SessionRemoved { session, reason } => {
                self.losing.remove(session);
                let level = match reason {
                    RemovedReason::Overflowed => LevelFilter::WARN,
                    RemovedReason::Disconnected
                    | RemovedReason::DisconnectedByServer
                    | RemovedReason::Expired
                    | RemovedReason::Inactive => LevelFilter::DEBUG,
                };
                (level, session, What::Removed { reason: *reason })
            }
            Event::Subscribed { session, channel } => {
                (LevelFilter::DEBUG, session, What::Subscribed { channel: channel.clone() })
            }
            Event::Unsubscribed { session, channel } => {
                (LevelFilter::DEBUG, session, What::Unsubscribed { channel: channel.clone() })
            }
            Event::Suspended { session, timeout, .. } => {
                (LevelFilter::TRACE, session, What::Suspended { timeout: *timeout })
            }
            Event::Resumed { session, cause, .. } => {
                (LevelFilter::TRACE, session, What::Resumed { cause: *cause })
            }
            Event::EventsDropped { session, count } => {
                let first = is_wanted(LevelFilter::WARN) && self.losing.insert(*session);
                let level = if first { LevelFilter::WARN } else { LevelFilter::DEBUG };
                (level, session, What::Dropped { count: *count, first })
            }
            Event::ChannelAdded { .. } | Event::ChannelRemoved { .. } | Event::Published { .. } => {
                return;
            }
        };
        if is_wanted(level) {
            log.add(Some(*session), self.of(Some(*session)), what);
        }
    }

    /// Notes what a parcel refuses to its client.
    pub(in crate::front) fn note_parcel(&mut self, parcel: &Parcel, log: &mut Log) {
        if let (Some(session), false) = (&parcel.session, parcel.events.is_empty()) {
            self.losing.remove(session);
        }
        if !is_wanted(LevelFilter::DEBUG) {
            return;
        }
        for reply in &parcel.replies {
            if let Err(error) = &reply.outcome {
                let what = What::Refused { channel: reply.channel.clone(), error: error.clone() };
                log.add(parcel.session, self.of(parcel.session), what);
            }
        }
    }

    /// Ends the span of a session of which nothing is left.
    pub(in crate::front) fn end(&mut self, session: SessionId, log: &mut Log) {
        if let Some(span) = self.by_session.remove(&session) {
            log.add(Some(session), span, What::Ended);
        }
    }
}

/// The span of a session, or none. Copies are the same span, which is closed when the last of them
/// is gone.
///
/// It is made when the [`Log`] that notes the session's beginning is written. Whoever is quicker
/// than that does without: to wait here for a subscriber could be to wait for oneself.
#[derive(Clone, Default)]
pub(in crate::front) struct SessionSpan(Option<Arc<OnceLock<Span>>>);

impl SessionSpan {
    fn to_be_made() -> Self {
        Self(Some(Arc::default()))
    }

    pub(super) fn make(&self, make: impl FnOnce() -> Span) {
        if let Some(place) = &self.0 {
            // There is one log that says so, which is written once.
            let _ = place.set(make());
        }
    }

    /// What happens until the result is dropped happens within the span.
    pub(in crate::front) fn enter(&self) -> Entered<'_> {
        Entered { _within: self.0.as_ref().and_then(|it| it.get()).map(Span::enter) }
    }

    /// The same future; it is polled within the span.
    pub(in crate::front) fn around<F: Future + Unpin>(self, future: F) -> Around<F> {
        Around { future, span: self }
    }
}

#[must_use = "the span is left when this is dropped"]
pub(in crate::front) struct Entered<'s> {
    _within: Option<span::Entered<'s>>,
}

/// A future that is polled within a session's span.
pub(in crate::front) struct Around<F> {
    // In this order: what the future drops is still the session's.
    future: F,
    span: SessionSpan,
}

impl<F: Future + Unpin> Future for Around<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { future, span } = &mut *self;
        let _within = span.enter();
        Pin::new(future).poll(cx)
    }
}
