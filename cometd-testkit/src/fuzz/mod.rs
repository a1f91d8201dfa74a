//! Fuzzing: what holds for all bytes that a peer may send.
//!
//! Each function here takes arbitrary bytes and panics when a *property* of the server is broken,
//! not only when its code panics. What is right is decided by oracles that are too naive to be
//! fast, and share no code with the server: a reader of JSON that keeps the text, a matcher of
//! channels that goes from segment to segment, the planner's rules one after another. They look at
//! the server through `bayeux-core`'s public API alone.
//!
//! # Running
//!
//! The fuzzer is libFuzzer, which takes a nightly compiler and the command `cargo-fuzz`
//! (`cargo install cargo-fuzz --locked`). From the root of the repository, until it finds something
//! or is stopped:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir cometd-testkit/fuzz decoder
//! ```
//!
//! Behind `--` come libFuzzer's own options: `-max_total_time=600` for ten minutes,
//! `-dict=cometd-testkit/fuzz/dictionaries/decoder.dict` for words that it would be long in
//! guessing.
//!
//! # What it finds
//!
//! A finding is written to `fuzz/artifacts`, which is not under version control:
//!
//! 1. `cargo +nightly fuzz tmin --fuzz-dir cometd-testkit/fuzz decoder <file>` makes it small.
//! 2. The oracle may be wrong as well as the server: the documentation of the code decides. A
//!    mistake of the server gets an ordinary test beside the code that was wrong.
//! 3. The small file goes to `fuzz/corpus/decoder/` under a name that says what it is about. From
//!    then on `tests/corpus.rs` replays it with every `cargo test`, on a stable compiler.
//!
//! The corpus has inputs made by hand, whose names are words, and the smallest set of inputs found
//! by the fuzzer that reaches the same code, whose names are hashes. After a long run
//! `cargo +nightly fuzz cmin --fuzz-dir cometd-testkit/fuzz decoder` makes that set anew; files of
//! more than some kilobytes do not belong there.
//!
//! # A new target
//!
//! A module with a function here, an entry in [`TARGETS`], a file in `fuzz/fuzz_targets` with its
//! `[[bin]]` in `fuzz/Cargo.toml`, and a folder in `fuzz/corpus`. `tests/corpus.rs` says what is
//! missing. Inputs should be lines of text where that is possible, so that a corpus can be read
//! and written by hand.

mod answers;
mod channels;
mod cookies;
mod decoder;
mod form;
mod input;
mod json;
mod jsonp;
mod names;
mod planner;
mod rules;
mod setups;
mod websocket_text;

pub use channels::channels;
pub use cookies::cookies;
pub use decoder::decoder;
pub use jsonp::jsonp;
pub use planner::planner;
pub use websocket_text::websocket_text;

/// Takes arbitrary bytes, and panics if a property does not hold for them.
pub type Target = fn(&[u8]);

/// All targets by their names.
pub const TARGETS: &[(&str, Target)] = &[
    ("channels", channels),
    ("cookies", cookies),
    ("decoder", decoder),
    ("jsonp", jsonp),
    ("planner", planner),
    ("websocket_text", websocket_text),
];
