//! [`Context`]: the request that a message came with.

use core::net::SocketAddr;

use alloc::string::ToString;
use alloc::vec::Vec;

use ::http::header::{HeaderName, HeaderValue};
use ::http::{Extensions, HeaderMap, Method, Uri, Version, request};
use bytes::Bytes;

use crate::transport::Transport;

/// The address that a request came from, for whoever mounts the service in a server of his own: put it
/// into each request's extensions, and [`Context::peer`] finds it. (The adapters' own servers say it
/// without.)
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerAddr(pub SocketAddr);

/// The request that a message came with: headers, address, transport. Over WebSocket it is the one
/// that was upgraded.
#[derive(Debug)]
pub struct Context {
    head: request::Parts,
    transport: Transport,
    peer: Option<SocketAddr>,
}

impl Context {
    /// The context of messages that came with this request, over this transport. `peer` is where it came
    /// from; where it is `None`, a [`PeerAddr`] among the request's extensions will do.
    pub(crate) fn new(
        head: request::Parts,
        transport: Transport,
        peer: Option<SocketAddr>,
    ) -> Self {
        let peer = peer.or_else(|| head.extensions.get::<PeerAddr>().map(|it| it.0));
        Self { head, transport, peer }
    }

    /// The context of a socket, which is kept for as long as that is open. The parts of a head are
    /// slices of the buffer that it was read into; copying them gives that buffer back.
    pub(super) fn detached(self) -> Self {
        let Self { mut head, transport, peer } = self;
        let length = head.headers.values().map(HeaderValue::len).sum();
        let mut values = Vec::with_capacity(length);
        head.headers.values().for_each(|it| values.extend_from_slice(it.as_bytes()));
        let values = Bytes::from(values);
        let mut headers = HeaderMap::with_capacity(head.headers.len());
        let mut from = 0;
        for (name, value) in &head.headers {
            let to = from + value.len();
            // It was a header's value before.
            if let Ok(copy) = HeaderValue::from_maybe_shared(values.slice(from..to)) {
                headers.append(copy_name(name), copy);
            }
            from = to;
        }
        head.headers = headers;
        if let Ok(uri) = head.uri.to_string().parse() {
            head.uri = uri;
        }
        Self { head, transport, peer }
    }

    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The request's URI.
    pub fn uri(&self) -> &Uri {
        &self.head.uri
    }

    /// The request's method.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The version of HTTP.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// What layers in front of the service put into the request.
    pub fn extensions(&self) -> &Extensions {
        &self.head.extensions
    }

    /// The address that the request came from, if the server put it there. Behind a proxy it is
    /// the proxy's.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The transport that carries the message.
    pub fn transport(&self) -> Transport {
        self.transport
    }
}

fn copy_name(name: &HeaderName) -> HeaderName {
    // The usual names are constants, and looking one up finds them.
    HeaderName::from_bytes(name.as_str().as_bytes()).unwrap_or_else(|_| name.clone())
}
