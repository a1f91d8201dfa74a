//! The documentation names all invariants, and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The texts that stand behind `mark` up to `end`.
fn between<'t>(text: &'t str, mark: &str, end: char) -> impl Iterator<Item = String> + use<'t> {
    let pieces: Vec<&str> = text.split(mark).skip(1).collect();
    pieces.into_iter().map(move |it| it.split(end).next().unwrap_or_default().to_owned())
}

fn sources(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, texts);
        } else if !path.ends_with("ledger_tests.rs") {
            // However the lines are broken.
            let text = fs::read_to_string(path).unwrap();
            texts.push(text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "("));
        }
    }
}

#[test]
fn each_invariant_is_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/simulation");
    let documentation = fs::read_to_string(folder.join("mod.rs")).unwrap();
    let rows = documentation.lines().filter(|line| line.starts_with("//! | `"));
    let named: BTreeSet<_> = rows.flat_map(|row| between(row, "| `", '`').take(1)).collect();
    let mut texts = Vec::new();
    sources(&folder, &mut texts);
    let marks = [
        "violation(\"",
        "Violation::new(\"",
        "let invariant = if visit.ack { \"",
        "{ \"ack-no-loss\" } else { \"",
    ];
    let used: BTreeSet<_> = texts
        .iter()
        .flat_map(|text| marks.iter().flat_map(|mark| between(text, mark, '"')))
        .filter(|name| {
            name.len() > 3 && name.chars().all(|it| it.is_ascii_lowercase() || it == '-')
        })
        .collect();
    let missing: Vec<_> = used.difference(&named).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let idle: Vec<_> = named.difference(&used).collect();
    assert!(idle.is_empty(), "documented, and nobody looks: {idle:?}");
}
