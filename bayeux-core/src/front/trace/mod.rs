//! `tracing`: a span for each session, and in it what happens to the session.
//!
//! What is logged, and at which level, is described [with the front](super#what-is-logged). Here is
//! how that is kept apart from the lock.
//!
//! A subscriber is code of the application: it may do anything, publish log lines on a channel of
//! this very server for example. So under the lock nothing is asked of it but one number that it
//! has left in a static, the most verbose level that anybody wants. What happened is only *noted*
//! under the lock, in a [`Log`]; that is written after the lock is released and before anybody is
//! woken, and spans are made, entered and closed there and in the tasks of handlers.
//!
//! A span's own `clone` and `drop` call the subscriber, too. What is copied under the lock is
//! therefore a pointer, and the last one never goes away there: the [`Log`] takes it along.
//!
//! Without the feature `tracing` all of this is types without content and functions without code.

#[cfg(not(feature = "tracing"))]
mod nothing;
#[cfg(feature = "tracing")]
mod spans;
#[cfg(feature = "tracing")]
mod words;

#[cfg(not(feature = "tracing"))]
pub(super) use nothing::{Log, SessionSpan, Spans, makes_spans};
#[cfg(feature = "tracing")]
pub(super) use spans::{SessionSpan, Spans, makes_spans};
#[cfg(feature = "tracing")]
pub(super) use words::Log;
