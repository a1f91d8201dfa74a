//! [`Outbox`]: where whatever a server's tasks and connections have for the world is put.

use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "remote")]
use std::time::Duration;

use bayeux_core::front::{Bayeux, Notice, Receipt};
use bayeux_core::{Event, LinkId};

use super::host::Down;
use super::machine;

/// What has come out and was not taken yet. All clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    contents: Mutex<Contents>,
    /// Something has been put in.
    filled: Condvar,
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
        self.shared.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, down: Down) {
        self.lock().downs.push_back(down);
        self.shared.filled.notify_one();
    }

    /// Takes the oldest one.
    pub(super) fn take(&self) -> Option<Down> {
        self.lock().downs.pop_front()
    }

    /// Waits until there is something, or for so long.
    #[cfg(feature = "remote")]
    pub(super) fn wait(&self, most: Duration) {
        let is_empty = |contents: &mut Contents| contents.downs.is_empty();
        let waited = self.shared.filled.wait_timeout_while(self.lock(), most, is_empty);
        drop(waited);
    }

    pub(super) fn note(&self, note: impl Into<String>) {
        self.lock().notes.push(note.into());
    }

    /// Puts in what an application of this server is told.
    pub(super) fn listen_to(&self, bayeux: &Bayeux) {
        let outbox = self.clone();
        bayeux.on_event(move |notice: Notice| {
            outbox.tell(&notice.event);
            ready(())
        });
    }

    fn tell(&self, event: &Event) {
        let note = match event {
            Event::SessionAdded { .. } => "session added".to_owned(),
            Event::SessionRemoved { session, reason } => {
                let (session, reason) = (session.to_string(), machine::removal(*reason));
                let note = format!("session removed, {reason:?}");
                self.put(Down::Removed { session, reason });
                note
            }
            Event::Suspended { timeout, .. } => format!("connect held {timeout:?}"),
            Event::Resumed { cause, .. } => format!("connect resumed, {cause:?}"),
            Event::Subscribed { channel, .. } => format!("subscribed {channel}"),
            Event::Unsubscribed { channel, .. } => format!("unsubscribed {channel}"),
            Event::EventsDropped { session, count } => {
                self.put(Down::Dropped { session: session.to_string(), count: *count });
                format!("{count} events dropped")
            }
            _ => return,
        };
        self.note(note);
    }
}
