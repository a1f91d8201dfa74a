//! [`Simulation`]: somebody's application, with simulated clients, under faults.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bayeux_core::{ChannelName, Pattern};
use serde_json::Value;

use super::app::Application;
use super::coverage::Coverage;
use super::front::Front;
use super::run::{Failure, finish};
use super::script::Script;
use super::seed::Seed;
use super::shrink::shrink_with;
use super::swarm::{Universe, swarm_over};
use super::world::{Data, Ext, Received, World};

/// A script that fails and does not fail again.
const OTHERWISE: &str = "; but not when it is run again: does the application keep something between \
                         runs, or look at a real clock?";

type Maker = Arc<dyn Fn(u64) -> Value + Send + Sync>;
type Check = Arc<dyn Fn(&Seen) + Send + Sync>;

/// Tests an application: many runs, each from a seed, with clients that subscribe and publish, crash
/// and come back, and a network that loses what it can.
///
/// The application is what runs on an adapter, too. What it waits for it waits for with
/// [`Sim::sleep`](crate::sim::Sim::sleep) here and with the runtime's own there, so give it the
/// sleeping. This one has a policy that looks a publisher up, which takes a while, and a listener
/// that replies:
///
/// ```
/// use std::time::Duration;
/// use bayeux_core::Verdict;
/// use bayeux_core::front::{Builder, Incoming, Policy, PublishRequest};
/// use cometd_testkit::sim::Sim;
/// use cometd_testkit::simulation::Simulation;
/// use serde_json::json;
///
/// struct Members(Sim);
///
/// impl Policy for Members {
///     async fn can_publish(&self, request: PublishRequest) -> Verdict {
///         self.0.sleep(Duration::from_millis(80)).await;
///         Verdict::from(request.message.channel().as_str() != "/news/closed")
///     }
/// }
///
/// let application = |sim: &Sim, builder: Builder| {
///     let bayeux = sim.start(builder.policy(Members(sim.clone())))?;
///     if let Ok(channel) = bayeux.channel("/news/open") {
///         channel.on_message(|it: Incoming| async move { it.reply(&"noted") });
///     }
///     Ok(bayeux)
/// };
/// Simulation::of(application)
///     .subscribe("/news/*")
///     .publish("/news/open", |number| json!({ "text": format!("news {number}") }))
///     .publish("/news/closed", |_| json!("psst"))
///     .check(|seen| assert_eq!(seen.on("/news/closed").count(), 0))
///     .seeds(0..30)
///     .run();
/// ```
///
/// In each run the application is new. What must hold for any application is looked after (see the
/// [module](crate::simulation)); what must hold for this one is for [`check`](Self::check) to say. The
/// network may carry a request twice, as networks do: what it publishes happens twice then.
pub struct Simulation<A> {
    application: A,
    patterns: Vec<String>,
    makers: BTreeMap<String, Maker>,
    options: BTreeMap<String, Value>,
    seeds: Range<u64>,
    checks: Vec<Check>,
    ext: Ext,
    bears_reports: bool,
}

/// What the clients of a run have received.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Seen {
    /// The run.
    pub seed: Seed,
    /// All events that clients have received, in their order; those that the network lost, and no
    /// session was owed again, are not among them.
    pub events: Vec<Received>,
}

impl Seen {
    /// The events on one channel.
    pub fn on<'s>(&'s self, channel: &'s str) -> impl Iterator<Item = &'s Received> {
        self.events.iter().filter(move |event| event.channel == channel)
    }
}

impl<A: Application> Simulation<A> {
    /// Simulates this application, with a hundred seeds.
    pub fn of(application: A) -> Self {
        Self {
            application,
            patterns: Vec::new(),
            makers: BTreeMap::new(),
            options: BTreeMap::new(),
            seeds: 0..100,
            checks: Vec::new(),
            ext: Ext(Arc::new(|_| None)),
            bears_reports: false,
        }
    }

    /// Lets clients subscribe to this channel or wildcard.
    #[must_use]
    pub fn subscribe(mut self, pattern: &str) -> Self {
        self.patterns.push(pattern.to_owned());
        self
    }

    /// Lets clients publish on this channel what `data` makes of the message's number, which is
    /// different for each message of a run.
    #[must_use]
    pub fn publish(
        mut self,
        channel: &str,
        data: impl Fn(u64) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.makers.insert(channel.to_owned(), Arc::new(data));
        self
    }

    /// Sets an option of the server, such as `timeout` or `limits.queue_messages`: the clients have
    /// to know the options, so they are set here and not by the application.
    #[must_use]
    pub fn set(mut self, option: &str, value: impl Into<Value>) -> Self {
        self.options.insert(option.to_owned(), value.into());
        self
    }

    /// Lets each client say this about itself in its handshakes (`ext`, an object; all else is a
    /// failure); clients are numbered from zero.
    #[must_use]
    pub fn handshake_ext(mut self, ext: impl Fn(usize) -> Value + Send + Sync + 'static) -> Self {
        self.ext = Ext(Arc::new(move |client| {
            let ext = ext(client);
            assert!(ext.is_object(), "a handshake's ext is an object, not {ext}");
            Some(ext)
        }));
        self
    }

    /// Goes on when a handler fails or takes longer than `question_timeout`: by default that is a
    /// failure, since clients are refused then.
    #[must_use]
    pub fn bear_reports(mut self) -> Self {
        self.bears_reports = true;
        self
    }

    /// Sets which seeds are run.
    #[must_use]
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Looks at each run when it is over; `check` panics if something is not as it must be.
    #[must_use]
    pub fn check(mut self, check: impl Fn(&Seen) + Send + Sync + 'static) -> Self {
        self.checks.push(Arc::new(check));
        self
    }

    /// Runs all seeds. What the runs have met with.
    ///
    /// # Panics
    ///
    /// With the first run that fails: its seed, what failed, and what is left of its script when all
    /// that the failure does not need is left out, for [`replay`](Self::replay). Also if the runs could
    /// not have failed: if there are no seeds, if a channel is none, or if clients subscribe and
    /// publish and none of them has ever received anything.
    pub fn run(self) -> Coverage {
        self.check_sense();
        let mut coverage = Coverage::default();
        for seed in self.seeds.clone().map(Seed) {
            let script = self.script(seed);
            let (failure, met) = self.play(&script, false);
            if let Some(failure) = failure {
                let small = shrink_with(&script, &|script| self.play(script, false).0);
                let (again, _) = self.play(&small, true);
                let doubt = if again.is_some() { "" } else { OTHERWISE };
                let failure = again.unwrap_or(failure);
                panic!("seed {seed}: {failure}{doubt}\nwith this script, for replay:\n{small}");
            }
            coverage.merge(&met);
        }
        let both = !self.patterns.is_empty() && !self.makers.is_empty();
        assert!(!both || coverage.count("events received") > 0, "nobody has received anything");
        coverage
    }

    /// Runs one script, one that has failed before for example. What it has met with.
    ///
    /// # Panics
    ///
    /// If it fails, or is no script.
    pub fn replay(&self, script: &str) -> Coverage {
        self.check_sense();
        let script: Script = script.parse().unwrap_or_else(|error| panic!("{error}"));
        let (failure, met) = self.play(&script, true);
        if let Some(failure) = failure {
            panic!("{failure}");
        }
        met
    }

    fn check_sense(&self) {
        assert!(!self.seeds.is_empty(), "there are no seeds");
        for pattern in &self.patterns {
            assert!(Pattern::parse(pattern).is_ok(), "{pattern} is neither channel nor wildcard");
        }
        for channel in self.makers.keys() {
            assert!(ChannelName::parse(channel).is_ok(), "{channel} is no channel");
        }
    }

    fn script(&self, seed: Seed) -> Script {
        let mut script = Script::new(seed);
        script.settings = self.options.clone();
        swarm_over(script, &self.universe())
    }

    fn universe(&self) -> Universe {
        let channels = self.makers.keys().cloned().collect();
        Universe { channels, patterns: self.patterns.clone(), usual: false }
    }

    /// One run. Its trace is printed if that is wanted, which a test's output shows when it fails.
    fn play(&self, script: &Script, show: bool) -> (Option<Failure>, Coverage) {
        let makers = self.makers.clone();
        let data = move |channel: &str, number: u64| {
            makers.get(channel).map_or(Value::Null, |maker| maker(number))
        };
        let world = World::new(script, false, show);
        let (world, mut front) = match (world, Front::new(script, &self.application)) {
            (Ok(world), Ok(front)) => (world, front),
            (Err(error), _) | (_, Err(error)) => panic!("{error}"),
        };
        let mut world = world.using(self.universe(), Data(Arc::new(data)), self.ext.clone());
        world.expect_pieces();
        if !self.bears_reports {
            front.be_strict();
        }
        let mut outcome = finish(&mut world, &mut front);
        outcome.trace.iter().for_each(|line| println!("{line}"));
        if outcome.failure.is_none() {
            let seen = Seen { seed: script.seed, events: world.take_seen() };
            let checked = AssertUnwindSafe(|| self.checks.iter().for_each(|check| check(&seen)));
            outcome.failure = catch_unwind(checked).err().map(|panic| Failure::panic(&*panic));
        }
        (outcome.failure, outcome.coverage)
    }
}

impl<A> fmt::Debug for Simulation<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}
