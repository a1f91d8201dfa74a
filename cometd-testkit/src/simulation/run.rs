//! [`run`]: one script at one level, from the beginning to the verdict.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use super::app::Application;
use super::coverage::Coverage;
use super::front::Front;
use super::host::{Gauges, Host, Violation};
use super::machine::Machine;
use super::script::{Script, ScriptError};
use super::world::{Part, World};

/// How much may happen in a run before it counts as one that never ends.
const MOST_STEPS: usize = 200_000;

/// What the world is run against.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Level {
    /// The bare state machine.
    Machine,
    /// The front on a simulated runtime, with its HTTP and WebSocket mapping.
    Front,
}

impl Level {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Machine, Self::Front];
}

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// What was not as it must be.
    pub failure: Option<Failure>,
    /// A number that is the same for the same trace.
    pub hash: u64,
    /// The trace, if it was to be kept.
    pub trace: Vec<String>,
    /// What was met with.
    pub coverage: Coverage,
    /// How many messages the clients have sent and received.
    pub messages: u64,
}

/// How a run failed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// Something happened that must not.
    Invariant(Violation),
    /// Something did not happen that must.
    Liveness(Violation),
    /// Something panicked.
    Panic(String),
}

impl Failure {
    fn new(violation: Violation) -> Self {
        match violation.invariant {
            "convergence" | "no-loss" | "ack-no-loss" | "progress" | "no-leak" => {
                Self::Liveness(violation)
            }
            _ => Self::Invariant(violation),
        }
    }

    /// Something panicked.
    pub(super) fn panic(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        Self::Panic(text.unwrap_or_default())
    }

    /// The name of the invariant; failures of one name are the same one.
    pub fn name(&self) -> &str {
        match self {
            Self::Invariant(violation) | Self::Liveness(violation) => violation.invariant,
            Self::Panic(_) => "panic",
        }
    }

    /// What a program that meets with it exits with.
    pub fn code(&self) -> u8 {
        match self {
            Self::Invariant(_) => 1,
            Self::Liveness(_) => 2,
            Self::Panic(_) => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invariant(violation) | Self::Liveness(violation) => violation.fmt(f),
            Self::Panic(message) => write!(f, "panic: {message}"),
        }
    }
}

/// Runs a script with the application of the generated runs.
///
/// # Errors
///
/// When the script's options make no sense.
pub fn run(script: &Script, level: Level, keep_trace: bool) -> Result<Outcome, ScriptError> {
    let mut world = World::new(script, true, keep_trace)?;
    Ok(match level {
        Level::Machine => finish(&mut world, &mut Machine::new(script)?),
        Level::Front => {
            world.expect_pieces();
            finish(&mut world, &mut Front::usual(script)?)
        }
    })
}

/// Runs a script with somebody's own application, on the front.
///
/// Of what clients may and may not receive, the world checks here what holds with any application
/// that lets a message that it has accepted go to all its subscribers as it is.
///
/// # Errors
///
/// When the script's options make no sense, or the application does not start with them.
pub fn run_application(
    script: &Script,
    application: &dyn Application,
    keep_trace: bool,
) -> Result<Outcome, ScriptError> {
    let mut world = World::new(script, false, keep_trace)?;
    world.expect_pieces();
    Ok(finish(&mut world, &mut Front::new(script, application)?))
}

/// Runs to the end, whatever that is.
pub(super) fn finish(world: &mut World, host: &mut dyn Host) -> Outcome {
    let driven = catch_unwind(AssertUnwindSafe(|| drive(world, host)));
    outcome(world, driven)
}

/// What came of a run that was driven to its end.
pub(super) fn outcome(world: &mut World, driven: thread::Result<Result<(), Violation>>) -> Outcome {
    let failure = match driven {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(Failure::new(violation)),
        Err(panic) => Some(Failure::panic(&*panic)),
    };
    if let Some(failure) = &failure {
        let now = world.now();
        world.trace().note(now, format_args!("!!!! {failure}"));
    }
    Outcome {
        failure,
        hash: world.trace().hash(),
        trace: world.trace().lines().to_vec(),
        coverage: world.coverage().clone(),
        messages: world.messages(),
    }
}

/// Carries what passes between a world and a host that waits for nothing, until the run is over.
///
/// # Errors
///
/// What must not be.
pub fn drive(world: &mut World, host: &mut dyn Host) -> Result<(), Violation> {
    let before: Gauges = host.gauges();
    let (mut settled, mut steps) = (false, 0);
    let now = world.now();
    carry(world, host, now)?;
    while !world.is_over() {
        steps += 1;
        if steps > MOST_STEPS {
            return Err(Violation::new("progress", format!("no end after {steps} steps")));
        }
        exchange(world, host)?;
        let next = [world.poll_timeout(), host.poll_timeout()].into_iter().flatten().min();
        let Some(next) = next else { break };
        let now = next.max(world.now());
        // Whoever is first; the world if both are, as the network was before the clock.
        if world.poll_timeout().is_some_and(|at| at <= now) {
            world.tick(now)?;
        } else {
            host.tick(now)?;
            carry(world, host, now)?;
        }
        if world.part() == Part::Settled && !settled {
            settled = world.settled(host.check_settled())?;
        }
    }
    world.check_gone(before, host.gauges())?;
    host.check_over()
}

/// Everything that the world has for the server now, and what comes back.
fn exchange(world: &mut World, host: &mut dyn Host) -> Result<(), Violation> {
    while let Some(up) = world.poll_up() {
        let now = world.now();
        host.up(now, up)?;
        carry(world, host, now)?;
    }
    Ok(())
}

fn carry(world: &mut World, host: &mut dyn Host, now: bayeux_core::Time) -> Result<(), Violation> {
    for note in host.take_notes() {
        world.trace().note(now, format_args!("srv {note}"));
    }
    while let Some(down) = host.poll_down() {
        world.down(now, down)?;
    }
    Ok(())
}
