//! The simulator's runs over the adapter: level 2.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cometd_hyper::bayeux_core::ConfigError;
use cometd_hyper::bayeux_core::front::{Builder, Task};
use cometd_hyper::{Bayeux, ServeOptions, serve, start};
use cometd_testkit::simulation::{Adapter, Coverage, Script, Seed, Spawner, run_over, swarm};
use tokio::net::TcpListener;
use tokio::runtime::{self, Handle, Runtime};

/// How many runs there are: they take place at the same time, mostly waiting.
const RUNS: usize = 24;

struct Hyper {
    runtime: Runtime,
}

impl Hyper {
    fn new() -> Self {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self { runtime: runtime.unwrap() }
    }
}

impl Adapter for Hyper {
    fn start(&self, builder: Builder) -> Result<Bayeux, ConfigError> {
        let _inside = self.runtime.enter();
        start(builder)
    }

    fn serve(&self, bayeux: Bayeux) -> io::Result<SocketAddr> {
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let options = ServeOptions::default();
        self.runtime.spawn(serve(listener, bayeux, options, std::future::pending()));
        Ok(address)
    }

    fn spawner(&self) -> Arc<dyn Spawner> {
        Arc::new(Tasks(self.runtime.handle().clone()))
    }

    fn tasks(&self) -> Option<usize> {
        Some(self.runtime.metrics().num_alive_tasks())
    }
}

struct Tasks(Handle);

impl Spawner for Tasks {
    fn spawn(&self, task: Task) {
        self.0.spawn(task);
    }

    /// What the simulated application sleeps with; no test waits for it.
    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(async move { tokio::time::sleep(duration).await })
    }
}

/// Scripts that are over soon. `COMETD_RUNS` says how many, and `COMETD_FIRST` the first seed.
fn scripts() -> impl Iterator<Item = Script> {
    let number = |name: &str| std::env::var(name).ok().and_then(|it| it.parse().ok());
    let runs = number("COMETD_RUNS").map_or(RUNS, |it: u64| usize::try_from(it).unwrap());
    let all = (number("COMETD_FIRST").unwrap_or(0)..).map(|seed| swarm(Seed(seed)));
    let is_brief = |script: &Script| {
        let config = script.config().unwrap();
        // On a busy machine half a second may pass between a ping and its answer.
        let patient = config.ws_idle_timeout >= Duration::from_secs(1);
        script.heal <= 1_500 && config.max_interval <= Duration::from_millis(1_500) && patient
    };
    all.filter(is_brief).take(runs)
}

#[test]
fn real_sockets_carry_what_the_simulated_ones_do() {
    let run = |script: Script| {
        let outcome = run_over(&script, &Hyper::new(), true).unwrap();
        (script, outcome)
    };
    let runs: Vec<_> = scripts().map(|script| thread::spawn(move || run(script))).collect();
    let ended = runs.into_iter().map(|run| run.join().unwrap());
    let (mut met, mut failed) = (Coverage::default(), String::new());
    for (script, outcome) in ended {
        met.merge(&outcome.coverage);
        if let Some(failure) = outcome.failure {
            let trace = outcome.trace.join("\n");
            failed += &format!("seed {}: {failure}\n{script}\n{trace}\n", script.seed);
        }
    }
    assert!(failed.is_empty(), "{failed}");
    // All of it took place.
    for what in ["websocket", "long-polling", "callback-polling", "events received", "ping", "cut"]
    {
        assert!(met.count(what) > 0, "no {what} in {met}");
    }
}
