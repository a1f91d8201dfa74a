//! Hash maps whose keys come from the server's own entropy.
//!
//! Channel names are chosen by peers, who could otherwise choose them to collide.

use core::hash::BuildHasher;

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
