//! Instructions for one step of each scenario: a gate that noise does not move.
//!
//! `cargo bench -p bayeux-core --bench instructions` counts them with valgrind, compares them with
//! `benches/instructions.txt`, and fails where there are more than 5 % above what is recorded there
//! (15 % if it was recorded with another compiler), or where a cost grows that must not.
//! `UPDATE_INSTRUCTIONS=1` records. An argument is a part of the names of what is to be counted.
//!
//! - `catalogue`: what is counted, and what must be as cheap as what.
//! - `callgrind`: how it is counted.
//! - `record`: what it is compared with.

#[path = "../scenarios/mod.rs"]
mod scenarios;

mod callgrind;
mod catalogue;
mod record;

use std::io::{Error, Result};
use std::process::ExitCode;

use catalogue::{CATALOGUE, Counted};
use record::Record;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = &arguments[..] {
        if flag == callgrind::FLAG {
            return callgrind::run(name);
        }
    }
    // `cargo bench` says so; `cargo test --all-targets`, which has better things to do, does not.
    if !arguments.iter().any(|it| it == "--bench") {
        println!("instructions are counted by `cargo bench`");
        return ExitCode::SUCCESS;
    }
    arguments.retain(|it| !it.starts_with("--"));
    match gate(&arguments) {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            faults.iter().for_each(|fault| eprintln!("FAILED: {fault}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Counts what has one of `parts` in its name, or everything; what is wrong with it.
fn gate(parts: &[String]) -> Result<Vec<String>> {
    let wanted =
        |it: &Counted| parts.is_empty() || parts.iter().any(|part| it.name.contains(part.as_str()));
    let names: Vec<_> = CATALOGUE.iter().filter(|it| wanted(it)).map(|it| it.name).collect();
    if names.is_empty() {
        return Err(Error::other("nothing is called that"));
    }
    let counts = callgrind::count(&names)?;
    let recorded = Record::read()?;
    println!("{:<38}{:>14}{:>14}{:>10}", "instructions", "for each", "recorded", "change");
    for (name, count) in &counts {
        let before = recorded.get(name);
        let percent = |before: f64| (1_000.0 * (count / before - 1.0)).round() / 10.0 + 0.0;
        let change = before.map(|before| format!("{:+.1} %", percent(before)));
        let before = before.map(|before| format!("{before:.1}")).unwrap_or_default();
        println!("{name:<38}{count:>14.1}{before:>14}{:>10}", change.unwrap_or_default());
    }
    let mut faults = catalogue::growth(&counts);
    if std::env::var_os("UPDATE_INSTRUCTIONS").is_some() {
        recorded.write(&counts)?;
    } else {
        faults.extend(recorded.compare(&counts));
    }
    Ok(faults)
}
