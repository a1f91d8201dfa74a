//! [`Record`]: what was counted before, in `benches/instructions.txt`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::process::Command;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

const HEAD: &str = "\
# Instructions for one delivery, message or tick; see `benches/instructions/main.rs`.
# Recorded by: UPDATE_INSTRUCTIONS=1 cargo bench -p bayeux-core --bench instructions
";

/// How many times what is recorded is too much.
const MOST: f64 = 1.05;
/// The same when it was recorded with another compiler.
const MOST_OTHER_COMPILER: f64 = 1.15;

pub(crate) struct Record {
    compiler: String,
    counts: BTreeMap<String, f64>,
}

impl Record {
    /// What is recorded; nothing if there is no file yet.
    pub(crate) fn read() -> Result<Self> {
        let mut record = Self { compiler: String::new(), counts: BTreeMap::new() };
        let text = match fs::read_to_string(PATH) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(record),
            text => text?,
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let wrong = || Error::other(format!("{PATH} has the line `{line}`"));
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let value = value.trim();
            if name == "compiler" {
                value.clone_into(&mut record.compiler);
            } else {
                let count = value.parse().map_err(|_| wrong())?;
                record.counts.insert(name.to_owned(), count);
            }
        }
        Ok(record)
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.counts.get(name).copied()
    }

    /// Writes these counts down, and leaves what else is recorded.
    ///
    /// What was counted with another compiler cannot stand beside it.
    pub(crate) fn write(mut self, counts: &[(&'static str, f64)]) -> Result<()> {
        if counts.len() < crate::CATALOGUE.len() && compiler()? != self.compiler {
            let what = "the others were recorded with another compiler: record all of them";
            return Err(Error::other(what));
        }
        self.counts.extend(counts.iter().map(|&(name, count)| (name.to_owned(), count)));
        let known = |name: &String| crate::CATALOGUE.iter().any(|it| it.name == name);
        self.counts.retain(|name, _| known(name));
        let mut text = format!("{HEAD}compiler: {}\n", compiler()?);
        for counted in crate::CATALOGUE {
            if let Some(count) = self.get(counted.name) {
                writeln!(text, "{}: {count:.1}", counted.name).map_err(Error::other)?;
            }
        }
        println!("recorded in {PATH}");
        fs::write(PATH, text)
    }

    /// What is above the record.
    pub(crate) fn compare(&self, counts: &[(&'static str, f64)]) -> Vec<String> {
        let compiler = compiler().unwrap_or_default();
        let same = compiler == self.compiler;
        let most = if same { MOST } else { MOST_OTHER_COMPILER };
        if !same {
            println!("recorded with {}, counted with {compiler}", self.compiler);
        }
        let mut faults = Vec::new();
        let cheaper = |(name, count): &(&str, f64)| {
            same && self.get(name).is_some_and(|before| count * MOST < before)
        };
        if counts.iter().any(cheaper) {
            println!("some are cheaper than is recorded; to keep it that way, {HOW}");
        }
        for &(name, count) in counts {
            let Some(before) = self.get(name) else {
                faults.push(format!("`{name}` is not recorded; {HOW}"));
                continue;
            };
            if count > before * most {
                let (above, most) = ((count / before - 1.0) * 100.0, (most - 1.0) * 100.0);
                faults.push(format!(
                    "`{name}` takes {count:.1} instructions, {above:.1} % above the recorded \
                     {before:.1}; at most {most:.0} % are allowed. If it is worth that, {HOW}"
                ));
            }
        }
        faults
    }
}

const HOW: &str = "record it with UPDATE_INSTRUCTIONS=1";

/// The compiler that `cargo` uses here.
fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
