//! A WebSocket by hand.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) struct Socket<S = TcpStream> {
    pub(crate) stream: S,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    Text(Value),
    Ping,
    Pong,
    Close(u16),
}

impl Socket {
    pub(crate) async fn open(server: SocketAddr, path: &str) -> Self {
        Self::over(TcpStream::connect(server).await.unwrap(), path).await
    }

    /// A socket whose side of the network keeps little that was not read.
    pub(crate) async fn small(server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        Self::over(socket.connect(server).await.unwrap(), "/cometd").await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(crate) async fn over(mut stream: S, path: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Self { stream }
    }

    /// Sends a frame with a mask of zeros, which changes nothing.
    async fn write(&mut self, opcode: u8, content: &[u8]) {
        let mut frame = vec![0x80 | opcode, 0xfe];
        frame.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(content);
        self.stream.write_all(&frame).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub(crate) async fn send(&mut self, messages: &Value) {
        self.write(1, messages.to_string().as_bytes()).await;
    }

    pub(crate) async fn close(&mut self, code: u16) {
        self.write(8, &code.to_be_bytes()).await;
    }

    /// Answers a ping.
    pub(crate) async fn pong(&mut self) {
        self.write(10, b"").await;
    }

    /// Sends a ping of the largest size.
    pub(crate) async fn ping(&mut self) {
        let mut frame = vec![0x89, 0x80 | 125];
        frame.extend_from_slice(&[0; 4 + 125]);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let opcode = self.stream.read_u8().await.ok()? & 0x0f;
        let length = match self.stream.read_u8().await.ok()? {
            126 => self.stream.read_u16().await.ok()?.into(),
            127 => self.stream.read_u64().await.ok()?,
            length => length.into(),
        };
        let mut content = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut content).await.ok()?;
        Some(match opcode {
            1 => Frame::Text(serde_json::from_slice(&content).unwrap()),
            8 => Frame::Close(u16::from_be_bytes([content[0], content[1]])),
            9 => Frame::Ping,
            10 => Frame::Pong,
            other => panic!("opcode {other}"),
        })
    }

    pub(crate) async fn text(&mut self) -> Value {
        match self.frame().await {
            Some(Frame::Text(text)) => text,
            other => panic!("a text: {other:?}"),
        }
    }

    pub(crate) async fn ask(&mut self, messages: &Value) -> Value {
        self.send(messages).await;
        self.text().await
    }

    /// A session that subscribes to `/a` and whose connect is held; its id.
    pub(crate) async fn session(&mut self) -> String {
        let reply = self.ask(&json!([{ "channel": "/meta/handshake" }])).await;
        let id = reply[0]["clientId"].as_str().unwrap().to_owned();
        let subscribe =
            json!([{ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }]);
        self.ask(&subscribe).await;
        let connect = json!([{ "channel": "/meta/connect", "clientId": id }]);
        assert_eq!(self.ask(&connect).await[0]["successful"], true);
        self.send(&connect).await;
        id
    }
}
