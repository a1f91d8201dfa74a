//! [`serve`]: connections, from the first to the last.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use ::http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::upgrade::OnUpgrade;
use tower_layer::Layer;

use super::connections::{Busy, Connections, Place};
use super::hosted::hosted;
use super::idle::Idle;
use super::io::{Protocol, Stream};
use super::listener::Listener;
use super::options::ServeOptions;
use super::served::{Served, failed};
use super::service::{CometdLayer, MountedBody, MountedService, ask};
use super::serving::Serving;
use super::site::Site;
use super::timer::{Clock, Tasks, within};
use super::upgrade::Carrier;
use crate::front::{Bayeux, PeerAddr};

/// Serves Bayeux under `options.path`, and `others` at all other paths, until `shutdown` is ready.
///
/// Then it stops accepting, answers held connects with the advice to come back a little later,
/// finishes what is being answered, closes WebSockets, and returns. All of that is the end of the
/// server ([`Bayeux::drain`]), not only of this listener: one server has one `serve`.
///
/// A connection that one of `others` has upgraded is its own matter: it has no place among
/// `max_connections`, and is not waited for or cut off.
///
/// `speak` makes a runtime's streams hyper's; `P` is what the runtime is called, see [`Listener`].
///
/// # Errors
///
/// When the listener fails for good, after the same orderly end. A connection that fails is its own
/// matter.
pub async fn serve<P, L, I, S>(
    mut listener: L,
    speak: fn(L::Stream) -> I,
    bayeux: Bayeux,
    others: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    L: Listener<P>,
    I: Read + Write + Unpin + Send + 'static,
    S: Site,
{
    let layer =
        CometdLayer::new(bayeux.clone()).path(&options.path).body_timeout(options.body_timeout);
    let service = layer.layer(others);
    let host = Arc::new(Hosting::new(bayeux.clone(), options));
    let connections = Connections::new(host.options.max_connections);
    let mut shutdown = pin!(shutdown);
    let ended = loop {
        let accepted = {
            let mut accepting = pin!(accept(&mut listener, &connections, &bayeux));
            poll_fn(|cx| match shutdown.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => accepting.as_mut().poll(cx).map(Some),
            })
            .await
        };
        let (opening, peer, place) = match accepted {
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        };
        let opening = async move { opening.await.map(speak) };
        let carrier = Carrier::new(Arc::clone(&place));
        let service = WithPeer { inner: service.clone(), peer, carrier };
        let connection = Box::pin(Arc::clone(&host).connection(opening, service));
        bayeux.spawn(hosted(&place, connection));
    };
    drop(listener);
    connections.end();
    bayeux.drain(host.options.reconnect_spread);
    let gone = within(&bayeux, host.options.shutdown_timeout, connections.gone()).await;
    if gone.is_none() {
        tracing::warn!(target: "bayeux", "connections were cut off at the end of the shutdown");
        connections.cut();
        // For their tasks to be polled once more: some runtimes poll nothing when this has ended.
        within(&bayeux, Duration::from_millis(500), connections.gone()).await;
    }
    ended
}

/// The next connection, when there is a place for it.
async fn accept<P, L: Listener<P>>(
    listener: &mut L,
    connections: &Connections,
    bayeux: &Bayeux,
) -> io::Result<(L::Opening, Option<SocketAddr>, Arc<Place>)> {
    let place = connections.place().await;
    let mut warned = false;
    loop {
        match listener.accept().await {
            Ok((opening, peer)) => return Ok((opening, peer, place)),
            Err(error) if is_of_one_client(&error) => {
                tracing::debug!(target: "bayeux", "a connection was gone at once: {error}");
            }
            Err(error) if is_passing(&error) => {
                // Out of descriptors or of memory. Waiting a little keeps that from becoming a
                // busy loop.
                if !warned {
                    tracing::warn!(target: "bayeux", "cannot accept connections: {error}");
                }
                warned = true;
                bayeux.sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a client was gone before it was accepted, which says nothing about the next one.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::NotConnected
            | Kind::Interrupted
    )
}

/// Whether accepting may work again later. The kinds for "too many open files" have no stable
/// names in the standard library, so the list names what is fatal instead.
fn is_passing(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported)
}

/// Requests of one HTTP/2 connection at the same time: plenty for a browser's tabs, and a bound on
/// the responses that a peer can refuse to take without its connection stalling as a whole.
const HTTP2_STREAMS: u32 = 100;

/// As good as for ever.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What all connections of a server have in common.
struct Hosting {
    bayeux: Bayeux,
    http1: http1::Builder,
    http2: http2::Builder<Tasks>,
    options: ServeOptions,
}

impl Hosting {
    fn new(bayeux: Bayeux, options: ServeOptions) -> Self {
        // hyper adds it to a moment, which must not overflow.
        let head_timeout = options.head_timeout.min(LONGEST);
        let mut http1 = http1::Builder::new();
        // That is what `Idle` does.
        http1.header_read_timeout(None);
        let mut http2 = http2::Builder::new(Tasks(bayeux.clone()));
        http2
            .timer(Clock::new(&bayeux))
            .keep_alive_interval(head_timeout)
            .keep_alive_timeout(head_timeout)
            .max_concurrent_streams(HTTP2_STREAMS)
            // WebSockets over HTTP/2 (RFC 8441).
            .enable_connect_protocol();
        Self { bayeux, http1, http2, options }
    }

    /// Opens one connection, and has it served by a task of its own.
    async fn connection<I, S>(
        self: Arc<Self>,
        opening: impl Future<Output = io::Result<I>> + Send + 'static,
        mut service: WithPeer<S>,
    ) where
        I: Read + Write + Unpin + Send + 'static,
        S: Site,
    {
        let (accepted, peer, place) =
            (self.bayeux.now(), service.peer, Arc::clone(&service.carrier.place));
        let begun = within(&self.bayeux, self.options.head_timeout, self.begin(opening, &place));
        let (stream, protocol) = match begun.await {
            Some(Ok(Some(begun))) => begun,
            // It was not begun in time, or the server has ended.
            None | Some(Ok(None)) => return,
            Some(Err(error)) => return failed(peer, &error),
        };
        let idle = Idle::new(&self.bayeux, &place, accepted, self.options.head_timeout);
        match protocol {
            Protocol::Http1 => {
                service.carrier.speaks_http1(&stream);
                let connection = self.http1.serve_connection(stream, service).with_upgrades();
                let end =
                    |it: &mut _| http1::UpgradeableConnection::graceful_shutdown(Pin::new(it));
                let served = Served::new(connection, end, &place, idle, peer);
                self.bayeux.spawn(hosted(&place, served));
            }
            Protocol::Http2 => {
                let connection = Box::pin(self.http2.serve_connection(stream, service));
                let end =
                    |it: &mut Pin<Box<http2::Connection<_, _, _>>>| it.as_mut().graceful_shutdown();
                let served = Served::new(connection, end, &place, idle, peer);
                self.bayeux.spawn(hosted(&place, served));
            }
        }
    }

    /// Opens a connection and finds out what its peer speaks; `None` when the server ends before. A
    /// connection that has asked for nothing is owed nothing.
    async fn begin<I: Read + Write + Unpin>(
        &self,
        opening: impl Future<Output = io::Result<I>>,
        place: &Arc<Place>,
    ) -> io::Result<Option<(Stream<I>, Protocol)>> {
        let mut beginning = pin!(async {
            let (stream, bayeux) = (opening.await?, self.bayeux.clone());
            let write_timeout = self.options.write_timeout;
            let mut stream = Stream::new(stream, bayeux, Arc::clone(place), write_timeout);
            let protocol = poll_fn(|cx| stream.poll_protocol(cx)).await?;
            Ok((stream, protocol))
        });
        poll_fn(|cx| {
            if place.is_ending() {
                return Poll::Ready(Ok(None));
            }
            beginning.as_mut().poll(cx).map_ok(Some)
        })
        .await
    }
}

/// Tells each request where it came from, and who runs what becomes of it; and the connection that
/// it has a request.
struct WithPeer<S> {
    inner: MountedService<S>,
    peer: Option<SocketAddr>,
    carrier: Carrier,
}

impl<S: Site> hyper::service::Service<Request<Incoming>> for WithPeer<S> {
    type Response = Response<Counted<MountedBody<S::Body>>>;
    type Error = S::Error;
    type Future = Responding<S::Body, S::Error>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let busy = Some(self.carrier.place.begin());
        if !self.inner.takes(&request) {
            if let Some(peer) = self.peer {
                request.extensions_mut().insert(PeerAddr(peer));
            }
            let other = ask(self.inner.other(), request);
            return Responding { by: By::Other(Box::pin(other)), busy };
        }
        let extensions = request.extensions_mut();
        if extensions.get::<OnUpgrade>().is_some() {
            // What others make of a connection is their own.
            extensions.insert(self.carrier.clone());
        }
        let serving = self.inner.cometd().serve(request, self.peer);
        Responding { by: By::Cometd(serving), busy }
    }
}

/// The response of another service, that is being made.
type Other<B, E> = Pin<Box<dyn Future<Output = Result<Response<B>, E>> + Send>>;

/// A response on its way. hyper keeps it in the connection, so Bayeux's own is in no box.
struct Responding<B, E> {
    by: By<B, E>,
    busy: Option<Busy>,
}

/// Who makes a response.
enum By<B, E> {
    Cometd(Serving<Incoming>),
    Other(Other<B, E>),
}

impl<B, E> Future for Responding<B, E> {
    type Output = Result<Response<Counted<MountedBody<B>>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut self.by {
            By::Cometd(serving) => ready!(Pin::new(serving).poll(cx)).map(MountedBody::cometd),
            By::Other(other) => ready!(other.as_mut().poll(cx))?.map(MountedBody::other),
        };
        let busy = self.busy.take();
        Poll::Ready(Ok(response.map(|inner| Counted { inner, _busy: busy })))
    }
}

/// The body of a response: with it the request is over.
struct Counted<T> {
    inner: T,
    /// Dropped with it.
    _busy: Option<Busy>,
}

impl<B: Body + Unpin> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
