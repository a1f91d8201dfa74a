//! [`Serving`]: a request to Bayeux, from its head to its response.
//!
//! A future by hand. There are as many of these as there are requests, most of them wait for an event,
//! and an `async` block keeps room for all that it ever held. This one has the body while that is read, and
//! then what answering needs, in the same place.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use ::http::{Response, StatusCode};
use bytes::{Buf, Bytes};
use http_body::Body;

use super::body::CometdBody;
use super::read::{ReadError, Start, discard, read};
use super::service::CometdService;
use super::signal::hushed;
use crate::front::{Context as RequestContext, Exchanging, Receipt};
use crate::http::Exchange;

/// A request to Bayeux, on its way to its response.
pub(super) struct Serving<B>(Stage<B>);

enum Stage<B> {
    /// The body is to be read. Nearly always it is there, in one piece.
    Reading(Reading<B>),
    /// It comes in pieces, or not at all.
    Slow(Pin<Box<dyn Future<Output = Result<Exchanging, Response<Bytes>>> + Send>>),
    Exchanging(Exchanging),
    Answered(Box<Response<Bytes>>),
    Over,
}

struct Reading<B> {
    service: CometdService,
    context: Arc<RequestContext>,
    exchange: Exchange,
    body: B,
}

impl<B> Serving<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    /// Reads the body, and submits what is in it.
    pub(super) fn read(
        service: &CometdService,
        context: RequestContext,
        exchange: Exchange,
        body: B,
    ) -> Self {
        let (service, context) = (service.clone(), context.into());
        Self(Stage::Reading(Reading { service, context, exchange, body }))
    }

    /// There is nothing to wait for.
    pub(super) fn answered(response: Response<Bytes>) -> Self {
        Self(Stage::Answered(response.into()))
    }

    /// The body is read and forgotten, for its sender to see the response.
    pub(super) fn discard(service: &CometdService, body: B, response: Response<Bytes>) -> Self {
        let bayeux = service.bayeux.clone();
        Self(Stage::Slow(Box::pin(async move {
            discard(&bayeux, Box::pin(body)).await;
            Err(response)
        })))
    }
}

impl<B> Reading<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    /// Reads the body if there is one to read, and it is there.
    fn begin(mut self, cx: &mut Context<'_>) -> Stage<B> {
        let Some(limit) = self.exchange.read_limit() else {
            let Self { service, context, exchange, .. } = self;
            return Stage::Exchanging(service.bayeux.exchange_in(context, exchange, Bytes::new()));
        };
        // hyper wakes a connection when a piece of a body is taken out of it, so that the next one may come.
        // Over HTTP/1 nothing comes behind the last one. (Over HTTP/2 the peer is told that there is room.)
        let (frame, woken) = match self.exchange.http2() {
            true => (Pin::new(&mut self.body).poll_frame(cx), false),
            false => {
                let waker = cx.waker().clone();
                hushed(&waker, || Pin::new(&mut self.body).poll_frame(cx))
            }
        };
        if woken && !self.body.is_end_stream() {
            cx.waker().wake_by_ref();
        }
        let start = match frame {
            Poll::Pending => Start::Nothing,
            Poll::Ready(None) => Start::All(Bytes::new()),
            Poll::Ready(Some(Err(_))) => Start::Broken,
            Poll::Ready(Some(Ok(frame))) => {
                let data = frame.into_data().map(|mut it| it.copy_to_bytes(it.remaining()));
                let data = data.unwrap_or_default();
                if self.body.is_end_stream() { Start::All(data) } else { Start::Some(data) }
            }
        };
        let Self { service: CometdService { bayeux, body_timeout }, context, exchange, body } =
            self;
        match start {
            // What is too long is found out and refused when it is looked at.
            Start::All(data) if data.len() <= limit => {
                Stage::Exchanging(bayeux.exchange_in(context, exchange, data))
            }
            start @ (Start::Nothing | Start::Some(_) | Start::All(_) | Start::Broken) => {
                Stage::Slow(Box::pin(async move {
                    let read = read(&bayeux, start, Box::pin(body), limit, body_timeout).await;
                    let data = read.map_err(|error| refuse(&exchange, error))?;
                    Ok(bayeux.exchange_in(context, exchange, data))
                }))
            }
        }
    }
}

fn refuse(exchange: &Exchange, error: ReadError) -> Response<Bytes> {
    let (status, what) = match error {
        ReadError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large"),
        ReadError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the request took too long"),
        ReadError::Broken => (StatusCode::BAD_REQUEST, "the request is incomplete"),
    };
    exchange.error(status, what)
}

impl<B> Future for Serving<B>
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    type Output = Response<CometdBody>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            self.0 = match &mut self.0 {
                Stage::Exchanging(exchanging) => {
                    let (response, receipt) = ready!(Pin::new(exchanging).poll(cx));
                    self.0 = Stage::Over;
                    return Poll::Ready(respond(response, Some(receipt)));
                }
                Stage::Slow(slow) => match ready!(slow.as_mut().poll(cx)) {
                    Ok(exchanging) => Stage::Exchanging(exchanging),
                    Err(response) => Stage::Answered(response.into()),
                },
                Stage::Reading(_) | Stage::Answered(_) | Stage::Over => {
                    match mem::replace(&mut self.0, Stage::Over) {
                        Stage::Reading(reading) => reading.begin(cx),
                        Stage::Answered(response) => return Poll::Ready(respond(*response, None)),
                        // It was ready before.
                        Stage::Slow(_) | Stage::Exchanging(_) | Stage::Over => {
                            return Poll::Pending;
                        }
                    }
                }
            };
        }
    }
}

fn respond(response: Response<Bytes>, receipt: Option<Receipt>) -> Response<CometdBody> {
    response.map(|data| CometdBody::new(data, receipt))
}
