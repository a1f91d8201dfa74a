//! Tasks of connections: the server's end reaches them, and their panics stay their own.

use alloc::sync::Arc;
use core::any::Any;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::connections::{Place, Stage, Watcher};
use crate::front::panic_message;

/// A task of a connection: ends with `future`, or without it when connections are cut off.
///
/// Neither of these is `async`, since an `async` function keeps room for its arguments and for what it
/// makes of them: twice the size for as long as the task lives.
pub(super) fn hosted<F: Future<Output = ()> + Unpin>(place: &Arc<Place>, future: F) -> Hosted<F> {
    Hosted { watcher: place.watcher(), contained: Contained::new(future) }
}

// In this order: what is looked at each time is together.
#[repr(C)]
pub(super) struct Hosted<F> {
    watcher: Watcher,
    contained: Contained<F>,
}

impl<F: Future<Output = ()> + Unpin> Future for Hosted<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.watcher.poll(cx) {
            Stage::Serving | Stage::Ending => self.contained.poll(cx),
            Stage::Cut => {
                self.contained.end();
                Poll::Ready(())
            }
        }
    }
}

/// A task that no server waits for.
pub(super) fn contained(
    future: impl Future<Output = ()> + Unpin + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let mut contained = Contained::new(future);
    poll_fn(move |cx| contained.poll(cx))
}

/// A future whose panics are logged and end it. Runtimes treat them differently, and none of them
/// says whose it was; one that comes of dropping a task ends the process with smol's.
struct Contained<F>(Option<F>);

impl<F: Future<Output = ()> + Unpin> Contained<F> {
    fn new(future: F) -> Self {
        Self(Some(future))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(future) = &mut self.0 else { return Poll::Ready(()) };
        match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut *future).poll(cx))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => {}
            Err(panic) => log_panic(&*panic),
        }
        self.end();
        Poll::Ready(())
    }

    fn end(&mut self) {
        let future = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            log_panic(&*panic);
        }
    }
}

fn log_panic(panic: &(dyn Any + Send)) {
    let message = panic_message(panic);
    tracing::error!(target: "bayeux", "a connection's task panicked: {message}");
}
