//! Whole runs: a script made of the bytes, played by the simulation against the bare machine.

use crate::simulation::{Level, run, script_of};

/// No run breaks an invariant: clients, network and application do what the bytes say (see
/// [`script_of`]), and those who watch the simulation see nothing that must not be.
pub fn scripts(bytes: &[u8]) {
    let script = script_of(bytes);
    match run(&script, Level::Machine, false) {
        Ok(outcome) => {
            if let Some(failure) = outcome.failure {
                panic!("{failure}, with this script:\n{script}");
            }
        }
        Err(error) => panic!("{error}:\n{script}"),
    }
}
