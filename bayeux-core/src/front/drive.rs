//! [`Driver`]: one timer for the whole server.

use alloc::sync::{Arc, Weak};
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::PoisonError;

use super::runtime::Sleep;
use super::state::register;
use super::{Bayeux, Shared};
use crate::server::Input;
use crate::time::Time;

/// Gives the server its time: sleeps until something is due, and says so. There is one for each
/// server, and one sleep at a time, whatever the number of sessions.
///
/// It is no handle on the server, and ends when the last one is gone.
pub(super) struct Driver {
    shared: Weak<Shared>,
    sleep: Option<(Time, Sleep)>,
}

impl Driver {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::downgrade(shared), sleep: None }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
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
                self.sleep = due.map(|until| (until, bayeux.sleep_until(until)));
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
