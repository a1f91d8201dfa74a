//! HTTP/2: many requests on one connection.

use std::net::Shutdown;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::peer::Running;

struct Peer {
    sender: SendRequest<Full<Bytes>>,
    /// The connection's socket, to break it.
    socket: std::net::TcpStream,
    cookie: Option<String>,
}

impl Peer {
    async fn new(server: &Running) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap().into_std().unwrap();
        let socket = stream.try_clone().unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
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

async fn held(server: &Running, count: usize) {
    while server.bayeux.stats().held != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn all_tabs_of_a_browser_are_held_on_one_connection() {
    let server = Running::new(|_| {}).await;
    let mut peer = Peer::new(&server).await;
    let mut tabs = Vec::new();
    for _ in 0..5 {
        let id = peer.open().await;
        let subscribe = json!([
            { "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" },
        ]);
        peer.send(&subscribe).await;
        tabs.push(tokio::spawn(peer.post(&connect(&id))));
    }
    held(&server, 5).await;
    server.bayeux.channel("/a").unwrap().publish("for all").await.unwrap();
    for tab in tabs {
        let events = read(tab.await.unwrap().unwrap()).await;
        assert_eq!(events[0], json!({ "channel": "/a", "data": "for all" }));
    }
}

#[tokio::test]
async fn a_reset_stream_and_a_lost_connection_are_noticed() {
    let server = Running::new(|_| {}).await;
    let mut peer = Peer::new(&server).await;
    let id = peer.open().await;
    let request = tokio::spawn(peer.post(&connect(&id)));
    held(&server, 1).await;
    request.abort();
    held(&server, 0).await;

    let request = tokio::spawn(peer.post(&connect(&id)));
    held(&server, 1).await;
    peer.socket.shutdown(Shutdown::Both).unwrap();
    held(&server, 0).await;
    assert!(request.await.unwrap().is_err());
    assert_eq!(server.bayeux.sessions().len(), 1, "the session can still come back");
}
