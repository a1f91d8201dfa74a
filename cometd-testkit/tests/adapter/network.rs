//! A network in memory: a listener whose connections are pipes, and peers that speak by hand.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bayeux_core::adapter::{Listener, NotFound, ServeOptions, serve};
use bayeux_core::front::Bayeux;
use cometd_testkit::sim::{Sim, Spawned};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// The name of this runtime.
pub(crate) enum InMemory {}

/// What a listener meets with.
pub(crate) enum Met {
    Connection(DuplexStream),
    /// One whose handshake takes that long.
    Slow(Duration, DuplexStream),
    Error(io::ErrorKind),
}

struct Network {
    sim: Sim,
    met: UnboundedReceiver<Met>,
}

impl Listener<InMemory> for Network {
    type Stream = DuplexStream;
    type Opening = Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>;

    async fn accept(&mut self) -> io::Result<(Self::Opening, Option<SocketAddr>)> {
        let (time, stream) = match self.met.recv().await {
            Some(Met::Connection(stream)) => (Duration::ZERO, stream),
            Some(Met::Slow(time, stream)) => (time, stream),
            Some(Met::Error(kind)) => return Err(kind.into()),
            None => std::future::pending().await,
        };
        let sleep = self.sim.sleep(time);
        let opening = async move {
            sleep.await;
            Ok(stream)
        };
        Ok((Box::pin(opening), None))
    }
}

/// A server in a world of its own.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) bayeux: Bayeux,
    pub(crate) meet: UnboundedSender<Met>,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) served: Spawned<io::Result<()>>,
}

impl World {
    pub(crate) fn new(configure: impl FnOnce(&mut ServeOptions)) -> Self {
        let sim = Sim::new(5);
        let bayeux = sim.start(Bayeux::builder()).unwrap();
        let mut options = ServeOptions::default();
        configure(&mut options);
        let (meet, met) = unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move { drop(stopped.await) };
        let network = Network { sim: sim.clone(), met };
        let serving = serve(network, TokioIo::new, bayeux.clone(), NotFound, options, shutdown);
        let served = sim.spawn(serving);
        sim.settle();
        Self { sim, bayeux, meet, stop: Some(stop), served }
    }

    /// A connection whose pipe takes so many bytes.
    pub(crate) fn dial(&self, bytes: usize) -> Peer {
        let (client, server) = duplex(bytes);
        self.meet.send(Met::Connection(server)).unwrap();
        self.sim.settle();
        Peer::over(&self.sim, client)
    }

    pub(crate) fn stop(&mut self) {
        self.stop = None;
        self.sim.settle();
    }
}

/// One side of a connection. Its methods wait in virtual time.
pub(crate) struct Peer {
    sim: Sim,
    stream: Option<DuplexStream>,
    cookie: String,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    Text(Value),
    Ping,
    Pong,
    Close(u16),
}

impl Peer {
    pub(crate) fn over(sim: &Sim, stream: DuplexStream) -> Self {
        Self { sim: sim.clone(), stream: Some(stream), cookie: String::new() }
    }

    /// The cookie that came last.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    fn with<T, F>(&mut self, act: impl FnOnce(DuplexStream) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = (DuplexStream, T)> + Send + 'static,
    {
        let (stream, output) = self.sim.block_on(act(self.stream.take().unwrap()));
        self.stream = Some(stream);
        self.sim.settle();
        output
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.with(|mut stream| async move {
            stream.write_all(&bytes).await.unwrap();
            (stream, ())
        });
    }

    /// So many bytes, or what there is before the end.
    pub(crate) fn read(&mut self, count: usize) -> Vec<u8> {
        self.with(move |stream| async move {
            let mut bytes = Vec::new();
            let mut limited = stream.take(count as u64);
            // The end of a broken connection is an end.
            let _ = limited.read_to_end(&mut bytes).await;
            (limited.into_inner(), bytes)
        })
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.read(1).is_empty()
    }

    /// Whether the connection is open and nothing has come.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.with(|mut stream| async move {
            let mut byte = [0];
            let poll = std::future::poll_fn(|cx| {
                let mut buffer = tokio::io::ReadBuf::new(&mut byte);
                let poll = tokio::io::AsyncRead::poll_read(Pin::new(&mut stream), cx, &mut buffer);
                std::task::Poll::Ready(poll.is_pending())
            });
            let silent = poll.await;
            (stream, silent)
        })
    }

    /// The head of a response.
    pub(crate) fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = self.read(1);
            assert!(!byte.is_empty(), "the end after {}", head.escape_ascii());
            head.extend(byte);
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) fn post(&mut self, messages: &Value) {
        let body = messages.to_string();
        let request = format!(
            "POST /cometd HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.write(request.as_bytes());
    }

    pub(crate) fn send(&mut self, messages: &Value) -> Value {
        self.post(messages);
        let head = self.head();
        let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: BAYEUX_BROWSER="));
        if let Some(cookie) = cookie {
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        serde_json::from_slice(&self.read(length.unwrap().parse().unwrap())).unwrap()
    }

    /// Makes the connection a WebSocket.
    pub(crate) fn upgrade(&mut self) {
        self.write(
            b"GET /cometd HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
              sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert!(self.head().starts_with("HTTP/1.1 101 "));
    }

    /// Sends a frame with a mask of zeros, which changes nothing.
    pub(crate) fn frame_of(&mut self, opcode: u8, content: &[u8]) {
        let mut frame = vec![0x80 | opcode, 0xfe];
        frame.extend_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(content);
        self.write(&frame);
    }

    pub(crate) fn say(&mut self, messages: &Value) {
        self.frame_of(1, messages.to_string().as_bytes());
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let head = self.read(2);
        let [first, length] = head[..] else { return None };
        let length = match length {
            126 => u16::from_be_bytes(self.read(2).try_into().unwrap()).into(),
            127 => u64::from_be_bytes(self.read(8).try_into().unwrap()),
            length => length.into(),
        };
        let content = self.read(usize::try_from(length).unwrap());
        assert_eq!(content.len() as u64, length, "a frame that breaks off");
        Some(match first & 0x0f {
            1 => Frame::Text(serde_json::from_slice(&content).unwrap()),
            8 => Frame::Close(u16::from_be_bytes([content[0], content[1]])),
            9 => Frame::Ping,
            10 => Frame::Pong,
            other => panic!("opcode {other}"),
        })
    }

    /// A session on a WebSocket that subscribes to `/a` and has its connect held.
    pub(crate) fn session(&mut self) {
        let mut ask = |messages: &Value| {
            self.say(messages);
            match self.frame() {
                Some(Frame::Text(text)) => text,
                other => panic!("{other:?}"),
            }
        };
        let reply = ask(&json!([{ "channel": "/meta/handshake" }]));
        let id = &reply[0]["clientId"];
        ask(&json!([{ "channel": "/meta/subscribe", "clientId": id, "subscription": "/a" }]));
        let connect = json!([{ "channel": "/meta/connect", "clientId": id }]);
        ask(&connect);
        self.say(&connect);
    }
}
