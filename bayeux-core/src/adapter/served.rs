//! [`Served`]: a connection that is open, to its end.
//!
//! A future by hand, which is its task: there are as many of these as there are clients, and each wakes for
//! each delivery. What an `async` block around it would add is another box to look into, and room for all
//! that it took to open the connection.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::net::SocketAddr;

use super::connections::{Ending, Place};
use super::idle::Idle;
use super::signal::Signal;

/// How long a connection that is asked to end may do nothing: a request that was on its way then is
/// answered, half of one is not waited for.
const GRACE: Duration = Duration::from_secs(1);

/// A connection that is asked to end when the server's end has come, or when it has had nothing to do for too
/// long. If it still has nothing to do a little later, it ends so.
// In this order: what is looked at each time is together.
#[repr(C)]
pub(super) struct Served<C> {
    /// There is something to do for the connection.
    woken: Signal,
    ending: Ending,
    asked: bool,
    idle: Idle,
    connection: C,
    /// Asks it to end.
    shutdown: fn(&mut C),
    peer: Option<SocketAddr>,
}

impl<C: Future<Output = hyper::Result<()>> + Unpin> Served<C> {
    pub(super) fn new(
        connection: C,
        shutdown: fn(&mut C),
        place: &Place,
        idle: Idle,
        peer: Option<SocketAddr>,
    ) -> Self {
        let (woken, ending) = (Signal::new(), place.ending());
        Self { woken, connection, shutdown, ending, idle, asked: false, peer }
    }

    fn ask_to_end(&mut self) {
        self.asked = true;
        (self.shutdown)(&mut self.connection);
        self.woken.give();
        self.idle.restart(GRACE);
    }
}

impl<C: Future<Output = hyper::Result<()>> + Unpin> Future for Served<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.idle.wait(cx);
        loop {
            if !self.asked && self.ending.has_come() {
                self.ask_to_end();
            }
            let woken = self.woken.take(cx);
            if woken {
                let waker = self.woken.waker();
                let cx = &mut Context::from_waker(&waker);
                if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(cx) {
                    if let Err(error) = ended {
                        failed(self.peer, &error);
                    }
                    return Poll::Ready(());
                }
            }
            match self.idle.poll(cx, woken) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if self.asked => return Poll::Ready(()),
                Poll::Ready(()) => self.ask_to_end(),
            }
        }
    }
}

/// A connection's failure is its own matter.
pub(super) fn failed(peer: Option<SocketAddr>, error: &dyn core::error::Error) {
    match peer {
        Some(peer) => tracing::debug!(target: "bayeux", "connection from {peer}: {error}"),
        None => tracing::debug!(target: "bayeux", "connection: {error}"),
    }
}
