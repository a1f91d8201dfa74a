//! [`Session`]: the application's handle on a session.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;

use serde::Serialize;

use super::Bayeux;
use super::attributes::Attributes;
use super::error::Error;
use super::extension::{Extension, ExtensionId, Extensions};
use super::notice::RemovedHandler;
use super::passage::DequeueHook;
use super::registered::{HandlerId, Registered};
use super::state::Leftover;
use super::trace::Spans;
use crate::channel::{ChannelKind, ChannelName, Overflow, Pattern};
use crate::id::SessionId;
use crate::json::Json;
use crate::message::Message;
use crate::server::{Activity, Command, Delivery, Input, RemovedReason, SessionView, Timing};
use crate::transport::Transport;

/// A handle on one session. It does not keep the session alive: what is done to a session that is
/// gone has no effect, and says so.
#[derive(Clone)]
pub struct Session {
    bayeux: Bayeux,
    id: SessionId,
    /// The attributes of a session that is gone, for those who are told of its end.
    kept: Option<Attributes>,
}

impl Session {
    pub(super) fn new(bayeux: Bayeux, id: SessionId, kept: Option<Attributes>) -> Self {
        Self { bayeux, id, kept }
    }

    /// The session's id. It is a credential: show it to nobody but the session's own client.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The server that the session belongs to.
    pub fn bayeux(&self) -> &Bayeux {
        &self.bayeux
    }

    /// Whether the session still exists.
    pub fn exists(&self) -> bool {
        self.look(|_| ()).is_some()
    }

    /// Whether there was a connect since the handshake.
    pub fn is_connected(&self) -> bool {
        self.look(|view| view.is_connected()).unwrap_or_default()
    }

    /// The transport of its last message.
    pub fn transport(&self) -> Option<Transport> {
        self.look(|view| view.transport())
    }

    /// Whether its events stay queued until its client has acknowledged them.
    pub fn is_acknowledged(&self) -> bool {
        self.look(|view| view.is_acknowledged()).unwrap_or_default()
    }

    /// The network's delay in one direction, as its client has computed it with timesync.
    pub fn lag(&self) -> Option<core::time::Duration> {
        self.look(|view| view.lag()).flatten()
    }

    /// What it subscribes to, sorted by name.
    pub fn subscriptions(&self) -> Vec<Pattern> {
        self.look(|view| view.subscriptions()).unwrap_or_default()
    }

    /// How many events it is owed.
    pub fn queue_messages(&self) -> usize {
        self.look(|view| view.queue_messages()).unwrap_or_default()
    }

    /// What these events cost, in bytes.
    pub fn queue_bytes(&self) -> usize {
        self.look(|view| view.queue_bytes()).unwrap_or_default()
    }

    fn look<T>(&self, look: impl FnOnce(SessionView<'_>) -> T) -> Option<T> {
        self.bayeux.with_server(|server| server.session(self.id).map(look))
    }

    /// Queues `data` for this session alone, whether it subscribes to `channel` or not.
    ///
    /// # Errors
    ///
    /// When the session is gone, `channel` is no channel name or a meta channel, `data` has no JSON
    /// form, or an extension deleted the message.
    pub fn deliver<T: Serialize + ?Sized>(&self, channel: &str, data: &T) -> Result<(), Error> {
        let message = Message::new(ChannelName::parse(channel)?, Json::new(data)?);
        self.deliver_message(message)
    }

    /// Queues a message for this session alone, unless an extension of the server deletes it.
    ///
    /// # Errors
    ///
    /// When the session is gone, the message is on a meta channel, or an extension deleted it.
    pub fn deliver_message(&self, message: impl Into<Arc<Message>>) -> Result<(), Error> {
        let mut message = message.into();
        if message.channel().kind() == ChannelKind::Meta {
            return Err(Error::MetaChannel);
        }
        let passage = self.bayeux.lock().passage(&self.bayeux, Some(self.id));
        if let Some(passage) = passage {
            if !passage.deliver(&mut message, &*self.bayeux.shared.runtime) {
                return Err(Error::Vetoed);
            }
        }
        self.command(Command::Deliver { session: self.id, message })
    }

    /// Ends the session. Its client is told with the next response that it gets, after what was
    /// delivered before.
    ///
    /// # Errors
    ///
    /// When the session is gone already.
    pub fn disconnect(&self) -> Result<(), Error> {
        self.command(Command::Disconnect { session: self.id })
    }

    /// Holds the session's events back while `deliveries` runs, so that they leave together.
    ///
    /// # Errors
    ///
    /// When the session is gone; then `deliveries` does not run.
    pub fn batch<T>(&self, deliveries: impl FnOnce() -> T) -> Result<T, Error> {
        let batch = self.begin_batch()?;
        let result = deliveries();
        drop(batch);
        Ok(result)
    }

    /// Holds the session's events back until the batch is dropped. Batches nest.
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn begin_batch(&self) -> Result<Batch, Error> {
        self.command(Command::BeginBatch { session: self.id })?;
        Ok(Batch { session: self.clone() })
    }

    /// Subscribes the session, without asking rules or policy. On a service channel this does
    /// nothing, as for clients.
    ///
    /// # Errors
    ///
    /// When the session is gone, or `pattern` is no channel name or wildcard, or a meta channel.
    pub fn subscribe(&self, pattern: &str) -> Result<(), Error> {
        let pattern = Pattern::parse(pattern)?;
        if pattern.kind() == ChannelKind::Meta {
            return Err(Error::MetaChannel);
        }
        self.command(Command::Subscribe { session: self.id, pattern })
    }

    /// Ends a subscription of the session.
    ///
    /// # Errors
    ///
    /// When the session is gone, or `pattern` is no channel name or wildcard.
    pub fn unsubscribe(&self, pattern: &str) -> Result<(), Error> {
        let pattern = Pattern::parse(pattern)?;
        self.command(Command::Unsubscribe { session: self.id, pattern })
    }

    /// Changes the session's times. Its client is told with the next connect reply.
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn set_timing(&self, timing: Timing) -> Result<(), Error> {
        self.command(Command::SetTiming { session: self.id, timing })
    }

    /// Sets whether events travel only with connect replies, so that their order is total.
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn set_meta_connect_deliver_only(&self, connect_only: bool) -> Result<(), Error> {
        let delivery = Delivery::new().connect_only(connect_only);
        self.command(Command::SetDelivery { session: self.id, delivery })
    }

    /// Sets whether the session gets its own messages.
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn set_broadcast_to_publisher(&self, broadcast: bool) -> Result<(), Error> {
        let delivery = Delivery::new().broadcast_to_publisher(broadcast);
        self.command(Command::SetDelivery { session: self.id, delivery })
    }

    /// Sets what happens when the session's queue is full, whatever the channels say. What was
    /// dropped is told as [`Event::EventsDropped`](crate::Event::EventsDropped).
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn set_overflow(&self, overflow: Overflow) -> Result<(), Error> {
        let delivery = Delivery::new().overflow(overflow);
        self.command(Command::SetDelivery { session: self.id, delivery })
    }

    /// Ends the session when it is not used for so long, counted from now; `None`: never. Its client
    /// is told as with [`Session::disconnect`]. (CometD's activity extension, which looks at the next
    /// connect only.)
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn set_activity(&self, activity: impl Into<Option<Activity>>) -> Result<(), Error> {
        let activity = activity.into();
        self.command(Command::SetActivity { session: self.id, activity })
    }

    /// Adds an extension that sees the session's messages only.
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn add_extension(&self, extension: impl Extension) -> Result<ExtensionId, Error> {
        self.bayeux.shape(self.id, |state| state.add_extension(Some(self.id), Arc::new(extension)))
    }

    /// Removes an extension of the session. Whether it was there.
    pub fn remove_extension(&self, id: ExtensionId) -> bool {
        self.bayeux.turn_with(|state, after| {
            let Some(shaping) = state.notes.shaping.get_mut(&self.id) else { return false };
            let Some(extension) = shaping.extensions.remove(id.0) else { return false };
            after.leftovers.push(Leftover::Extension(extension));
            let incoming = shaping.extensions.receiving().next().is_some();
            let command = Command::ExtendSession { session: self.id, incoming };
            state.turn(&self.bayeux, self.bayeux.now(), Input::Command(command), after);
            true
        })
    }

    /// Calls `hook` with the session's events whenever some are about to leave; it may remove,
    /// reorder and replace them. It runs on the task of the connection and must not block.
    /// (CometD's `DeQueueListener`. With acknowledged messages events that are sent again come here
    /// again.)
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn on_dequeue<H>(&self, hook: H) -> Result<HandlerId, Error>
    where
        H: Fn(&Self, &mut Vec<Arc<Message>>) + Send + Sync + 'static,
    {
        self.bayeux.shape(self.id, |state| {
            let number = state.next_number();
            let shaping = state.notes.shaping.entry(self.id).or_default();
            shaping.hooks.add(number, Arc::new(hook));
            HandlerId(number)
        })
    }

    /// Remembers a value with the session, replacing one of the same name.
    ///
    /// # Errors
    ///
    /// When the session is gone.
    pub fn set_attribute<T>(&self, name: &str, value: T) -> Result<(), Error>
    where
        T: core::any::Any + Send + Sync,
    {
        self.attributes(true).ok_or(Error::SessionGone)?.set(name, value);
        Ok(())
    }

    /// A value that was remembered with the session.
    pub fn attribute<T: core::any::Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        self.attributes(false)?.get(name)
    }

    /// Forgets a value. Whether there was one.
    pub fn remove_attribute(&self, name: &str) -> bool {
        self.attributes(false).is_some_and(|attributes| attributes.remove(name))
    }

    fn attributes(&self, make: bool) -> Option<Attributes> {
        self.kept.clone().or_else(|| self.bayeux.attributes_of(self.id, make))
    }

    /// Calls `handler` when the session is gone, with the reason.
    ///
    /// # Errors
    ///
    /// When it is gone already.
    pub fn on_removed<H, F>(&self, handler: H) -> Result<HandlerId, Error>
    where
        H: FnOnce(Self, RemovedReason) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let handler: RemovedHandler = alloc::boxed::Box::new(move |session, reason| {
            alloc::boxed::Box::pin(handler(session, reason))
        });
        self.bayeux.add_removed_handler(self.id, handler)
    }

    /// Removes what [`Session::on_dequeue`] or [`Session::on_removed`] has added. Whether it was
    /// there.
    pub fn remove_handler(&self, id: HandlerId) -> bool {
        self.bayeux.turn_with(|state, after| {
            let hooks = state.notes.shaping.get_mut(&self.id).map(|it| &mut it.hooks);
            let hook = hooks.and_then(|hooks| hooks.remove(id.0));
            let handlers = state.notes.on_removed.get_mut(&self.id);
            let handler = handlers.and_then(|handlers| handlers.remove(id.0));
            let was_there = hook.is_some() || handler.is_some();
            after.leftovers.extend(hook, Leftover::Hook);
            after.leftovers.extend(handler, Leftover::RemovedHandler);
            was_there
        })
    }

    /// Gives a command about this session, if it is there.
    fn command(&self, command: Command) -> Result<(), Error> {
        self.bayeux.turn_if(|server| server.session(self.id).is_some(), Input::Command(command))
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Session {}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// Holds a session's events back until it is dropped.
#[derive(Debug)]
#[must_use = "a batch ends when it is dropped"]
pub struct Batch {
    session: Session,
}

impl Drop for Batch {
    fn drop(&mut self) {
        if self.session.bayeux.lock_in_drop().is_none() {
            return;
        }
        // If the session is gone, so is its batch.
        let _ = self.session.command(Command::EndBatch { session: self.session.id });
    }
}

/// What the front remembers about sessions beside what the machine does. Sessions that
/// never had attributes, handlers or extensions are in none of the maps.
#[derive(Default)]
pub(super) struct SessionNotes {
    pub(super) attributes: BTreeMap<SessionId, Attributes>,
    pub(super) on_removed: BTreeMap<SessionId, Registered<RemovedHandler>>,
    pub(super) shaping: BTreeMap<SessionId, Shaping>,
    pub(super) spans: Spans,
    /// The attributes of sessions that are gone for the application, while something of them is left.
    pub(super) ended: BTreeMap<SessionId, Attributes>,
}

/// What the application does with the messages of one session.
#[derive(Default)]
pub(super) struct Shaping {
    pub(super) extensions: Extensions,
    pub(super) hooks: Registered<DequeueHook>,
}

impl Shaping {
    /// Whether anything is done with what leaves.
    pub(super) fn looks_at_parcels(&self) -> bool {
        !self.hooks.is_empty() || self.extensions.sending().next().is_some()
    }
}
