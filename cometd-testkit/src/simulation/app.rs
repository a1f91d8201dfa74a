//! [`Application`]: what runs on the simulated server beside the clients' messages.

use bayeux_core::ConfigError;
use bayeux_core::front::{Bayeux, Builder};

use crate::sim::Sim;

/// An application that is simulated.
///
/// Closures from [`Sim`] and [`Builder`] to [`Bayeux`] are applications.
///
/// ```
/// use bayeux_core::ConfigError;
/// use bayeux_core::front::{Bayeux, Builder, Flow, Incoming};
/// use cometd_testkit::sim::Sim;
/// use cometd_testkit::simulation::{Seed, run_application, swarm};
///
/// let application = |sim: &Sim, builder: Builder| {
///     let bayeux = sim.start(builder)?;
///     if let Ok(channel) = bayeux.channel("/open/a") {
///         channel.on_message(|_: Incoming| async { Flow::Continue });
///     }
///     Ok::<Bayeux, ConfigError>(bayeux)
/// };
/// let outcome = run_application(&swarm(Seed(1)), &application, false)?;
/// assert_eq!(outcome.failure, None);
/// # Ok::<(), cometd_testkit::simulation::ScriptError>(())
/// ```
pub trait Application {
    /// Adds to a builder that has its options already, starts the server with [`Sim::start`], and
    /// adds to that. Nothing may be awaited beyond the moment: time zero is when clients come.
    ///
    /// What the application waits for it waits for with [`Sim::sleep`]; all else would not be the
    /// same twice.
    ///
    /// # Errors
    ///
    /// When the options make no sense.
    fn start(&self, sim: &Sim, builder: Builder) -> Result<Bayeux, ConfigError>;
}

impl<F> Application for F
where
    F: Fn(&Sim, Builder) -> Result<Bayeux, ConfigError>,
{
    fn start(&self, sim: &Sim, builder: Builder) -> Result<Bayeux, ConfigError> {
        self(sim, builder)
    }
}
