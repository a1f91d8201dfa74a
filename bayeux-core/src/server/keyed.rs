//! Hash maps: for what peers choose, for what the server has drawn, and for what the driver counts.
//!
//! Peers could choose channel names to collide, so these are hashed with keys of the server's own
//! entropy. The ids of sessions and browsers need no hash: they are random themselves, and what a peer
//! makes up is looked up, but never put in. (Whoever makes many sessions may keep those whose ids fall
//! together; the bound on sessions ends that long before it costs anything.) Link ids are numbers that the driver mints. Each request looks
//! up several of both.

use core::hash::{BuildHasher, BuildHasherDefault, Hasher};

use siphasher::sip::SipHasher13;

use crate::entropy::{Entropy, draw_u64};

/// A hash map for keys that peers choose. Never iterate it: the order is different in every run.
pub(super) type Map<K, V> = hashbrown::HashMap<K, V, Keyed>;

#[derive(Clone, Copy)]
pub(super) struct Keyed(u64, u64);

impl Keyed {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        Self(draw_u64(entropy), draw_u64(entropy))
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// The odd number that is nearest to 2⁶⁴ over the golden ratio (Knuth, TAOCP 3, §6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hash map for numbers that the driver chooses. Never iterate it either.
pub(super) type NumberMap<K, V> = hashbrown::HashMap<K, V, Spread>;

/// Spreads numbers that are close to each other, or differ in a few high bits.
#[derive(Clone, Copy, Default)]
pub(super) struct Spread;

impl BuildHasher for Spread {
    type Hasher = Spreading;

    fn build_hasher(&self) -> Spreading {
        Spreading(0)
    }
}

pub(super) struct Spreading(u64);

impl Hasher for Spreading {
    fn write(&mut self, bytes: &[u8]) {
        // Numbers come by the way below.
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u64(&mut self, number: u64) {
        let spread = (self.0 ^ number).wrapping_mul(SPREAD);
        // The map takes a place from the low bits, which multiplication fills from lower ones only.
        self.0 = spread ^ spread >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A hash map for ids that were drawn at random. Never iterate it either.
pub(super) type DrawnMap<K, V> = hashbrown::HashMap<K, V, BuildHasherDefault<Drawn>>;

/// Takes the last bytes of an id for its hash.
#[derive(Default)]
pub(super) struct Drawn(u64);

impl Hasher for Drawn {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            // Multiplied for those who count instead of drawing, as tests do.
            self.0 = u64::from_be_bytes(*last).wrapping_mul(SPREAD);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
