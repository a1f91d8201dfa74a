//! [`Ground`]: what the application of the generated runs stands on.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bayeux_core::Time;
use bayeux_core::front::Task;

use crate::sim::Sim;

/// The simulated runtime, or a real one.
pub(super) trait Ground: fmt::Debug + Send + Sync {
    /// The time since the run began.
    fn now(&self) -> Time;

    /// A future that is ready after `duration`.
    fn sleep(&self, duration: Duration) -> Task;

    /// Runs a task.
    fn spawn(&self, task: Task);

    /// Runs a task and waits for its end: while an application sets itself up.
    fn block_on(&self, task: Task);
}

impl Ground for Sim {
    fn now(&self) -> Time {
        Self::now(self)
    }

    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(Self::sleep(self, duration))
    }

    fn spawn(&self, task: Task) {
        // Its handle is for those who want its result; nobody does.
        drop(Self::spawn(self, task));
    }

    fn block_on(&self, task: Task) {
        Self::block_on(self, task);
    }
}

/// What a future comes to, while an application sets itself up; `None` if the runtime has dropped it.
pub(super) fn outcome<F>(ground: &dyn Ground, future: F) -> Option<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let output = Arc::clone(&slot);
    ground.block_on(Box::pin(async move {
        let done = future.await;
        *output.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
    }));
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}
