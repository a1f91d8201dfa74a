//! Publishing by the application: waits until the listeners have seen the message.

use alloc::sync::Arc;
use core::future::poll_fn;
use core::task::Poll;

use super::state::{Publishing, register};
use super::{Bayeux, Channel, Error, Session};
use crate::channel::Pattern;
use crate::id::SessionId;
use crate::message::Message;
use crate::server::{Command, Input, Receipt};

impl Bayeux {
    /// Publishes `data` on a channel that need not exist, and is not made for the purpose: for
    /// names that come from elsewhere. Returns when the listeners have seen it.
    ///
    /// # Errors
    ///
    /// When `channel` is no channel name, a wildcard or a meta channel, `data` has no JSON form, or
    /// a listener vetoed the message.
    pub async fn publish<T: serde::Serialize + ?Sized>(
        &self,
        channel: &str,
        data: &T,
    ) -> Result<(), Error> {
        Channel::new(self.clone(), Pattern::parse(channel)?).publish(data).await
    }

    /// The same in the name of a session; see [`Channel::publish_from`].
    ///
    /// # Errors
    ///
    /// As for [`Bayeux::publish`].
    pub async fn publish_from<T: serde::Serialize + ?Sized>(
        &self,
        session: &Session,
        channel: &str,
        data: &T,
    ) -> Result<(), Error> {
        Channel::new(self.clone(), Pattern::parse(channel)?).publish_from(session, data).await
    }

    pub(super) async fn publish_message(
        &self,
        message: Arc<Message>,
        from: Option<SessionId>,
    ) -> Result<(), Error> {
        let receipt = self.turn_with(|state, after| {
            state.receipts += 1;
            let receipt = Receipt(state.receipts);
            state.publishes.insert(receipt, Publishing::Waiting(None));
            let command = Command::Publish { message, from, receipt: Some(receipt) };
            state.turn(self, self.now(), Input::Command(command), after);
            receipt
        });
        let waiting = Forget { bayeux: self, receipt };
        let published = poll_fn(|cx| {
            let mut state = self.lock();
            let replaced = match state.publishes.get_mut(&receipt) {
                Some(Publishing::Waiting(waker)) => register(waker, cx.waker()),
                Some(Publishing::Done { published }) => return Poll::Ready(*published),
                None => return Poll::Ready(true),
            };
            drop(state);
            drop(replaced);
            Poll::Pending
        })
        .await;
        drop(waiting);
        if published { Ok(()) } else { Err(Error::Vetoed) }
    }
}

/// Forgets a publish when nobody waits for its outcome any more.
struct Forget<'b> {
    bayeux: &'b Bayeux,
    receipt: Receipt,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let state = self.bayeux.lock_in_drop();
        let forgotten = state.and_then(|mut state| state.publishes.remove(&self.receipt));
        drop(forgotten);
    }
}
