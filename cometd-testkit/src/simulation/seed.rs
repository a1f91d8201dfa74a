//! [`Seed`]: where all chance of a run comes from.
//!
//! Chance is *keyed*, not streamed: a decision is a hash of the seed and of what the decision is
//! about. A stream would shift all later decisions as soon as one is left out; keyed ones stay what
//! they are, so a run from which a line was removed is nearly the same run without that line. (What
//! is counted within a run, such as the questions that the application is asked, is counted from
//! there on without it.) This is what makes a failure shrink.

use std::fmt;
use std::time::Duration;

use bayeux_core::Entropy;

/// Where all chance of a run comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Seed(pub u64);

impl Seed {
    /// Reads a number, or anything else that identifies a run, such as the hash of a commit.
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self(hash(text.as_bytes())), Self)
    }

    /// The decisions about something, which is named by these words and numbers.
    pub fn about(self, what: impl fmt::Display) -> Draw {
        Draw(mix(self.0 ^ hash(what.to_string().as_bytes())))
    }

    /// Randomness for a server.
    pub fn entropy(self) -> Box<dyn Entropy> {
        Box::new(Stream(mix(self.0 ^ 0x5eed)))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// One decision. It gives the same answer whenever it is asked; [`then`](Self::then) is another
/// decision about the same thing.
#[derive(Clone, Copy, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The next decision about the same thing.
    #[must_use]
    pub fn then(self, number: u64) -> Self {
        Self(mix(self.0.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))))
    }

    /// A number below `bound`; zero if there is none.
    pub fn below(self, bound: u64) -> u64 {
        self.0.checked_rem(bound).unwrap_or(0)
    }

    /// Yes in so many of a thousand cases.
    pub fn per_mille(self, rate: u64) -> bool {
        self.then(1_000).below(1_000) < rate
    }

    /// One of these.
    pub fn pick<T: Copy>(self, from: &[T]) -> Option<T> {
        from.get(self.below(from.len() as u64) as usize).copied()
    }

    /// One of these.
    pub(crate) fn one_of<T: Copy, const N: usize>(self, from: [T; N]) -> T {
        const { assert!(N > 0, "there is something to choose from") };
        from[self.below(N as u64) as usize]
    }

    /// A time of at most so many milliseconds, to the microsecond.
    pub fn up_to_millis(self, millis: u64) -> Duration {
        Duration::from_micros(self.below(millis * 1_000 + 1))
    }
}

/// FNV-1a: not for adversaries, the same on every machine.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    extend_hash(0xcbf2_9ce4_8422_2325, bytes)
}

pub(super) fn extend_hash(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finisher of SplitMix64.
pub(crate) fn mix(value: u64) -> u64 {
    let mixed = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Ids and hashing keys have to be drawn one after another.
struct Stream(u64);

impl Entropy for Stream {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            chunk.copy_from_slice(&mix(self.0).to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_depends_on_what_it_is_about_and_on_nothing_else() {
        let seed = Seed(7);
        let first = seed.about("c1 loses its response").below(1_000);
        seed.about("something else").below(3);
        assert_eq!(seed.about("c1 loses its response").below(1_000), first);
        assert_ne!(Seed(8).about("c1 loses its response").below(1 << 60), first);
    }

    #[test]
    fn rates_are_kept() {
        let hits = (0..10_000).filter(|it| Seed(1).about(it).per_mille(250)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!(!Seed(1).about(1).per_mille(0));
        assert!(Seed(1).about(1).per_mille(1_000));
    }

    #[test]
    fn a_seed_may_be_any_text() {
        assert_eq!(Seed::parse("17"), Seed(17));
        assert_eq!(Seed::parse("d06e4dc"), Seed::parse("d06e4dc"));
        assert_ne!(Seed::parse("d06e4dc"), Seed::parse("d06e4dd"));
    }
}
