//! Level 2: the same runs over a real adapter, with real sockets, in real time.
//!
//! Everything on the server's side is what users run: the runtime, its timers, the HTTP and
//! WebSocket implementations. The clients are threads that block. What a run meets with is not the
//! same twice, and the [`World`](super::World) knows less than at the other levels: what the
//! operating system has taken the network has taken, the server's clock does not jump, and a
//! connection that breaks may have carried anything. All else is watched as there.

mod host;
mod http;
mod socket;

use std::fmt;
use std::future::pending;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use bayeux_core::Time;
use bayeux_core::front::{Bayeux, Task};

use super::ground::Ground;
use super::host::{Host as _, Violation};
use super::run::{Outcome, outcome};
use super::script::{Script, ScriptError};
use super::world::{Part, World};
use crate::adapter::Adapter;
use host::Remote;

/// How often it is looked whether the server has forgotten everybody.
const LOOK: Duration = Duration::from_millis(20);

/// How long the tasks of setting up may take to end when they have done their work.
const SETTLING: Duration = Duration::from_millis(100);

/// How long a server may take to make a local session, and to subscribe it.
const SETTING_UP: Duration = Duration::from_secs(30);

/// Runs a script with the application of the generated runs over an adapter, and blocks until it is
/// over: about as long as the script says, two seconds for the probe, and as long as sessions take to
/// expire. A run that fails may take minutes, since everything gets its time to become well.
/// Connections are threads, which end with them.
///
/// # Errors
///
/// When the script's options make no sense.
///
/// # Panics
///
/// When the adapter cannot serve.
pub fn run_over(
    script: &Script,
    adapter: &dyn Adapter,
    keep_trace: bool,
) -> Result<Outcome, ScriptError> {
    let mut world = World::new(script, true, keep_trace)?;
    world.over_real_sockets();
    let mut remote = Remote::new(script, adapter)?;
    let driven = catch_unwind(AssertUnwindSafe(|| drive(&mut world, &mut remote)));
    Ok(outcome(&mut world, driven))
}

/// Carries what passes between a world and a host that does things by itself, until all clients are
/// gone and forgotten.
fn drive(world: &mut World, host: &mut Remote<'_>) -> Result<(), Violation> {
    // What has set the application up comes to its end meanwhile.
    host.wait(SETTLING);
    let mut before = host.gauges();
    let begun = Instant::now();
    while world.part() < Part::Leave {
        carry(world, host, begun)?;
        while world.poll_timeout().is_some_and(|at| at <= since(begun)) {
            world.tick(since(begun))?;
            while let Some(up) = world.poll_up() {
                host.up(world.now(), up)?;
            }
            carry(world, host, begun)?;
        }
        let next = world.poll_timeout().map_or(LOOK, |at| at.since(since(begun)));
        host.wait(next.min(Duration::from_millis(500)));
    }
    host.hang_up();
    let deadline = since(begun) + world.patience();
    loop {
        // What they still hear is nothing to them.
        while host.poll_down().is_some() {}
        let after = host.gauges();
        // It may have taken longer.
        before.tasks = before.tasks.min(after.tasks);
        let gone = world.check_gone(before, after);
        if gone.is_ok() || since(begun) > deadline {
            return gone;
        }
        host.wait(LOOK);
    }
}

fn carry(world: &mut World, host: &mut Remote<'_>, begun: Instant) -> Result<(), Violation> {
    for note in host.take_notes() {
        world.trace().note(since(begun), format_args!("srv {note}"));
    }
    while let Some(down) = host.poll_down() {
        world.down(since(begun), down)?;
    }
    Ok(())
}

fn since(begun: Instant) -> Time {
    // A run does not last for half a million years.
    Time::from_micros(begun.elapsed().as_micros() as u64)
}

/// An adapter's runtime, for the application: that of its server, once there is one.
struct Real {
    /// The application has this, and the server the application: it is taken out at the end.
    server: Mutex<Option<Bayeux>>,
    begun: Instant,
}

impl Real {
    fn new() -> Self {
        Self { server: Mutex::default(), begun: Instant::now() }
    }

    fn set_server(&self, server: Option<Bayeux>) {
        let replaced = mem::replace(&mut *self.lock(), server);
        drop(replaced);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Bayeux>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Real").field("begun", &self.begun).finish_non_exhaustive()
    }
}

impl Ground for Real {
    fn now(&self) -> Time {
        since(self.begun)
    }

    fn sleep(&self, duration: Duration) -> Task {
        match &*self.lock() {
            Some(server) => server.sleep(duration),
            None => Box::pin(pending()),
        }
    }

    fn spawn(&self, task: Task) {
        let server = self.lock().clone();
        if let Some(server) = server {
            server.spawn(task);
        }
    }

    fn block_on(&self, task: Task) {
        let (done, wait) = mpsc::channel::<()>();
        self.spawn(Box::pin(async move {
            task.await;
            drop(done);
        }));
        // Nothing comes but the end.
        let waited = wait.recv_timeout(SETTING_UP);
        assert_ne!(waited, Err(mpsc::RecvTimeoutError::Timeout), "the application is not set up");
    }
}
