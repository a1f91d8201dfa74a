//! [`Listener`]: where connections come from; and [`Secured`], for TLS.

use alloc::boxed::Box;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::io;
use std::net::SocketAddr;

/// Where connections come from.
///
/// `P` names the runtime that the streams are of, so that its adapter can say what a listener of
/// that runtime is, and you what yours is: `impl Listener<cometd_hyper::Tokio> for MyListener`, or
/// `Listener<cometd_smol::Smol>`. One that asks others takes its types from them:
///
/// ```ignore
/// type Stream = <TcpListener as Listener<Smol>>::Stream;
/// type Opening = <TcpListener as Listener<Smol>>::Opening;
///
/// async fn accept(&mut self) -> io::Result<(Self::Opening, Option<SocketAddr>)> {
///     // Not `self.0.accept()`, which is the listener's own method.
///     race(Listener::accept(&mut self.0), Listener::accept(&mut self.1)).await
/// }
/// ```
pub trait Listener<P>: Send {
    /// A connection, as HTTP is spoken on it.
    type Stream: Send + 'static;

    /// What has to happen before: a TLS handshake, say. It takes place in the connection's own task,
    /// and has [`ServeOptions::head_timeout`](super::ServeOptions::head_timeout) for it.
    type Opening: Future<Output = io::Result<Self::Stream>> + Send + 'static;

    /// The next connection, and where it comes from, if that has an address.
    ///
    /// Dropping the future must not lose a connection.
    ///
    /// # Errors
    ///
    /// Those of [`io::ErrorKind::InvalidInput`] and `Unsupported` end the server. A connection that
    /// is gone already (`ConnectionAborted` and the like) is passed over; after all others the server
    /// tries again a little later. What is wrong with one connection is better an error of its
    /// `Opening`.
    fn accept(
        &mut self,
    ) -> impl Future<Output = io::Result<(Self::Opening, Option<SocketAddr>)>> + Send;
}

/// The connections of a listener after a handshake, which makes another stream of each: TLS.
///
/// Handshakes take place beside each other; one that takes too long keeps nobody waiting.
#[derive(Clone)]
pub struct Secured<L, F> {
    listener: L,
    handshake: F,
}

impl<L, F> Secured<L, F> {
    /// The connections of `listener` after `handshake`. With rustls that is
    /// `move |stream| acceptor.accept(stream)`.
    pub fn new<P, H>(listener: L, handshake: F) -> Self
    where
        L: Listener<P>,
        F: FnOnce(L::Stream) -> H + Clone,
    {
        Self { listener, handshake }
    }
}

impl<P, L, F, H, T> Listener<P> for Secured<L, F>
where
    L: Listener<P>,
    F: FnOnce(L::Stream) -> H + Clone + Send + 'static,
    H: Future<Output = io::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    type Stream = T;
    type Opening = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

    async fn accept(&mut self) -> io::Result<(Self::Opening, Option<SocketAddr>)> {
        let (opening, peer) = self.listener.accept().await?;
        let handshake = self.handshake.clone();
        let opening = async move {
            let stream = opening.await?;
            handshake(stream).await
        };
        Ok((Box::pin(opening), peer))
    }
}

impl<L: fmt::Debug, F> fmt::Debug for Secured<L, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("listener", &self.listener).finish_non_exhaustive()
    }
}
