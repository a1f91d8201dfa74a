//! [`Idle`]: how long a connection has had nothing to do.
//!
//! hyper has a time-out for heads of HTTP/1, with a new sleep for each request, and none for an
//! HTTP/2 connection without streams. Here is one for both, with a sleep for each connection: when
//! it is over it looks whether there has been a request meanwhile, and sleeps for what is left.

use alloc::sync::Arc;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::connections::Place;
use crate::front::{Bayeux, Sleep};
use crate::time::Time;

/// Less would be no time at all, and looking without end.
const SHORTEST: Duration = Duration::from_millis(1);

/// Watches a connection for having nothing to do.
pub(super) struct Idle {
    bayeux: Bayeux,
    place: Arc<Place>,
    /// How many requests there had been when it was looked last.
    seen: usize,
    was_busy: bool,
    /// Since when there is nothing to do; what is being done counts until it was seen to be over.
    since: Time,
    /// When the sleep is over.
    due: Time,
    /// Whether it was seen to be over.
    is_over: bool,
    /// Who is woken then.
    waker: Option<Waker>,
    sleep: Sleep,
    limit: Duration,
}

impl Idle {
    /// Nothing has been done since `since`.
    pub(super) fn new(bayeux: &Bayeux, place: &Arc<Place>, since: Time, limit: Duration) -> Self {
        let limit = limit.max(SHORTEST);
        let due = since + limit;
        Self {
            bayeux: bayeux.clone(),
            place: Arc::clone(place),
            seen: place.begun(),
            was_busy: false,
            since,
            due,
            is_over: false,
            waker: None,
            sleep: bayeux.sleep_until(due),
            limit,
        }
    }

    /// Begins anew, with another limit.
    pub(super) fn restart(&mut self, limit: Duration) {
        self.limit = limit.max(SHORTEST);
        self.since = self.bayeux.now();
        self.sleep_until(self.since + self.limit);
    }

    fn sleep_until(&mut self, due: Time) {
        (self.due, self.sleep) = (due, self.bayeux.sleep_until(due));
        (self.is_over, self.waker) = (false, None);
    }

    /// Whether the sleep is over; if not, the task is woken when it is.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_over = self.is_over || self.sleep.as_mut().poll(cx).is_ready();
        self.is_over
    }

    /// Sees to it that the task is woken when the sleep is over. To be called before the connection is
    /// polled: some runtimes let a task that has done much ask for nothing more, not even for that.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) {
        let is_awaited = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if !is_awaited && !self.poll_over(cx) {
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Ready when there has been nothing to do for too long. To be polled after the connection;
    /// `worked` says whether that was woken, and not something else.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, worked: bool) -> Poll<()> {
        let mut now = self.bayeux.now();
        let (begun, busy) = (self.place.begun(), self.place.is_busy());
        if begun != self.seen || busy != self.was_busy {
            (self.seen, self.was_busy, self.since) = (begun, busy, now);
        }
        // A connection wakes for each delivery. The sleep is not asked then, through all its layers,
        // unless it may be over as well.
        if worked && now < self.due && self.waker.is_some() {
            return Poll::Pending;
        }
        while self.poll_over(cx) {
            let due = if busy { now } else { self.since } + self.limit;
            if now >= due && !busy {
                return Poll::Ready(());
            }
            self.sleep_until(due);
            // A sleep that is short enough is over when it begins.
            now = self.bayeux.now();
        }
        Poll::Pending
    }
}
