//! [`Trace`]: what happened, a line for each thing, the same to the byte for the same script.
//!
//! Two traces can be compared with `diff`; that two runs are the same is seen from the hash. No line
//! contains an id of the server's: sessions are called by their clients, links by their numbers.

use std::fmt;

use bayeux_core::Time;

use super::seed::{extend_hash, hash};

/// What happened.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    count: u64,
    lines: Option<Vec<String>>,
    buffer: String,
}

impl Trace {
    /// A trace that keeps its lines, or only their hash.
    pub fn new(keep: bool) -> Self {
        let (lines, buffer) = (keep.then(Vec::new), String::new());
        Self { hash: hash(b""), count: 0, lines, buffer }
    }

    /// Adds a line.
    pub fn note(&mut self, now: Time, line: impl fmt::Display) {
        use fmt::Write as _;
        self.buffer.clear();
        let (seconds, micros) = (now.as_micros() / 1_000_000, now.as_micros() % 1_000_000);
        let _ = write!(self.buffer, "t={seconds:04}.{micros:06} {line}");
        self.hash = extend_hash(self.hash, self.buffer.as_bytes());
        self.count += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(self.buffer.clone());
        }
    }

    /// A number that is the same for the same lines.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines, if they were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
