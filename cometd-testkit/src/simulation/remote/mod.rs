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
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bayeux_core::front::{Bayeux, Builder, Task};
use bayeux_core::{ConfigError, Time};

use super::ground::Ground;
use super::host::{Host as _, Violation};
use super::run::{Outcome, outcome};
use super::script::{Script, ScriptError};
use super::world::{Part, World};
use host::Remote;

/// How often it is looked whether the server has forgotten everybody.
const LOOK: Duration = Duration::from_millis(20);

/// An adapter, for its tests: a runtime, and how the server is hosted on it.
///
/// Its methods are called from threads that are none of the runtime's and may be blocked.
pub trait Adapter: Send + Sync + 'static {
    /// Makes a server on the runtime.
    ///
    /// # Errors
    ///
    /// When the options make no sense.
    fn start(&self, builder: Builder) -> Result<Bayeux, ConfigError>;

    /// Serves under `/cometd`, on a port of its choice, for as long as the adapter is there: where.
    ///
    /// # Errors
    ///
    /// When it cannot.
    fn serve(&self, bayeux: Bayeux) -> io::Result<SocketAddr>;

    /// Runs a task.
    fn spawn(&self, task: Task);

    /// A future that is ready after `duration`.
    fn sleep(&self, duration: Duration) -> Task;

    /// How many tasks the runtime has, if it can tell: none may be left when everybody is gone.
    fn tasks(&self) -> usize {
        0
    }
}

/// Runs a script with the application of the generated runs over an adapter. It takes about as long
/// as the script says, and half a second for each channel.
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
    adapter: Arc<dyn Adapter>,
    keep_trace: bool,
) -> Result<Outcome, ScriptError> {
    let mut world = World::new(script, true, keep_trace)?;
    world.expect_no_news();
    let mut remote = Remote::new(script, adapter)?;
    let driven = catch_unwind(AssertUnwindSafe(|| drive(&mut world, &mut remote)));
    Ok(outcome(&mut world, driven))
}

/// Carries what passes between a world and a host that does things by itself, until all clients are
/// gone and forgotten.
fn drive(world: &mut World, host: &mut Remote) -> Result<(), Violation> {
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
        // A task that had set something up may have been there in the beginning.
        before.tasks = before.tasks.min(after.tasks);
        let gone = world.check_gone(before, after);
        if gone.is_ok() || since(begun) > deadline {
            return gone;
        }
        host.wait(LOOK);
    }
}

fn carry(world: &mut World, host: &mut Remote, begun: Instant) -> Result<(), Violation> {
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

/// An adapter's runtime, for the application.
struct Real {
    adapter: Arc<dyn Adapter>,
    begun: Instant,
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
        self.adapter.sleep(duration)
    }

    fn spawn(&self, task: Task) {
        self.adapter.spawn(task);
    }

    fn block_on(&self, task: Task) {
        let (done, wait) = mpsc::channel::<()>();
        self.adapter.spawn(Box::pin(async move {
            task.await;
            drop(done);
        }));
        // That nothing comes any more is what is waited for.
        let _ = wait.recv();
    }
}
