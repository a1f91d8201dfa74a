//! [`serve`]: connections, from the first to the last.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::net::SocketAddr;

use ::http::Request;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::upgrade::OnUpgrade;
use hyper_util::service::TowerToHyperService;
use tower_layer::Layer;
use tower_service::Service;

use super::connections::{Connections, Place};
use super::hosted::hosted;
use super::io::{Protocol, Stream};
use super::listener::Listener;
use super::options::ServeOptions;
use super::service::{CometdLayer, MountedService};
use super::site::Site;
use super::timer::{Clock, Tasks, within};
use super::upgrade::Host;
use crate::front::{Bayeux, PeerAddr};

/// Serves Bayeux under `options.path`, and `others` at all other paths, until `shutdown` is ready.
///
/// Then it stops accepting, answers held connects with the advice to come back a little later,
/// finishes what is being answered, closes WebSockets, and returns.
///
/// `speak` makes a runtime's streams hyper's; `P` is what the runtime is called, see [`Listener`].
///
/// # Errors
///
/// When the listener fails for good. A connection that fails is its own matter.
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
    let host = Arc::new(Hosting::new(bayeux.clone(), others, options));
    let connections = Connections::new(host.options.max_connections);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = {
            let mut accepting = pin!(accept(&mut listener, &connections, &bayeux));
            poll_fn(|cx| match shutdown.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => accepting.as_mut().poll(cx).map(Some),
            })
            .await
        };
        let Some(accepted) = accepted else { break };
        let (opening, peer, place) = accepted?;
        let opening = async move { opening.await.map(speak) };
        let connection = Arc::clone(&host).connection(opening, peer, Arc::clone(&place));
        bayeux.spawn(hosted(&place, connection));
    }
    drop(listener);
    connections.end();
    bayeux.drain(host.options.reconnect_spread);
    let gone = within(&bayeux, host.options.shutdown_timeout, connections.gone()).await;
    if gone.is_none() {
        tracing::warn!(target: "bayeux", "connections were cut off at the end of the shutdown");
    }
    Ok(())
}

/// The next connection, when there is a place for it.
async fn accept<P, L: Listener<P>>(
    listener: &mut L,
    connections: &Connections,
    bayeux: &Bayeux,
) -> io::Result<(L::Opening, Option<SocketAddr>, Arc<Place>)> {
    let place = connections.place().await;
    loop {
        match listener.accept().await {
            Ok((opening, peer)) => return Ok((opening, peer, place)),
            Err(error) if is_passing(&error) => {
                // Out of descriptors or of memory, or a client that was gone before it was
                // accepted. Waiting a little keeps the first from becoming a busy loop.
                tracing::warn!(target: "bayeux", "cannot accept a connection: {error}");
                bayeux.sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether accepting may work again later. The kinds for "too many open files" have no stable
/// names in the standard library, so the list names what is fatal instead.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotConnected, Unsupported};
    ![InvalidInput, NotConnected, Unsupported].contains(&error.kind())
}

/// Requests of one HTTP/2 connection at the same time: plenty for a browser's tabs, and a bound on
/// the responses that a peer can refuse to take without its connection stalling as a whole.
const HTTP2_STREAMS: u32 = 100;

/// As good as for ever.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What all connections of a server have in common.
struct Hosting<S> {
    bayeux: Bayeux,
    service: MountedService<S>,
    http1: http1::Builder,
    http2: http2::Builder<Tasks>,
    options: ServeOptions,
}

impl<S: Site> Hosting<S> {
    fn new(bayeux: Bayeux, others: S, options: ServeOptions) -> Self {
        let layer =
            CometdLayer::new(bayeux.clone()).path(&options.path).body_timeout(options.body_timeout);
        // hyper adds it to a moment, which must not overflow.
        let head_timeout = options.head_timeout.min(LONGEST);
        let mut http1 = http1::Builder::new();
        http1.timer(Clock::new(&bayeux)).header_read_timeout(head_timeout);
        let mut http2 = http2::Builder::new(Tasks(bayeux.clone()));
        http2
            .timer(Clock::new(&bayeux))
            .keep_alive_interval(head_timeout)
            .keep_alive_timeout(head_timeout)
            .max_concurrent_streams(HTTP2_STREAMS)
            // WebSockets over HTTP/2 (RFC 8441).
            .enable_connect_protocol();
        Self { bayeux, service: layer.layer(others), http1, http2, options }
    }

    /// One connection, to its end.
    async fn connection<I: Read + Write + Unpin + Send + 'static>(
        self: Arc<Self>,
        opening: impl Future<Output = io::Result<I>> + Send + 'static,
        peer: Option<SocketAddr>,
        place: Arc<Place>,
    ) {
        let begun = within(&self.bayeux, self.options.head_timeout, self.begin(opening, &place));
        // In a box of its own, so that what it takes to open a connection is not kept for all of
        // the time that it is open.
        let (stream, protocol) = match Box::pin(begun).await {
            Some(Ok(Some(begun))) => begun,
            // It was not begun in time, or the server has ended.
            None | Some(Ok(None)) => return,
            Some(Err(error)) => return failed(peer, &error),
        };
        let service = self.service.clone();
        let service = WithPeer { inner: service, peer, host: Host(Arc::clone(&place)) };
        let service = TowerToHyperService::new(service);
        let ended = match protocol {
            Protocol::Http1 => {
                let connection = self.http1.serve_connection(stream, service).with_upgrades();
                let connection = Box::pin(connection);
                served(connection, http1::UpgradeableConnection::graceful_shutdown, &place).await
            }
            Protocol::Http2 => {
                let connection = Box::pin(self.http2.serve_connection(stream, service));
                served(connection, http2::Connection::graceful_shutdown, &place).await
            }
        };
        if let Err(error) = ended {
            failed(peer, &error);
        }
    }

    /// Opens a connection and finds out what its peer speaks; `None` when the server ends before. A
    /// connection that has asked for nothing is owed nothing.
    async fn begin<I: Read + Write + Unpin>(
        &self,
        opening: impl Future<Output = io::Result<I>>,
        place: &Place,
    ) -> io::Result<Option<(Stream<I>, Protocol)>> {
        let mut beginning = pin!(async {
            let stream = opening.await?;
            let mut stream = Stream::new(stream, self.bayeux.clone(), self.options.write_timeout);
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

/// Serves a connection to its end, which it is asked for when the server's has come.
async fn served<C: Future<Output = hyper::Result<()>>>(
    mut connection: Pin<Box<C>>,
    shutdown: fn(Pin<&mut C>),
    place: &Place,
) -> hyper::Result<()> {
    let mut asked = false;
    poll_fn(|cx| {
        if !asked && place.is_ending() {
            asked = true;
            shutdown(connection.as_mut());
        }
        connection.as_mut().poll(cx)
    })
    .await
}

fn failed(peer: Option<SocketAddr>, error: &dyn core::error::Error) {
    match peer {
        Some(peer) => tracing::debug!(target: "bayeux", "connection from {peer}: {error}"),
        None => tracing::debug!(target: "bayeux", "connection: {error}"),
    }
}

/// Tells each request where it came from, and who runs what becomes of it.
#[derive(Clone)]
struct WithPeer<S> {
    inner: S,
    peer: Option<SocketAddr>,
    host: Host,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for WithPeer<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> S::Future {
        let extensions = request.extensions_mut();
        if let Some(peer) = self.peer {
            extensions.insert(PeerAddr(peer));
        }
        if extensions.get::<OnUpgrade>().is_some() {
            extensions.insert(self.host.clone());
        }
        self.inner.call(request)
    }
}
