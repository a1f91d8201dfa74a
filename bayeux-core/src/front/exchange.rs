//! One HTTP request from its body to its response.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::mem;
use core::task::Poll;

use ::http::{Response, StatusCode, request};
use bytes::Bytes;

use super::{Bayeux, Context};
use crate::codec;
use crate::http::{Exchange, Plan};
use crate::id::LinkId;
use crate::message::{Parcel, Request};
use crate::server::{Input, LinkInfo, Refusal};

impl Bayeux {
    /// Plans the answer to a request from its head alone.
    pub fn plan(&self, head: &request::Parts) -> Plan {
        self.shared.mapper.plan(head)
    }

    /// Serves a request whose body was read, for as long as its connect is held.
    ///
    /// The adapter sends the response and tells the [`Receipt`] when its body was taken to the end.
    ///
    /// Dropping the future tells the server that the client is gone: a held connect ends, and
    /// events that were about to leave stay queued. What the payload asked for is done all the
    /// same.
    pub async fn exchange(
        &self,
        mut exchange: Exchange,
        head: request::Parts,
        body: Bytes,
    ) -> (Response<Bytes>, Receipt) {
        let texts = match exchange.texts(body) {
            Ok(texts) => texts,
            Err(error) => {
                return (exchange.error(error.status(), error.what()), Receipt::default());
            }
        };
        let requests = match self.shared.decoder.decode_texts(&texts) {
            Ok(requests) => requests,
            Err(error) => {
                let response = exchange.error(StatusCode::BAD_REQUEST, error.what());
                return (response, Receipt::default());
            }
        };
        drop(texts);
        let mut link = self.submit(&exchange, head, requests);
        match link.answer().await {
            Ok(parcel) => {
                let mut text = Vec::new();
                codec::encode(&parcel, self.shared.offered(), &mut text);
                let response = exchange.respond(text.into(), parcel.browser);
                (response, Receipt { link: Some(link) })
            }
            Err(Refusal::Superseded) => (exchange.superseded(), Receipt::default()),
            Err(refusal @ (Refusal::HandshakeNotAlone | Refusal::Empty)) => {
                let response = exchange.error(StatusCode::BAD_REQUEST, refusal.what());
                (response, Receipt::default())
            }
        }
    }

    fn submit(&self, exchange: &Exchange, head: request::Parts, payload: Vec<Request>) -> Link {
        let info =
            LinkInfo::new(exchange.transport()).browser(exchange.browser()).http2(exchange.http2());
        let context = Arc::new(Context::new(head, exchange.transport()));
        let link = self.turn_at_the_bottom(|state, after| {
            let link = state.open_mailbox(context);
            let now = self.now();
            state.server.handle(now, Input::Open { link, info });
            state.turn(self, now, Input::Receive { link, payload }, after);
            link
        });
        Link { bayeux: self.clone(), id: link, state: LinkState::Waiting }
    }
}

/// One exchange as the front sees it.
pub(super) struct Link {
    bayeux: Bayeux,
    id: LinkId,
    state: LinkState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LinkState {
    /// There is no answer yet.
    Waiting,
    /// The answer was taken; the machine waits to hear what became of it.
    Answered,
    /// The machine has refused the link, and let go of it.
    Refused,
    /// The mailbox is closed.
    Ended,
}

impl Link {
    /// Waits for the answer.
    async fn answer(&mut self) -> Result<Parcel, Refusal> {
        let answer = poll_fn(|cx| match self.bayeux.lock().collect(self.id, cx.waker()) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await;
        self.state = if answer.is_ok() { LinkState::Answered } else { LinkState::Refused };
        answer
    }

    fn end(&mut self, delivered: bool) {
        let link = self.id;
        let input = match mem::replace(&mut self.state, LinkState::Ended) {
            LinkState::Waiting => Some(Input::Close { link }),
            LinkState::Answered => Some(Input::Sent { link, delivered }),
            LinkState::Refused => None,
            LinkState::Ended => return,
        };
        self.bayeux.turn_with(|state, after| {
            if let Some(input) = input {
                state.turn(&self.bayeux, self.bayeux.now(), input, after);
            }
            state.close_mailbox(link, after);
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// The duty to say what became of a response. Dropping it says that the response was lost.
#[derive(Default)]
#[must_use = "dropping the receipt means that the response was lost"]
pub struct Receipt {
    link: Option<Link>,
}

impl Receipt {
    /// The whole response was taken by the connection.
    pub fn delivered(mut self) {
        if let Some(link) = &mut self.link {
            link.end(true);
        }
    }
}

impl core::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}
