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

use ::http::{Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;

use super::body::CometdBody;
use super::connections::Place;
use super::read::{ReadError, discard, read};
use super::upgrade::{Connection, mark, upgrade};
use crate::front::{Bayeux, Receipt};
use crate::http::{Exchange, Plan};

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
    bayeux: Bayeux,
    body_timeout: Duration,
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

    fn answer<B>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Response<CometdBody>> + Send + use<B>
    where
        B: Body + Send + 'static,
        B::Data: Send,
    {
        let (bayeux, body_timeout) = (self.bayeux.clone(), self.body_timeout);
        async move {
            // In a box of its own, since a future keeps room for everything that it ever held:
            // this one is kept while a connect is held, when nothing of the request is needed.
            let begun = Box::pin(begin(bayeux, request, body_timeout)).await;
            match begun {
                Ok(answering) => {
                    let (response, receipt) = answering.await;
                    response.map(|data| CometdBody::new(data, Some(receipt)))
                }
                Err(response) => response.map(|data| CometdBody::new(data, None)),
            }
        }
    }
}

/// Reads a request and submits its payload; `Err` with the response to one that has none.
async fn begin<B>(
    bayeux: Bayeux,
    request: Request<B>,
    body_timeout: Duration,
) -> Result<impl Future<Output = (Response<Bytes>, Receipt)> + Send + use<B>, Response<Bytes>>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    let (mut head, body) = request.into_parts();
    mark(&mut head);
    let plan = bayeux.plan(&head);
    let connection = Connection::take(&mut head);
    let exchange = match plan {
        Plan::Exchange(exchange) => exchange,
        Plan::Upgrade(accepted) => return Err(upgrade(bayeux, head, connection, accepted)),
        Plan::Answer(response) => {
            // A client that asks first has not sent its body, and shall not be told to.
            if !body.is_end_stream() && !head.headers.contains_key(header::EXPECT) {
                discard(&bayeux, Box::pin(body)).await;
            }
            return Err(response);
        }
    };
    let read = match exchange.read_limit() {
        Some(limit) => read(&bayeux, body, limit, body_timeout).await,
        None => Ok(Bytes::new()),
    };
    let body = read.map_err(|error| refuse(&exchange, error))?;
    Ok(bayeux.exchange(exchange, head, body))
}

fn refuse(exchange: &Exchange, error: ReadError) -> Response<Bytes> {
    let (status, what) = match error {
        ReadError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large"),
        ReadError::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the request took too long"),
        ReadError::Broken => (StatusCode::BAD_REQUEST, "the request is incomplete"),
    };
    exchange.error(status, what)
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
        let answer = self.answer(request);
        Box::pin(async move { Ok(answer.await) })
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
    /// Whether a path is the mount point or below it.
    fn takes(&self, path: &str) -> bool {
        path.strip_prefix(&*self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A response that is being made.
pub(super) type Answering<R, E> =
    Pin<Box<dyn Future<Output = Result<Response<MountedBody<R>>, E>> + Send>>;

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
        if self.takes(request.uri().path()) {
            let answer = self.cometd.answer(request);
            return Box::pin(async move { Ok(answer.await.map(MountedBody::cometd)) });
        }
        // What it makes of its connection is its own.
        let (mut inner, mut request) = (self.inner.clone(), request);
        request.extensions_mut().remove::<Arc<Place>>();
        Box::pin(async move {
            poll_fn(|cx| inner.poll_ready(cx)).await?;
            Ok(inner.call(request).await?.map(MountedBody::other))
        })
    }
}

/// The body of a response of a [`MountedService`].
pub struct MountedBody<R>(Of<R>);

enum Of<R> {
    Cometd(CometdBody),
    Other(Pin<Box<R>>),
}

impl<R> MountedBody<R> {
    fn cometd(body: CometdBody) -> Self {
        Self(Of::Cometd(body))
    }

    fn other(body: R) -> Self {
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
