//! From an accepted upgrade to a task that serves the WebSocket.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bayeux_core::front::Bayeux;
use bayeux_core::ws::{ExtendedConnect, Upgrade};
use bytes::Bytes;
use http::{Method, Response, StatusCode, request};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use crate::frames::Wire;

/// A WebSocket's task.
pub(crate) type SocketTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who runs the WebSockets of a connection; in the extensions of its requests. Without it they are
/// tasks of the runtime that nobody waits for.
#[derive(Clone)]
pub(crate) struct Host {
    pub(crate) tasks: mpsc::UnboundedSender<SocketTask>,
    /// The connection's place among those that there may be, which its sockets keep.
    pub(crate) place: Arc<OwnedSemaphorePermit>,
}

/// Marks a `CONNECT` that asks for a WebSocket over HTTP/2, which HTTP's types alone do not show.
pub(crate) fn mark(head: &mut request::Parts) {
    if head.method == Method::CONNECT
        && head.extensions.get::<Protocol>().is_some_and(|it| it.as_str() == "websocket")
    {
        head.extensions.insert(ExtendedConnect);
    }
}

/// Starts to serve a WebSocket, as soon as the answer is out.
pub(crate) fn upgrade(
    bayeux: Bayeux,
    mut head: request::Parts,
    upgrade: Upgrade,
) -> Response<Bytes> {
    let Some(on_upgrade) = head.extensions.remove::<OnUpgrade>() else {
        // Whatever serves the connection has no way to hand it over.
        let mut response = Response::new(Bytes::from_static(b"this host cannot upgrade"));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        return response;
    };
    let host = head.extensions.remove::<Host>();
    let place = host.as_ref().map(|host| Arc::clone(&host.place));
    let max_message_size = upgrade.max_message_size();
    let serving = async move {
        let socket = match on_upgrade.await {
            Ok(io) => bayeux.socket(head, Wire::new(io, max_message_size)),
            Err(error) => {
                tracing::debug!(target: "bayeux", "the upgrade to a WebSocket failed: {error}");
                return;
            }
        };
        drop(bayeux);
        socket.await;
        drop(place);
    };
    match host {
        // If nobody receives it, the server has ended.
        Some(host) => drop(host.tasks.send(Box::pin(serving))),
        None => drop(tokio::spawn(serving)),
    }
    upgrade.into_response()
}
