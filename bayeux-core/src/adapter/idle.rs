//! [`Idle`]: how long a connection has had nothing to do.
//!
//! hyper has a time-out for heads of HTTP/1, with a new sleep for each request, and none for an
//! HTTP/2 connection without streams. Here is one for both, with a sleep for each connection: when
//! it is over it looks whether there has been a request meanwhile, and sleeps for what is left.

use alloc::sync::Arc;
use core::task::{Context, Poll};
use core::time::Duration;

use super::connections::Place;
use super::signal::Signal;
use crate::front::{Bayeux, Sleep};
use crate::time::Time;

/// Less would be no time at all, and looking without end.
const SHORTEST: Duration = Duration::from_millis(1);

/// Watches a connection for having nothing to do.
pub(super) struct Idle {
    bayeux: Bayeux,
    place: Arc<Place>,
    limit: Duration,
    /// How many requests there had been when it was looked last.
    seen: usize,
    /// Since when there is nothing to do; what is being done counts until it was seen to be over.
    since: Time,
    was_busy: bool,
    sleep: Sleep,
    /// The sleep may be over.
    rung: Signal,
}

impl Idle {
    /// Nothing has been done since `since`.
    pub(super) fn new(bayeux: &Bayeux, place: &Arc<Place>, since: Time, limit: Duration) -> Self {
        let limit = limit.max(SHORTEST);
        let seen = place.begun();
        let sleep = bayeux.sleep_until(since + limit);
        let (bayeux, place) = (bayeux.clone(), Arc::clone(place));
        Self { bayeux, place, limit, seen, since, was_busy: false, sleep, rung: Signal::new() }
    }

    /// Begins anew, with another limit.
    pub(super) fn restart(&mut self, limit: Duration) {
        self.limit = limit.max(SHORTEST);
        self.since = self.bayeux.now();
        self.sleep = self.bayeux.sleep_until(self.since + self.limit);
        self.rung.give();
    }

    /// Ready when there has been nothing to do for too long. To be polled after the connection.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (begun, busy) = (self.place.begun(), self.place.is_busy());
        if begun != self.seen || busy != self.was_busy {
            (self.seen, self.was_busy) = (begun, busy);
            self.since = self.bayeux.now();
        }
        if !self.rung.take(cx) {
            return Poll::Pending;
        }
        let waker = self.rung.waker();
        let cx = &mut Context::from_waker(&waker);
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = self.bayeux.now();
            let due = if busy { now } else { self.since } + self.limit;
            if now >= due && !busy {
                return Poll::Ready(());
            }
            self.sleep = self.bayeux.sleep_until(due);
        }
        Poll::Pending
    }
}
