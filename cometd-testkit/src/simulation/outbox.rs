//! [`Outbox`]: where the tasks of a simulated server put what comes out of it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bayeux_core::LinkId;
use bayeux_core::front::Receipt;

use super::host::Down;

/// What has come out and was not taken yet. All clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) downs: VecDeque<Down>,
    /// Of responses that the network has, and may still lose.
    pub(super) receipts: BTreeMap<LinkId, Receipt>,
    pub(super) notes: Vec<String>,
}

impl Outbox {
    /// Nothing of the server's may be dropped while this is held: it may want to put something in.
    pub(super) fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, down: Down) {
        self.lock().downs.push_back(down);
    }

    pub(super) fn note(&self, note: impl Into<String>) {
        self.lock().notes.push(note.into());
    }
}
