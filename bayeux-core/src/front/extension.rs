//! [`Extension`]: the application sees every message, and may change or delete it.
//!
//! CometD's order: what comes in goes through the server's extensions in the order of their
//! registration, then through those of its session; what goes out goes through them in the reverse
//! order of registration, the server's first. A published message goes through the server's
//! extensions once, after its listeners; then for each subscriber through those of its session, when
//! it is about to leave. A message that is delivered to one session, and a reply, go through both.
//!
//! Without extensions nothing of this costs anything: no message is copied, no question asked.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::future::{Future, ready};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::context::Context;
use super::error::Error;
use super::guard::Handling;
use super::registered::Registered;
use super::session::Session;
use crate::channel::Pattern;
use crate::json::Json;
use crate::message::{Message, Reply, ReplyChannel, Request, RequestKind, Verb};

/// Sees messages on their way in and out.
///
/// ```
/// use bayeux_core::front::{ClientMessage, Extension, ServerMessage};
///
/// /// Notes when each message was received and sent.
/// struct Traced;
///
/// impl Extension for Traced {
///     async fn incoming(&self, message: ClientMessage) -> Option<ClientMessage> {
///         // Something may be awaited here; only this client's messages wait for it.
///         let known = message.session().is_some();
///         (known || message.verb().is_some()).then_some(message)
///     }
///
///     fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
///         message.set_member("traced", &true).is_ok()
///     }
/// }
/// ```
pub trait Extension: Send + Sync + 'static {
    /// Whether [`Extension::incoming`] does anything. Where no extension wants to see what comes in,
    /// no message waits to be seen.
    const INCOMING: bool = true;
    /// Whether [`Extension::outgoing`] does anything.
    const OUTGOING: bool = true;

    /// A client's message, before anything is done with it. The future gives it back, perhaps
    /// changed, or `None` to delete it: then the client is told `404::message_deleted`. An extension
    /// that panics, or takes longer than `question_timeout`, has deleted it: what was to be checked
    /// was not.
    fn incoming(
        &self,
        message: ClientMessage,
    ) -> impl Future<Output = Option<ClientMessage>> + Send {
        ready(Some(message))
    }

    /// A message to a client, or (without [`ServerMessage::session`]) to all subscribers of a
    /// channel. Whether it goes on; a publish that does not is answered with
    /// `404::message_deleted`. It runs where the message is sent, and must not block. One that
    /// panics counts as "it goes on".
    ///
    /// An event that is sent again, because its connection was lost, comes here again.
    fn outgoing(&self, message: &mut ServerMessage<'_>) -> bool {
        let _ = message;
        true
    }
}

/// A message from a client, as an extension sees it.
#[derive(Clone, Debug)]
pub struct ClientMessage {
    pub(super) request: Request,
    pub(super) id: Option<Json>,
    pub(super) session: Option<Session>,
    pub(super) context: Option<Arc<Context>>,
}

impl ClientMessage {
    /// The meta channel that it was sent to; `None` if it is to be published.
    pub fn verb(&self) -> Option<Verb> {
        self.request.verb()
    }

    /// The channel that it was sent to.
    pub fn channel(&self) -> &str {
        match (&self.request.kind, self.verb()) {
            (RequestKind::Publish { message, .. }, _) => message.channel().as_str(),
            (_, Some(verb)) => verb.channel(),
            (_, None) => "",
        }
    }

    /// What a subscribe or unsubscribe names.
    pub fn subscription(&self) -> &[Pattern] {
        match &self.request.kind {
            RequestKind::Subscribe(it) | RequestKind::Unsubscribe(it) => {
                it.patterns.as_deref().unwrap_or_default()
            }
            RequestKind::Handshake { .. }
            | RequestKind::Connect { .. }
            | RequestKind::Disconnect
            | RequestKind::Publish { .. }
            | RequestKind::Faulty { .. } => &[],
        }
    }

    /// The client's id for it, as it came.
    pub fn id(&self) -> Option<&Json> {
        self.id.as_ref()
    }

    /// The session that sent it; `None` for a handshake, and if it is not known.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The request that carries it; `None` if its client is gone.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_deref()
    }

    /// Its extension data; a missing `ext` reads as `null`.
    ///
    /// # Errors
    ///
    /// When it does not have the shape of `T`.
    pub fn ext<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(self.request.ext.as_ref().unwrap_or(&Json::NULL).read()?)
    }

    /// Replaces its extension data. The built-in extensions see the new one.
    ///
    /// # Errors
    ///
    /// When `ext` has no JSON form, or is no object.
    pub fn set_ext<T: Serialize + ?Sized>(&mut self, ext: &T) -> Result<(), Error> {
        let ext = object(ext)?;
        if let RequestKind::Publish { message, .. } = &mut self.request.kind {
            *message = Arc::new(message.replace_ext(&ext));
        }
        self.request.ext = Some(ext);
        self.request.read_extensions();
        Ok(())
    }

    /// The data that it is to publish; `null` if there is none.
    ///
    /// # Errors
    ///
    /// When it does not have the shape of `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(self.raw_data().read()?)
    }

    /// The data that it is to publish, as it came.
    pub fn raw_data(&self) -> Json {
        self.published().map_or(Json::NULL, |message| message.data())
    }

    /// Replaces the data that it is to publish. Meta messages have none.
    ///
    /// # Errors
    ///
    /// When `data` has no JSON form.
    pub fn set_data<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<(), Error> {
        let data = Json::new(data)?;
        if let RequestKind::Publish { message, .. } = &mut self.request.kind {
            *message = Arc::new(message.replace_data(&data));
        }
        Ok(())
    }

    fn published(&self) -> Option<&Message> {
        match &self.request.kind {
            RequestKind::Publish { message, .. } => Some(message),
            RequestKind::Handshake { .. }
            | RequestKind::Connect { .. }
            | RequestKind::Subscribe(_)
            | RequestKind::Unsubscribe(_)
            | RequestKind::Disconnect
            | RequestKind::Faulty { .. } => None,
        }
    }
}

/// A message from the server, as an extension sees it: an event or a reply.
#[derive(Debug)]
pub struct ServerMessage<'a> {
    pub(super) content: Content<'a>,
    pub(super) session: Option<&'a Session>,
}

#[derive(Debug)]
pub(super) enum Content<'a> {
    Event(&'a mut Arc<Message>),
    Reply(&'a mut Reply),
}

impl ServerMessage<'_> {
    /// The session that gets it; `None` for a publish that goes to all subscribers.
    pub fn session(&self) -> Option<&Session> {
        self.session
    }

    /// Its channel.
    pub fn channel(&self) -> String {
        match &self.content {
            Content::Event(event) => event.channel().to_string(),
            Content::Reply(reply) => match &reply.channel {
                ReplyChannel::Meta(verb) => verb.channel().to_string(),
                ReplyChannel::Echo(name) => name.read().unwrap_or_default(),
                ReplyChannel::Missing => String::new(),
            },
        }
    }

    /// The reply, if it is one.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.content {
            Content::Reply(reply) => Some(reply),
            Content::Event(_) => None,
        }
    }

    /// The event, if it is one.
    pub fn event(&self) -> Option<&Arc<Message>> {
        match &self.content {
            Content::Event(event) => Some(event),
            Content::Reply(_) => None,
        }
    }

    /// Replaces an event's data. Replies have none.
    ///
    /// # Errors
    ///
    /// When `data` has no JSON form.
    pub fn set_data<T: Serialize + ?Sized>(&mut self, data: &T) -> Result<(), Error> {
        let data = Json::new(data)?;
        if let Content::Event(event) = &mut self.content {
            **event = Arc::new(event.replace_data(&data));
        }
        Ok(())
    }

    /// Its extension data, without what the built-in extensions add; a missing `ext` reads as
    /// `null`.
    ///
    /// # Errors
    ///
    /// When it does not have the shape of `T`.
    pub fn ext<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let ext = match &self.content {
            Content::Event(event) => event.ext(),
            Content::Reply(reply) => reply.details().ext.clone(),
        };
        Ok(ext.unwrap_or(Json::NULL).read()?)
    }

    /// Replaces its extension data; what the built-in extensions add stays.
    ///
    /// # Errors
    ///
    /// When `ext` has no JSON form, or is no object.
    pub fn set_ext<T: Serialize + ?Sized>(&mut self, ext: &T) -> Result<(), Error> {
        let ext = object(ext)?;
        match &mut self.content {
            Content::Event(event) => **event = Arc::new(event.replace_ext(&ext)),
            Content::Reply(reply) => reply.details_mut().ext = Some(ext),
        }
        Ok(())
    }

    /// Adds a member to the message itself, beside `channel` and `data`.
    ///
    /// # Errors
    ///
    /// When `value` has no JSON form, or `name` is one of Bayeux's own.
    pub fn set_member<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
    ) -> Result<(), Error> {
        if MEMBERS.contains(&name) {
            return Err(Error::ReservedMember);
        }
        let value = Json::new(value)?;
        match &mut self.content {
            Content::Event(event) => **event = Arc::new(event.with_member(name, &value)),
            Content::Reply(reply) => {
                let mut members: BTreeMap<String, Box<RawValue>> = match &reply.details().members {
                    Some(members) => members.read()?,
                    None => BTreeMap::new(),
                };
                members.insert(name.to_string(), RawValue::from_string(value.to_string())?);
                reply.details_mut().members = Some(Json::new(&members)?);
            }
        }
        Ok(())
    }
}

/// The members of messages that mean something to clients.
const MEMBERS: [&str; 16] = [
    "advice",
    "channel",
    "clientId",
    "connectionType",
    "data",
    "error",
    "ext",
    "id",
    "minimumVersion",
    "reestablish",
    "subscription",
    "successful",
    "supportedConnectionTypes",
    "timestamp",
    "version",
    "x-messages",
];

/// Extension data is always an object.
pub(super) fn object<T: Serialize + ?Sized>(value: &T) -> Result<Json, Error> {
    let json = Json::new(value)?;
    if json.as_bytes().starts_with(b"{") { Ok(json) } else { Err(Error::NoObject) }
}

/// An extension behind a pointer.
pub(super) trait AnyExtension: Send + Sync {
    fn receives(&self) -> bool;
    fn sends(&self) -> bool;
    fn receive(self: Arc<Self>, message: ClientMessage) -> Handling<Option<ClientMessage>>;
    fn send(&self, message: &mut ServerMessage<'_>) -> bool;
}

impl<E: Extension> AnyExtension for E {
    fn receives(&self) -> bool {
        E::INCOMING
    }

    fn sends(&self) -> bool {
        E::OUTGOING
    }

    fn receive(self: Arc<Self>, message: ClientMessage) -> Handling<Option<ClientMessage>> {
        Box::pin(async move { self.incoming(message).await })
    }

    fn send(&self, message: &mut ServerMessage<'_>) -> bool {
        self.outgoing(message)
    }
}

/// Which extension of the server, or of a session; for removing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtensionId(pub(super) u64);

/// Extensions in the order of their registration.
pub(super) type Extensions = Registered<Arc<dyn AnyExtension>>;

impl Extensions {
    /// Those that see what comes in, in the order in which they do.
    pub(super) fn receiving(&self) -> impl Iterator<Item = &Arc<dyn AnyExtension>> {
        self.iter().filter(|it| it.receives())
    }

    /// Those that see what goes out, in the order in which they do.
    pub(super) fn sending(&self) -> impl Iterator<Item = &Arc<dyn AnyExtension>> {
        self.iter().rev().filter(|it| it.sends())
    }
}
