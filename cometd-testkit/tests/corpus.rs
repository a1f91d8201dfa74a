//! Replays the fuzzer's corpus: `cometd_testkit::fuzz` says what it is, and how it grows.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use cometd_testkit::fuzz::TARGETS;

/// Inputs run on a thread of their own, whose name says which it is when one of them panics.
fn replay(target: fn(&[u8]), path: &Path) {
    let bytes = fs::read(path).expect("an input can be read");
    let name = path.display().to_string();
    let run = thread::Builder::new().name(name).spawn(move || target(&bytes)).expect("a thread");
    assert!(run.join().is_ok(), "a property does not hold for {}", path.display());
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|it| it.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

#[test]
fn every_property_holds_for_the_corpus() {
    for (name, target) in TARGETS {
        let inputs = inside(&fuzz().join("corpus").join(name));
        assert!(!inputs.is_empty(), "the corpus of `{name}` is empty");
        inputs.iter().for_each(|path| replay(*target, path));
    }
}

#[test]
fn every_target_has_a_corpus_and_a_program() {
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    for folder in ["corpus", "fuzz_targets"] {
        let found = inside(&fuzz().join(folder));
        let stems: Vec<&str> = found.iter().filter_map(|it| it.file_stem()?.to_str()).collect();
        assert_eq!(stems, names, "{folder} has one entry for each target");
    }
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("the fuzzer's manifest");
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "`{name}` is built");
    }
}
