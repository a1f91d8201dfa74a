//! [`Channel`]: the application's handle on a channel or wildcard.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;

use serde::Serialize;

use super::Bayeux;
use super::authorizer::{Authorizer, AuthorizerId};
use super::error::Error;
use super::listener::{Incoming, IntoFlow, ListenerId};
use super::session::Session;
use crate::channel::{ChannelKind, ChannelName, ChannelSettings, NameError, Pattern};
use crate::json::Json;
use crate::message::{Message, MessageParts};
use crate::server::Command;

/// A handle on a channel or wildcard. It does not keep the channel alive: a channel without
/// subscribers and listeners is swept unless it is persistent, and made again when it is needed.
#[derive(Clone)]
pub struct Channel {
    bayeux: Bayeux,
    pattern: Pattern,
}

impl Channel {
    pub(super) fn new(bayeux: Bayeux, pattern: Pattern) -> Self {
        Self { bayeux, pattern }
    }

    /// The channel's name, or the wildcard.
    pub fn name(&self) -> &str {
        self.pattern.as_str()
    }

    /// Sets all of the channel's settings.
    pub fn configure(&self, settings: ChannelSettings) {
        let pattern = self.pattern.clone();
        self.bayeux.command(Command::ConfigureChannel { pattern, settings });
    }

    /// The channel's settings; the default ones if the channel does not exist.
    pub fn settings(&self) -> ChannelSettings {
        let settings = |server: &crate::Server| {
            server.channel(&self.pattern).map(|channel| channel.settings().clone())
        };
        self.bayeux.with_server(settings).unwrap_or_default()
    }

    /// Whether the channel exists.
    pub fn exists(&self) -> bool {
        self.bayeux.with_server(|server| server.channel(&self.pattern).is_some())
    }

    /// How many sessions subscribe to exactly this.
    pub fn subscriber_count(&self) -> usize {
        self.bayeux.with_server(|server| {
            server.channel(&self.pattern).map_or(0, |channel| channel.subscriber_count())
        })
    }

    /// Who subscribes to exactly this.
    pub fn subscribers(&self) -> Vec<Session> {
        let ids: Vec<_> = self.bayeux.with_server(|server| {
            server.channel(&self.pattern).map(|it| it.subscribers().collect()).unwrap_or_default()
        });
        ids.into_iter().map(|id| Session::new(self.bayeux.clone(), id, None)).collect()
    }

    /// Calls `listener` for each message on the channel, before its subscribers get it. It may
    /// veto the message or replace its data (see [`Flow`](super::Flow)).
    ///
    /// Listeners run from the wildcards nearest the root to the channel itself, on one channel in
    /// the order of their registration, one after another. What they await keeps only the sender's
    /// payload waiting. One that fails or panics is reported and counts as "continue". One
    /// that takes longer than `question_timeout` (which [`Stats`](crate::Stats) counts) is dropped, and
    /// the message is deleted: what those behind it would say is not known. What takes longer belongs
    /// into a task of its own.
    ///
    /// A listener on `/**` also sees messages on service and meta channels, as on CometD's servers.
    pub fn on_message<L, F>(&self, listener: L) -> ListenerId
    where
        L: Fn(Incoming) -> F + Send + Sync + 'static,
        F: Future<Output: IntoFlow> + Send + 'static,
    {
        self.bayeux.add_listener(self.pattern.clone(), super::listener::boxed(listener))
    }

    /// Adds an authorizer for what sessions do with this channel, or with all channels below this
    /// wildcard. It keeps the channel.
    pub fn add_authorizer(&self, authorizer: impl Authorizer) -> AuthorizerId {
        self.bayeux.add_authorizer(self.pattern.clone(), Arc::new(authorizer))
    }

    /// Removes an authorizer. Whether it was there.
    pub fn remove_authorizer(&self, id: &AuthorizerId) -> bool {
        self.bayeux.remove_authorizer(id)
    }

    /// Publishes `data` to the channel's subscribers, or to the listeners of a service channel.
    /// Returns when the listeners have seen it.
    ///
    /// The message is on its way when this is first polled; dropping the future later changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// When this is a wildcard or a meta channel, `data` has no JSON form, or a listener vetoed
    /// the message.
    pub async fn publish<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), Error> {
        self.publish_parts(None, &MessageParts::data(Json::new(data)?)).await
    }

    /// The same in the name of a session, which gets no copy where `broadcast_to_publisher` is
    /// off.
    ///
    /// # Errors
    ///
    /// As for [`Channel::publish`].
    pub async fn publish_from<T: Serialize + ?Sized>(
        &self,
        session: &Session,
        data: &T,
    ) -> Result<(), Error> {
        self.publish_parts(Some(session), &MessageParts::data(Json::new(data)?)).await
    }

    /// Publishes a message with all its parts: extension data, laziness.
    ///
    /// # Errors
    ///
    /// As for [`Channel::publish`].
    pub async fn publish_parts(
        &self,
        from: Option<&Session>,
        parts: &MessageParts,
    ) -> Result<(), Error> {
        if self.pattern.is_wild() {
            return Err(NameError::Wildcard.into());
        }
        if self.pattern.kind() == ChannelKind::Meta {
            return Err(Error::MetaChannel);
        }
        let name = ChannelName::parse(self.pattern.as_str())?;
        let message = Arc::new(Message::with(name, parts));
        self.bayeux.publish_message(message, from.map(Session::id)).await
    }

    /// Removes the channel with its subscriptions, settings, listeners and authorizers. Channels below it stay.
    pub fn remove(&self) {
        self.bayeux.remove_channel(&self.pattern);
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pattern.fmt(f)
    }
}
