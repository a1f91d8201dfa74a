//! [`Socket`]: a WebSocket client in memory.
//!
//! It goes through everything but the frames' bytes: the planning of the upgrade, the pump that
//! reads and writes, the machine. The network between is as good or as bad as the test wants it: it
//! can [stall](Socket::stall), [break](Socket::lose), or [swallow](Socket::vanish) everything
//! without a word.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bayeux_core::front::{Broken, Frames, Received, Sending};
use bayeux_core::http::Plan;
use bayeux_core::ws::Close;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::{Value, json};

use crate::sim::{Sim, SleepUntil, Spawned};
use crate::wire::{Answer, Client, connect, subscribe};

/// Bytes that the server may have in its own buffer before it has to wait.
const BUFFER: usize = 16 * 1024;

/// How long the server waits for the end of a connection that it closes.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// One WebSocket, seen from its client. Dropping it loses the connection.
#[derive(Debug)]
pub struct Socket {
    sim: Sim,
    line: Arc<Mutex<Line>>,
    task: Option<Spawned<()>>,
}

/// The network between the two ends.
#[derive(Debug, Default)]
struct Line {
    to_server: VecDeque<Received>,
    /// Sent by the server, and not yet taken by the network.
    buffered: VecDeque<Sending>,
    to_client: VecDeque<Sending>,
    taken: u64,
    stalled: bool,
    broken: bool,
    vanished: bool,
    server: Option<Waker>,
}

impl Line {
    fn wake(&mut self) -> Option<Waker> {
        self.server.take()
    }

    fn buffered_bytes(&self) -> usize {
        self.buffered.iter().map(size).sum()
    }

    /// Carries what is buffered to the client. Whether nothing is left.
    fn carry(&mut self) -> Result<bool, Broken> {
        if self.broken {
            return Err(Broken);
        }
        if self.stalled {
            return Ok(self.buffered.is_empty());
        }
        while let Some(frame) = self.buffered.pop_front() {
            self.taken += size(&frame) as u64;
            if self.vanished {
                continue;
            }
            if frame == Sending::Ping {
                self.to_server.push_back(Received::Control);
            }
            self.to_client.push_back(frame);
        }
        Ok(true)
    }
}

fn size(frame: &Sending) -> usize {
    match frame {
        Sending::Text(text) => text.len() + 2,
        Sending::Ping | Sending::Close(_) => 2,
    }
}

impl Client {
    /// Opens a WebSocket, with the cookie.
    ///
    /// # Panics
    ///
    /// When the server does not want to.
    pub fn socket(&self) -> Socket {
        match self.open_socket(Request::default()) {
            Ok(socket) => socket,
            Err(answer) => panic!("no WebSocket: {answer:?}"),
        }
    }

    /// Asks for a WebSocket with the headers of `request`, to which those of an upgrade are added
    /// where they are missing.
    ///
    /// # Errors
    ///
    /// The answer of a server that does not want to.
    pub fn open_socket(&self, mut request: Request<()>) -> Result<Socket, Box<Answer>> {
        *request.method_mut() = Method::GET;
        let headers = request.headers_mut();
        for (name, value) in [
            (header::HOST, "server.example"),
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if let Some(cookie) = self.cookie().and_then(|cookie| cookie.parse().ok()) {
            headers.insert(header::COOKIE, cookie);
        }
        let (head, ()) = request.into_parts();
        match self.bayeux().plan(&head) {
            Plan::Upgrade(_) => {
                let line = Arc::new(Mutex::new(Line::default()));
                let (sim, end) = (self.sim().clone(), Arc::clone(&line));
                let frames = End { sim: sim.clone(), line: end, closing: None, ended: false };
                let socket = self.bayeux().socket(head, frames);
                let task = Some(sim.spawn(socket));
                sim.settle();
                Ok(Socket { sim, line, task })
            }
            Plan::Answer(response) => {
                let (head, body) = response.into_parts();
                Err(Answer { status: head.status, headers: head.headers, body }.into())
            }
            Plan::Exchange(_) => unreachable!("an upgrade is no exchange"),
        }
    }
}

impl Socket {
    /// Sends a payload.
    pub fn send(&self, messages: &Value) {
        self.send_text(messages.to_string());
    }

    /// Sends a text message as it is.
    pub fn send_text(&self, text: impl Into<Bytes>) {
        self.arrive(Received::Text(text.into()));
    }

    /// Lets something come in at the server: a ping, a violation, the end.
    pub fn arrive(&self, received: Received) {
        let mut line = self.lock();
        if !line.vanished {
            line.to_server.push_back(received);
        }
        let waker = line.wake();
        drop(line);
        waker.into_iter().for_each(Waker::wake);
        self.sim.settle();
    }

    /// Sends a payload; the messages of the next text that comes back.
    ///
    /// # Panics
    ///
    /// When nothing comes back at once.
    pub fn ask(&self, messages: &Value) -> Vec<Value> {
        self.send(messages);
        self.receive().unwrap_or_else(|| panic!("no answer to {messages}"))
    }

    /// The messages of the next text, if one has come.
    pub fn receive(&self) -> Option<Vec<Value>> {
        self.sim.settle();
        loop {
            let mut line = self.lock();
            match line.to_client.front()? {
                Sending::Close(_) => return None,
                Sending::Ping => drop(line.to_client.pop_front()),
                Sending::Text(text) => {
                    let messages = serde_json::from_slice(text).expect("the server sends JSON");
                    line.to_client.pop_front();
                    return Some(messages);
                }
            }
        }
    }

    /// All texts that have come, in their order.
    pub fn receive_all(&self) -> Vec<Vec<Value>> {
        std::iter::from_fn(|| self.receive()).collect()
    }

    /// How the server closed the socket, if it did.
    pub fn closed(&self) -> Option<Close> {
        self.sim.settle();
        self.lock().to_client.iter().find_map(|frame| match frame {
            Sending::Close(close) => Some(*close),
            Sending::Text(_) | Sending::Ping => None,
        })
    }

    /// Whether the server has ended the connection.
    pub fn is_over(&self) -> bool {
        self.sim.settle();
        self.task.as_ref().is_none_or(|task| task.is_over())
    }

    /// Takes nothing of what the server sends, until [`flow`](Self::flow).
    pub fn stall(&self) {
        self.lock().stalled = true;
    }

    /// Takes what the server sends again.
    pub fn flow(&self) {
        self.change(|line| line.stalled = false);
    }

    /// Loses the connection; both sides notice.
    pub fn lose(&self) {
        self.change(|line| {
            line.broken = true;
            line.to_server.push_back(Received::End);
        });
    }

    /// Loses the connection so that nobody notices: what either side sends is swallowed.
    pub fn vanish(&self) {
        self.change(|line| line.vanished = true);
    }

    fn change(&self, change: impl FnOnce(&mut Line)) {
        let mut line = self.lock();
        change(&mut line);
        let waker = line.wake();
        drop(line);
        waker.into_iter().for_each(Waker::wake);
        self.sim.settle();
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a session; its id.
    ///
    /// # Panics
    ///
    /// When the server does not want to.
    pub fn handshake(&self) -> String {
        let reply = self.ask(&json!([{
            "id": "1",
            "channel": "/meta/handshake",
            "version": "1.0",
            "supportedConnectionTypes": ["websocket"],
        }]));
        match &reply[0]["clientId"] {
            Value::String(id) => id.clone(),
            _ => panic!("no session: {reply:?}"),
        }
    }

    /// Makes a session that subscribes to `channel` and whose second connect is held; its id.
    ///
    /// # Panics
    ///
    /// When the server does not want to.
    pub fn open(&self, channel: &str) -> String {
        let id = self.handshake();
        let reply = self.ask(&json!([subscribe(&id, channel)]));
        assert_eq!(reply[0]["successful"], true, "{reply:?}");
        let reply = self.ask(&json!([connect(&id)]));
        assert_eq!(reply[0]["successful"], true, "{reply:?}");
        self.send(&json!([connect(&id)]));
        assert_eq!(self.receive(), None, "the connect is held");
        id
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            self.sim.settle();
        }
    }
}

/// The server's end.
struct End {
    sim: Sim,
    line: Arc<Mutex<Line>>,
    closing: Option<Pin<Box<SleepUntil>>>,
    /// Whether the last thing was received that can be.
    ended: bool,
}

impl End {
    fn with<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Line) -> Poll<T>) -> Poll<T> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let before = line.to_server.len();
        let poll = poll(&mut line);
        if poll.is_pending() {
            line.server = Some(cx.waker().clone());
        }
        if line.to_server.len() > before {
            // The answer to a ping.
            cx.waker().wake_by_ref();
        }
        poll
    }
}

impl Frames for End {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        assert!(!self.ended, "nothing is received after the end");
        let poll =
            self.with(cx, |line| line.to_server.pop_front().map_or(Poll::Pending, Poll::Ready));
        self.ended = matches!(poll, Poll::Ready(Received::Violation(_) | Received::End));
        if poll == Poll::Ready(Received::End) {
            self.line.lock().unwrap_or_else(PoisonError::into_inner).buffered.clear();
        }
        poll
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.with(cx, |line| match line.buffered_bytes() < BUFFER {
            true => Poll::Ready(Ok(())),
            false => line.carry().map_or_else(
                |broken| Poll::Ready(Err(broken)),
                |done| if done { Poll::Ready(Ok(())) } else { Poll::Pending },
            ),
        })
    }

    fn send(&mut self, frame: Sending) {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).buffered.push_back(frame);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.with(cx, |line| match line.carry() {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(broken) => Poll::Ready(Err(broken)),
        })
    }

    fn taken(&self) -> u64 {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).taken
    }

    fn buffered(&self) -> usize {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).buffered_bytes()
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_flush(cx).is_ready() {
            return Poll::Ready(());
        }
        let sim = &self.sim;
        let closing = self.closing.get_or_insert_with(|| Box::pin(sim.sleep(CLOSE_TIME)));
        closing.as_mut().poll(cx)
    }
}
