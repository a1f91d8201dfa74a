//! What the compiler cannot check: the layering, and the size of files.

use std::fs;
use std::path::{Path, PathBuf};

/// The machine's own modules must not know what is built on them.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("channel", &["crate::server", "crate::codec", "crate::http", "crate::front", "serde_json"]),
    ("message", &["crate::server", "crate::codec", "crate::http", "crate::front", "serde_json"]),
    ("codec", &["crate::server", "crate::http", "crate::front", "std::"]),
    ("server", &["crate::codec", "crate::http", "crate::front", "serde", "std::"]),
    ("http", &["crate::server", "crate::front", "std::thread", "std::time"]),
    ("ws", &["crate::server", "crate::front", "std::thread", "std::time"]),
    ("front", &["tokio", "async_io", "hyper", "std::thread", "std::time", "std::net"]),
    ("adapter", &["tokio", "async_io", "smol", "crate::server", "crate::codec", "std::thread"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// What the adapters have in common has dependencies of its own: nothing else may need it.
#[test]
fn only_adapters_use_what_they_have_in_common() {
    let adapter = src().join("adapter");
    for path in sources(&src()).into_iter().filter(|path| !path.starts_with(&adapter)) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("crate::adapter"), "{}", path.display());
    }
}

#[test]
fn arrows_point_down() {
    for (module, words) in FORBIDDEN {
        for path in sources(&src().join(module)) {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code.take_while(|line| !line.contains("#[cfg(test)]")) {
                for word in *words {
                    assert!(!line.contains(word), "{}: {line}", path.display());
                }
            }
        }
    }
}

/// A subscriber is code of the application, and must not be called under the lock. `trace` sees to
/// that, so nobody else in the front logs. What the adapters have in common never has the lock.
#[test]
fn only_the_trace_module_logs() {
    let (trace, adapter) = (src().join("front/trace"), src().join("adapter"));
    let logs = |path: &PathBuf| path.starts_with(&trace) || path.starts_with(&adapter);
    for path in sources(&src()).into_iter().filter(|path| !logs(path)) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            assert!(!line.contains("tracing::"), "{}: {line}", path.display());
        }
    }
}

#[test]
fn files_have_an_essay_and_one_subject() {
    for path in sources(&src()) {
        let text = fs::read_to_string(&path).unwrap();
        let essay = text.starts_with("//!") || text.starts_with("#![doc = include_str!");
        assert!(essay, "{} says what it is for", path.display());
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines", path.display());
    }
}
