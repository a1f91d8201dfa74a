//! [`Client`]: a browser or program that talks HTTP to a server in memory.
//!
//! It goes through everything but the sockets: the planning of the request, the decoding of its
//! body, the machine, the response with its headers. A response counts as delivered when it is
//! taken; dropping a request that is in flight is a lost connection.

use std::cell::RefCell;

use bayeux_core::front::{Bayeux, Receipt};
use bayeux_core::http::Plan;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::sim::{Sim, Spawned};

/// A client with a cookie jar.
#[derive(Debug)]
pub struct Client {
    sim: Sim,
    bayeux: Bayeux,
    cookie: RefCell<Option<String>>,
}

/// A request that may not be answered yet. Dropping it is the loss of its connection.
#[derive(Debug)]
pub struct InFlight {
    sim: Sim,
    task: Option<Spawned<(Response<Bytes>, Receipt)>>,
}

/// A response that was received.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Client {
    /// A client without cookies.
    pub fn new(sim: &Sim, bayeux: &Bayeux) -> Self {
        Self { sim: sim.clone(), bayeux: bayeux.clone(), cookie: RefCell::new(None) }
    }

    pub(crate) fn sim(&self) -> &Sim {
        &self.sim
    }

    pub(crate) fn bayeux(&self) -> &Bayeux {
        &self.bayeux
    }

    /// Another tab of the same browser: it starts with the same cookie.
    pub fn tab(&self) -> Self {
        Self { sim: self.sim.clone(), bayeux: self.bayeux.clone(), cookie: self.cookie.clone() }
    }

    /// Sets the `Cookie` header of further requests.
    pub fn set_cookie(&self, cookie: Option<&str>) {
        *self.cookie.borrow_mut() = cookie.map(str::to_owned);
    }

    /// The `Cookie` header that is sent.
    pub fn cookie(&self) -> Option<String> {
        self.cookie.borrow().clone()
    }

    /// Starts a request as it is; the cookie is not added.
    pub fn start(&self, request: Request<Bytes>) -> InFlight {
        let bayeux = self.bayeux.clone();
        let task = self.sim.spawn(async move {
            let (head, body) = request.into_parts();
            match bayeux.plan(&head) {
                Plan::Answer(response) => (response, Receipt::default()),
                Plan::Exchange(exchange) => bayeux.exchange(exchange, head, body).await,
                // Sockets are opened with `Client::socket`; here the answer is all there is.
                Plan::Upgrade(upgrade) => (upgrade.into_response(), Receipt::default()),
            }
        });
        self.sim.settle();
        InFlight { sim: self.sim.clone(), task: Some(task) }
    }

    /// A POST of JSON, with the cookie.
    pub fn request(&self, body: impl Into<Bytes>) -> Request<Bytes> {
        let mut request = Request::new(body.into());
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        if let Some(cookie) = &*self.cookie.borrow() {
            if let Ok(cookie) = cookie.parse() {
                headers.insert(header::COOKIE, cookie);
            }
        }
        request
    }

    /// Posts messages.
    pub fn post(&self, messages: &Value) -> InFlight {
        self.post_text(messages.to_string())
    }

    /// Posts a body as it is.
    pub fn post_text(&self, body: impl Into<Bytes>) -> InFlight {
        self.start(self.request(body))
    }

    /// Posts messages and waits for the answer, letting as much time pass as that takes. The
    /// cookie that comes with it is kept.
    pub fn send(&self, messages: &Value) -> Answer {
        let answer = self.post(messages).wait();
        self.keep_cookie(&answer);
        answer
    }

    /// Keeps the cookie that came with an answer.
    pub fn keep_cookie(&self, answer: &Answer) {
        let set = answer.headers.get(header::SET_COOKIE).and_then(|value| value.to_str().ok());
        if let Some(pair) = set.and_then(|set| set.split(';').next()) {
            self.set_cookie(Some(pair));
        }
    }

    /// Makes a session and keeps its cookie; the session's id.
    ///
    /// # Panics
    ///
    /// When the server does not want to.
    pub fn handshake(&self) -> String {
        self.handshake_with(&Value::Null)
    }

    /// The same with an `ext`, for servers with a policy.
    ///
    /// # Panics
    ///
    /// When the server does not want to.
    pub fn handshake_with(&self, ext: &Value) -> String {
        let answer = self.send(&json!([{
            "id": "1",
            "channel": "/meta/handshake",
            "version": "1.0",
            "supportedConnectionTypes": ["long-polling", "callback-polling"],
            "ext": ext,
        }]));
        match &answer.messages()[0]["clientId"] {
            Value::String(id) => id.clone(),
            _ => panic!("no session: {answer:?}"),
        }
    }

    /// Makes a session and connects once, as every client does; the session's id.
    ///
    /// # Panics
    ///
    /// When the server does not want to.
    pub fn open(&self) -> String {
        let id = self.handshake();
        let answer = self.send(&json!([connect(&id)]));
        assert_eq!(answer.messages()[0]["successful"], true, "{answer:?}");
        id
    }
}

/// A `/meta/connect` of this session.
pub fn connect(client_id: &str) -> Value {
    json!({
        "id": "c",
        "channel": "/meta/connect",
        "clientId": client_id,
        "connectionType": "long-polling",
    })
}

/// A `/meta/subscribe` of this session.
pub fn subscribe(client_id: &str, subscription: impl Into<Value>) -> Value {
    json!({
        "id": "s",
        "channel": "/meta/subscribe",
        "clientId": client_id,
        "subscription": subscription.into(),
    })
}

/// A publish of this session.
pub fn publish(client_id: &str, channel: &str, data: impl Into<Value>) -> Value {
    json!({ "id": "p", "channel": channel, "clientId": client_id, "data": data.into() })
}

impl InFlight {
    /// The answer, if it has come.
    pub fn take(&mut self) -> Option<Answer> {
        self.sim.settle();
        let (response, receipt) = self.task.as_ref()?.take()?;
        self.task = None;
        receipt.delivered();
        self.sim.settle();
        let (head, body) = response.into_parts();
        Some(Answer { status: head.status, headers: head.headers, body })
    }

    /// Whether the answer has not come.
    pub fn is_held(&mut self) -> bool {
        self.sim.settle();
        let Some(task) = &self.task else { return false };
        let Some(result) = task.take() else { return true };
        task.put_back(result);
        false
    }

    /// Waits for the answer, letting as much time pass as that takes.
    ///
    /// # Panics
    ///
    /// When it was taken already, or will never come.
    pub fn wait(mut self) -> Answer {
        loop {
            if let Some(answer) = self.take() {
                return answer;
            }
            assert!(self.task.is_some(), "the answer was taken already");
            assert!(self.sim.step(), "nothing is left that could bring the answer");
        }
    }

    /// Loses the connection. A response that was on its way is lost with it.
    pub fn lose(self) {
        drop(self);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            drop(task.take());
            task.abort();
            self.sim.settle();
        }
    }
}

impl Answer {
    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The messages in the body.
    ///
    /// # Panics
    ///
    /// When the body is no JSON array.
    pub fn messages(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(messages) => messages,
            _ => panic!("no messages: {self:?}"),
        }
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
