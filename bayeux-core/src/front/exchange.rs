//! One HTTP request from its body to its response.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context as TaskContext, Poll, ready};
use core::{fmt, mem};

use ::http::{Response, StatusCode, request};
use bytes::Bytes;

use super::mailbox::Shaped;
use super::state::{After, State};
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
    pub fn exchange(&self, exchange: Exchange, head: request::Parts, body: Bytes) -> Exchanging {
        let context = Context::new(head, exchange.transport(), None);
        self.exchange_in(context.into(), exchange, body)
    }

    /// The same with what handlers see of the request.
    pub(crate) fn exchange_in(
        &self,
        context: Arc<Context>,
        mut exchange: Exchange,
        body: Bytes,
    ) -> Exchanging {
        let submitted = self.decode(&mut exchange, body).map(|payload| {
            let link = self.submit(&exchange, context, payload);
            (link, exchange)
        });
        Exchanging(match submitted {
            Ok((link, exchange)) => Progress::Waiting(link, exchange),
            Err(response) => Progress::Failed(response.into()),
        })
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

    fn submit(&self, exchange: &Exchange, context: Arc<Context>, payload: Vec<Request>) -> Link {
        let info =
            LinkInfo::new(exchange.transport()).browser(exchange.browser()).http2(exchange.http2());
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

/// A request that is being served; made by [`Bayeux::exchange`].
///
/// There are as many of these as there are idle clients, so it holds what answering needs and no more.
#[must_use = "dropping it means that the client is gone"]
pub struct Exchanging(Progress);

enum Progress {
    Waiting(Link, Exchange),
    /// The answer to what could not be read. It is rare, and not worth the room.
    Failed(Box<Response<Bytes>>),
    Over,
}

impl Future for Exchanging {
    type Output = (Response<Bytes>, Receipt);

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            Progress::Waiting(link, _) => Some(ready!(link.poll_answer(cx))),
            Progress::Failed(_) | Progress::Over => None,
        };
        match (mem::replace(&mut self.0, Progress::Over), answer) {
            (Progress::Waiting(link, exchange), Some(answer)) => {
                Poll::Ready(link.respond(&exchange, answer))
            }
            (Progress::Failed(response), _) => Poll::Ready((*response, Receipt::default())),
            // It was ready before.
            (Progress::Waiting(..) | Progress::Over, _) => Poll::Pending,
        }
    }
}

impl fmt::Debug for Exchanging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchanging").finish_non_exhaustive()
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
    fn poll_answer(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Shaped, Refusal>> {
        let Self { bayeux, id, .. } = self;
        let answer = loop {
            let answered = bayeux.lock().await_answer(*id, cx.waker());
            if let Err(_replaced) = answered {
                return Poll::Pending;
            }
            let collect = |state: &mut State, after: &mut After| state.collect(bayeux, *id, after);
            if let Some(answer) = bayeux.turn_with(collect) {
                break answer;
            }
        };
        self.state = if answer.is_ok() { LinkState::Answered } else { LinkState::Refused };
        Poll::Ready(answer)
    }

    /// Writes the response.
    fn respond(
        self,
        exchange: &Exchange,
        answer: Result<Shaped, Refusal>,
    ) -> (Response<Bytes>, Receipt) {
        match answer {
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

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}
