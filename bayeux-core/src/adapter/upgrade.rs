//! From an accepted upgrade to a task that serves the WebSocket.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use ::http::{Method, Response, StatusCode, request};
use bytes::Bytes;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use super::connections::{Busy, Place};
use super::frames::Wire;
use super::hosted::{contained, hosted};
use crate::front::{Bayeux, Context as RequestContext, Socket};
use crate::ws::{ExtendedConnect, Upgrade};

/// What a request has of its connection. Nobody but an upgrade may keep that: a head is kept for as
/// long as the application has a use for it, and with these the connection would be, too.
pub(super) struct Connection {
    on_upgrade: Option<OnUpgrade>,
    /// Its WebSockets keep it. Without it they are tasks of the runtime that nobody waits for.
    place: Option<Arc<Place>>,
}

impl Connection {
    pub(super) fn take(head: &mut request::Parts) -> Self {
        Self { on_upgrade: head.extensions.remove(), place: head.extensions.remove() }
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
    let place = connection.place;
    let busy = place.as_ref().map(Place::begin);
    let (max_message_size, server) = (upgrade.max_message_size(), bayeux.clone());
    let socket_place = place.clone();
    // A task of its own, since a future keeps room for everything that it ever held: of the request
    // nothing is needed for as long as the socket lives.
    let beginning = async move {
        match on_upgrade.await {
            Ok(io) => {
                let wire = Wire::new(io, bayeux.clone(), max_message_size);
                let socket = Serving { socket: bayeux.socket_in(context, wire), _busy: busy };
                run(&bayeux, socket_place.as_ref(), socket);
            }
            Err(error) => {
                tracing::debug!(target: "bayeux", "the upgrade to a WebSocket failed: {error}");
            }
        }
    };
    run(&server, place.as_ref(), Box::pin(beginning));
    upgrade.into_response()
}

/// A WebSocket that is being served, which is something that its connection is doing.
struct Serving {
    socket: Socket<Wire>,
    _busy: Option<Busy>,
}

impl Future for Serving {
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
