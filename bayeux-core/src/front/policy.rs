//! [`Policy`]: the application's four decisions.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, ready};
use core::{fmt, mem};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::attributes::Attributes;
use super::context::Context;
use super::error::Error;
use super::extension::{AnyExtension, Extension};
use super::guard::Handling;
use super::session::Session;
use crate::channel::{ChannelKind, ChannelName, Pattern};
use crate::json::Json;
use crate::message::Message;
use crate::server::{Activity, Delivery, Operation, Setup, Timing, Verdict};

/// Who may do what: CometD's `SecurityPolicy`.
///
/// Each method may take its time: only the payload that asks waits, and what it answers is awaited
/// to the end even if the client goes away. A policy that panics, or takes longer than
/// `question_timeout` and is dropped then, denies. Only clients are asked about; what the application itself does is
/// always allowed.
///
/// ```
/// use bayeux_core::{Denial, Verdict};
/// use bayeux_core::front::{HandshakeRequest, Policy};
///
/// struct OnlyWithToken;
///
/// impl Policy for OnlyWithToken {
///     async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
///         match request.ext::<serde_json::Value>() {
///             Ok(ext) if ext["token"] == "secret" => Verdict::Allow,
///             _ => Denial::because("token").into(),
///         }
///     }
/// }
/// ```
pub trait Policy: Send + Sync + 'static {
    /// May this client have a session? By default: yes.
    fn can_handshake(&self, request: HandshakeRequest) -> impl Future<Output = Verdict> + Send {
        let _ = request;
        ready(Verdict::Allow)
    }

    /// May this channel be created for the sake of this session's message? By default: yes.
    fn can_create(&self, request: CreateRequest) -> impl Future<Output = Verdict> + Send {
        let _ = request;
        ready(Verdict::Allow)
    }

    /// May this session subscribe? By default: yes.
    fn can_subscribe(&self, request: SubscribeRequest) -> impl Future<Output = Verdict> + Send {
        let _ = request;
        ready(Verdict::Allow)
    }

    /// May this session publish? By default: yes.
    fn can_publish(&self, request: PublishRequest) -> impl Future<Output = Verdict> + Send {
        let _ = request;
        ready(Verdict::Allow)
    }
}

/// A client wants a session.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandshakeRequest {
    /// What the client says about itself, as it came.
    pub raw_ext: Option<Json>,
    /// The request that carries the handshake; `None` if its client is gone.
    pub context: Option<Arc<Context>>,
    /// How the session begins if it is allowed.
    pub session: NewSession,
}

impl HandshakeRequest {
    /// What the client says about itself; a missing `ext` reads as `null`.
    ///
    /// # Errors
    ///
    /// When it does not have the shape of `T`.
    pub fn ext<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(self.raw_ext.as_ref().unwrap_or(&Json::NULL).read()?)
    }
}

/// How a session begins if its handshake is allowed: what is set here holds before anybody can see
/// the session. Cheap to clone; clones are the same. Once the policy has decided, only
/// [`NewSession::attributes`] is still the session's; what is set otherwise comes too late.
#[derive(Clone, Default)]
pub struct NewSession {
    attributes: Attributes,
    started: Arc<Mutex<Start>>,
}

#[derive(Default)]
struct Start {
    setup: Setup,
    extensions: Vec<Arc<dyn AnyExtension>>,
}

impl NewSession {
    /// Remembers a value with the session.
    pub fn set_attribute<T: core::any::Any + Send + Sync>(&self, name: &str, value: T) {
        self.attributes.set(name, value);
    }

    /// What the session will remember.
    pub fn attributes(&self) -> Attributes {
        self.attributes.clone()
    }

    /// Sets the session's times.
    pub fn set_timing(&self, timing: Timing) {
        self.start().setup.timing = timing;
    }

    /// Sets how the session gets its events.
    pub fn set_delivery(&self, delivery: Delivery) {
        self.start().setup.delivery = delivery;
    }

    /// Ends the session when it is not used for so long; see
    /// [`Session::set_activity`](super::Session::set_activity).
    pub fn set_activity(&self, activity: Activity) {
        self.start().setup.activity = Some(activity);
    }

    /// Subscribes the session, without asking rules or policy. On a service channel this does
    /// nothing, as for clients: nothing is ever published there.
    ///
    /// # Errors
    ///
    /// When `pattern` is no channel name or wildcard, or a meta channel.
    pub fn subscribe(&self, pattern: &str) -> Result<(), Error> {
        let pattern = Pattern::parse(pattern)?;
        if pattern.kind() == ChannelKind::Meta {
            return Err(Error::MetaChannel);
        }
        self.start().setup.subscriptions.push(pattern);
        Ok(())
    }

    /// Queues `data` for the session. With `allow_message_delivery_during_handshake` it travels with
    /// the handshake's reply, else with the first connect's (over WebSocket right after the
    /// handshake's).
    ///
    /// # Errors
    ///
    /// When `channel` is no channel name or a meta channel, or `data` has no JSON form.
    pub fn deliver<T: serde::Serialize + ?Sized>(
        &self,
        channel: &str,
        data: &T,
    ) -> Result<(), Error> {
        self.deliver_message(Message::new(ChannelName::parse(channel)?, Json::new(data)?))
    }

    /// The same with a message that is there already, its `ext` included.
    ///
    /// # Errors
    ///
    /// When it is on a meta channel.
    pub fn deliver_message(&self, message: impl Into<Arc<Message>>) -> Result<(), Error> {
        let message = message.into();
        if message.channel().kind() == ChannelKind::Meta {
            return Err(Error::MetaChannel);
        }
        self.start().setup.messages.push(message);
        Ok(())
    }

    /// Adds an extension to the session.
    pub fn add_extension<E: Extension>(&self, extension: E) {
        let mut start = self.start();
        start.setup.extended |= E::INCOMING;
        start.extensions.push(Arc::new(extension));
    }

    pub(super) fn setup(&self) -> Setup {
        mem::take(&mut self.start().setup)
    }

    pub(super) fn take_extensions(&self) -> Vec<Arc<dyn AnyExtension>> {
        mem::take(&mut self.start().extensions)
    }

    /// Every operation is one assignment, so a panic elsewhere cannot leave it half done.
    fn start(&self) -> MutexGuard<'_, Start> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for NewSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSession").field("setup", &self.start().setup).finish_non_exhaustive()
    }
}

/// A session's message needs a channel that does not exist.
#[derive(Debug)]
#[non_exhaustive]
pub struct CreateRequest {
    /// The session.
    pub session: Session,
    /// The channel or wildcard.
    pub channel: Pattern,
    /// What it would be created for.
    pub operation: Operation,
    /// The request that carries the message; `None` if its client is gone.
    pub context: Option<Arc<Context>>,
}

/// A session wants to subscribe.
#[derive(Debug)]
#[non_exhaustive]
pub struct SubscribeRequest {
    /// The session.
    pub session: Session,
    /// The channel or wildcard.
    pub channel: Pattern,
    /// The message's extension data.
    pub ext: Option<Json>,
    /// The request that carries the message; `None` if its client is gone.
    pub context: Option<Arc<Context>>,
}

/// A session wants to publish.
#[derive(Debug)]
#[non_exhaustive]
pub struct PublishRequest {
    /// The session.
    pub session: Session,
    /// What it wants to publish.
    pub message: Arc<Message>,
    /// The request that carries the message; `None` if its client is gone.
    pub context: Option<Arc<Context>>,
}

/// A policy behind a pointer: its methods' futures are boxed.
pub(super) trait AnyPolicy: Send + Sync {
    fn handshake(self: Arc<Self>, request: HandshakeRequest) -> Handling<Verdict>;
    fn create(self: Arc<Self>, request: CreateRequest) -> Handling<Verdict>;
    fn subscribe(self: Arc<Self>, request: SubscribeRequest) -> Handling<Verdict>;
    fn publish(self: Arc<Self>, request: PublishRequest) -> Handling<Verdict>;
}

impl<P: Policy> AnyPolicy for P {
    fn handshake(self: Arc<Self>, request: HandshakeRequest) -> Handling<Verdict> {
        Box::pin(async move { self.can_handshake(request).await })
    }

    fn create(self: Arc<Self>, request: CreateRequest) -> Handling<Verdict> {
        Box::pin(async move { self.can_create(request).await })
    }

    fn subscribe(self: Arc<Self>, request: SubscribeRequest) -> Handling<Verdict> {
        Box::pin(async move { self.can_subscribe(request).await })
    }

    fn publish(self: Arc<Self>, request: PublishRequest) -> Handling<Verdict> {
        Box::pin(async move { self.can_publish(request).await })
    }
}
