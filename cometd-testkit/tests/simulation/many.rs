//! Many seeds, and the same seed twice.

use std::sync::atomic::{AtomicU64, Ordering};

use cometd_testkit::simulation::{Coverage, Level, Script, Seed, run, shrink, swarm};

/// Runs the seeds below `end` on all cores.
fn all_well(level: Level, end: u64) -> Coverage {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut coverage = Coverage::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return coverage;
            }
            let script = swarm(Seed(seed));
            let outcome = run(&script, level, false).unwrap();
            if let Some(failure) = outcome.failure {
                let script = shrink(&script, level);
                panic!("seed {seed}: {failure}, with this script:\n{script}");
            }
            coverage.merge(&outcome.coverage);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().fold(Coverage::default(), |mut all, worker| {
            all.merge(&worker.join().unwrap());
            all
        })
    })
}

#[test]
fn a_thousand_seeds_are_well_at_the_machine() {
    let coverage = all_well(Level::Machine, 1_000);
    let missed: Vec<_> = coverage.missed().collect();
    // What is rare may be missed by so few runs.
    assert!(missed.len() < 8, "{missed:?} were not met with");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for &level in Level::ALL {
        for seed in (0..25).map(Seed) {
            let script = swarm(seed);
            let [one, other] = [(); 2].map(|()| run(&script, level, true).unwrap());
            assert_eq!(one.trace, other.trace, "seed {seed}");
            assert_eq!(one.hash, other.hash);
        }
    }
}

#[test]
fn what_is_left_out_does_not_change_the_rest() {
    // Two clients that have nothing to do with each other: without the one, the other's delays and
    // losses are the same.
    let both = "seed 5\nfault delay 80\nfault lose-response 300\n\
        client c0 long-polling browser 0 start 10\nclient c1 long-polling browser 1 start 10\n\
        at 300 c0 publish /open/a 1\nat 400 c1 publish /open/c 1\nheal 2000\n";
    let alone: String =
        both.lines().filter(|line| !line.contains("c1")).map(|line| format!("{line}\n")).collect();
    let of_c0 = |text: &str| {
        let outcome = run(&text.parse().unwrap(), Level::Machine, true).unwrap();
        let lines = outcome.trace.into_iter().filter(|line| line.contains(" c0 "));
        // Links are numbered in the order in which they are made, whoever makes them.
        let without_link = |line: String| {
            let words = line.split(' ').filter(|word| word.parse::<u64>().is_err());
            words.collect::<Vec<_>>().join(" ")
        };
        lines
            .map(without_link)
            .take_while(|line| !line.contains("===="))
            .take(10)
            .collect::<Vec<_>>()
    };
    let (one, other) = (of_c0(both), of_c0(&alone));
    assert_eq!(one.len(), 10);
    assert_eq!(one, other);
}

#[test]
fn a_failure_shrinks_to_what_it_needs() {
    // With these options no socket can stay: each is closed before its connect's time is up.
    let plan = "seed 0\nclient c9 websocket browser 9 start 4".parse::<Script>().unwrap();
    let hopeless = (0..20).map(|seed| {
        let mut script = swarm(Seed(seed));
        script.set("ws_idle_timeout", 300);
        script.set("ws_ping_interval", 300);
        script.set("timeout", 3_000);
        script.clients.extend(&plan.clients);
        script
    });
    let stuck = |script: &Script| {
        let failure = run(script, Level::Machine, false).unwrap().failure;
        failure.is_some_and(|failure| failure.name() == "convergence")
    };
    let script = hopeless.into_iter().find(stuck).expect("nobody can stay");

    let small = shrink(&script, Level::Machine);
    assert!(stuck(&small));
    let text = small.to_string();
    assert!(text.lines().count() <= 5, "{text}");
    assert_eq!(shrink(&small, Level::Machine), small, "nothing more can go");

    let well = swarm(Seed(3));
    assert_eq!(shrink(&well, Level::Machine), well, "what does not fail stays as it is");
}
