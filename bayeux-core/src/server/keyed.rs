//! Hash maps whose keys come from the server's own entropy, and one that needs none.
//!
//! Channel names are chosen by peers, who could otherwise choose them to collide. Link ids are not: the
//! driver mints them, and each delivery looks some up.

use core::hash::{BuildHasher, Hasher};

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
        // The odd number that is nearest to 2⁶⁴ over the golden ratio (Knuth, TAOCP 3, §6.4).
        let spread = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The map takes a place from the low bits, which multiplication fills from lower ones only.
        self.0 = spread ^ spread >> 32;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
