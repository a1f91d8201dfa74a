//! `cometd-sim`: runs the simulation, seed after seed, and shows what fails.
//!
//! ```text
//! cometd-sim --seeds 1000              many runs, with a bar, the rate, and what they have met with
//! cometd-sim --seed 17 --trace         one run, line by line
//! cometd-sim --seed 17 --shrink        what is left of a failing run when all else is left out
//! cometd-sim --script FILE --trace     a run that was written down
//! ```
//!
//! Exit status: 0 if all is well, 1 if something happened that must not, 2 if something did not
//! happen that must, 3 if something panicked, 64 if the command or the script makes no sense, 74 if
//! what is to be said cannot be written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, ValueEnum, value_parser};
use cometd_testkit::cli::{self, SENSELESS, UNWRITTEN};
use cometd_testkit::simulation::{
    Coverage, Failure, Level, Outcome, Script, ScriptError, Seed, run, shrink, swarm,
};
use indicatif::{ProgressBar, ProgressStyle};

/// Simulates clients, a network and their worst days, against the server.
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    first: u64,
    /// One seed: a number, or anything that identifies a run, such as a commit's hash.
    #[arg(long, group = "one", conflicts_with_all = MANY, value_parser = NonEmptyStringValueParser::new())]
    seed: Option<String>,
    /// One run, from a file.
    #[arg(long, group = "one", value_name = "FILE", conflicts_with_all = MANY)]
    script: Option<PathBuf>,
    /// What to run against.
    #[arg(long, value_enum, default_value_t = Against::Machine)]
    level: Against,
    /// Prints the run, line by line.
    #[arg(long, requires = "one")]
    trace: bool,
    /// Leaves out of a failing run whatever its failure does not need, and prints what is left.
    #[arg(long, requires = "one")]
    shrink: bool,
    /// Ends with the first failure.
    #[arg(long)]
    fail_fast: bool,
    /// How many threads run; all cores if it is not said.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Leaves out what the runs have met with.
    #[arg(long)]
    quiet: bool,
}

/// What says something about many runs.
const MANY: [&str; 5] = ["seeds", "first", "fail_fast", "threads", "quiet"];

/// More threads than that wait for each other only.
const MOST_THREADS: usize = 1_024;

/// Why there is no verdict.
enum Trouble {
    Senseless(String),
    Unwritten(io::Error),
}

impl From<ScriptError> for Trouble {
    fn from(error: ScriptError) -> Self {
        Self::Senseless(error.to_string())
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Unwritten(error)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Against {
    /// The bare state machine.
    Machine,
    /// The front, with HTTP and WebSocket.
    Front,
}

impl From<Against> for Level {
    fn from(against: Against) -> Self {
        match against {
            Against::Machine => Self::Machine,
            Against::Front => Self::Front,
        }
    }
}

fn main() -> ExitCode {
    let options: Options = match cli::parse() {
        Ok(options) => options,
        Err(code) => return code,
    };
    let result = match (&options.seed, &options.script) {
        (Some(seed), _) => one(&options, &swarm(Seed::parse(seed))),
        (None, Some(file)) => read(file).and_then(|script| one(&options, &script)),
        (None, None) => many(&options),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(Trouble::Senseless(what)) => {
            eprintln!("{what}");
            ExitCode::from(SENSELESS)
        }
        Err(Trouble::Unwritten(error)) => {
            // Who has read enough need not be told.
            if error.kind() != io::ErrorKind::BrokenPipe {
                eprintln!("standard output: {error}");
            }
            ExitCode::from(UNWRITTEN)
        }
    }
}

fn read(file: &Path) -> Result<Script, Trouble> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string());
    let script = text.and_then(|text| text.parse().map_err(|it: ScriptError| it.to_string()));
    script.map_err(|what| Trouble::Senseless(format!("{}: {what}", file.display())))
}

/// One run, shown as it was asked for.
fn one(options: &Options, script: &Script) -> Result<u8, Trouble> {
    let level = options.level.into();
    let script = if options.shrink { shrink(script, level) } else { script.clone() };
    let outcome = run(&script, level, options.trace)?;
    let mut out = io::stdout().lock();
    write!(out, "{script}")?;
    for line in &outcome.trace {
        writeln!(out, "{line}")?;
    }
    match &outcome.failure {
        Some(failure) => writeln!(out, "seed {}: {failure}", script.seed)?,
        None => writeln!(out, "seed {}: well, trace {:016x}", script.seed, outcome.hash)?,
    }
    Ok(outcome.failure.as_ref().map_or(0, Failure::code))
}

/// What many runs have come to.
#[derive(Default)]
struct Total {
    coverage: Coverage,
    messages: u64,
    runs: u64,
    failures: BTreeMap<u64, Failure>,
}

fn many(options: &Options) -> Result<u8, Trouble> {
    if options.first.checked_add(options.seeds).is_none() {
        let what = format!("--first and --seeds go beyond the last seed, which is {}", u64::MAX);
        return Err(Trouble::Senseless(what));
    }
    let bar = ProgressBar::new(options.seeds);
    let style = "{bar:40} {pos}/{len} seeds, {per_sec}, {eta} to go {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let total = Mutex::new(Total::default());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = usize::try_from(options.seeds).unwrap_or(usize::MAX).min(MOST_THREADS);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..options.threads.unwrap_or(cores).clamp(1, most) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.seeds {
                        break;
                    }
                    let seed = options.first + number;
                    let outcome = run(&swarm(Seed(seed)), options.level.into(), false);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    let failed = total.add(seed, outcome, &bar);
                    stop.fetch_or(failed && options.fail_fast, Ordering::Relaxed);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    let summary = total.summary(options, start.elapsed().as_secs_f64());
    io::stdout().write_all(summary.as_bytes())?;
    Ok(total.failures.values().map(Failure::code).max().unwrap_or(0))
}

impl Total {
    /// Whether the run has failed.
    fn add(&mut self, seed: u64, outcome: Result<Outcome, ScriptError>, bar: &ProgressBar) -> bool {
        self.runs += 1;
        let failure = match outcome {
            Ok(outcome) => {
                self.coverage.merge(&outcome.coverage);
                self.messages += outcome.messages;
                outcome.failure
            }
            Err(error) => Some(Failure::Panic(error.to_string())),
        };
        let Some(failure) = failure else { return false };
        // The summary will find out if nothing can be written.
        let _ = bar.suspend(|| writeln!(io::stdout(), "seed {seed}: {failure}"));
        self.failures.insert(seed, failure);
        true
    }

    fn summary(&self, options: &Options, seconds: f64) -> String {
        let mut text = String::new();
        if !options.quiet {
            let _ = write!(text, "{}", self.coverage);
            let missed: Vec<_> = self.coverage.missed().collect();
            if !missed.is_empty() {
                let _ = writeln!(text, "not met with: {}", missed.join(", "));
            }
        }
        let (runs, messages) = (self.runs as f64 / seconds, self.messages as f64 / seconds);
        let _ = writeln!(
            text,
            "{} seeds and {} messages in {seconds:.1} s ({runs:.0} and {messages:.0} per second), {} failed",
            self.runs,
            self.messages,
            self.failures.len(),
        );
        if let Some((seed, failure)) = self.failures.first_key_value() {
            let level = options.level.to_possible_value();
            let level = level.as_ref().map_or("machine", |level| level.get_name());
            let _ = writeln!(text, "seed {seed}: {failure}");
            let _ = writeln!(
                text,
                "to see it: cometd-sim --level {level} --seed {seed} --shrink --trace"
            );
        }
        text
    }
}
