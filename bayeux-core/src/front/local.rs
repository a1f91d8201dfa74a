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

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::mem;
use core::pin::pin;
use core::task::{Context as TaskContext, Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use super::error::Error;
use super::guard::{Guarded, Handling};
use super::passage::Passage;
use super::registered::HandlerId;
use super::runtime::Report;
use super::session::Session;
use super::state::{Mail, register};
use super::trace::SessionSpan;
use super::{Bayeux, Context};
use crate::channel::{ChannelKind, ChannelName, Pattern};
use crate::id::{LinkId, SessionId};
use crate::json::Json;
use crate::message::{
    Message, MessageParts, Parcel, Reply, Request, RequestKind, Subscription, Verb,
};
use crate::server::{Input, LinkInfo};
use crate::transport::Transport;

/// A handle on a client inside the server's process. Cloning it is cheap; all clones are the same
/// client, which disconnects when the last of them is dropped.
#[derive(Clone)]
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

struct Client {
    bayeux: Bayeux,
    link: LinkId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Requests that the machine has not taken yet.
    outbox: VecDeque<Request>,
    /// Those who wait for a reply, by the number of their request.
    waiting: BTreeMap<u64, Waiting>,
    requests: u64,
    handlers: Vec<(HandlerId, Pattern, EventHandler)>,
    added: u64,
    /// Events that the handlers have not seen yet, and what they cost.
    events: VecDeque<Arc<Message>>,
    bytes: usize,
    /// The session's span, until the handlers have seen the last event.
    span: SessionSpan,
    closing: bool,
    /// Whether the link is gone: nothing will be answered any more.
    closed: bool,
    talker: Option<Waker>,
    caller: Option<Waker>,
}

enum Waiting {
    For(Option<Waker>),
    Done(Box<Reply>),
    /// An extension has deleted the reply.
    Deleted,
}

type EventHandler = Arc<dyn Fn(Arc<Message>) -> Handling<()> + Send + Sync>;

impl Bayeux {
    /// Makes a local session: shakes hands as any client does.
    ///
    /// # Errors
    ///
    /// When the policy denies it, or the server takes no sessions any more.
    pub async fn local_session(&self) -> Result<LocalSession, Error> {
        self.local_session_with(None).await
    }

    /// The same with an `ext` for the policy, a JSON object.
    ///
    /// # Errors
    ///
    /// As for [`Bayeux::local_session`].
    pub async fn local_session_with(&self, ext: Option<Json>) -> Result<LocalSession, Error> {
        let head = ::http::Request::new(()).into_parts().0;
        let context = Arc::new(Context::new(head, Transport::Local));
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
        let id = reply.client.ok_or(Error::SessionGone)?;
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
            client.change(|state| state.closing = true);
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
    pub async fn subscribe<H, F>(&self, pattern: &str, handler: H) -> Result<(), Error>
    where
        H: Fn(Arc<Message>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let pattern = Pattern::parse(pattern)?;
        let handler = self.listen(&pattern, handler);
        let patterns = Ok(alloc::vec![pattern]);
        let subscribed =
            self.ask(RequestKind::Subscribe(Subscription { patterns, echo: None })).await;
        if subscribed.is_err() {
            self.forget(|id, _| id == handler);
        }
        subscribed
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
        Ok(self.listen(&Pattern::parse(pattern)?, handler))
    }

    /// Removes what [`LocalSession::on_message`] has added. Whether it was there.
    pub fn remove_handler(&self, id: HandlerId) -> bool {
        self.forget(|it, _| it == id)
    }

    /// Ends a subscription with its handlers.
    ///
    /// # Errors
    ///
    /// When `pattern` is no channel name or wildcard, the server refuses, or the session is gone.
    pub async fn unsubscribe(&self, pattern: &str) -> Result<(), Error> {
        let pattern = Pattern::parse(pattern)?;
        let patterns = Ok(alloc::vec![pattern.clone()]);
        self.ask(RequestKind::Unsubscribe(Subscription { patterns, echo: None })).await?;
        self.forget(|_, of| *of == pattern);
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

    fn listen<H, F>(&self, pattern: &Pattern, handler: H) -> HandlerId
    where
        H: Fn(Arc<Message>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let handler: EventHandler = Arc::new(move |message| Box::pin(handler(message)));
        let mut state = self.handle.client.lock();
        state.added += 1;
        let id = HandlerId(state.added);
        if state.closed {
            // It would never be called, and might keep the session from being dropped.
            drop(state);
            return id;
        }
        state.handlers.push((id, pattern.clone(), handler));
        id
    }

    /// Removes handlers. Whether there were any.
    fn forget(&self, is_forgotten: impl Fn(HandlerId, &Pattern) -> bool) -> bool {
        let mut forgotten = Vec::new();
        let mut state = self.handle.client.lock();
        for entry in mem::take(&mut state.handlers) {
            let (id, of, _) = &entry;
            let list = if is_forgotten(*id, of) { &mut forgotten } else { &mut state.handlers };
            list.push(entry);
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

impl Client {
    /// Nothing of the application runs under this lock, and each change is complete.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and lets both tasks look at it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        let wakers = [state.talker.take(), state.caller.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        changed
    }

    /// Keeps the session's span for the handlers, if any are still to be called.
    fn keep(&self, span: SessionSpan) {
        let mut state = self.lock();
        if !state.closed {
            state.span = span;
        }
    }

    /// Sends a request and waits for its reply.
    async fn ask(
        &self,
        client: Option<SessionId>,
        ext: Option<Json>,
        kind: RequestKind,
    ) -> Result<Reply, Error> {
        let number = self.change(|state| {
            if state.closed {
                return None;
            }
            state.requests += 1;
            let number = state.requests;
            state.waiting.insert(number, Waiting::For(None));
            let id = Json::from_text(&number.to_string()).ok();
            let mut request = Request { id, client, ext, extensions: None, kind };
            request.read_extensions();
            state.outbox.push_back(request);
            Some(number)
        });
        let number = number.ok_or(Error::SessionGone)?;
        let waiting = StopWaiting { client: self, number };
        let reply = poll_fn(|cx| {
            let mut state = self.lock();
            let closed = state.closed;
            let replaced = match state.waiting.get_mut(&number) {
                Some(Waiting::Done(reply)) => return Poll::Ready(Ok((**reply).clone())),
                Some(Waiting::Deleted) => return Poll::Ready(Err(Error::Vetoed)),
                Some(Waiting::For(waker)) if !closed => register(waker, cx.waker()),
                _ => return Poll::Ready(Err(Error::SessionGone)),
            };
            drop(state);
            drop(replaced);
            Poll::Pending
        })
        .await?;
        drop(waiting);
        match &reply.outcome {
            Ok(()) => Ok(reply),
            Err(Some(error)) => Err(Error::Refused(error.clone())),
            Err(None) => Err(Error::SessionGone),
        }
    }

    /// Talks to the machine until the link is gone.
    async fn talk(self: Arc<Self>) {
        let mut talk = Talk { client: &self, asked: None, ready: true, unconfirmed: false };
        poll_fn(|cx| talk.poll(cx)).await;
        let wakers: Vec<_> = {
            let mut state = self.lock();
            state.closed = true;
            let waiting = state.waiting.values_mut().filter_map(|it| match it {
                Waiting::For(waker) => waker.take(),
                Waiting::Done(_) | Waiting::Deleted => None,
            });
            let mut wakers: Vec<_> = waiting.collect();
            wakers.extend(state.caller.take());
            wakers
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Calls the handlers until there is nothing more to come.
    async fn call_handlers(self: Arc<Self>) {
        loop {
            let event = poll_fn(|cx| {
                let mut state = self.lock();
                if let Some(event) = state.events.pop_front() {
                    state.bytes -= event.cost();
                    return Poll::Ready(Some(event));
                }
                if state.closed {
                    return Poll::Ready(None);
                }
                let replaced = register(&mut state.caller, cx.waker());
                drop(state);
                drop(replaced);
                Poll::Pending
            })
            .await;
            let Some(event) = event else { break };
            let (handlers, span): (Vec<_>, _) = {
                let state = self.lock();
                let matching =
                    state.handlers.iter().filter(|(_, it, _)| it.matches(event.channel()));
                let handlers = matching.map(|(_, _, handler)| Arc::clone(handler)).collect();
                (handlers, state.span.clone())
            };
            span.around(pin!(self.tell(handlers, &event))).await;
        }
        // Handlers may hold their own session.
        let (handlers, span) = {
            let mut state = self.lock();
            (mem::take(&mut state.handlers), mem::take(&mut state.span))
        };
        drop((handlers, span));
    }

    async fn tell(&self, handlers: Vec<EventHandler>, event: &Arc<Message>) {
        for handler in handlers {
            let event = Arc::clone(event);
            if let Err(message) = Guarded::new(|| handler(event)).await {
                let handler = &"handler of a local session";
                self.bayeux.report(Report::HandlerPanicked { handler, message: &message });
            }
        }
    }
}

/// The conversation with the machine.
struct Talk<'c> {
    client: &'c Client,
    /// The request whose reply is to come.
    asked: Option<u64>,
    /// Whether the machine takes a request.
    ready: bool,
    /// Whether the machine waits to hear that its last parcel was taken.
    unconfirmed: bool,
}

impl Talk<'_> {
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Client { bayeux, link, .. } = self.client;
        let link = *link;
        loop {
            let (request, closing) = {
                let mut state = self.client.lock();
                let request = if self.ready { state.outbox.pop_front() } else { None };
                let waits = request.is_none();
                let closing = state.closing && waits;
                let replaced = register(&mut state.talker, cx.waker());
                drop(state);
                drop(replaced);
                (request, closing)
            };
            let mut inputs = Vec::new();
            if mem::take(&mut self.unconfirmed) {
                inputs.push(Input::Sent { link, delivered: true });
            }
            if let Some(request) = request {
                self.ready = false;
                self.asked = request.id.as_ref().and_then(|id| id.read().ok());
                inputs.push(Input::Receive { link, payload: alloc::vec![request] });
            }
            if closing {
                inputs.push(Input::Close { link });
            }
            let mail = bayeux.turn_with(|state, after| {
                for input in inputs {
                    state.turn(bayeux, bayeux.now(), input, after);
                }
                let mail = state.collect_mail(link, cx.waker(), after);
                if closing || mail.refusal.is_some() {
                    state.close_mailbox(link, after);
                }
                mail
            });
            let over = closing || mail.refusal.is_some();
            let news = !mail.is_empty();
            self.open(mail);
            if over {
                return Poll::Ready(());
            }
            if !news {
                return Poll::Pending;
            }
        }
    }

    fn open(&mut self, mail: Mail) {
        let resumed = mail.resumed;
        if let Some(parcel) = mail.parcel {
            self.take(parcel, mail.passage);
        }
        if resumed {
            self.ready = true;
            // The replies were handed over. If this one was not among them, it was deleted.
            let mut state = self.client.lock();
            let waiting = self.asked.take().and_then(|number| state.waiting.get_mut(&number));
            let waker = match waiting {
                Some(waiting @ Waiting::For(_)) => match mem::replace(waiting, Waiting::Deleted) {
                    Waiting::For(waker) => waker,
                    Waiting::Done(_) | Waiting::Deleted => None,
                },
                Some(Waiting::Done(_) | Waiting::Deleted) | None => None,
            };
            drop(state);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn take(&mut self, mut parcel: Parcel, passage: Option<Arc<Passage>>) {
        let bayeux = &self.client.bayeux;
        if let Some(passage) = passage {
            passage.apply(&mut parcel, &*bayeux.shared.runtime);
        }
        self.unconfirmed = true;
        let mut wakers = Vec::new();
        let mut state = self.client.lock();
        for reply in parcel.replies {
            let number = reply.id.as_ref().and_then(|id| id.read().ok());
            let waiting = number.and_then(|number: u64| state.waiting.get_mut(&number));
            if let Some(waiting) = waiting {
                if let Waiting::For(Some(waker)) =
                    mem::replace(waiting, Waiting::Done(reply.into()))
                {
                    wakers.push(waker);
                }
            }
        }
        for event in &parcel.events {
            // The server has ended the session.
            state.closing |= event.channel().as_str() == Verb::Disconnect.channel();
            state.bytes += event.cost();
            state.events.push_back(Arc::clone(event));
        }
        let limits = &bayeux.config().limits;
        let behind = state.events.len() > limits.queue_messages || state.bytes > limits.queue_bytes;
        // One alone may be larger.
        state.closing |= behind && state.events.len() > 1;
        wakers.extend(state.caller.take());
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Forgets a request when nobody waits for its reply any more.
struct StopWaiting<'c> {
    client: &'c Client,
    number: u64,
}

impl Drop for StopWaiting<'_> {
    fn drop(&mut self) {
        let forgotten = self.client.lock().waiting.remove(&self.number);
        drop(forgotten);
    }
}
