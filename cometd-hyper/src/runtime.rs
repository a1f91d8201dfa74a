//! Tokio as a [`Runtime`].

use std::sync::Arc;
use std::time::Duration;

use bayeux_core::adapter::{OsEntropy, log_report, wall_clock};
use bayeux_core::front::{Bayeux, Builder, Report, Runtime, Sleep, Task};
use bayeux_core::{ConfigError, Entropy, Time, WallTime};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Makes a server on the tokio runtime that this is called in. Its timers and its IO must be
/// enabled (`enable_all`), as `#[tokio::main]` does.
///
/// # Errors
///
/// When the server's options do not make sense.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn start(builder: Builder) -> Result<Bayeux, ConfigError> {
    builder.build(Arc::new(Tokio { epoch: Instant::now(), handle: Handle::current() }))
}

/// Tokio, as what servers run on.
#[derive(Clone, Debug)]
pub struct Tokio {
    epoch: Instant,
    handle: Handle,
}

impl Runtime for Tokio {
    fn now(&self) -> Time {
        // Microseconds of this process: they fit for half a million years.
        Time::from_micros(self.epoch.elapsed().as_micros() as u64)
    }

    fn wall(&self) -> WallTime {
        wall_clock()
    }

    fn sleep_until(&self, at: Time) -> Sleep {
        // Whoever sleeps need not be on the runtime.
        let _on = self.handle.enter();
        match self.epoch.checked_add(Duration::from_micros(at.as_micros())) {
            Some(at) => Box::pin(tokio::time::sleep_until(at)),
            // The clock does not reach that far, so nobody waits for it.
            None => Box::pin(std::future::pending()),
        }
    }

    fn spawn(&self, task: Task) {
        self.handle.spawn(task);
    }

    fn entropy(&self) -> Box<dyn Entropy> {
        Box::new(OsEntropy)
    }

    fn report(&self, report: Report<'_>) {
        log_report(&report);
    }
}
