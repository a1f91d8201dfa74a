//! What both limits share: Bayeux messages as text, queues, and who is subscribed to what.
//!
//! Nothing is checked that a well-behaved client does not need checked: no names of channels, no limits, no sessions
//! that expire, no wildcards.

pub mod hub;

use std::borrow::Cow;
use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

pub const CONNECT: &str = "/meta/connect";
/// For how long a connect is held. The advice in [`accepted`] says the same.
pub const TIMEOUT: Duration = Duration::from_secs(30);

pub type Failure = Box<dyn Error + Send + Sync>;

/// A message of a client, as it lies in what was received.
#[derive(Deserialize)]
pub struct Message<'a> {
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    #[serde(borrow, rename = "clientId")]
    pub client_id: Option<&'a str>,
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub subscription: Option<&'a RawValue>,
}

impl Message<'_> {
    /// The channels that a subscription or its end is about.
    ///
    /// # Errors
    ///
    /// Fails if they are neither a string nor an array of strings.
    pub fn channels(&self) -> Result<Vec<String>, serde_json::Error> {
        let text = self.subscription.map_or("[]", RawValue::get);
        if text.starts_with('[') {
            serde_json::from_str(text)
        } else {
            Ok(vec![serde_json::from_str(text)?])
        }
    }
}

/// The messages in a payload: an array of them, or one.
///
/// # Errors
///
/// Fails if that is not what the payload is.
pub fn parse(payload: &[u8]) -> Result<Vec<Message<'_>>, serde_json::Error> {
    if payload.trim_ascii_start().starts_with(b"{") {
        Ok(vec![serde_json::from_slice(payload)?])
    } else {
        serde_json::from_slice(payload)
    }
}

/// Begins the next message of an array.
pub fn next(out: &mut Vec<u8>) {
    out.push(if out.is_empty() { b'[' } else { b',' });
}

/// Writes a reply. A channel's name has nothing that JSON would escape.
pub fn reply(out: &mut Vec<u8>, channel: &str, id: Option<&str>, fields: &[&str]) {
    for part in ["{\"channel\":\"", channel, "\",\"successful\":true"] {
        out.extend_from_slice(part.as_bytes());
    }
    for field in fields {
        out.extend_from_slice(field.as_bytes());
    }
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(id.as_bytes());
    }
    out.push(b'}');
}

/// Writes the reply to anything but a handshake or a connect, as the next message of an array.
pub fn done(out: &mut Vec<u8>, message: &Message<'_>) {
    next(out);
    let subscription = message.subscription.map_or("", RawValue::get);
    let field = if subscription.is_empty() { "" } else { ",\"subscription\":" };
    reply(out, &message.channel, message.id.map(RawValue::get), &[field, subscription]);
}

/// Writes the reply to a handshake.
pub fn accepted(out: &mut Vec<u8>, client: u64, id: Option<&str>, transport: &str) {
    let fields = format!(
        ",\"clientId\":\"{client}\",\"version\":\"1.0\",\"supportedConnectionTypes\":[\"{transport}\"],\
         \"advice\":{{\"reconnect\":\"retry\",\"interval\":0,\"timeout\":30000}}"
    );
    reply(out, "/meta/handshake", id, &[&fields]);
}

/// Writes a published message as its subscribers get it.
pub fn event(out: &mut Vec<u8>, message: &Message<'_>) {
    let data = message.data.map_or("null", RawValue::get);
    for part in ["{\"channel\":\"", &message.channel, "\",\"data\":", data, "}"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// What is to be delivered to a client, and whom to wake for it.
pub struct Queue<T>(Mutex<Queued<T>>);

struct Queued<T> {
    events: Vec<T>,
    waker: Option<Waker>,
    ended: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self(Mutex::new(Queued { events: Vec::new(), waker: None, ended: false }))
    }
}

impl<T> Queue<T> {
    pub fn push(&self, event: T) {
        let mut queued = locked(&self.0);
        queued.events.push(event);
        let waker = queued.waker.take();
        drop(queued);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Nothing is to wait for events any more.
    pub fn end(&self) {
        let mut queued = locked(&self.0);
        queued.ended = true;
        if let Some(waker) = queued.waker.take() {
            waker.wake();
        }
    }

    /// Empties the queue, in place, so that it keeps its memory; is ready once there is something in it, or it ended.
    pub fn poll_take<R>(&self, cx: &mut Context<'_>, take: impl FnOnce(&[T]) -> R) -> Poll<R> {
        let mut queued = locked(&self.0);
        if queued.events.is_empty() && !queued.ended {
            if !queued.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                queued.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let taken = take(&queued.events);
        queued.events.clear();
        Poll::Ready(taken)
    }
}

type Subscribers<S> = Arc<Mutex<Vec<Arc<S>>>>;

/// Who is subscribed to which channel.
pub struct Channels<S>(Mutex<HashMap<String, Subscribers<S>>>);

impl<S> Default for Channels<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> Channels<S> {
    pub fn subscribe(&self, channel: &str, subscriber: &Arc<S>) {
        let subscribers = Arc::clone(locked(&self.0).entry(channel.to_owned()).or_default());
        locked(&subscribers).push(Arc::clone(subscriber));
    }

    pub fn unsubscribe(&self, channel: &str, subscriber: &Arc<S>) {
        if let Some(subscribers) = self.get(channel) {
            locked(&subscribers).retain(|other| !Arc::ptr_eq(other, subscriber));
        }
    }

    pub fn each(&self, channel: &str, mut each: impl FnMut(&S)) {
        if let Some(subscribers) = self.get(channel) {
            locked(&subscribers).iter().for_each(|subscriber| each(subscriber));
        }
    }

    fn get(&self, channel: &str) -> Option<Subscribers<S>> {
        locked(&self.0).get(channel).cloned()
    }
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens where the command line says, and says so.
///
/// # Errors
///
/// Fails if the command line is not `--listen ADDRESS:PORT`, or nothing can listen there.
pub fn listen() -> Result<TcpListener, Failure> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [option, address] = &words[..] else { return Err("it takes --listen ADDRESS:PORT".into()) };
    if option != "--listen" {
        return Err(format!("it knows no {option}").into());
    }
    let listener = TcpListener::bind(address.parse::<SocketAddr>()?)?;
    listener.set_nonblocking(true)?;
    println!("listening on http://{}/cometd", listener.local_addr()?);
    std::io::stdout().flush()?;
    Ok(listener)
}
