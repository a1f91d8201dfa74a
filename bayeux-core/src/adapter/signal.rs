//! [`Signal`]: a waker that tells who has woken the task.
//!
//! A connection's task waits for several things: something to read, the end of a sleep, an answer. Each
//! time it is woken for one of them it would ask for all the others, too, through all the layers that these
//! have. What is woken by a signal of its own need not be asked as long as that was not given.

use alloc::sync::Arc;
use alloc::task::Wake;
use core::cell::Cell;
use core::mem;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Waker};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread_local,
};

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

thread_local! {
    /// Whose signals are not given on this thread.
    static HUSHED: Cell<Hush> = const { Cell::new(Hush::Nobody) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hush {
    Nobody,
    /// Those of the waker with this data.
    Waker(*const ()),
    /// The same, and there has been one.
    Missed(*const ()),
}

/// Does something on which `waker` does not wake, if it is a signal's, and as far as this thread wakes it; whether
/// it would have. That is for what is known to wake a task that has nothing to do about it.
pub(super) fn hushed<T>(waker: &Waker, act: impl FnOnce() -> T) -> (T, bool) {
    /// Sets back what was before, also when `act` panics.
    struct Before(Hush);

    impl Drop for Before {
        fn drop(&mut self) {
            HUSHED.set(self.0);
        }
    }

    let before = Before(HUSHED.replace(Hush::Waker(waker.data())));
    let done = act();
    let missed = matches!(HUSHED.get(), Hush::Missed(_));
    drop(before);
    (done, missed)
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        match HUSHED.get() {
            Hush::Waker(it) | Hush::Missed(it) if it == Arc::as_ptr(self).cast() => {
                return HUSHED.set(Hush::Missed(it));
            }
            Hush::Nobody | Hush::Waker(_) | Hush::Missed(_) => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicUsize;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Rig {
        task: Arc<Task>,
        signal: Signal,
        waker: Waker,
    }

    impl Rig {
        fn new() -> Self {
            let (task, mut signal) = (Arc::new(Task::default()), Signal::new());
            let waker = Waker::from(Arc::clone(&task));
            assert!(signal.take(&Context::from_waker(&waker)), "nobody has asked yet");
            Self { task, signal, waker }
        }

        fn take(&mut self) -> (bool, usize) {
            let given = self.signal.take(&Context::from_waker(&self.waker));
            (given, self.task.0.swap(0, Ordering::Relaxed))
        }
    }

    #[test]
    fn a_signal_is_given_once_and_wakes_the_task() {
        let mut rig = Rig::new();
        assert_eq!(rig.take(), (false, 0));
        rig.signal.waker().wake();
        assert_eq!(rig.take(), (true, 1));
        assert_eq!(rig.take(), (false, 0));
    }

    #[test]
    fn a_hushed_signal_is_not_given_but_noticed() {
        let mut rig = Rig::new();
        let waker = rig.signal.waker();
        assert_eq!(hushed(&waker, || waker.wake_by_ref()), ((), true));
        assert_eq!(hushed(&waker, || ()), ((), false));
        assert_eq!(rig.take(), (false, 0));
        waker.wake_by_ref();
        assert_eq!(rig.take(), (true, 1), "only as long as that");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is about threads")]
    fn another_thread_is_not_hushed() {
        let mut rig = Rig::new();
        let waker = rig.signal.waker();
        let its = waker.clone();
        let (joined, missed) = hushed(&waker, || std::thread::spawn(move || its.wake()).join());
        joined.unwrap();
        assert!(!missed);
        assert_eq!(rig.take(), (true, 1));
    }

    #[test]
    fn nobody_else_is_hushed() {
        let (hushing, mut other) = (Rig::new(), Rig::new());
        let wakers = [hushing.signal.waker(), other.signal.waker()];
        assert_eq!(hushed(&wakers[0], || wakers[1].wake_by_ref()), ((), false));
        assert_eq!(other.take(), (true, 1));
        assert_eq!(hushed(&hushing.waker, || wakers[0].wake_by_ref()), ((), false));
    }

    #[test]
    fn a_panic_ends_the_hush() {
        let mut rig = Rig::new();
        let waker = rig.signal.waker();
        catch_unwind(AssertUnwindSafe(|| hushed(&waker, || panic!("as it may")))).unwrap_err();
        rig.signal.waker().wake();
        assert_eq!(rig.take(), (true, 1));
    }
}
