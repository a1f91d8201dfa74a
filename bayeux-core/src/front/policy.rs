//! [`Policy`]: the application's four decisions.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, ready};

use super::attributes::Attributes;
use super::context::Context;
use super::guard::Handling;
use super::session::Session;
use crate::channel::Pattern;
use crate::json::Json;
use crate::message::Message;
use crate::server::{Operation, Verdict};

/// Who may do what: CometD's `SecurityPolicy`.
///
/// Each method may take its time: only the payload that asks waits, and what it answers is awaited
/// to the end even if the client goes away. A policy that panics, or takes longer than
/// `question_timeout`, denies. Only clients are asked about; what the application itself does is
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
    /// What the session will remember if it is allowed.
    pub attributes: Attributes,
}

impl HandshakeRequest {
    /// What the client says about itself; a missing `ext` reads as `null`.
    ///
    /// # Errors
    ///
    /// When it does not have the shape of `T`.
    pub fn ext<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.raw_ext.as_ref().unwrap_or(&Json::NULL).read()
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
