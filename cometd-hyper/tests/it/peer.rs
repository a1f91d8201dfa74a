//! A server of its own for each test, and clients that speak HTTP by hand.

use std::net::SocketAddr;

use cometd_hyper::bayeux_core::SessionId;
use cometd_hyper::bayeux_core::front::Builder;
use cometd_hyper::{Bayeux, ServeOptions, serve, start};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) bayeux: Bayeux,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(crate) async fn new(configure: impl FnOnce(&mut ServeOptions)) -> Self {
        let mut options = ServeOptions::default();
        configure(&mut options);
        Self::serve(Bayeux::builder(), options).await
    }

    pub(crate) async fn with(builder: Builder) -> Self {
        Self::serve(builder, ServeOptions::default()).await
    }

    async fn serve(builder: Builder, options: ServeOptions) -> Self {
        let bayeux = start(builder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = serve(listener, bayeux.clone(), options, async {
            let _ = stopped.await;
        });
        Self { address, bayeux, stop, ended: tokio::spawn(server) }
    }

    pub(crate) async fn peer(&self) -> Peer {
        Peer { stream: TcpStream::connect(self.address).await.unwrap(), buffered: Vec::new() }
    }

    /// Tells the server to end; the handle is done when it has.
    pub(crate) fn stop(self) -> JoinHandle<std::io::Result<()>> {
        self.stop.send(()).unwrap();
        self.ended
    }
}

/// One connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    buffered: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn messages(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn cookie(&self) -> String {
        let line = self.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        line.split(';').next().unwrap().to_owned()
    }
}

/// A session and its cookie.
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) cookie: String,
}

impl Session {
    pub(crate) fn id(&self) -> SessionId {
        SessionId::parse(&self.id).unwrap()
    }

    pub(crate) fn connect(&self) -> Value {
        json!([{ "id": "c", "channel": "/meta/connect", "clientId": self.id }])
    }

    pub(crate) fn subscribe(&self, channel: &str) -> Value {
        json!([{ "channel": "/meta/subscribe", "clientId": self.id, "subscription": channel }])
    }
}

impl Peer {
    pub(crate) async fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    pub(crate) async fn post(&mut self, cookie: &str, messages: &Value) {
        self.write(&request(cookie, messages)).await;
    }

    pub(crate) async fn send(&mut self, cookie: &str, messages: &Value) -> Value {
        self.post(cookie, messages).await;
        self.response().await.unwrap().messages()
    }

    /// The next response; `None` when the server closes the connection.
    pub(crate) async fn response(&mut self) -> Option<Response> {
        loop {
            if let Some(response) = self.parse() {
                return Some(response);
            }
            match self.stream.read_buf(&mut self.buffered).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn parse(&mut self) -> Option<Response> {
        let text = std::str::from_utf8(&self.buffered).ok()?.to_owned();
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().unwrap());
        let body = rest.get(..length)?.to_owned();
        self.buffered.drain(..text.len() - rest.len() + length);
        let status = head.split(' ').nth(1)?.parse().unwrap();
        Some(Response { status, head: head.to_owned(), body })
    }

    /// A session that has connected once.
    pub(crate) async fn open(&mut self) -> Session {
        self.post("", &json!([{ "channel": "/meta/handshake" }])).await;
        let response = self.response().await.unwrap();
        let id = response.messages()[0]["clientId"].as_str().unwrap().to_owned();
        let session = Session { id, cookie: response.cookie() };
        self.send(&session.cookie, &session.connect()).await;
        session
    }
}

pub(crate) fn request(cookie: &str, messages: &Value) -> String {
    let body = messages.to_string();
    let cookie = if cookie.is_empty() { String::new() } else { format!("cookie: {cookie}\r\n") };
    format!(
        "POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{cookie}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}
