fn main() {
    use cometd_testkit::simulation::*;
    let args: Vec<String> = std::env::args().collect();
    let from: u64 = args[1].parse().unwrap();
    let count: u64 = args[2].parse().unwrap();
    let trace = args.len() > 3;
    let start = std::time::Instant::now();
    let mut coverage = Coverage::default();
    let mut messages = 0;
    let mut failures = std::collections::BTreeMap::<String, Vec<(u64, String)>>::new();
    for seed in from..from + count {
        if std::env::var("SEEDS").is_ok() {
            eprintln!("{seed}");
        }
        let mut script = swarm(Seed(seed));
        if trace && args[3] != "raw" {
            script = shrink(&script, Level::Machine);
        }
        let outcome = run(&script, Level::Machine, trace).unwrap();
        coverage.merge(&outcome.coverage);
        messages += outcome.messages;
        if trace && args[3] == "s" {
            print!("{script}");
            std::process::exit(0)
        }
        if trace {
            print!("{script}");
            for line in &outcome.trace {
                println!("{line}");
            }
        }
        if let Some(failure) = outcome.failure {
            failures
                .entry(failure.name().to_owned())
                .or_default()
                .push((seed, failure.to_string()));
        }
    }
    for (name, list) in &failures {
        println!("{name}: {} failures", list.len());
        if !trace {
            for (seed, _) in list.iter().take(1) {
                let s = shrink(&swarm(Seed(*seed)), Level::Machine);
                println!("{s}");
                let o = run(&s, Level::Machine, true).unwrap();
                for l in o.trace.iter().skip(o.trace.len().saturating_sub(45)) {
                    println!("   {l}");
                }
            }
        }
        for (seed, text) in list.iter().take(4) {
            println!("   seed {seed}: {text}");
        }
    }
    let t = start.elapsed().as_secs_f64();
    if !trace {
        print!("{coverage}");
    }
    println!("{:.0} seeds/s {:.0} messages/s", count as f64 / t, messages as f64 / t);
}
