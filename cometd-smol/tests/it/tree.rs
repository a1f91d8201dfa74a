//! What this crate depends on.

use std::process::Command;

/// hyper takes locks and traits from tokio. Its runtime is another matter.
#[test]
fn there_is_no_tokio_runtime_in_it() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["tree", "-p", "cometd-smol", "-e", "normal", "--all-features", "--offline"]);
    let output = cargo.args(["--prefix", "none", "-f", "{p} {f}"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let tokio: Vec<_> = tree.lines().filter(|line| line.starts_with("tokio ")).collect();
    assert!(!tokio.is_empty(), "hyper is there:\n{tree}");
    for line in tokio {
        let features = line.split_whitespace().nth(2).unwrap_or_default();
        for feature in features.split(',') {
            let runtime =
                ["rt", "rt-multi-thread", "net", "time", "fs", "process", "signal", "full"];
            assert!(!runtime.contains(&feature), "{line}");
        }
    }
    for name in ["tokio-tungstenite", "tokio-io-timeout", "tokio-rustls"] {
        assert!(!tree.contains(name), "{name}");
    }
}
