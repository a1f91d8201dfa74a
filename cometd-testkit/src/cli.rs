//! What the command lines have in common; no part of the kit's interface.

use std::process::ExitCode;

use clap::Parser;

/// The command makes no sense (`EX_USAGE` of sysexits.h).
pub const SENSELESS: u8 = 64;

/// What is to be said cannot be written (`EX_IOERR`).
pub const UNWRITTEN: u8 = 74;

/// The command line; or the status to end with, when help was asked for or it makes no sense.
///
/// # Errors
///
/// With that status. What there was to say is said.
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|error| {
        let code = if error.use_stderr() { SENSELESS } else { 0 };
        // There is nobody to tell if even this cannot be written.
        let _ = error.print();
        ExitCode::from(code)
    })
}
