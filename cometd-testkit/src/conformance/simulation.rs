//! The simulator's runs over an adapter: level 2.

use std::thread;
use std::time::Duration;

use crate::adapter::Adapter;
use crate::simulation::{Coverage, Script, Seed, run_over, swarm};

/// How many runs there are: they take place at the same time, mostly waiting.
const RUNS: usize = 24;

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

/// Runs them, each on an adapter of its own.
///
/// # Panics
///
/// When something is not as it has to be.
pub fn real_sockets_carry_what_the_simulated_ones_do<A: Adapter + 'static>(adapter: fn() -> A) {
    let run = move |script: Script| {
        let outcome = run_over(&script, &adapter(), true).unwrap();
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
