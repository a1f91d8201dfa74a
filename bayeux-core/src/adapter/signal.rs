//! [`Signal`]: a waker that tells who has woken the task.
//!
//! A connection's task waits for several things: something to read, the end of a sleep, an answer. Each
//! time it is woken for one of them it would ask for all the others, too, through all the layers that these
//! have. What is woken by a signal of its own need not be asked as long as that was not given.

use alloc::sync::Arc;
use alloc::task::Wake;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) struct Signal {
    shared: Arc<Shared>,
    /// The task that is woken.
    task: Option<Waker>,
}

struct Shared {
    given: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Shared {
    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.given.store(true, Ordering::Release);
        let task = self.task().clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Signal {
    /// One that is given: nobody has asked yet.
    pub(super) fn new() -> Self {
        let shared = Shared { given: AtomicBool::new(true), task: Mutex::new(None) };
        Self { shared: Arc::new(shared), task: None }
    }

    /// Whether the signal was given since it was asked for last. From here on this task is woken by it.
    pub(super) fn take(&mut self, cx: &Context<'_>) -> bool {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            let task = Some(cx.waker().clone());
            self.task.clone_from(&task);
            let replaced = mem::replace(&mut *self.shared.task(), task);
            drop(replaced);
            self.give();
        }
        self.shared.given.swap(false, Ordering::Acquire)
    }

    /// Gives the signal, and wakes nobody.
    pub(super) fn give(&self) {
        self.shared.given.store(true, Ordering::Relaxed);
    }

    /// Gives the signal, and wakes the task.
    pub(super) fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.shared))
    }
}
