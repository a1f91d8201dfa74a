//! Running the application's code so that its panics stay its own.

use alloc::string::{String, ToString};
use core::future::Future;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::panic::catch_unwind;

use alloc::boxed::Box;

/// A future of the application.
pub(super) type Handling<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs `future`; `Err` with the panic's message if it panics, now or while it is being made.
pub(super) struct Guarded<T>(Result<Handling<T>, Option<String>>);

impl<T> Guarded<T> {
    pub(super) fn new(make: impl FnOnce() -> Handling<T>) -> Self {
        Self(catch_unwind(AssertUnwindSafe(make)).map_err(|panic| Some(message(&*panic))))
    }
}

impl<T> Future for Guarded<T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // A future that panicked is not polled again, so a state that the panic left broken
            // is never seen.
            Ok(future) => match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(poll) => poll.map(Ok),
                Err(panic) => Poll::Ready(Err(message(&*panic))),
            },
            Err(message) => Poll::Ready(Err(message.take().unwrap_or_default())),
        }
    }
}

/// What a panic says.
pub(crate) fn message(panic: &(dyn core::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text.to_string(),
        (_, Some(text)) => text.clone(),
        _ => "no message".to_string(),
    }
}
