//! [`Socket`]: a WebSocket client in memory.
//!
//! It goes through everything but the frames' bytes: the planning of the upgrade, the pump that
//! reads and writes, the machine. The network between is as good or as bad as the test wants it: it
//! can [stall](Socket::stall), [break](Socket::lose), or [swallow](Socket::vanish) everything
//! without a word.

use std::collections::VecDeque;
use std::sync::MutexGuard;

use bayeux_core::front::{Received, Sending};
use bayeux_core::http::Plan;
use bayeux_core::ws::Close;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use serde_json::{Value, json};

use crate::line::{self, End, Line, Network, SharedLine};
use crate::sim::{Sim, Spawned};
use crate::wire::{Answer, Client, connect, subscribe};

/// One WebSocket, seen from its client. Dropping it loses the connection.
#[derive(Debug)]
pub struct Socket {
    sim: Sim,
    line: SharedLine<Wire>,
    task: Option<Spawned<()>>,
}

/// The network on the way to the client.
#[derive(Debug, Default)]
struct Wire {
    to_client: VecDeque<Sending>,
    stalled: bool,
    vanished: bool,
}

impl Network for Wire {
    fn takes(&mut self, _frame: &Sending) -> bool {
        !self.stalled
    }

    fn carry(&mut self, frame: Sending) -> Option<Received> {
        if self.vanished {
            return None;
        }
        let pong = (frame == Sending::Ping).then_some(Received::Control);
        self.to_client.push_back(frame);
        pong
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
                let (sim, line) = (self.sim().clone(), Line::new(Wire::default()));
                let socket = self.bayeux().socket(head, End::new(&sim, &line));
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

    /// Sends a payload, and lets nothing happen yet.
    pub fn post(&self, messages: &Value) {
        let text = Received::Text(messages.to_string().into());
        line::change(&self.line, |line| line.arrive(text));
    }

    /// Sends a text message as it is.
    pub fn send_text(&self, text: impl Into<Bytes>) {
        self.arrive(Received::Text(text.into()));
    }

    /// Lets something come in at the server: a ping, a violation, the end.
    pub fn arrive(&self, received: Received) {
        self.change(|line| {
            if !line.network.vanished {
                line.arrive(received);
            }
        });
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
            match line.network.to_client.front()? {
                Sending::Close(_) => return None,
                Sending::Ping => drop(line.network.to_client.pop_front()),
                Sending::Text(text) => {
                    let messages = serde_json::from_slice(text).expect("the server sends JSON");
                    line.network.to_client.pop_front();
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
        self.lock().network.to_client.iter().find_map(|frame| match frame {
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
        self.lock().network.stalled = true;
    }

    /// Takes what the server sends again.
    pub fn flow(&self) {
        self.change(|line| line.network.stalled = false);
    }

    /// Takes what the server sends again, and goes, before the server looks.
    pub fn go(&self) {
        self.change(|line| {
            line.network.stalled = false;
            line.arrive(Received::End);
        });
    }

    /// Loses the connection; both sides notice.
    pub fn lose(&self) {
        self.change(Line::lose);
    }

    /// Loses the connection so that nobody notices: what either side sends is swallowed.
    pub fn vanish(&self) {
        self.change(|line| line.network.vanished = true);
    }

    fn change(&self, change: impl FnOnce(&mut Line<Wire>)) {
        line::change(&self.line, change);
        self.sim.settle();
    }

    fn lock(&self) -> MutexGuard<'_, Line<Wire>> {
        line::lock(&self.line)
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
