//! Services: the application's side of `/service/…` channels, with typed data and parameters.
//!
//! [`Bayeux::service`] is [`Channel::on_message`](super::Channel::on_message) for those who know
//! what they are sent: the data is read before the handler runs, the variables of the template are
//! bound, the sender is there. What does not fit never reaches the handler.
//!
//! CometD's services are annotated methods of a class, found by reflection and run with a local
//! session of their own. What is left of that here is what the annotations were about: a template
//! and a function.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::future::{Future, ready};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Bayeux;
use super::context::Context;
use super::error::Error;
use super::guard::Handling;
use super::listener::{Flow, Incoming, IntoFlow, ListenerId};
use super::runtime::Report;
use super::session::Session;
use crate::channel::{ChannelKind, ChannelName, Params, Template};

impl Bayeux {
    /// Calls `handler` for each message that a session publishes on a channel of `template`, with
    /// its data read as a `T`.
    ///
    /// The template is a channel, a wildcard, or a name with variables, `/service/room/{name}` say,
    /// whose values the handler gets; see [`Template`]. The handler is a listener as for
    /// [`Channel::on_message`](super::Channel::on_message): it may take its time, for which only
    /// the sender's payload waits; an error or panic of it is reported and hurts nobody; on a
    /// broadcast channel it may veto the message or replace its data. What the application itself
    /// publishes is none of its business, unless it does so in the name of a session.
    ///
    /// Data that is no `T` is reported, and never seen by the handler. On a service channel the
    /// sender is told, if its message has an id, by the failure `{"message":"…"}` of a remote call.
    /// On a broadcast channel the message is vetoed: what the service cannot read it cannot judge,
    /// and subscribers rely on it.
    ///
    /// ```
    /// use bayeux_core::front::{Bayeux, Error, Flow, ServiceMessage};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Text {
    ///     text: String,
    /// }
    ///
    /// fn install(bayeux: &Bayeux) -> Result<(), Error> {
    ///     bayeux.service("/service/room/{name}", |message: ServiceMessage<Text>| async move {
    ///         let length = message.data.text.len();
    ///         message.reply(&format!("{} got {length} bytes", message.param("name")))
    ///     })?;
    ///     bayeux.service("/room/{name}", |message: ServiceMessage<Text>| async move {
    ///         if message.data.text.is_empty() { Flow::Veto } else { Flow::Continue }
    ///     })?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// When `template` is none, or is about meta channels.
    pub fn service<T, H, F>(&self, template: &str, handler: H) -> Result<ListenerId, Error>
    where
        T: DeserializeOwned,
        H: Fn(ServiceMessage<T>) -> F + Send + Sync + 'static,
        F: Future<Output: IntoFlow> + Send + 'static,
    {
        let template = Template::parse(template)?;
        if template.kind() == ChannelKind::Meta {
            return Err(Error::MetaChannel);
        }
        let pattern = template.pattern().clone();
        let serve = move |incoming: Incoming| -> Handling<_> {
            let Some((session, params)) = concerned(&template, &incoming) else {
                return Box::pin(ready(Ok(Flow::Continue)));
            };
            match incoming.message().data().read() {
                Ok(data) => {
                    let handling = handler(ServiceMessage { data, incoming, session, params });
                    Box::pin(async move { handling.await.into_flow() })
                }
                Err(error) => {
                    let flow = refuse(&template, &session, &incoming, &error);
                    Box::pin(ready(Ok(flow)))
                }
            }
        };
        Ok(self.add_listener(pattern, Arc::new(serve)))
    }
}

/// Who sent a message and what the template's variables are in its channel's name; `None` if the
/// message is not for this template, or of the application itself.
pub(super) fn concerned(template: &Template, incoming: &Incoming) -> Option<(Session, Params)> {
    let session = incoming.session()?;
    Some((session.clone(), template.bind(incoming.channel())?))
}

/// Deals with data that is no `T`.
fn refuse(
    template: &Template,
    session: &Session,
    incoming: &Incoming,
    error: &serde_json::Error,
) -> Flow {
    let handler = format!("service on {template}");
    session.bayeux().report(Report::DataRefused { handler: &handler, error });
    if incoming.channel().kind() == ChannelKind::Broadcast {
        return Flow::Veto;
    }
    if incoming.message().id().is_some() {
        // If the session is gone, nobody is left to be told.
        let _ = incoming.reply_failure(&Explanation::of(error));
    }
    Flow::Continue
}

/// What a client is told when it is the server that fails a call: `{"message":"…"}`, as CometD's
/// failures have it.
#[derive(Serialize)]
pub(super) struct Explanation {
    message: String,
}

impl Explanation {
    pub(super) fn of(message: &dyn fmt::Display) -> Self {
        Self { message: message.to_string() }
    }
}

/// A message for a [service](Bayeux::service): its data was read, its sender is known.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceMessage<T> {
    /// The message's data.
    pub data: T,
    incoming: Incoming,
    session: Session,
    params: Params,
}

impl<T> ServiceMessage<T> {
    /// The value of a variable of the template.
    ///
    /// # Panics
    ///
    /// When the template has no such variable, which is a slip in the handler; see
    /// [`Params::get`] for names that come from elsewhere.
    pub fn param(&self, variable: &str) -> &str {
        param(&self.params, variable)
    }

    /// The values of the template's variables.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The channel that the message was published on.
    pub fn channel(&self) -> &ChannelName {
        self.incoming.channel()
    }

    /// The session that sent it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The request that carried it; `None` when the client is gone, or the application published
    /// in its name.
    pub fn context(&self) -> Option<&Context> {
        self.incoming.context()
    }

    /// The message as any listener sees it.
    pub fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// Delivers `data` to the sender, on the same channel and with the message's id. A remote call
    /// of `cometd.js` takes it for the result.
    ///
    /// # Errors
    ///
    /// When the session is gone, or the data has no JSON form.
    pub fn reply<R: Serialize + ?Sized>(&self, data: &R) -> Result<(), Error> {
        self.incoming.reply(data)
    }
}

/// The value of a variable that the template must have.
pub(super) fn param<'p>(params: &'p Params, variable: &str) -> &'p str {
    match params.get(variable) {
        Some(value) => value,
        None => panic!("{} has no variable {variable}", params.template()),
    }
}
