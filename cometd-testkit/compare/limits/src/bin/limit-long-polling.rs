//! A broadcaster over long-polling that does what a delivery takes, and no more, on hyper: a published message is
//! encoded once, along with the reply to the connect that will carry it, and is a response's body as it is.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cometd_limits::{CONNECT, Channels, Failure, Message, Queue, TIMEOUT, locked};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = cometd_limits::listen().await?;
    let server = Arc::new(Server::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let server = Arc::clone(&server);
        let service = service_fn(move |request| {
            let server = Arc::clone(&server);
            async move { server.serve(request).await.map_err(io::Error::other) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // A client that goes away without a word is none of the server's troubles.
        tokio::spawn(async move { connection.await.ok() });
    }
}

#[derive(Default)]
struct Server {
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

impl Server {
    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Failure> {
        let payload = request.into_body().collect().await?.to_bytes();
        let mut replies = Vec::new();
        let mut held = None;
        for message in cometd_limits::parse(&payload)? {
            self.message(&message, &mut replies, &mut held)?;
        }
        // It lies in what hyper read into, which is not to be kept while a connect is held.
        drop(payload);
        let body = match held {
            Some(held) => held.wait(&replies).await,
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
            cometd_limits::next(replies);
            cometd_limits::accepted(replies, number, id, "long-polling");
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
        cometd_limits::done(replies, message);
        Ok(())
    }

    fn publish(&self, message: &Message<'_>) {
        let mut body = vec![b'['];
        cometd_limits::event(&mut body, message);
        let end = body.len();
        body.push(b',');
        cometd_limits::reply(&mut body, CONNECT, locked(&self.last_connect).as_deref(), &[]);
        body.push(b']');
        let event = Event { body: body.into(), end };
        self.channels.each(&message.channel, |client| client.queue.push(event.clone()));
    }
}

impl Held {
    /// The body of the response, once there is something to deliver, or no more time.
    async fn wait(&self, replies: &[u8]) -> Bytes {
        let queue = &self.client.queue;
        let waiting = poll_fn(|cx| queue.poll_take(cx, |events| self.body(replies, events)));
        match timeout(TIMEOUT, waiting).await {
            Ok(body) => body,
            Err(_) => self.body(replies, &[]),
        }
    }

    fn body(&self, replies: &[u8], events: &[Event]) -> Bytes {
        let mut reply = Vec::with_capacity(80);
        cometd_limits::reply(&mut reply, CONNECT, self.id.as_deref(), &[]);
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
            cometd_limits::next(&mut body);
            body.extend_from_slice(&event.body[1..event.end]);
        }
        cometd_limits::next(&mut body);
        body.extend_from_slice(&reply);
        body.push(b']');
        body.into()
    }
}
