//! [`Registered`]: what the application has added and may remove again.

use alloc::vec::Vec;

/// Which handler; for removing it from what it was added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandlerId(pub(super) u64);

/// Things in the order of their registration. Their numbers are the caller's, and never used again.
pub(super) struct Registered<T>(Vec<(u64, T)>);

impl<T> Registered<T> {
    pub(super) fn add(&mut self, number: u64, it: T) {
        self.0.push((number, it));
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.0.iter().position(|(it, _)| *it == number)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter().map(|(_, it)| it)
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        self.0.into_iter().map(|(_, it)| it).collect()
    }
}

impl<T> Default for Registered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}
