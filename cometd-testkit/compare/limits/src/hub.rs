//! A hub for long-polling that does what a delivery takes, and no more, on hyper: a published message is
//! encoded once, along with the reply to the connect that will carry it, and is a response's body as it is.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use serde_json::value::RawValue;

use crate::{CONNECT, Channels, Failure, Message, Queue, TIMEOUT, locked};

#[derive(Default)]
pub struct Hub {
    clients: Mutex<HashMap<u64, Arc<Client>>>,
    channels: Channels<Client>,
    last_client: AtomicU64,
    /// The id of the last connect: clients use the same ones, mostly, so the next reply may well be the same text.
    last_connect: Mutex<Option<Box<str>>>,
}

#[derive(Default)]
struct Client {
    queue: Queue<Event>,
    subscriptions: Mutex<Vec<String>>,
    connected: AtomicBool,
}

/// A message that was published, in the body of a response that delivers only it: an array of the message and the reply
/// to a connect with the same id as the last one had.
#[derive(Clone)]
struct Event {
    body: Bytes,
    /// Where the message ends; it begins after the bracket.
    end: usize,
}

/// The connect that a request is held for.
struct Held {
    client: Arc<Client>,
    id: Option<Box<str>>,
}

impl Hub {
    /// Answers a request; `sleep` is what waiting is on this runtime.
    ///
    /// # Errors
    ///
    /// Fails if the request is not what the load generator sends.
    pub async fn serve<S: Future<Output = ()>>(
        &self,
        request: Request<Incoming>,
        sleep: fn(Duration) -> S,
    ) -> Result<Response<Full<Bytes>>, Failure> {
        let payload = request.into_body().collect().await?.to_bytes();
        let mut replies = Vec::new();
        let mut held = None;
        for message in crate::parse(&payload)? {
            self.message(&message, &mut replies, &mut held)?;
        }
        // It lies in what hyper read into, which is not to be kept while a connect is held.
        drop(payload);
        let body = match held {
            Some(held) => held.wait(&replies, sleep(TIMEOUT)).await,
            None => {
                replies.push(b']');
                replies.into()
            }
        };
        let mut response = Response::new(Full::new(body));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Ok(response)
    }

    fn message(
        &self,
        message: &Message<'_>,
        replies: &mut Vec<u8>,
        held: &mut Option<Held>,
    ) -> Result<(), Failure> {
        let id = message.id.map(RawValue::get);
        if message.channel == "/meta/handshake" {
            let number = self.last_client.fetch_add(1, Ordering::Relaxed) + 1;
            locked(&self.clients).insert(number, Arc::default());
            crate::next(replies);
            crate::accepted(replies, number, id, "long-polling");
            return Ok(());
        }
        let number = message.client_id.ok_or("a message is of no client")?.parse()?;
        let client =
            locked(&self.clients).get(&number).cloned().ok_or("there is no such client")?;
        match &*message.channel {
            // The first one tells that the client is there; it is not held.
            CONNECT if client.connected.swap(true, Ordering::Relaxed) => {
                let mut last = locked(&self.last_connect);
                if last.as_deref() != id {
                    *last = id.map(Box::from);
                }
                *held = Some(Held { client, id: id.map(Box::from) });
                return Ok(());
            }
            CONNECT => {}
            "/meta/subscribe" => {
                for channel in message.channels()? {
                    self.channels.subscribe(&channel, &client);
                    locked(&client.subscriptions).push(channel);
                }
            }
            "/meta/unsubscribe" => {
                for channel in message.channels()? {
                    self.channels.unsubscribe(&channel, &client);
                    locked(&client.subscriptions).retain(|other| *other != channel);
                }
            }
            "/meta/disconnect" => {
                for channel in locked(&client.subscriptions).drain(..) {
                    self.channels.unsubscribe(&channel, &client);
                }
                locked(&self.clients).remove(&number);
                client.queue.end();
            }
            _ => self.publish(message),
        }
        crate::done(replies, message);
        Ok(())
    }

    fn publish(&self, message: &Message<'_>) {
        let mut body = vec![b'['];
        crate::event(&mut body, message);
        let end = body.len();
        body.push(b',');
        crate::reply(&mut body, CONNECT, locked(&self.last_connect).as_deref(), &[]);
        body.push(b']');
        let event = Event { body: body.into(), end };
        self.channels.each(&message.channel, |client| client.queue.push(event.clone()));
    }
}

impl Held {
    /// The body of the response, once there is something to deliver, or no more time.
    async fn wait(&self, replies: &[u8], sleep: impl Future<Output = ()>) -> Bytes {
        let queue = &self.client.queue;
        let mut sleep = pin!(sleep);
        poll_fn(|cx| {
            let body = queue.poll_take(cx, |events| self.body(replies, events));
            if body.is_pending() && sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(self.body(replies, &[]));
            }
            body
        })
        .await
    }

    fn body(&self, replies: &[u8], events: &[Event]) -> Bytes {
        let mut reply = Vec::with_capacity(80);
        crate::reply(&mut reply, CONNECT, self.id.as_deref(), &[]);
        match events {
            [Event { body, end }]
                if replies.is_empty() && body[end + 1..body.len() - 1] == reply =>
            {
                return body.clone();
            }
            _ => {}
        }
        let length = events.iter().map(|event| event.end).sum::<usize>();
        let mut body = Vec::with_capacity(replies.len() + length + reply.len() + 2);
        body.extend_from_slice(replies);
        for event in events {
            crate::next(&mut body);
            body.extend_from_slice(&event.body[1..event.end]);
        }
        crate::next(&mut body);
        body.extend_from_slice(&reply);
        body.push(b']');
        body.into()
    }
}
