//! [`Parcel`]: everything that one link is owed at one moment.

use alloc::sync::Arc;
use alloc::vec::Vec;

use smallvec::SmallVec;

use super::{Message, Reply};
use crate::id::BrowserId;

/// The events of a parcel, in the order of the session's queue.
///
/// Most parcels carry one or two, which then cost no allocation.
pub type Events = SmallVec<[Arc<Message>; 2]>;

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
}
