//! [`Runtime`]: what the front needs from whatever it runs on.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use crate::entropy::Entropy;
use crate::time::{Time, WallTime};

/// A future that somebody else runs to its end.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future that is ready at a certain time, and can be dropped before.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// A clock that can be slept by, a place for tasks, a source of randomness, and somewhere to write
/// what went wrong.
///
/// The adapters implement this for their runtime; the testkit implements it with virtual time and a
/// seeded executor.
pub trait Runtime: Send + Sync + 'static {
    /// The time since an epoch of the runtime's choosing; it must not run backwards.
    fn now(&self) -> Time;

    /// What the wall clock says, for clients that want to know; nothing is measured with it.
    fn wall(&self) -> WallTime;

    /// A future that is ready when [`now`](Self::now) is at least `at`; a little later is no harm.
    /// It is asked for and polled on any thread, and not polled again when it was ready. `at` may be
    /// as far away as [`Time::FAR_FUTURE`], which is beyond what `Instant` can hold on some systems.
    fn sleep_until(&self, at: Time) -> Sleep;

    /// Runs `task` to its end, whoever waits for it. Not before this returns: tasks are spawned in the
    /// midst of things. There are as many as there are connections and handlers at work.
    fn spawn(&self, task: Task);

    /// The randomness that session ids and hashing keys are drawn from: the operating system's, by
    /// the crate `getrandom`, say (`OsEntropy`, with the feature `adapter`).
    fn entropy(&self) -> Box<dyn Entropy>;

    /// Records something that went wrong in the application's code, or on its way there.
    fn report(&self, report: Report<'_>);
}

/// Something that went wrong in the application's code, or on its way there, and was contained.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Report<'a> {
    /// A handler returned an error.
    HandlerFailed {
        /// Which handler: `listener on /chat`, say.
        handler: &'a dyn fmt::Display,
        /// Its error.
        error: &'a dyn fmt::Display,
    },
    /// A handler took longer than `question_timeout`. An event handler goes on, but the events behind
    /// it are told without waiting for it any longer; others were dropped.
    HandlerStuck {
        /// Which handler.
        handler: &'a dyn fmt::Display,
    },
    /// A client sent data that a service cannot read; the handler did not run, and the client was
    /// told. Whose mistake it is, is for people to find out. The report's text says where in the
    /// data; what the error says quotes the data, which belongs in no log that is kept.
    DataRefused {
        /// Which handler.
        handler: &'a dyn fmt::Display,
        /// What does not fit.
        error: &'a serde_json::Error,
    },
    /// A handler panicked.
    HandlerPanicked {
        /// Which handler.
        handler: &'a dyn fmt::Display,
        /// The panic's message.
        message: &'a str,
    },
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HandlerFailed { handler, error } => write!(f, "{handler} failed: {error}"),
            Self::HandlerStuck { handler } => write!(f, "{handler} takes too long"),
            Self::DataRefused { handler, error } => {
                let (line, column) = (error.line(), error.column());
                write!(f, "{handler} got data that it cannot read, at line {line} column {column}")
            }
            Self::HandlerPanicked { handler, message } => {
                write!(f, "{handler} panicked: {message}")
            }
        }
    }
}
