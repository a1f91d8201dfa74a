//! One HTTP request from its body to its response.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::mem;
use core::task::Poll;

use ::http::{Response, StatusCode, request};
use bytes::Bytes;

use super::state::Shaped;
use super::{Bayeux, Context};
use crate::codec::{self, Encoding};
use crate::http::{Exchange, Plan};
use crate::id::LinkId;
use crate::message::Request;
use crate::server::{Input, LinkInfo, Refusal};

impl Bayeux {
    /// Plans the answer to a request from its head alone.
    pub fn plan(&self, head: &request::Parts) -> Plan {
        self.shared.mapper.plan(head)
    }

    /// Serves a request whose body was read: its payload is submitted at once, and the future waits
    /// for the answer, for as long as its connect is held.
    ///
    /// The adapter sends the response and tells the [`Receipt`] when its body was taken to the end.
    ///
    /// Dropping the future tells the server that the client is gone: a held connect ends, and
    /// events that were about to leave stay queued. What the payload asked for is done all the
    /// same.
    pub fn exchange(
        &self,
        mut exchange: Exchange,
        head: request::Parts,
        body: Bytes,
    ) -> impl Future<Output = (Response<Bytes>, Receipt)> + Send + use<> {
        let link = self.decode(&mut exchange, body).map(|payload| {
            // A future keeps room for everything that it ever held. This one is kept while a
            // connect is held, so what only the beginning needs stays out of it.
            self.submit(&exchange, head, payload)
        });
        async move {
            match link {
                Ok(link) => link.respond(&exchange).await,
                Err(response) => (response, Receipt::default()),
            }
        }
    }

    #[expect(clippy::result_large_err, reason = "the caller sends the error as it is")]
    fn decode(
        &self,
        exchange: &mut Exchange,
        body: Bytes,
    ) -> Result<Vec<Request>, Response<Bytes>> {
        let texts = exchange.texts(body);
        let texts = texts.map_err(|error| exchange.error(error.status(), error.what()))?;
        let requests = self.shared.decoder.decode_texts(&texts);
        requests.map_err(|error| exchange.error(StatusCode::BAD_REQUEST, error.what()))
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
    async fn answer(&mut self) -> Result<Shaped, Refusal> {
        let answer = poll_fn(|cx| {
            let collected = self.bayeux.lock().collect(self.id, cx.waker());
            match collected {
                Ok(answer) => Poll::Ready(answer),
                Err(_replaced) => Poll::Pending,
            }
        })
        .await;
        self.state = if answer.is_ok() { LinkState::Answered } else { LinkState::Refused };
        answer
    }

    /// Waits for the answer and writes the response.
    async fn respond(mut self, exchange: &Exchange) -> (Response<Bytes>, Receipt) {
        match self.answer().await {
            Ok((mut parcel, passage)) => {
                if let Some(passage) = passage {
                    passage.apply(&mut parcel, &*self.bayeux.shared.runtime);
                }
                let mut text = Vec::new();
                let shared = &self.bayeux.shared;
                let with = Encoding { offered: shared.offered(), wall: shared.wall_of(&parcel) };
                codec::encode(&parcel, with, &mut text);
                let response = exchange.respond(text.into(), parcel.browser);
                (response, Receipt { link: Some(self) })
            }
            Err(Refusal::Superseded) => (exchange.superseded(), Receipt::default()),
            Err(refusal) => {
                let response = exchange.error(StatusCode::BAD_REQUEST, refusal.what());
                (response, Receipt::default())
            }
        }
    }

    fn end(&mut self, delivered: bool) {
        let link = self.id;
        let input = match mem::replace(&mut self.state, LinkState::Ended) {
            LinkState::Waiting => Some(Input::Close { link }),
            LinkState::Answered => Some(Input::Sent { link, delivered }),
            LinkState::Refused => None,
            LinkState::Ended => return,
        };
        if self.bayeux.lock_in_drop().is_none() {
            return;
        }
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
