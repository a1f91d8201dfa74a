//! From an accepted upgrade to a task that serves the WebSocket.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use ::http::{Method, Response, StatusCode, request};
use bytes::Bytes;
use hyper::ext::Protocol;
use hyper::rt::{Read, Write};
use hyper::upgrade::{OnUpgrade, Upgraded};

use super::connections::{Busy, Place};
use super::frames::Wire;
use super::hosted::{contained, hosted};
use crate::front::{Bayeux, Context as RequestContext, Socket};
use crate::ws::{ExtendedConnect, Upgrade};

/// What a request has of its connection. Nobody but an upgrade may keep that: a head is kept for as
/// long as the application has a use for it, and with these the connection would be, too.
pub(super) struct Connection {
    on_upgrade: Option<OnUpgrade>,
    /// Without it, WebSockets are tasks of the runtime that nobody waits for.
    carrier: Option<Carrier>,
}

impl Connection {
    pub(super) fn take(head: &mut request::Parts) -> Self {
        Self { on_upgrade: head.extensions.remove(), carrier: head.extensions.remove() }
    }
}

/// A connection that this server accepted, as its WebSockets know it.
#[derive(Clone)]
pub(super) struct Carrier {
    /// Each of them keeps it, so that the connection counts until they are over.
    pub(super) place: Arc<Place>,
    /// How to serve one, once hyper hands it over.
    serve: fn(Upgraded, Accepted),
}

impl Carrier {
    pub(super) fn new(place: Arc<Place>) -> Self {
        Self { place, serve: serve_any }
    }

    /// The connection is going to be hyper's, over HTTP/1, on `_stream`.
    pub(super) fn speaks_http1<I>(&mut self, _stream: &I)
    where
        I: Read + Write + Unpin + Send + 'static,
    {
        self.serve = serve_on::<I>;
    }
}

/// Marks a `CONNECT` that asks for a WebSocket over HTTP/2, which HTTP's types alone do not show.
pub(super) fn mark(head: &mut request::Parts) {
    if head.method == Method::CONNECT
        && head.extensions.get::<Protocol>().is_some_and(|it| it.as_str() == "websocket")
    {
        head.extensions.insert(ExtendedConnect);
    }
}

/// Starts to serve a WebSocket, as soon as the answer is out.
pub(super) fn upgrade(
    bayeux: Bayeux,
    context: RequestContext,
    connection: Connection,
    upgrade: Upgrade,
) -> Response<Bytes> {
    let Some(on_upgrade) = connection.on_upgrade else {
        // Whatever serves the connection has no way to hand it over.
        let mut response = Response::new(Bytes::from_static(b"this host cannot upgrade"));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        return response;
    };
    let (place, serve): (_, fn(_, _)) = match connection.carrier {
        Some(Carrier { place, serve }) => (Some(place), serve),
        None => (None, serve_any),
    };
    let accepted = Accepted {
        bayeux: bayeux.clone(),
        context,
        max_message_size: upgrade.max_message_size(),
        busy: place.as_ref().map(Place::begin),
        place: place.clone(),
    };
    // A task of its own, since a future keeps room for everything that it ever held: of the request
    // nothing is needed for as long as the socket lives.
    let beginning = async move {
        match on_upgrade.await {
            Ok(io) => serve(io, accepted),
            Err(error) => {
                tracing::debug!(target: "bayeux", "the upgrade to a WebSocket failed: {error}");
            }
        }
    };
    run(&bayeux, place.as_ref(), Box::pin(beginning));
    upgrade.into_response()
}

/// A WebSocket that is to be served.
struct Accepted {
    bayeux: Bayeux,
    context: RequestContext,
    max_message_size: usize,
    place: Option<Arc<Place>>,
    busy: Option<Busy>,
}

impl Accepted {
    /// Serves it on a connection of which `ahead` was read already.
    fn serve<I: Read + Write + Unpin + Send + 'static>(self, io: I, ahead: Bytes) {
        let Self { bayeux, context, max_message_size, place, busy } = self;
        let wire = Wire::new(io, ahead, bayeux.clone(), max_message_size);
        let socket = Serving { socket: bayeux.socket_in(context, wire), _busy: busy };
        run(&bayeux, place.as_ref(), socket);
    }
}

/// Serves a WebSocket on what hyper hands over, whatever that is: a stream of an HTTP/2 connection, say.
fn serve_any(io: Upgraded, accepted: Accepted) {
    accepted.serve(io, Bytes::new());
}

/// The same on the connection's own stream, taken out of what hyper hands over. That saves each delivery a
/// look into the box that it is in, and calls that the compiler does not see through.
fn serve_on<I: Read + Write + Unpin + Send + 'static>(io: Upgraded, accepted: Accepted) {
    match io.downcast::<I>() {
        Ok(parts) => accepted.serve(parts.io, parts.read_buf),
        Err(io) => {
            debug_assert!(false, "hyper hands over what it was given");
            serve_any(io, accepted);
        }
    }
}

/// A WebSocket that is being served, which is something that its connection is doing.
struct Serving<I: Read + Write + Unpin + Send> {
    socket: Socket<Wire<I>>,
    _busy: Option<Busy>,
}

impl<I: Read + Write + Unpin + Send> Future for Serving<I> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.socket).poll(cx)
    }
}

fn run(
    bayeux: &Bayeux,
    place: Option<&Arc<Place>>,
    task: impl Future<Output = ()> + Unpin + Send + 'static,
) {
    match place {
        Some(place) => bayeux.spawn(hosted(place, task)),
        None => bayeux.spawn(contained(task)),
    }
}
