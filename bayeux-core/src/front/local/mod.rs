//! [`LocalSession`]: a client inside the server's own process.
//!
//! It goes through everything that other clients go through, policy, authorizers, extensions and
//! listeners included, but for the encoding: requests go to the machine as they are, and events come
//! back as the shared messages that they are. It has no heartbeat and cannot be lost, so it never
//! expires; it ends when it disconnects, when the application disconnects it, when the server
//! drains, or when its last handle is dropped.
//!
//! A task of its own talks to the machine, another one calls the handlers, one after another in the
//! order of the events. Handlers may use the session themselves; one that is slow holds up the
//! others, and when more events wait than a session's queue may hold, the session ends. A handler
//! that keeps a [`LocalSession`] keeps the session, too, until it disconnects.

mod client;
mod talk;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::mem;
use std::sync::Mutex;

use serde::Serialize;

use client::{Client, EventHandler, Handler};

use super::error::Error;
use super::extension::object;
use super::registered::HandlerId;
use super::session::Session;
use super::{Bayeux, Context};
use crate::channel::{ChannelKind, ChannelName, Pattern};
use crate::json::Json;
use crate::message::{Message, MessageParts, RequestKind, Subscription};
use crate::server::{Input, LinkInfo};
use crate::transport::Transport;

/// A handle on a client inside the server's process. Cloning it is cheap; all clones are the same
/// client, which disconnects when the last of them is dropped.
#[derive(Clone)]
#[must_use = "a local session ends when it is dropped"]
pub struct LocalSession {
    handle: Arc<Handle>,
}

/// What the last handle closes.
struct Handle {
    client: Arc<Client>,
    session: Session,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.client.change(|state| state.closing = true);
    }
}

impl Bayeux {
    /// Makes a local session: shakes hands as any client does.
    ///
    /// # Errors
    ///
    /// When the policy denies it, or the server takes no sessions any more.
    pub async fn local_session(&self) -> Result<LocalSession, Error> {
        self.shake_hands(None).await
    }

    /// The same with an `ext` for the policy. It knows a local session by its
    /// [`Context::transport`].
    ///
    /// # Errors
    ///
    /// As for [`Bayeux::local_session`]; and when `ext` is no JSON object.
    pub async fn local_session_with<T: Serialize + ?Sized>(
        &self,
        ext: &T,
    ) -> Result<LocalSession, Error> {
        self.shake_hands(Some(object(ext)?)).await
    }

    async fn shake_hands(&self, ext: Option<Json>) -> Result<LocalSession, Error> {
        let head = ::http::Request::new(()).into_parts().0;
        let context = Arc::new(Context::new(head, Transport::Local, None));
        let info = LinkInfo::new(Transport::Local);
        let link = self.turn_with(|state, after| {
            let link = state.open_socket_mailbox(context);
            state.turn(self, self.now(), Input::Open { link, info }, after);
            link
        });
        let client = Arc::new(Client { bayeux: self.clone(), link, state: Mutex::default() });
        let closing = CloseUnless(Some(Arc::clone(&client)));
        self.spawn(Arc::clone(&client).talk());
        self.spawn(Arc::clone(&client).call_handlers());
        let handshake = RequestKind::Handshake { too_new: false, transports: None };
        let reply = client.ask(None, ext, handshake).await?;
        let id = reply.details().client.ok_or(Error::SessionGone)?;
        let session = Session::new(self.clone(), id, None);
        // In time: there are no handlers yet.
        let span = self.lock().notes.spans.of(Some(id));
        client.keep(span);
        closing.disarm();
        Ok(LocalSession { handle: Arc::new(Handle { client, session }) })
    }
}

/// Closes a client whose handshake was given up.
struct CloseUnless(Option<Arc<Client>>);

impl CloseUnless {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseUnless {
    fn drop(&mut self) {
        if let Some(client) = &self.0 {
            client.change(|state| state.cut = true);
        }
    }
}

impl LocalSession {
    /// The server's side of the session.
    pub fn session(&self) -> &Session {
        &self.handle.session
    }

    /// Subscribes; `handler` is called with each message on a channel that `pattern` matches, which
    /// includes what is delivered to this session alone.
    ///
    /// # Errors
    ///
    /// When `pattern` is no channel name or wildcard, the server refuses, or the session is gone.
    pub async fn subscribe<H, F>(&self, pattern: &str, handler: H) -> Result<HandlerId, Error>
    where
        H: Fn(Arc<Message>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let pattern = Pattern::parse(pattern)?;
        let handler = self.listen(&pattern, true, handler);
        let patterns = Ok(alloc::vec![pattern]);
        let subscribed =
            self.ask(RequestKind::Subscribe(Subscription { patterns, echo: None })).await;
        if subscribed.is_err() {
            self.forget(|it| it.id == handler);
        }
        subscribed.map(|()| handler)
    }

    /// Calls `handler` with what is delivered to this session on these channels, without
    /// subscribing to them: service channels, say.
    ///
    /// # Errors
    ///
    /// When `pattern` is no channel name or wildcard.
    pub fn on_message<H, F>(&self, pattern: &str, handler: H) -> Result<HandlerId, Error>
    where
        H: Fn(Arc<Message>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Ok(self.listen(&Pattern::parse(pattern)?, false, handler))
    }

    /// Removes what [`LocalSession::on_message`] or [`LocalSession::subscribe`] has added; the
    /// subscription stays. Whether it was there.
    pub fn remove_handler(&self, id: HandlerId) -> bool {
        self.forget(|it| it.id == id)
    }

    /// Ends a subscription with the handlers that came with it.
    ///
    /// # Errors
    ///
    /// When `pattern` is no channel name or wildcard, the server refuses, or the session is gone.
    pub async fn unsubscribe(&self, pattern: &str) -> Result<(), Error> {
        let pattern = Pattern::parse(pattern)?;
        let patterns = Ok(alloc::vec![pattern.clone()]);
        self.ask(RequestKind::Unsubscribe(Subscription { patterns, echo: None })).await?;
        self.forget(|it| it.subscribed && it.pattern == pattern);
        Ok(())
    }

    /// Publishes as this session.
    ///
    /// # Errors
    ///
    /// When `channel` is no channel name, a wildcard or a meta channel, `data` has no JSON form, the
    /// server refuses, or the session is gone.
    pub async fn publish<T: Serialize + ?Sized>(
        &self,
        channel: &str,
        data: &T,
    ) -> Result<(), Error> {
        self.publish_parts(channel, &MessageParts::data(Json::new(data)?)).await
    }

    /// Publishes a message with all its parts: extension data, laziness.
    ///
    /// # Errors
    ///
    /// As for [`LocalSession::publish`].
    pub async fn publish_parts(&self, channel: &str, parts: &MessageParts) -> Result<(), Error> {
        let name = match ChannelName::parse(channel)? {
            name if name.kind() == ChannelKind::Meta => return Err(Error::MetaChannel),
            name => name,
        };
        let echo = Json::new(channel)?;
        let message = Arc::new(Message::with(name, parts));
        self.ask(RequestKind::Publish { message, echo }).await
    }

    /// Disconnects. Handlers that have events to see still see them.
    ///
    /// # Errors
    ///
    /// When the session is gone already.
    pub async fn disconnect(&self) -> Result<(), Error> {
        let disconnected = self.ask(RequestKind::Disconnect).await;
        self.handle.client.change(|state| state.closing = true);
        disconnected
    }

    fn listen<H, F>(&self, pattern: &Pattern, subscribed: bool, handler: H) -> HandlerId
    where
        H: Fn(Arc<Message>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let call: EventHandler = Arc::new(move |message| Box::pin(handler(message)));
        // A number of the server's: another session's handler is never meant by it.
        let id = HandlerId(self.handle.client.bayeux.lock().next_number());
        let handler = Handler { id, pattern: pattern.clone(), subscribed, call };
        let mut state = self.handle.client.lock();
        if state.closed {
            // It would never be called, and might keep the session from being dropped.
            drop(state);
            drop(handler);
            return id;
        }
        state.handlers.push(handler);
        id
    }

    /// Removes handlers. Whether there were any.
    fn forget(&self, is_forgotten: impl Fn(&Handler) -> bool) -> bool {
        let mut forgotten = Vec::new();
        let mut state = self.handle.client.lock();
        for handler in mem::take(&mut state.handlers) {
            let list = if is_forgotten(&handler) { &mut forgotten } else { &mut state.handlers };
            list.push(handler);
        }
        // Dropping the application's handlers may do anything: outside the lock.
        drop(state);
        !forgotten.is_empty()
    }

    async fn ask(&self, kind: RequestKind) -> Result<(), Error> {
        let session = Some(self.handle.session.id());
        self.handle.client.ask(session, None, kind).await.map(|_| ())
    }
}

impl fmt::Debug for LocalSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LocalSession").field(&self.handle.session).finish()
    }
}
