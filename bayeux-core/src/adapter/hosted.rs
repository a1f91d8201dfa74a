//! Tasks of connections: the server's end reaches them, and their panics stay their own.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::connections::{Place, Stage};
use crate::front::panic_message;

/// A task of a connection: ends with `future`, or without it when connections are cut off.
///
/// Both of these are functions with a box rather than `async`, since an `async` function keeps room
/// for its arguments and for what it makes of them: twice the size for as long as the task lives.
pub(super) fn hosted(
    place: &Arc<Place>,
    future: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let (mut future, mut watcher) = (Box::pin(future), place.watcher());
    poll_fn(move |cx| match watcher.poll(cx) {
        Stage::Serving | Stage::Ending => poll_contained(future.as_mut(), cx),
        Stage::Cut => Poll::Ready(()),
    })
}

/// A task that no server waits for.
pub(super) fn contained(
    future: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let mut future = Box::pin(future);
    poll_fn(move |cx| poll_contained(future.as_mut(), cx))
}

/// Not every runtime keeps a task's panic to itself: it would end whoever runs smol's executor. So
/// it is logged here, and ends the task.
fn poll_contained(future: Pin<&mut impl Future<Output = ()>>, cx: &mut Context<'_>) -> Poll<()> {
    // A future that panicked is not polled again.
    catch_unwind(AssertUnwindSafe(|| future.poll(cx))).unwrap_or_else(|panic| {
        let message = panic_message(&*panic);
        tracing::error!(target: "bayeux", "a connection's task panicked: {message}");
        Poll::Ready(())
    })
}
