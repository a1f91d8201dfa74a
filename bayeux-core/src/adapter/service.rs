//! [`CometdService`] and [`CometdLayer`]: the server as a tower service.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::convert::Infallible;
use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::net::SocketAddr;

use ::http::{Request, Response, header};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;

use super::body::CometdBody;
use super::serving::Serving;
use super::upgrade::{Connection, mark, upgrade};
use crate::front::{Bayeux, Context as RequestContext};
use crate::http::Plan;
use crate::transport::Transport;

/// Any error that can be sent between threads.
pub type BoxError = Box<dyn core::error::Error + Send + Sync>;

/// The time that a request's body may take to arrive, unless it is set otherwise.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// A Bayeux server as a tower service: whatever comes in is taken for Bayeux, at any path.
///
/// Dropping a response future tells the server that the client is gone: its held connect ends.
///
/// A request for a WebSocket is answered, and the connection then served in a task of its own. The
/// host has to let go of it (`serve_connection_with_upgrades` of hyper and hyper-util; `axum::serve`
/// does): where it cannot, leave `Transport::WebSocket` out of `allowed_transports`.
#[derive(Clone, Debug)]
pub struct CometdService {
    pub(super) bayeux: Bayeux,
    pub(super) body_timeout: Duration,
}

impl CometdService {
    /// The service of this server.
    pub fn new(bayeux: Bayeux) -> Self {
        Self { bayeux, body_timeout: BODY_TIMEOUT }
    }

    /// Sets how long a request's body may take to arrive. Default: 20 s. Beyond: 408.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Begins to serve a request, which came from `peer` if that is known.
    pub(super) fn serve<B>(&self, request: Request<B>, peer: Option<SocketAddr>) -> Serving<B>
    where
        B: Body + Unpin + Send + 'static,
        B::Data: Send,
    {
        let (mut head, body) = request.into_parts();
        mark(&mut head);
        let plan = self.bayeux.plan(&head);
        let connection = Connection::take(&mut head);
        match plan {
            Plan::Exchange(exchange) => {
                let context = RequestContext::new(head, exchange.transport(), peer);
                Serving::read(self, context, exchange, body)
            }
            Plan::Upgrade(accepted) => {
                let context = RequestContext::new(head, Transport::WebSocket, peer);
                Serving::answered(upgrade(self.bayeux.clone(), context, connection, accepted))
            }
            // A client that asks first has not sent its body, and shall not be told to.
            Plan::Answer(response)
                if body.is_end_stream() || head.headers.contains_key(header::EXPECT) =>
            {
                Serving::answered(response)
            }
            Plan::Answer(response) => Serving::discard(self, body, response),
        }
    }
}

impl<B> Service<Request<B>> for CometdService
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<CometdBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let serving = self.serve(request.map(Box::pin), None);
        Box::pin(async move { Ok(serving.await) })
    }
}

/// Puts a Bayeux server under a path of another service, which gets everything else.
#[derive(Clone, Debug)]
pub struct CometdLayer {
    cometd: CometdService,
    path: Arc<str>,
}

impl CometdLayer {
    /// The server under `/cometd`.
    pub fn new(bayeux: Bayeux) -> Self {
        Self { cometd: CometdService::new(bayeux), path: "/cometd".into() }
    }

    /// The same under another path. Clients add suffixes to it (`/cometd/connect`), which are
    /// taken as well. A missing `/` in front is added; `/` takes everything.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.path = if path.is_empty() { "".into() } else { format!("/{path}").into() };
        self
    }

    /// Sets how long a request's body may take to arrive. Default: 20 s. Beyond: 408.
    #[must_use]
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.cometd = self.cometd.body_timeout(timeout);
        self
    }
}

impl<S> Layer<S> for CometdLayer {
    type Service = MountedService<S>;

    fn layer(&self, inner: S) -> MountedService<S> {
        MountedService { cometd: self.cometd.clone(), path: Arc::clone(&self.path), inner }
    }
}

/// A service with a Bayeux server under one of its paths; made by [`CometdLayer`].
#[derive(Clone)]
pub struct MountedService<S> {
    cometd: CometdService,
    path: Arc<str>,
    inner: S,
}

impl<S> MountedService<S> {
    /// Whether a request is for the mount point or below it.
    pub(super) fn takes<B>(&self, request: &Request<B>) -> bool {
        let below = request.uri().path().strip_prefix(&*self.path);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Who serves what is for the mount point.
    pub(super) fn cometd(&self) -> &CometdService {
        &self.cometd
    }

    /// Who serves everything else.
    pub(super) fn other(&self) -> S
    where
        S: Clone,
    {
        self.inner.clone()
    }
}

/// The response of another service.
pub(super) async fn ask<S: Service<T>, T>(
    mut service: S,
    request: T,
) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}

/// A response that is being made.
type Answering<R, E> = Pin<Box<dyn Future<Output = Result<Response<MountedBody<R>>, E>> + Send>>;

impl<S, B, R> Service<Request<B>> for MountedService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<MountedBody<R>>;
    type Error = S::Error;
    type Future = Answering<R, S::Error>;

    /// Always ready: Bayeux does not wait for the other service, whose readiness is asked for when
    /// there is a request for it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.takes(&request) {
            let serving = self.cometd.serve(request.map(Box::pin), None);
            return Box::pin(async move { Ok(serving.await.map(MountedBody::cometd)) });
        }
        let other = self.other();
        Box::pin(async move { Ok(ask(other, request).await?.map(MountedBody::other)) })
    }
}

/// The body of a response of a [`MountedService`].
pub struct MountedBody<R>(Of<R>);

enum Of<R> {
    Cometd(CometdBody),
    Other(Pin<Box<R>>),
}

impl<R> MountedBody<R> {
    pub(super) fn cometd(body: CometdBody) -> Self {
        Self(Of::Cometd(body))
    }

    pub(super) fn other(body: R) -> Self {
        Self(Of::Other(Box::pin(body)))
    }
}

impl<R: Body<Data = Bytes>> Body for MountedBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        match &mut self.0 {
            Of::Cometd(body) => {
                Pin::new(body).poll_frame(cx).map_err(|never: Infallible| match never {})
            }
            Of::Other(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Of::Cometd(body) => body.is_end_stream(),
            Of::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Of::Cometd(body) => body.size_hint(),
            Of::Other(body) => body.size_hint(),
        }
    }
}

impl<R> fmt::Debug for MountedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountedBody").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for MountedService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountedService").field("path", &self.path).finish_non_exhaustive()
    }
}
