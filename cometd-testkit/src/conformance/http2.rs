//! HTTP/2: many requests on one connection.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::rt::{Executor, Read as _, ReadBuf, Write as _};
use hyper::upgrade::Upgraded;
use serde_json::{Value, json};
use smol::io::{AsyncRead, AsyncWrite};
use smol::net::TcpStream;
use smol_hyper::rt::FuturesIo;

use super::held;
use super::peer::Running;
use crate::adapter::Adapter;

/// smol's global executor.
#[derive(Clone)]
struct Global;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Global {
    fn execute(&self, future: F) {
        smol::spawn(future).detach();
    }
}

/// A connection to a server, and its socket, to break it.
pub(super) async fn dial<B>(server: SocketAddr) -> (SendRequest<B>, std::net::TcpStream)
where
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + Send + Unpin + 'static,
{
    let stream = std::net::TcpStream::connect(server).unwrap();
    let socket = stream.try_clone().unwrap();
    let stream = FuturesIo::new(TcpStream::try_from(stream).unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(Global, stream).await.unwrap();
    smol::spawn(connection).detach();
    (sender, socket)
}

/// A stream of HTTP/2 that is a WebSocket now, as smol knows streams.
pub(super) struct Streaming(pub(super) Upgraded);

impl AsyncRead for Streaming {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(Pin::new(&mut self.0).poll_read(cx, buffer.unfilled()))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncWrite for Streaming {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Peer {
    sender: SendRequest<Full<Bytes>>,
    socket: std::net::TcpStream,
    cookie: Option<String>,
}

impl Peer {
    async fn new(server: &Running) -> Self {
        let (sender, socket) = dial(server.address).await;
        Self { sender, socket, cookie: None }
    }

    fn post(
        &self,
        messages: &Value,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send + use<> {
        let mut request = Request::post("http://localhost/cometd/")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Full::from(messages.to_string())).unwrap();
        self.sender.clone().send_request(request)
    }

    async fn send(&mut self, messages: &Value) -> Value {
        let response = self.post(messages).await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(cookie.to_owned());
        }
        read(response).await
    }

    async fn open(&mut self) -> String {
        let reply = self.send(&json!([{ "channel": "/meta/handshake" }])).await;
        let id = reply[0]["clientId"].as_str().unwrap().to_owned();
        self.send(&connect(&id)).await;
        id
    }
}

async fn read(response: Response<Incoming>) -> Value {
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

fn connect(id: &str) -> Value {
    json!([{ "channel": "/meta/connect", "clientId": id }])
}

pub async fn all_tabs_of_a_browser_are_held_on_one_connection(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let mut peer = Peer::new(&server).await;
    let mut tabs = Vec::new();
    for _ in 0..5 {
        let id = peer.open().await;
        let subscribe = json!([
            { "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" },
        ]);
        peer.send(&subscribe).await;
        tabs.push(smol::spawn(peer.post(&connect(&id))));
    }
    held(&server.bayeux, 5).await;
    server.bayeux.channel("/a").unwrap().publish("for all").await.unwrap();
    for tab in tabs {
        let events = read(tab.await.unwrap()).await;
        assert_eq!(events[0], json!({ "channel": "/a", "data": "for all" }));
    }
}

pub async fn a_reset_stream_and_a_lost_connection_are_noticed(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let mut peer = Peer::new(&server).await;
    let id = peer.open().await;
    let request = smol::spawn(peer.post(&connect(&id)));
    held(&server.bayeux, 1).await;
    drop(request);
    held(&server.bayeux, 0).await;

    let request = smol::spawn(peer.post(&connect(&id)));
    held(&server.bayeux, 1).await;
    peer.socket.shutdown(Shutdown::Both).unwrap();
    held(&server.bayeux, 0).await;
    assert!(request.await.is_err());
    assert_eq!(server.bayeux.sessions().len(), 1, "the session can still come back");
}
