//! [`Connections`]: how many there are, and the word to all of them that the end has come.
//!
//! A connection has a [`Place`] among those that there may be, and shares it with what becomes of
//! it: a WebSocket, or the streams of HTTP/2. Its tasks are [`Hosted`](super::hosted::Hosted): they
//! look at the stage whenever they are polled, which costs a load, and are woken when it changes.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicU8, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How far the server's end has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Stage {
    /// It is not in sight.
    Serving = 0,
    /// What is being answered is finished, and nothing else is begun.
    Ending = 1,
    /// What is left is dropped.
    Cut = 2,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    /// A [`Stage`]; changed under the lock.
    stage: AtomicU8,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    taken: usize,
    /// The one who waits for a free place, or for all of them to be free.
    host: Option<Waker>,
    tasks: BTreeMap<u64, Waker>,
    keys: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Acquire) {
            0 => Stage::Serving,
            1 => Stage::Ending,
            _ => Stage::Cut,
        }
    }

    fn enter(&self, stage: Stage) {
        let tasks: Vec<_> = {
            let mut state = self.lock();
            self.stage.store(stage as u8, Ordering::Release);
            core::mem::take(&mut state.tasks).into_values().collect()
        };
        tasks.into_iter().for_each(Waker::wake);
    }
}

/// The connections of one server. Dropping this cuts off all that are left.
pub(super) struct Connections(Arc<Shared>);

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        let stage = AtomicU8::new(Stage::Serving as u8);
        // With no place at all there would be no server.
        let limit = limit.max(1);
        Self(Arc::new(Shared { limit, stage, state: Mutex::default() }))
    }

    /// Takes a place, as soon as there is one. Only one at a time may wait here or in `gone`.
    pub(super) async fn place(&self) -> Arc<Place> {
        self.until(|state| state.taken < self.0.limit).await;
        self.0.lock().taken += 1;
        Arc::new(Place(Arc::clone(&self.0)))
    }

    /// Waits until all places are free.
    pub(super) async fn gone(&self) {
        self.until(|state| state.taken == 0).await;
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if is_so(&state) {
                return Poll::Ready(());
            }
            state.host = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Tells everybody that the end has come.
    pub(super) fn end(&self) {
        self.0.enter(Stage::Ending);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.enter(Stage::Cut);
    }
}

/// A connection's place; free when the last of its tasks is gone.
#[derive(Debug)]
pub(super) struct Place(Arc<Shared>);

impl Place {
    pub(super) fn is_ending(&self) -> bool {
        self.0.stage() >= Stage::Ending
    }

    /// A task of this connection that wants to be told.
    pub(super) fn watcher(self: &Arc<Self>) -> Watcher {
        let mut state = self.0.lock();
        state.keys += 1;
        let key = state.keys;
        drop(state);
        Watcher { place: Arc::clone(self), key, heard: Stage::Serving, waker: None }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.taken -= 1;
        let host = state.host.take();
        drop(state);
        if let Some(waker) = host {
            waker.wake();
        }
    }
}

/// A task that is woken when the stage changes.
pub(super) struct Watcher {
    place: Arc<Place>,
    key: u64,
    /// The stage at which `waker` was left.
    heard: Stage,
    waker: Option<Waker>,
}

impl Watcher {
    /// The stage; the task is woken when it changes.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Stage {
        let stage = self.place.0.stage();
        let waiting = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if waiting && stage == self.heard {
            return stage;
        }
        let mut state = self.place.0.lock();
        let replaced = state.tasks.insert(self.key, cx.waker().clone());
        // It may have changed before this task was there to be woken.
        let stage = self.place.0.stage();
        drop(state);
        drop(replaced);
        (self.waker, self.heard) = (Some(cx.waker().clone()), stage);
        stage
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let waker = self.place.0.lock().tasks.remove(&self.key);
        drop(waker);
    }
}
