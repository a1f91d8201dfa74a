//! [`Context`]: the request that a message came with.

use core::net::SocketAddr;

use ::http::{Extensions, HeaderMap, Method, Uri, Version, request};

use crate::transport::Transport;

/// The address that a request came from. The adapters' own servers put it into each request's
/// extensions; whoever mounts the service elsewhere can do the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerAddr(pub SocketAddr);

/// The request that a message came with: headers, address, transport.
#[derive(Debug)]
pub struct Context {
    head: request::Parts,
    transport: Transport,
}

impl Context {
    pub(super) fn new(head: request::Parts, transport: Transport) -> Self {
        Self { head, transport }
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
        self.head.extensions.get::<PeerAddr>().map(|peer| peer.0)
    }

    /// The transport that carries the message.
    pub fn transport(&self) -> Transport {
        self.transport
    }
}
