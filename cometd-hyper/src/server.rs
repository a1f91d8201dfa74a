//! [`serve`], on tokio's listeners.

use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;

use bayeux_core::adapter::{self, Listener, NotFound, ServeOptions, Site};
use bayeux_core::front::Bayeux;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::runtime::Tokio;

/// Serves Bayeux under `options.path` and nothing else, until `shutdown` is ready.
///
/// Then it stops accepting, answers held connects with the advice to come back a little later,
/// finishes what is being answered, closes WebSockets, and returns. All of that is the end of the
/// server ([`Bayeux::drain`]), not only of this listener. Dropping the future cuts all connections
/// off.
///
/// `listener` is one of tokio's, one with TLS ([`Secured`](crate::Secured)), or your own
/// ([`Listener`]).
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
    L: Listener<Tokio, Stream: AsyncRead + AsyncWrite + Unpin>,
{
    serve_with(listener, bayeux, NotFound, options, shutdown).await
}

/// The same with a service for all other paths: `tower::service_fn` makes one of a function, an
/// axum `Router` is one. `examples/chat.rs` has one that serves files and metrics.
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
    L: Listener<Tokio, Stream: AsyncRead + AsyncWrite + Unpin>,
    S: Site,
{
    adapter::serve(listener, TokioIo::new, bayeux, others, options, shutdown).await
}

impl Listener<Tokio> for TcpListener {
    type Stream = TcpStream;
    type Opening = Ready<io::Result<TcpStream>>;

    async fn accept(&mut self) -> io::Result<(Self::Opening, Option<SocketAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        // What is sent is small and complete: waiting for more of it would only delay it.
        let _ = stream.set_nodelay(true);
        Ok((ready(Ok(stream)), Some(peer)))
    }
}

#[cfg(unix)]
impl Listener<Tokio> for tokio::net::UnixListener {
    type Stream = tokio::net::UnixStream;
    type Opening = Ready<io::Result<Self::Stream>>;

    async fn accept(&mut self) -> io::Result<(Self::Opening, Option<SocketAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((ready(Ok(stream)), None))
    }
}
