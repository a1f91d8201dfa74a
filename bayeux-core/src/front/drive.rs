//! [`Bayeux::drive`]: one timer for the whole server.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::future::{Future, poll_fn};
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::PoisonError;

use super::state::register;
use super::{Bayeux, Shared};
use crate::server::Input;
use crate::time::Time;

impl Bayeux {
    /// A future that gives the server its time. It must be run on the runtime for as long as the
    /// server lives; it ends when the last handle on the server is gone, of which it is none.
    ///
    /// `sleep_until` makes a future that is ready at that time of [`Runtime::now`](super::Runtime).
    /// There is one such sleep at a time, whatever the number of sessions.
    pub fn drive<F>(
        &self,
        sleep_until: impl Fn(Time) -> F + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut driver = Driver { shared: Arc::downgrade(&self.shared), sleep: None, sleep_until };
        poll_fn(move |cx| driver.poll(cx))
    }
}

struct Driver<S, F> {
    shared: Weak<Shared>,
    sleep: Option<(Time, Pin<Box<F>>)>,
    sleep_until: S,
}

impl<S: Fn(Time) -> F, F: Future<Output = ()>> Driver<S, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(shared) = self.shared.upgrade() else { return Poll::Ready(()) };
        let bayeux = Bayeux { shared };
        loop {
            let (due, replaced) = {
                let mut state = bayeux.lock();
                let due = state.due();
                // A turn that makes something due earlier wakes this task; one that makes it due
                // later does not, and the sleep just ends without anything to do.
                state.timer.until = due;
                (due, register(&mut state.timer.waker, cx.waker()))
            };
            drop(replaced);
            if self.sleep.as_ref().map(|(until, _)| *until) != due {
                self.sleep = due.map(|until| (until, Box::pin((self.sleep_until)(until))));
            }
            let Some((_, sleep)) = &mut self.sleep else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
            bayeux.turn(Input::Tick);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The driver has nothing to drive any more; it finds that out when it is polled.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = mem::take(&mut state.timer.waker) {
            waker.wake();
        }
    }
}
