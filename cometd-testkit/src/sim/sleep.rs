//! [`SleepUntil`]: waiting for a moment of virtual time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bayeux_core::Time;

use super::Sim;

/// Ready at a moment of virtual time.
pub struct SleepUntil {
    pub(super) sim: Sim,
    pub(super) at: Time,
    pub(super) entry: Option<u64>,
}

impl Future for SleepUntil {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sim = self.sim.clone();
        let mut state = sim.lock();
        if state.now >= self.at {
            return Poll::Ready(());
        }
        let number = match self.entry {
            Some(number) => number,
            None => {
                state.slept += 1;
                state.slept
            }
        };
        state.sleepers.insert((self.at, number), cx.waker().clone());
        self.entry = Some(number);
        Poll::Pending
    }
}

impl Drop for SleepUntil {
    fn drop(&mut self) {
        if let Some(number) = self.entry {
            self.sim.lock().sleepers.remove(&(self.at, number));
        }
    }
}

impl fmt::Debug for SleepUntil {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SleepUntil").field("at", &self.at).finish_non_exhaustive()
    }
}
