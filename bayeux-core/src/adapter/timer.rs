//! [`Clock`] and [`Tasks`]: hyper's ways to sleep and to spawn, by the server's own runtime; and a
//! time limit for any future.

use alloc::boxed::Box;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::time::Instant;

use hyper::rt::{Executor, Sleep, Timer};

use super::hosted::contained;
use crate::front::{self, Bayeux};
use crate::time::Time;

/// What `future` comes to, or `None` if that takes longer than `time`.
///
/// Most futures that are given a limit are ready at once: there is no sleep before one is needed.
pub(super) async fn within<T>(
    bayeux: &Bayeux,
    time: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = pin!(future);
    let mut sleep = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        let sleep = sleep.get_or_insert_with(|| bayeux.sleep(time));
        sleep.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// The server's clock and sleep, for hyper: its moments are this one and as many microseconds.
pub(super) struct Clock {
    bayeux: Bayeux,
    begun: (Instant, Time),
}

impl Clock {
    pub(super) fn new(bayeux: &Bayeux) -> Self {
        #[expect(clippy::disallowed_methods, reason = "what time it is says the runtime")]
        let anchor = Instant::now();
        Self { bayeux: bayeux.clone(), begun: (anchor, bayeux.now()) }
    }
}

impl Timer for Clock {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Asleep(self.bayeux.sleep(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn now(&self) -> Instant {
        let (anchor, begun) = self.begun;
        anchor + self.bayeux.now().since(begun)
    }
}

struct Asleep(front::Sleep);

impl Future for Asleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Sleep for Asleep {}

/// Runs the streams of HTTP/2 connections for hyper.
#[derive(Clone)]
pub(super) struct Tasks(pub(super) Bayeux);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(contained(Box::pin(future)));
    }
}
