//! [`Parcel`]: everything that one link is owed at one moment.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;

use smallvec::SmallVec;

use super::{Message, Reply};
use crate::id::{BrowserId, SessionId};

/// The events of a parcel, in the order of the session's queue. Reads like a slice.
///
/// Most parcels carry one or two, which then cost no allocation.
#[derive(Clone, Debug, Default)]
pub struct Events(SmallVec<[Arc<Message>; 2]>);

impl Events {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// How many there are, without the server's own `/meta/disconnect`.
    pub(crate) fn published(&self) -> usize {
        self.0.iter().filter(|it| it.is_published()).count()
    }

    pub(crate) fn push(&mut self, event: Arc<Message>) {
        self.0.push(event);
    }

    /// Adds `others` behind these.
    pub(crate) fn append(&mut self, others: Self) {
        if self.0.is_empty() {
            *self = others;
        } else if !others.0.is_empty() {
            self.0.extend(others.0);
        }
    }
}

impl Deref for Events {
    type Target = [Arc<Message>];

    fn deref(&self) -> &[Arc<Message>] {
        &self.0
    }
}

impl FromIterator<Arc<Message>> for Events {
    fn from_iter<I: IntoIterator<Item = Arc<Message>>>(events: I) -> Self {
        Self(events.into_iter().collect())
    }
}

impl<'e> IntoIterator for &'e Events {
    type Item = &'e Arc<Message>;
    type IntoIter = core::slice::Iter<'e, Arc<Message>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// What goes out on a link in one piece: events and replies.
///
/// On the wire the order is: a handshake's reply, then the events, then the other replies in the
/// order of their requests (so a connect's reply follows its events).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Parcel {
    /// Replies in the order of their requests.
    pub replies: Vec<Reply>,
    /// Events from the session's queue.
    pub events: Events,
    /// The browser cookie to set with this response.
    pub browser: Option<BrowserId>,
    /// The session that is answered, if it is known. It may be gone.
    pub session: Option<SessionId>,
    /// Whether each message carries the time at which it is encoded.
    pub timestamp: bool,
}

impl Parcel {
    /// Whether a message of the parcel says what time it is.
    pub fn tells_time(&self) -> bool {
        self.timestamp || self.replies.iter().any(|reply| reply.timesync.is_some())
    }

    /// Whether the client acknowledges the parcel as a whole, so that it must arrive as a whole or
    /// not at all: an event that came without the number of its batch would be sent again.
    pub fn is_indivisible(&self) -> bool {
        !self.events.is_empty() && self.replies.iter().any(|reply| reply.ack.is_some())
    }
}
