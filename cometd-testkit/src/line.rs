//! [`Line`]: what lies between the two ends of a WebSocket in memory, and [`End`], the server's.
//!
//! The server's end has a buffer as a real connection has: it takes frames when there is room, and
//! says how much of them the network has taken. When that takes something, and what becomes of it
//! then, is for a [`Network`] to say.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bayeux_core::front::{Broken, Frames, Received, Sending};

use crate::sim::{Sim, SleepUntil};

/// How long the server waits for the end of a connection that it closes.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// What happens to the frames that the server sends.
pub(crate) trait Network: Send + 'static {
    /// Bytes that the server may have in its own buffer before it has to wait.
    fn buffer(&self) -> usize {
        16 * 1024
    }

    /// A frame was put into the buffer.
    fn offered(&mut self, frame: &Sending) {
        let _ = frame;
    }

    /// Whether the oldest frame in the buffer is taken now.
    fn takes(&mut self, frame: &Sending) -> bool;

    /// It was taken; what comes back for it at once.
    fn carry(&mut self, frame: Sending) -> Option<Received>;
}

/// The network between the two ends.
#[derive(Debug, Default)]
pub(crate) struct Line<N> {
    /// What the frames meet.
    pub(crate) network: N,
    to_server: VecDeque<Received>,
    /// Sent by the server, and not yet taken by the network.
    buffered: VecDeque<Sending>,
    taken: u64,
    broken: bool,
    server: Option<Waker>,
}

/// A line that both ends know.
pub(crate) type SharedLine<N> = Arc<Mutex<Line<N>>>;

impl<N: Network> Line<N> {
    /// A line over this network.
    pub(crate) fn new(network: N) -> SharedLine<N> {
        Arc::new(Mutex::new(Self {
            network,
            to_server: VecDeque::new(),
            buffered: VecDeque::new(),
            taken: 0,
            broken: false,
            server: None,
        }))
    }

    /// Something comes in at the server.
    pub(crate) fn arrive(&mut self, received: Received) {
        self.to_server.push_back(received);
    }

    /// The connection is gone, with what was not taken; the server notices.
    pub(crate) fn lose(&mut self) {
        self.broken = true;
        self.arrive(Received::End);
    }

    fn buffered_bytes(&self) -> usize {
        self.buffered.iter().map(size).sum()
    }

    /// Lets the network take what it takes. Whether nothing is left.
    pub(crate) fn flow(&mut self) -> Result<bool, Broken> {
        if self.broken {
            return Err(Broken);
        }
        while let Some(frame) = self.buffered.front() {
            if !self.network.takes(frame) {
                return Ok(false);
            }
            self.taken += size(frame) as u64;
            let back = self.buffered.pop_front().and_then(|frame| self.network.carry(frame));
            self.to_server.extend(back);
        }
        Ok(true)
    }
}

fn size(frame: &Sending) -> usize {
    match frame {
        Sending::Text(text) => text.len() + 2,
        Sending::Ping | Sending::Close(_) => 2,
    }
}

/// Looks at a line.
pub(crate) fn lock<N>(line: &SharedLine<N>) -> MutexGuard<'_, Line<N>> {
    // A test that panicked is over; what it leaves behind may be looked at all the same.
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes a line, and lets the server look at it.
pub(crate) fn change<N>(line: &SharedLine<N>, change: impl FnOnce(&mut Line<N>)) {
    let mut locked = lock(line);
    change(&mut locked);
    let waker = locked.server.take();
    drop(locked);
    waker.into_iter().for_each(Waker::wake);
}

/// The server's end.
pub(crate) struct End<N> {
    sim: Sim,
    line: SharedLine<N>,
    closing: Option<Pin<Box<SleepUntil>>>,
    /// Whether the last thing was received that can be.
    ended: bool,
}

impl<N: Network> End<N> {
    /// The server's end of a line.
    pub(crate) fn new(sim: &Sim, line: &SharedLine<N>) -> Self {
        Self { sim: sim.clone(), line: Arc::clone(line), closing: None, ended: false }
    }

    fn with<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Line<N>) -> Poll<T>) -> Poll<T> {
        let mut line = lock(&self.line);
        let before = line.to_server.len();
        let poll = poll(&mut line);
        if poll.is_pending() {
            line.server = Some(cx.waker().clone());
        }
        if line.to_server.len() > before {
            // The answer to a ping.
            cx.waker().wake_by_ref();
        }
        poll
    }
}

impl<N: Network> Frames for End<N> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        assert!(!self.ended, "nothing is received after the end");
        let poll =
            self.with(cx, |line| line.to_server.pop_front().map_or(Poll::Pending, Poll::Ready));
        self.ended = matches!(poll, Poll::Ready(Received::Violation(_) | Received::End));
        if poll == Poll::Ready(Received::End) {
            lock(&self.line).buffered.clear();
        }
        poll
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.with(cx, |line| match line.buffered_bytes() < line.network.buffer() {
            true => Poll::Ready(Ok(())),
            false => line.flow().map_or_else(
                |broken| Poll::Ready(Err(broken)),
                |done| if done { Poll::Ready(Ok(())) } else { Poll::Pending },
            ),
        })
    }

    fn send(&mut self, frame: Sending) {
        let mut line = lock(&self.line);
        if !line.broken {
            line.network.offered(&frame);
        }
        line.buffered.push_back(frame);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.with(cx, |line| match line.flow() {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(broken) => Poll::Ready(Err(broken)),
        })
    }

    fn taken(&self) -> u64 {
        lock(&self.line).taken
    }

    fn buffered(&self) -> usize {
        lock(&self.line).buffered_bytes()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_flush(cx).is_ready() {
            return Poll::Ready(());
        }
        let sim = &self.sim;
        let closing = self.closing.get_or_insert_with(|| Box::pin(sim.sleep(CLOSE_TIME)));
        closing.as_mut().poll(cx)
    }
}
