//! [`Inlet`]: what comes in on a WebSocket's connection, asked for only when there may be something.
//!
//! A task that is woken to write has nothing to read, nearly always. Asking nevertheless is not free: it
//! goes through all the layers of a connection, for each delivery. So reading has a waker of its own,
//! which notes that it was woken before it wakes the task.

use alloc::sync::Arc;
use alloc::task::Wake;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};
use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBuf};

/// How much is read in one go. It lies on the stack, so that an idle connection has none of it, and
/// streams that can read into memory that was not cleared need not clear it.
pub(super) const READ: usize = 8 * 1024;

pub(super) struct Inlet {
    /// What was read and is still to be taken.
    ahead: Bytes,
    signal: Arc<Signal>,
    /// The task that the signal wakes.
    task: Option<Waker>,
}

/// Says that reading may go on.
struct Signal {
    may_read: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.may_read.store(true, Ordering::Release);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Inlet {
    pub(super) fn new() -> Self {
        let signal = Signal { may_read: AtomicBool::new(true), task: Mutex::new(None) };
        Self { ahead: Bytes::new(), signal: Arc::new(signal), task: None }
    }

    /// What was read and is still to be taken.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// So much of it is taken.
    pub(super) fn advance(&mut self, count: usize) {
        self.ahead.advance(count);
    }

    /// Keeps what was read and not taken.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.ahead = Bytes::copy_from_slice(rest);
    }

    /// Asks again, whether there was a signal or not: another waker may have taken the place of this
    /// one, since some streams have one place for those who wait to read and those who wait to write.
    pub(super) fn look_again(&self) {
        self.signal.may_read.store(true, Ordering::Relaxed);
    }

    /// Reads what comes in; nothing at the connection's end.
    pub(super) fn poll_read(
        &mut self,
        io: &mut (impl Read + Unpin),
        cx: &Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            let task = Some(cx.waker().clone());
            self.task.clone_from(&task);
            let mut place = self.signal.task.lock().unwrap_or_else(PoisonError::into_inner);
            let replaced = core::mem::replace(&mut *place, task);
            drop(place);
            drop(replaced);
            self.look_again();
        }
        if !self.signal.may_read.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(&self.signal));
        let poll = Pin::new(io).poll_read(&mut Context::from_waker(&waker), buffer.unfilled());
        if poll.is_ready() {
            // Nobody waits, so nobody will give a signal.
            self.look_again();
        }
        poll
    }
}
