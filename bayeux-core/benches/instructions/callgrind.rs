//! Counting: each scenario in a process of its own under valgrind's callgrind.
//!
//! The process sets the scenario up, then does *n* steps and 2·*n* steps. Around both it calls
//! [`scenario_mark`], at which callgrind writes down what was executed since the mark before. The difference
//! of the two, by *n*, is what one step takes: whatever does not depend on the number of steps, the
//! setting up above all, is not in it.

use std::fs;
use std::hint::black_box;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;

use crate::catalogue::{CATALOGUE, Counted};

/// The argument in front of the name of a scenario that is to be run, and counted by whoever asks.
pub(crate) const FLAG: &str = "--run-scenario";

const MISSING: &str = "valgrind is not installed, and it is what counts instructions: \
     `apt-get install valgrind`, `dnf install valgrind` (on Linux only)";

fn find(name: &str) -> Option<&'static Counted> {
    CATALOGUE.iter().find(|it| it.name == name)
}

/// Runs one scenario.
pub(crate) fn run(name: &str) -> ExitCode {
    let Some(counted) = find(name) else { return ExitCode::FAILURE };
    let mut scenario = (counted.scenario)();
    for steps in [counted.steps, 2 * counted.steps] {
        scenario_mark(steps);
        (0..steps).for_each(|_| scenario.step());
    }
    scenario_mark(0);
    println!("{}", scenario.items);
    // Tidying up would take its time, too.
    std::process::exit(0)
}

/// Callgrind looks for this name.
#[inline(never)]
fn scenario_mark(steps: usize) {
    black_box(steps);
}

/// How many instructions one item of each scenario takes.
pub(crate) fn count(names: &[&'static str]) -> Result<Vec<(&'static str, f64)>> {
    match Command::new("valgrind").arg("--version").stdout(Stdio::null()).status() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Error::other(MISSING)),
        status => status?,
    };
    let folder = std::env::temp_dir().join(format!("instructions-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (queue, counts) = (Mutex::new(names.iter().enumerate()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some((at, &name)) = next else { return };
                    let count = count_one(name, &folder.join(at.to_string()));
                    if let Ok(mut counts) = counts.lock() {
                        counts.push((at, name, count));
                    }
                }
            });
        }
    });
    fs::remove_dir_all(&folder)?;
    let mut counts = counts.into_inner().map_err(|_| Error::other("a count has panicked"))?;
    counts.sort_by_key(|(at, ..)| *at);
    counts.into_iter().map(|(_, name, count)| Ok((name, count?))).collect()
}

fn count_one(name: &'static str, out: &Path) -> Result<f64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--combine-dumps=yes", "--dump-before=*scenario_mark*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args([FLAG, name]);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::other(format!("`{name}` did not run under valgrind:\n{said}")));
    }
    let totals: Vec<u64> = fs::read_to_string(out)?
        .lines()
        .filter_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
        .collect();
    // Setting up, n steps, 2·n steps, and what follows the last mark.
    let &[_, once, twice, _] = &totals[..] else {
        return Err(Error::other(format!("`{name}` was not counted in four parts: {totals:?}")));
    };
    let items: usize =
        String::from_utf8_lossy(&output.stdout).trim().parse().map_err(Error::other)?;
    let steps = find(name).map_or(1, |counted| counted.steps);
    Ok((twice as f64 - once as f64) / (steps * items) as f64)
}
