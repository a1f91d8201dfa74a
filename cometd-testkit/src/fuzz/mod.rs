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
//! Inputs that reach new code are added to the corpus as it goes, thousands of them. To keep them
//! out of the repository, name another folder in front of the corpus. What stands behind `--` is
//! libFuzzer's own: here ten minutes, and words that it would be long in guessing.
//!
//! ```sh
//! mkdir -p target/corpus/decoder
//! cargo +nightly fuzz run --fuzz-dir cometd-testkit/fuzz decoder \
//!     target/corpus/decoder cometd-testkit/fuzz/corpus/decoder -- \
//!     -max_total_time=600 -timeout=10 -rss_limit_mb=2048 \
//!     -dict=cometd-testkit/fuzz/dictionaries/decoder.dict
//! ```
//!
//! # What it finds
//!
//! A finding is written to `fuzz/artifacts`, which is not under version control:
//!
//! 1. `cargo +nightly fuzz tmin --fuzz-dir cometd-testkit/fuzz decoder <file>` makes it small.
//! 2. The oracle may be wrong as well as the server: the documentation of the code decides. A
//!    mistake of the server gets an ordinary test beside the code that was wrong.
//! 3. The small file goes to `fuzz/corpus/decoder` under a name that says what it is about. From
//!    then on `tests/corpus.rs` replays it with every `cargo test`, on a stable compiler.
//!
//! # The corpus
//!
//! Inputs made by hand have words as names; those whose names are hashes are the fuzzer's. After a
//! long run, this adds inputs from the other folder that reach code which no input of the corpus
//! does:
//!
//! ```sh
//! cargo +nightly fuzz run --fuzz-dir cometd-testkit/fuzz decoder \
//!     cometd-testkit/fuzz/corpus/decoder target/corpus/decoder -- \
//!     -set_cover_merge=1 -use_counters=0
//! ```
//!
//! It writes the most useful ones first. A hundred small ones are enough, since they are replayed
//! with every build; the rest is for the fuzzer to find again. (`cargo fuzz cmin` would give all
//! inputs hashes for names.)
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
mod scripts;
mod setups;
mod websocket_text;

pub use channels::channels;
pub use cookies::cookies;
pub use decoder::decoder;
pub use jsonp::jsonp;
pub use planner::planner;
pub use scripts::scripts;
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
    ("scripts", scripts),
    ("websocket_text", websocket_text),
];
