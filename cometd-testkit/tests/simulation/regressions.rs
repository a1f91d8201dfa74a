//! What once went wrong, as scripts; and what a run looks like.

use std::path::{Path, PathBuf};

use cometd_testkit::simulation::{Level, Script, run};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn scripts(in_folder: &str) -> Vec<(PathBuf, Script)> {
    let entries = std::fs::read_dir(folder(in_folder)).expect("the folder is there");
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|it| it == "script"));
    files.sort();
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        let script = text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        (file, script)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn what_once_went_wrong_does_not_any_more() {
    let scripts = scripts("regressions");
    assert!(!scripts.is_empty());
    for (file, script) in scripts {
        for &level in Level::ALL {
            let outcome = run(&script, level, true).unwrap();
            assert_eq!(outcome.failure, None, "{} at {level:?}", file.display());
        }
    }
}

/// The traces in the documentation are what they say, to the byte, on any machine. After a change
/// that is meant to change them, run this with `UPDATE_TRACES=1` and look at the difference.
#[test]
fn the_traces_in_the_documentation_are_those_of_their_scripts() {
    for (file, script) in scripts("traces") {
        let outcome = run(&script, Level::Machine, true).unwrap();
        let trace: String = outcome.trace.iter().map(|line| format!("{line}\n")).collect();
        let expected = file.with_extension("trace");
        if std::env::var_os("UPDATE_TRACES").is_some() {
            std::fs::write(&expected, &trace).unwrap();
        }
        let expected = std::fs::read_to_string(expected).unwrap();
        assert_eq!(trace, expected, "{}", file.display());
    }
}
