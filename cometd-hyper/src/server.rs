//! [`serve`]: connections, from the first to the last.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bayeux_core::front::{Bayeux, PeerAddr};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tower_layer::Layer;
use tower_service::Service;

use crate::service::{BoxError, CometdLayer};
use crate::upgrade::Host;

/// How [`serve`] treats connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Where the Bayeux server is mounted. Default: `/cometd`.
    pub path: String,
    /// How long a request's head may take to arrive, idle time before it included. Default: 60 s,
    /// so that a client that is advised to pause keeps its connection. Beyond: the connection is
    /// closed.
    pub head_timeout: Duration,
    /// How long a request's body may take to arrive. Default: 20 s. Beyond: 408.
    pub body_timeout: Duration,
    /// How long a peer may take none of what is sent to it. Default: 30 s. Beyond: the connection
    /// is closed.
    pub write_timeout: Duration,
    /// How many connections are open at the same time. Default: 65,536. Beyond: further ones wait
    /// in the operating system's queue.
    pub max_connections: usize,
    /// How long the end may take, once `shutdown` is ready: the time to answer what is open.
    /// Default: 9 s, since process managers give ten. Beyond: what is left is cut off.
    pub shutdown_timeout: Duration,
    /// When shutting down, clients are advised to come back after a random time below this.
    /// Default: 2 s.
    pub reconnect_spread: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            path: "/cometd".to_owned(),
            head_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(20),
            write_timeout: Duration::from_secs(30),
            max_connections: 65_536,
            shutdown_timeout: Duration::from_secs(9),
            reconnect_spread: Duration::from_secs(2),
        }
    }
}

/// Serves Bayeux under `options.path` and nothing else, until `shutdown` is ready.
///
/// Then it stops accepting, answers held connects with the advice to come back a little later,
/// finishes what is being answered, closes WebSockets, and returns.
///
/// # Errors
///
/// When the listener fails for good. A connection that fails is its own matter.
pub async fn serve(
    listener: TcpListener,
    bayeux: Bayeux,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    serve_with(listener, bayeux, NotFound, options, shutdown).await
}

/// The same with a service for all other paths: `tower::service_fn` makes one of a function, an
/// axum `Router` is one. `examples/chat.rs` has one that serves files and metrics.
///
/// # Errors
///
/// When the listener fails for good.
pub async fn serve_with<S, R>(
    listener: TcpListener,
    bayeux: Bayeux,
    others: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    let layer =
        CometdLayer::new(bayeux.clone()).path(&options.path).body_timeout(options.body_timeout);
    let service = layer.layer(others);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(options.head_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.head_timeout)
        .keep_alive_timeout(options.head_timeout)
        .max_concurrent_streams(HTTP2_STREAMS)
        // WebSockets over HTTP/2 (RFC 8441).
        .enable_connect_protocol();

    let graceful = GracefulShutdown::new();
    let ending = watch::Sender::new(false);
    let places = Arc::new(Semaphore::new(options.max_connections));
    let mut connections = JoinSet::new();
    let (tasks, mut sockets) = mpsc::unbounded_channel();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
            // Reaps what has ended, so that the set stays as large as what is open.
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            Some(socket) = sockets.recv() => {
                connections.spawn(socket);
                continue;
            }
        };
        let (stream, peer, place) = accepted?;
        // Responses are small and complete: waiting for more of them would only delay them.
        let _ = stream.set_nodelay(true);
        let host = Host { tasks: tasks.clone(), place: Arc::new(place) };
        let service = WithPeer { inner: service.clone(), peer, host };
        let service = hyper_util::service::TowerToHyperService::new(service);
        let (builder, watcher) = (builder.clone(), graceful.watcher());
        let (head_timeout, write_timeout) = (options.head_timeout, options.write_timeout);
        let mut ending = ending.subscribe();
        connections.spawn(async move {
            // A connection that has asked for nothing is owed nothing when the server ends.
            let begun = tokio::select! {
                begun = timeout(head_timeout, begins(&stream)) => matches!(begun, Ok(Ok(()))),
                _ = ending.wait_for(|&ending| ending) => false,
            };
            drop(ending);
            if !begun {
                return;
            }
            let mut stream = TimeoutStream::new(stream);
            stream.set_write_timeout(Some(write_timeout));
            let stream = TokioIo::new(Box::pin(stream));
            let connection = builder.serve_connection_with_upgrades(stream, service);
            let connection = connection.into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(target: "bayeux", "connection from {peer}: {error}");
            }
        });
    }
    drop(listener);
    ending.send_replace(true);
    bayeux.drain(options.reconnect_spread);
    let finished = async {
        let mut asked = pin!(graceful.shutdown());
        let mut asking = true;
        // A connection of HTTP/2 ends after its sockets, so those are begun even now.
        while asking || !connections.is_empty() {
            tokio::select! {
                biased;
                Some(socket) = sockets.recv() => drop(connections.spawn(socket)),
                () = &mut asked, if asking => asking = false,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    };
    if timeout(options.shutdown_timeout, finished).await.is_err() {
        tracing::warn!(target: "bayeux", "connections were cut off at the end of the shutdown");
    }
    Ok(())
}

type Place = tokio::sync::OwnedSemaphorePermit;

/// The next connection, when there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, Place)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Ok((stream, peer, place)),
            Err(error) if is_passing(&error) => {
                // Out of descriptors or of memory, or a client that was gone before it was
                // accepted. Waiting a little keeps the first from becoming a busy loop.
                tracing::warn!(target: "bayeux", "cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Requests of one HTTP/2 connection at the same time: plenty for a browser's tabs, and a bound on
/// the responses that a peer can refuse to take without its connection stalling as a whole.
const HTTP2_STREAMS: u32 = 100;

/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits until the peer has sent enough to tell HTTP/1 from HTTP/2. hyper finds that out as well,
/// but has no time-out yet while it does, so a peer that sends nothing would stay for ever.
async fn begins(stream: &TcpStream) -> io::Result<()> {
    let mut seen = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut seen).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if count == PREFACE.len() || seen[..count] != PREFACE[..count] {
            return Ok(());
        }
        // A part of the preface: rare, and nothing says when there is more of what was peeked at.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether accepting may work again later. The kinds for "too many open files" have no stable
/// names in the standard library, so the list names what is fatal instead.
fn is_passing(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected | io::ErrorKind::Unsupported
    )
}

/// Tells each request where it came from, and who runs what becomes of it.
#[derive(Clone)]
struct WithPeer<S> {
    inner: S,
    peer: SocketAddr,
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
        extensions.insert(PeerAddr(self.peer));
        if extensions.get::<OnUpgrade>().is_some() {
            extensions.insert(self.host.clone());
        }
        self.inner.call(request)
    }
}

/// What is at all other paths when there is nothing else.
#[derive(Clone)]
struct NotFound;

impl Service<Request<Incoming>> for NotFound {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(response))
    }
}
