//! [`Connections`]: how many there are, what they are doing, and the word that the end has come.
//!
//! A connection has a [`Place`] among those that there may be, and shares it with the WebSocket that
//! it becomes, or with those that HTTP/2 carries in it. Its tasks are
//! [`hosted`](super::hosted::hosted): they look at the stage whenever they are polled, which costs a
//! load, and are woken when it changes.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
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
        let server = Arc::clone(&self.0);
        Arc::new(Place {
            server,
            begun: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            stalled: AtomicBool::new(false),
        })
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
            let replaced = state.host.replace(cx.waker().clone());
            drop(state);
            drop(replaced);
            Poll::Pending
        })
        .await;
    }

    /// Tells everybody that the end has come.
    pub(super) fn end(&self) {
        self.0.enter(Stage::Ending);
    }

    /// Cuts off all that are left.
    pub(super) fn cut(&self) {
        self.0.enter(Stage::Cut);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.cut();
    }
}

/// A connection's place, free when the last of its tasks is gone; and what it is doing, so that one
/// that does nothing for too long can be told from others.
#[derive(Debug)]
pub(super) struct Place {
    server: Arc<Shared>,
    /// How many requests there have been.
    begun: AtomicUsize,
    /// How many of them, and of their WebSockets, are not over.
    open: AtomicUsize,
    /// Whether something waits for the peer to take it.
    stalled: AtomicBool,
}

impl Place {
    pub(super) fn is_ending(&self) -> bool {
        self.server.stage() >= Stage::Ending
    }

    /// The same for whoever asks often.
    pub(super) fn ending(&self) -> Ending {
        Ending(Arc::clone(&self.server))
    }

    /// How many requests there have been. The other methods have the same thread, mostly, and no
    /// other data hangs on these numbers.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether a request, or what became of it, is not over, or its response is not yet with the
    /// peer.
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0 || self.stalled.load(Ordering::Relaxed)
    }

    pub(super) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Something begins that is not over before what this gives is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// A task of this connection that wants to be told.
    pub(super) fn watcher(self: &Arc<Self>) -> Watcher {
        let mut state = self.server.lock();
        state.keys += 1;
        let key = state.keys;
        drop(state);
        let (server, place) = (Arc::clone(&self.server), Arc::clone(self));
        Watcher { server, key, heard: Stage::Serving, waker: None, _place: place }
    }
}

/// Says whether the server's end has come, and touches nothing of a connection for that.
pub(super) struct Ending(Arc<Shared>);

impl Ending {
    pub(super) fn has_come(&self) -> bool {
        self.0.stage() >= Stage::Ending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.server.lock();
        state.taken -= 1;
        let host = state.host.take();
        drop(state);
        if let Some(waker) = host {
            waker.wake();
        }
    }
}

/// Something that keeps a connection from being idle.
#[derive(Debug)]
pub(super) struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A task that is woken when the stage changes.
pub(super) struct Watcher {
    /// The place's own: looking at the stage is to touch nothing of the connection.
    server: Arc<Shared>,
    key: u64,
    /// The stage at which `waker` was left.
    heard: Stage,
    waker: Option<Waker>,
    /// Taken until the task is gone.
    _place: Arc<Place>,
}

impl Watcher {
    /// The stage; the task is woken when it changes.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Stage {
        let stage = self.server.stage();
        let waiting = self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if waiting && stage == self.heard {
            return stage;
        }
        let mut state = self.server.lock();
        let replaced = state.tasks.insert(self.key, cx.waker().clone());
        // It may have changed before this task was there to be woken.
        let stage = self.server.stage();
        drop(state);
        drop(replaced);
        (self.waker, self.heard) = (Some(cx.waker().clone()), stage);
        stage
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let waker = self.server.lock().tasks.remove(&self.key);
        drop(waker);
    }
}
