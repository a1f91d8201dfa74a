//! A server of its own for each case, and clients that speak HTTP by hand.

use std::net::SocketAddr;

use bayeux_core::SessionId;
use bayeux_core::adapter::ServeOptions;
use bayeux_core::front::{Bayeux, Builder};
use serde_json::{Value, json};
use smol::channel::{Sender, bounded};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

use crate::adapter::{Adapter, Ended};

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) bayeux: Bayeux,
    stop: Sender<()>,
    ended: Ended,
}

impl Running {
    pub(super) fn new(adapter: &dyn Adapter) -> Self {
        Self::with(adapter, Bayeux::builder(), |_| {})
    }

    pub(super) fn serving(
        adapter: &dyn Adapter,
        configure: impl FnOnce(&mut ServeOptions),
    ) -> Self {
        Self::with(adapter, Bayeux::builder(), configure)
    }

    pub(super) fn with(
        adapter: &dyn Adapter,
        builder: Builder,
        configure: impl FnOnce(&mut ServeOptions),
    ) -> Self {
        let mut options = ServeOptions::default();
        configure(&mut options);
        let bayeux = adapter.start(builder).expect("the options make sense");
        let (stop, stopped) = bounded(1);
        let shutdown = Box::pin(async move {
            let _ = stopped.recv().await;
        });
        let served = adapter.serve(bayeux.clone(), options, shutdown);
        let (address, ended) = served.expect("the adapter serves");
        Self { address, bayeux, stop, ended }
    }

    pub(super) async fn peer(&self) -> Peer {
        let stream = TcpStream::connect(self.address).await.expect("the server accepts");
        Peer { stream, buffered: Vec::new() }
    }

    /// Tells the server to end; the future is ready when it has.
    pub(super) fn stop(self) -> Ended {
        drop(self.stop);
        self.ended
    }
}

/// One connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    buffered: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    head: String,
    body: String,
}

impl Response {
    pub(super) fn messages(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("messages: {self:?}"))
    }

    fn cookie(&self) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
        let cookie = line.and_then(|line| line.split(';').next());
        cookie.unwrap_or_else(|| panic!("a cookie: {self:?}")).to_owned()
    }
}

/// A session and its cookie.
pub(super) struct Session {
    pub(super) id: String,
    pub(super) cookie: String,
}

impl Session {
    pub(super) fn id(&self) -> SessionId {
        SessionId::parse(&self.id).expect("an id of the server")
    }

    pub(super) fn connect(&self) -> Value {
        json!([{ "id": "c", "channel": "/meta/connect", "clientId": self.id }])
    }

    pub(super) fn subscribe(&self, channel: &str) -> Value {
        json!([{ "channel": "/meta/subscribe", "clientId": self.id, "subscription": channel }])
    }
}

impl Peer {
    pub(super) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("the server reads");
    }

    pub(super) async fn post(&mut self, cookie: &str, messages: &Value) {
        self.write(&request(cookie, messages)).await;
    }

    pub(super) async fn send(&mut self, cookie: &str, messages: &Value) -> Value {
        self.post(cookie, messages).await;
        self.answer().await.messages()
    }

    /// The next response, which has to come.
    pub(super) async fn answer(&mut self) -> Response {
        self.response().await.expect("a response")
    }

    /// The next response; `None` when the server closes the connection.
    pub(super) async fn response(&mut self) -> Option<Response> {
        loop {
            if let Some(response) = self.parse() {
                return Some(response);
            }
            let mut some = [0; 16 * 1024];
            match self.stream.read(&mut some).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffered.extend_from_slice(&some[..count]),
            }
        }
    }

    fn parse(&mut self) -> Option<Response> {
        let text = std::str::from_utf8(&self.buffered).ok()?.to_owned();
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().expect("a length"));
        let body = rest.get(..length)?.to_owned();
        self.buffered.drain(..text.len() - rest.len() + length);
        let status = head.split(' ').nth(1)?.parse().expect("a status");
        Some(Response { status, head: head.to_owned(), body })
    }

    /// A session that has connected once.
    pub(super) async fn open(&mut self) -> Session {
        self.post("", &json!([{ "channel": "/meta/handshake" }])).await;
        let response = self.answer().await;
        let id = response.messages()[0]["clientId"].as_str().expect("a session").to_owned();
        let session = Session { id, cookie: response.cookie() };
        self.send(&session.cookie, &session.connect()).await;
        session
    }
}

pub(super) fn request(cookie: &str, messages: &Value) -> String {
    let body = messages.to_string();
    let cookie = if cookie.is_empty() { String::new() } else { format!("cookie: {cookie}\r\n") };
    format!(
        "POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{cookie}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
