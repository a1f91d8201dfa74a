//! Message listeners: the application sees messages before their subscribers do.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::Context;
use super::error::Error;
use super::guard::Handling;
use super::registered::ByPattern;
use super::session::Session;
use crate::channel::{ChannelName, Pattern};
use crate::json::Json;
use crate::message::{Message, MessageParts};

/// A message that a listener sees, and where it came from.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub(super) message: Arc<Message>,
    pub(super) session: Option<Session>,
    pub(super) context: Option<Arc<Context>>,
}

impl Incoming {
    /// The message, as earlier listeners left it.
    pub fn message(&self) -> &Arc<Message> {
        &self.message
    }

    /// The channel that it was published on; for a listener on a wildcard, not the wildcard.
    pub fn channel(&self) -> &ChannelName {
        self.message.channel()
    }

    /// The message's data.
    ///
    /// # Errors
    ///
    /// When it does not have the shape of `T`.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        Ok(self.message.data().read()?)
    }

    /// The message's data as it came.
    pub fn raw_data(&self) -> Json {
        self.message.data()
    }

    /// The session that sent it; `None` for the application's own messages.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The session that sent it.
    ///
    /// # Errors
    ///
    /// [`Error::SessionGone`] when nobody did: for listeners on service channels, where only
    /// sessions send.
    pub fn sender(&self) -> Result<&Session, Error> {
        self.session.as_ref().ok_or(Error::SessionGone)
    }

    /// The request that carried it; `None` for the application's own messages, or when the client
    /// is gone.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_deref()
    }

    /// Delivers `data` to the sender, on the same channel and with the message's id: the result of
    /// a remote call of `cometd.js`.
    ///
    /// # Errors
    ///
    /// When there is no sender, its session is gone, or the data has no JSON form.
    pub fn reply<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), Error> {
        self.reply_parts(MessageParts::data(Json::new(data)?))
    }

    /// The same for a call that failed.
    ///
    /// # Errors
    ///
    /// As for [`Incoming::reply`].
    pub fn reply_failure<T: Serialize + ?Sized>(&self, data: &T) -> Result<(), Error> {
        let parts = MessageParts::data(Json::new(data)?);
        let failed = self.message.id().is_some();
        self.reply_parts(if failed { parts.successful(false) } else { parts })
    }

    /// Delivers a message with these parts to the sender, on the same channel and with the message's
    /// id.
    ///
    /// # Errors
    ///
    /// When there is no sender, or its session is gone.
    pub fn reply_parts(&self, parts: MessageParts) -> Result<(), Error> {
        let id = self.message.id();
        let parts = match (&id, parts.successful) {
            (Some(_), None) => parts.id(id).successful(true),
            (Some(_), Some(_)) => parts.id(id),
            (None, _) => parts,
        };
        self.sender()?.deliver_message(Message::with(self.channel().clone(), &parts))
    }
}

/// What a listener wants done with a message.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Flow {
    /// Go on.
    #[default]
    Continue,
    /// Nobody gets it; its sender is told `404::message_deleted`.
    Veto,
    /// Go on with other data.
    Replace(Json),
}

impl Flow {
    /// Goes on with other data.
    ///
    /// # Errors
    ///
    /// When `data` has no JSON form.
    pub fn replace<T: Serialize + ?Sized>(data: &T) -> Result<Self, Error> {
        Ok(Self::Replace(Json::new(data)?))
    }
}

/// What a listener may return: nothing or a [`Flow`], or one of these in a `Result`. An error is
/// reported and counts as [`Flow::Continue`].
pub trait IntoFlow: Send {
    /// The flow, or the text of the error.
    fn into_flow(self) -> Result<Flow, String>;
}

impl IntoFlow for () {
    fn into_flow(self) -> Result<Flow, String> {
        Ok(Flow::Continue)
    }
}

impl IntoFlow for Flow {
    fn into_flow(self) -> Result<Flow, String> {
        Ok(self)
    }
}

impl<T: IntoFlow, E: fmt::Display + Send> IntoFlow for Result<T, E> {
    fn into_flow(self) -> Result<Flow, String> {
        match self {
            Ok(flow) => flow.into_flow(),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// A listener behind a pointer.
pub(super) type AnyListener = Arc<dyn Fn(Incoming) -> Handling<Result<Flow, String>> + Send + Sync>;

pub(super) fn boxed<L, F>(listener: L) -> AnyListener
where
    L: Fn(Incoming) -> F + Send + Sync + 'static,
    F: Future<Output: IntoFlow> + Send + 'static,
{
    Arc::new(move |incoming| {
        let future = listener(incoming);
        Box::pin(async move { future.await.into_flow() })
    })
}

/// Which listener; for removing it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerId {
    pub(super) pattern: Pattern,
    pub(super) number: u64,
}

/// The listeners by the channel or wildcard that they listen on.
pub(super) type Listeners = ByPattern<AnyListener>;
