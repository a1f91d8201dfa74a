//! [`serve`], on smol's listeners.

use std::future::{Future, Ready, ready};
use std::io;
use std::net::{self, SocketAddr};
#[cfg(unix)]
use std::os::unix;
use std::sync::Arc;

use async_io::Async;
use bayeux_core::adapter::{self, Listener, NotFound, ServeOptions, Site};
use bayeux_core::front::Bayeux;
use futures_io::{AsyncRead, AsyncWrite};
use smol::net::TcpListener;

use crate::io::{Io, Stream};
use crate::runtime::Smol;

/// Serves Bayeux under `options.path` and nothing else, until `shutdown` is ready.
///
/// Then it stops accepting, answers held connects with the advice to come back a little later,
/// finishes what is being answered, closes WebSockets, and returns. All of that is the end of the
/// server ([`Bayeux::drain`]), not only of this listener. Dropping the future cuts all connections
/// off.
///
/// `listener` is one of smol's (async-io's turn into those), one with TLS
/// ([`Secured`](crate::Secured)), or your own ([`Listener`]). Closing a stream of yours must close
/// its side of the connection: async-io's bare `Async` does not, smol's streams do.
///
/// # Errors
///
/// When the listener fails for good, after the same orderly end. A connection that fails is its own
/// matter.
pub async fn serve<L>(
    listener: L,
    bayeux: Bayeux,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    L: Listener<Smol, Stream: AsyncRead + AsyncWrite + Unpin>,
{
    serve_with(listener, bayeux, NotFound, options, shutdown).await
}

/// The same with a service for all other paths: `tower::service_fn` makes one of a function.
/// `examples/chat.rs` has one that serves files and metrics. (An axum `Router` is one, too, but
/// handlers that use tokio need it.)
///
/// A connection that it upgrades is its own matter: it has no place among
/// `max_connections`, and is not waited for or cut off.
///
/// # Errors
///
/// As [`serve`].
pub async fn serve_with<L, S>(
    listener: L,
    bayeux: Bayeux,
    others: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    L: Listener<Smol, Stream: AsyncRead + AsyncWrite + Unpin>,
    S: Site,
{
    adapter::serve(listener, Io::new, bayeux, others, options, shutdown).await
}

impl Listener<Smol> for TcpListener {
    type Stream = Stream<net::TcpStream>;
    type Opening = Ready<io::Result<Self::Stream>>;

    async fn accept(&mut self) -> io::Result<(Self::Opening, Option<SocketAddr>)> {
        let inner: Arc<Async<net::TcpListener>> = self.clone().into();
        let (stream, peer) = inner.accept().await?;
        // What is sent is small and complete: waiting for more of it would only delay it.
        let _ = stream.get_ref().set_nodelay(true);
        Ok((ready(Ok(Stream::new(stream, net::TcpStream::shutdown))), Some(peer)))
    }
}

#[cfg(unix)]
impl Listener<Smol> for smol::net::unix::UnixListener {
    type Stream = Stream<unix::net::UnixStream>;
    type Opening = Ready<io::Result<Self::Stream>>;

    async fn accept(&mut self) -> io::Result<(Self::Opening, Option<SocketAddr>)> {
        let inner: Arc<Async<unix::net::UnixListener>> = self.clone().into();
        let (stream, _) = inner.accept().await?;
        Ok((ready(Ok(Stream::new(stream, unix::net::UnixStream::shutdown))), None))
    }
}
