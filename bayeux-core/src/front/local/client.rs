//! [`Client`]: what a local session's handles and its two tasks share.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::mem;
use core::pin::pin;
use core::task::{Poll, Waker};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::Bayeux;
use super::super::error::Error;
use super::super::guard::{Guarded, Handling};
use super::super::registered::HandlerId;
use super::super::runtime::Report;
use super::super::state::register;
use super::super::trace::SessionSpan;
use super::talk::Talk;
use crate::channel::Pattern;
use crate::id::{LinkId, SessionId};
use crate::json::Json;
use crate::message::{Message, Reply, Request, RequestKind};

pub(super) struct Client {
    pub(super) bayeux: Bayeux,
    pub(super) link: LinkId,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Requests that the machine has not taken yet.
    pub(super) outbox: VecDeque<Request>,
    /// Those who wait for a reply, by the number of their request.
    pub(super) waiting: BTreeMap<u64, Waiting>,
    pub(super) requests: u64,
    pub(super) handlers: Vec<Handler>,
    /// Events that the handlers have not seen yet, and what they cost.
    pub(super) events: VecDeque<Arc<Message>>,
    pub(super) bytes: usize,
    /// The session's span, until the handlers have seen the last event.
    pub(super) span: SessionSpan,
    /// Whether the session is to end when what was asked for is answered.
    pub(super) closing: bool,
    /// Whether it is to end at once.
    pub(super) cut: bool,
    /// Whether the link is gone: nothing will be answered any more.
    pub(super) closed: bool,
    pub(super) talker: Option<Waker>,
    pub(super) caller: Option<Waker>,
}

/// What is called with events.
pub(super) struct Handler {
    pub(super) id: HandlerId,
    pub(super) pattern: Pattern,
    /// Whether it goes with its subscription.
    pub(super) subscribed: bool,
    pub(super) call: EventHandler,
}

pub(super) enum Waiting {
    For(Option<Waker>),
    Done(Box<Reply>),
    /// An extension has deleted the reply.
    Deleted,
}

pub(super) type EventHandler = Arc<dyn Fn(Arc<Message>) -> Handling<()> + Send + Sync>;

impl Client {
    /// Nothing of the application runs under this lock, and each change is complete.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and lets both tasks look at it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        let wakers = [state.talker.take(), state.caller.take()];
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
        changed
    }

    /// Keeps the session's span for the handlers, if any are still to be called.
    pub(super) fn keep(&self, span: SessionSpan) {
        let mut state = self.lock();
        if !state.closed {
            state.span = span;
        }
    }

    /// Sends a request and waits for its reply.
    pub(super) async fn ask(
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
    pub(super) async fn talk(self: Arc<Self>) {
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
    pub(super) async fn call_handlers(self: Arc<Self>) {
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
                    state.handlers.iter().filter(|it| it.pattern.matches(event.channel()));
                let handlers = matching.map(|it| Arc::clone(&it.call)).collect();
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

    pub(super) async fn tell(&self, handlers: Vec<EventHandler>, event: &Arc<Message>) {
        for handler in handlers {
            let event = Arc::clone(event);
            if let Err(message) = Guarded::new(|| handler(event)).await {
                let handler = &"handler of a local session";
                self.bayeux.report(Report::HandlerPanicked { handler, message: &message });
            }
        }
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
