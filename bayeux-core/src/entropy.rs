//! Randomness as a capability that the driver hands in.

/// A source of random bytes.
///
/// In production this must be the operating system's generator: session ids are credentials. In a
/// simulation it is a seeded generator, and the same seed gives the same run to the byte.
pub trait Entropy: Send {
    /// Fills `out` with random bytes. It cannot fail: a driver that cannot get randomness must
    /// not serve.
    fn fill(&mut self, out: &mut [u8]);
}

impl<E: Entropy + ?Sized> Entropy for alloc::boxed::Box<E> {
    fn fill(&mut self, out: &mut [u8]) {
        (**self).fill(out);
    }
}

/// Draws a `u64`.
pub(crate) fn draw_u64(entropy: &mut dyn Entropy) -> u64 {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
