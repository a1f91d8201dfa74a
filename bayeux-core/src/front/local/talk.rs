//! [`Talk`]: the task that carries requests to the machine, and brings back what it sends.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::task::{Context as TaskContext, Poll, Waker};

use super::super::mailbox::Mail;
use super::super::passage::Passage;
use super::super::socket::STEPS;
use super::super::state::register;
use super::client::{Client, Waiting};
use crate::message::{Parcel, Verb};
use crate::server::Input;

/// The conversation with the machine.
pub(super) struct Talk<'c> {
    pub(super) client: &'c Client,
    /// The request whose reply is to come.
    pub(super) asked: Option<u64>,
    /// Whether the machine takes a request.
    pub(super) ready: bool,
    /// Whether the machine waits to hear that its last parcel was taken.
    pub(super) unconfirmed: bool,
}

impl Talk<'_> {
    pub(super) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let Client { bayeux, link, .. } = self.client;
        let link = *link;
        for _ in 0..STEPS {
            let (request, closing) = {
                let mut state = self.client.lock();
                let request = if self.ready { state.outbox.pop_front() } else { None };
                let asked = self.ready && request.is_none();
                let closing = state.cut || (state.closing && asked);
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
            let mut mail = Mail::default();
            bayeux.turn_with(|state, after| {
                state.turn_socket(bayeux, link, inputs, cx.waker(), &mut mail, after);
                if closing || mail.refusal.is_some() {
                    state.close_mailbox(link, after);
                }
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
        // Others want to run, too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    pub(super) fn open(&mut self, mail: Mail) {
        let resumed = mail.resumed;
        if let Some((parcel, passage)) = mail.parcel {
            self.take(parcel, passage);
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

    pub(super) fn take(&mut self, mut parcel: Parcel, passage: Option<Arc<Passage>>) {
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
            state.cut |= event.channel().as_str() == Verb::Disconnect.channel();
            state.bytes += event.cost();
            state.events.push_back(Arc::clone(event));
        }
        let limits = &bayeux.config().limits;
        let behind = state.events.len() > limits.queue_messages || state.bytes > limits.queue_bytes;
        // One alone may be larger.
        state.cut |= behind && state.events.len() > 1;
        wakers.extend(state.caller.take());
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}
