//! smol as a [`Runtime`].

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::Timer;
use bayeux_core::adapter::{OsEntropy, log_report, wall_clock};
use bayeux_core::front::{Bayeux, Builder, Report, Runtime, Sleep, Task};
use bayeux_core::{ConfigError, Entropy, Time, WallTime};
use smol::Executor;

/// Makes a server on smol's global executor.
///
/// # Errors
///
/// When the server's options do not make sense.
pub fn start(builder: Builder) -> Result<Bayeux, ConfigError> {
    start_with(|task| smol::spawn(task).detach(), builder)
}

/// Makes a server on an executor of your own. Somebody has to run it, on as many threads as you
/// like. The server does not keep it alive: what it has still to do is dropped with it.
///
/// ```
/// use std::sync::Arc;
/// use cometd_smol::{Bayeux, start_on};
/// use smol::Executor;
///
/// // One thread for everything.
/// let executor = Arc::new(Executor::new());
/// smol::block_on(executor.run(async {
///     let bayeux = start_on(&executor, Bayeux::builder())?;
///     bayeux.publish("/news", &"no tokio").await?;
///     Ok::<_, Box<dyn std::error::Error>>(())
/// }))?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When the server's options do not make sense.
pub fn start_on(
    executor: &Arc<Executor<'static>>,
    builder: Builder,
) -> Result<Bayeux, ConfigError> {
    // Its tasks have handles on the server: with a strong one neither would ever be dropped.
    let executor = Arc::downgrade(executor);
    let spawn = move |task| {
        if let Some(executor) = executor.upgrade() {
            executor.spawn(task).detach();
        }
    };
    start_with(spawn, builder)
}

/// Makes a server on whatever runs tasks: `spawn` gives it one. For executors that are in a static,
/// for example (`|task| EXECUTOR.spawn(task).detach()`), or of another crate.
///
/// # Errors
///
/// When the server's options do not make sense.
pub fn start_with(
    spawn: impl Fn(Task) + Send + Sync + 'static,
    builder: Builder,
) -> Result<Bayeux, ConfigError> {
    builder.build(Arc::new(Smol { epoch: Instant::now(), spawn: Box::new(spawn) }))
}

/// An executor of smol's kind and async-io's timers, as what servers run on.
pub struct Smol {
    epoch: Instant,
    spawn: Box<dyn Fn(Task) + Send + Sync>,
}

impl Runtime for Smol {
    fn now(&self) -> Time {
        // Microseconds of this process: they fit for half a million years.
        Time::from_micros(self.epoch.elapsed().as_micros() as u64)
    }

    fn wall(&self) -> WallTime {
        wall_clock()
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        // Where the clock does not reach that far, nobody waits for it.
        let at = self.epoch.checked_add(Duration::from_micros(at.as_micros()));
        let mut timer = at.map_or_else(Timer::never, Timer::at);
        Box::pin(poll_fn(move |cx| Pin::new(&mut timer).poll(cx).map(|_| ())))
    }

    fn spawn(&self, task: Task) {
        (self.spawn)(task);
    }

    fn entropy(&self) -> Box<dyn Entropy> {
        Box::new(OsEntropy)
    }

    fn report(&self, report: Report<'_>) {
        log_report(&report);
    }
}

impl fmt::Debug for Smol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smol").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
