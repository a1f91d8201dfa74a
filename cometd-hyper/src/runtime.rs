//! Tokio as a [`Runtime`].

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bayeux_core::front::{Bayeux, Builder, Report, Runtime, Task};
use bayeux_core::{ConfigError, Entropy, Time, WallTime};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Makes a server on the tokio runtime that this is called in.
///
/// # Errors
///
/// When the server's options do not make sense.
///
/// # Panics
///
/// Outside a tokio runtime.
pub fn start(builder: Builder) -> Result<Bayeux, ConfigError> {
    let epoch = Instant::now();
    let runtime = Tokio { epoch, handle: Handle::current() };
    let bayeux = builder.build(Arc::new(runtime))?;
    tokio::spawn(
        bayeux.drive(move |at| {
            tokio::time::sleep_until(epoch + Duration::from_micros(at.as_micros()))
        }),
    );
    Ok(bayeux)
}

struct Tokio {
    epoch: Instant,
    handle: Handle,
}

impl Runtime for Tokio {
    fn now(&self) -> Time {
        // Microseconds of this process: they fit for half a million years.
        Time::from_micros(self.epoch.elapsed().as_micros() as u64)
    }

    fn wall(&self) -> WallTime {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        WallTime::from_millis(u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX))
    }

    fn spawn(&self, task: Task) {
        self.handle.spawn(task);
    }

    fn entropy(&self) -> Box<dyn Entropy> {
        Box::new(Os)
    }

    fn report(&self, report: Report<'_>) {
        match report {
            // Clients can cause these at will. The error quotes what they sent.
            Report::DataRefused { error, .. } => {
                tracing::warn!(target: "bayeux", "{report}");
                tracing::trace!(target: "bayeux", "what it cannot read: {error}");
            }
            _ => tracing::error!(target: "bayeux", "{report}"),
        }
    }
}

/// The operating system's generator.
struct Os;

impl Entropy for Os {
    fn fill(&mut self, out: &mut [u8]) {
        // Without randomness no session id is safe; there is nothing sensible to go on with.
        getrandom::fill(out).expect("the operating system gives no random numbers");
    }
}
