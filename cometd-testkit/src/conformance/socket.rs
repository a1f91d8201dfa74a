//! A WebSocket by hand.

use std::net::SocketAddr;

use serde_json::{Value, json};
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::net::TcpStream;
use socket2::{Domain, Type};

pub(super) struct Socket<S = TcpStream> {
    pub(super) stream: S,
}

#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    Text(Value),
    Ping,
    Pong,
    Close(u16),
}

impl Socket {
    pub(super) async fn open(server: SocketAddr) -> Self {
        Self::over(TcpStream::connect(server).await.expect("the server accepts")).await
    }

    /// A socket whose side of the network keeps little that was not read.
    pub(super) async fn small(server: SocketAddr) -> Self {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        socket.connect(&server.into()).expect("the server accepts");
        let stream = std::net::TcpStream::from(socket);
        Self::over(TcpStream::try_from(stream).expect("a stream")).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) async fn over(mut stream: S) -> Self {
        let request = "GET /cometd HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).await.expect("an answer");
            head.extend_from_slice(&byte);
        }
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Self { stream }
    }

    /// Sends a frame with a mask of zeros, which changes nothing.
    async fn write(&mut self, opcode: u8, content: &[u8]) {
        let mut frame = vec![0x80 | opcode, 0xfe];
        frame.extend_from_slice(&u16::try_from(content.len()).expect("a short text").to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(content);
        self.stream.write_all(&frame).await.expect("the server reads");
        self.stream.flush().await.expect("the server reads");
    }

    pub(super) async fn send(&mut self, messages: &Value) {
        self.write(1, messages.to_string().as_bytes()).await;
    }

    /// Answers a ping.
    pub(super) async fn pong(&mut self) {
        self.write(10, b"").await;
    }

    /// Sends a ping of the largest size.
    pub(super) async fn ping(&mut self) {
        let mut frame = vec![0x89, 0x80 | 125];
        frame.extend_from_slice(&[0; 4 + 125]);
        self.stream.write_all(&frame).await.expect("the server reads");
    }

    async fn read<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).await.ok()?;
        Some(bytes)
    }

    /// The next frame; `None` at the end of the connection.
    pub(super) async fn frame(&mut self) -> Option<Frame> {
        let [first, second] = self.read().await?;
        let length = match second {
            126 => u16::from_be_bytes(self.read().await?).into(),
            127 => u64::from_be_bytes(self.read().await?),
            length => length.into(),
        };
        let mut content = vec![0; usize::try_from(length).expect("a length")];
        self.stream.read_exact(&mut content).await.ok()?;
        Some(match first & 0x0f {
            1 => Frame::Text(serde_json::from_slice(&content).expect("messages")),
            8 => Frame::Close(u16::from_be_bytes([content[0], content[1]])),
            9 => Frame::Ping,
            10 => Frame::Pong,
            other => panic!("opcode {other}"),
        })
    }

    pub(super) async fn text(&mut self) -> Value {
        match self.frame().await {
            Some(Frame::Text(text)) => text,
            other => panic!("a text: {other:?}"),
        }
    }

    pub(super) async fn ask(&mut self, messages: &Value) -> Value {
        self.send(messages).await;
        self.text().await
    }

    /// A session that subscribes to `/a` and whose connect is held; its id.
    pub(super) async fn session(&mut self) -> String {
        let reply = self.ask(&json!([{ "channel": "/meta/handshake" }])).await;
        let id = reply[0]["clientId"].as_str().expect("a session").to_owned();
        let subscribe =
            json!([{ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }]);
        self.ask(&subscribe).await;
        let connect = json!([{ "channel": "/meta/connect", "clientId": id }]);
        assert_eq!(self.ask(&connect).await[0]["successful"], true);
        self.send(&connect).await;
        id
    }
}
