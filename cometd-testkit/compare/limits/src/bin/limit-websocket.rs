//! A broadcaster over WebSocket that does what a delivery takes, and no more: a published message becomes a frame once,
//! its subscribers queue a pointer to it, and what has queued up goes out in one write.

use std::future::poll_fn;
use std::io::{self, Cursor};
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::str;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cometd_limits::{CONNECT, Channels, Failure, Message, Queue, TIMEOUT};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

const READ: usize = 4096;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let listener = TcpListener::from_std(cometd_limits::listen()?)?;
    let channels = Arc::new(Channels::default());
    for number in 1.. {
        let (stream, _) = listener.accept().await?;
        let channels = Arc::clone(&channels);
        // A client that goes away without a word is none of the server's troubles.
        tokio::spawn(async move { serve(stream, channels, number).await.ok() });
    }
    Ok(())
}

async fn serve(
    mut stream: TcpStream,
    channels: Arc<Channels<Queue<Bytes>>>,
    number: u64,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    upgrade(&mut stream).await?;
    let mut socket = Socket {
        stream,
        number,
        channels,
        queue: Arc::default(),
        subscriptions: Vec::new(),
        connected: false,
        held: None,
        timer: None,
        partial: Vec::new(),
        unsent: Vec::new(),
        closing: false,
    };
    let outcome = poll_fn(|cx| socket.poll(cx)).await;
    socket.leave();
    outcome
}

/// Answers the request that a connection begins with, which is taken to be for an upgrade.
async fn upgrade(stream: &mut TcpStream) -> Result<(), Failure> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err("there is no request".into());
        }
    }
    let key = str::from_utf8(&head)?
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
        .ok_or("it is no upgrade")?
        .1;
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.trim().as_bytes())
    );
    Ok(stream.write_all(answer.as_bytes()).await?)
}

struct Socket {
    stream: TcpStream,
    number: u64,
    channels: Arc<Channels<Queue<Bytes>>>,
    queue: Arc<Queue<Bytes>>,
    subscriptions: Vec<String>,
    connected: bool,
    /// The id of the connect that is held.
    held: Option<Option<Box<str>>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// The beginning of a frame whose end has yet to come.
    partial: Vec<u8>,
    /// Frames, and the rest of one, that are to be written before what is queued.
    unsent: Vec<u8>,
    closing: bool,
}

impl Socket {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        while let Poll::Ready(goes_on) = self.poll_read(cx)? {
            if !goes_on {
                return Poll::Ready(Ok(()));
            }
        }
        if self.held.is_some()
            && self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
        {
            self.release();
        }
        while self.poll_write(cx)?.is_ready() {}
        if self.closing && self.unsent.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Reads into memory that is not the socket's, so that an idle one has none. It is false at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Failure>> {
        let mut memory = [MaybeUninit::uninit(); READ];
        let mut buffer = ReadBuf::uninit(&mut memory);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let received = buffer.filled_mut();
        if received.is_empty() {
            return Poll::Ready(Ok(false));
        }
        if self.partial.is_empty() {
            let done = self.frames(received)?;
            self.partial.extend_from_slice(&received[done..]);
        } else {
            let mut all = mem::take(&mut self.partial);
            all.extend_from_slice(received);
            let done = self.frames(&mut all)?;
            self.partial = if done == 0 { all } else { all[done..].to_vec() };
        }
        Poll::Ready(Ok(true))
    }

    /// Handles the frames that are there from their first to their last byte, and says how many bytes these were.
    fn frames(&mut self, received: &mut [u8]) -> Result<usize, Failure> {
        let mut done = 0;
        loop {
            let mut cursor = Cursor::new(&received[done..]);
            let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { return Ok(done) };
            let start = done + usize::try_from(cursor.position())?;
            let end = start + usize::try_from(length)?;
            if end > received.len() {
                return Ok(done);
            }
            let payload = &mut received[start..end];
            unmask(payload, header.mask.unwrap_or_default());
            match header.opcode {
                OpCode::Data(Data::Text) if header.is_final => self.text(payload)?,
                OpCode::Control(Control::Ping) => self.control(Control::Pong, payload),
                OpCode::Control(Control::Pong) => {}
                OpCode::Control(Control::Close) => {
                    self.control(Control::Close, payload);
                    self.closing = true;
                }
                _ => return Err("frames of messages in pieces are not for a limit".into()),
            }
            done = end;
        }
    }

    fn control(&mut self, kind: Control, payload: &[u8]) {
        frame(&mut self.unsent, OpCode::Control(kind), payload);
    }

    fn text(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let mut replies = Vec::new();
        for message in cometd_limits::parse(payload)? {
            self.message(&message, &mut replies)?;
        }
        self.send(replies);
        Ok(())
    }

    /// Sends an array of messages that lacks its end.
    fn send(&mut self, mut messages: Vec<u8>) {
        if !messages.is_empty() {
            messages.push(b']');
            frame(&mut self.unsent, OpCode::Data(Data::Text), &messages);
        }
    }

    fn message(&mut self, message: &Message<'_>, replies: &mut Vec<u8>) -> Result<(), Failure> {
        let id = message.id.map(RawValue::get);
        match &*message.channel {
            "/meta/handshake" => {
                cometd_limits::next(replies);
                cometd_limits::accepted(replies, self.number, id, "websocket");
                return Ok(());
            }
            // The first one tells that the client is there; it is not held.
            CONNECT if mem::replace(&mut self.connected, true) => {
                self.hold(id);
                return Ok(());
            }
            CONNECT => {}
            "/meta/subscribe" => {
                for channel in message.channels()? {
                    self.channels.subscribe(&channel, &self.queue);
                    self.subscriptions.push(channel);
                }
            }
            "/meta/unsubscribe" => {
                for channel in message.channels()? {
                    self.channels.unsubscribe(&channel, &self.queue);
                    self.subscriptions.retain(|other| *other != channel);
                }
            }
            "/meta/disconnect" => {
                self.leave();
                self.release();
            }
            _ => self.publish(message),
        }
        cometd_limits::done(replies, message);
        Ok(())
    }

    fn publish(&self, message: &Message<'_>) {
        let mut text = vec![b'['];
        cometd_limits::event(&mut text, message);
        text.push(b']');
        let mut whole = Vec::with_capacity(text.len() + 10);
        frame(&mut whole, OpCode::Data(Data::Text), &text);
        let whole = Bytes::from(whole);
        self.channels.each(&message.channel, |queue| queue.push(whole.clone()));
    }

    fn hold(&mut self, id: Option<&str>) {
        self.held = Some(id.map(Box::from));
        match &mut self.timer {
            Some(timer) => timer.as_mut().reset(Instant::now() + TIMEOUT),
            None => self.timer = Some(Box::pin(sleep(TIMEOUT))),
        }
    }

    /// Answers the connect that is held.
    fn release(&mut self) {
        if let Some(id) = self.held.take() {
            let mut replies = vec![b'['];
            cometd_limits::reply(&mut replies, CONNECT, id.as_deref(), &[]);
            self.send(replies);
        }
    }

    fn leave(&mut self) {
        for channel in self.subscriptions.drain(..) {
            self.channels.unsubscribe(&channel, &self.queue);
        }
    }

    /// Writes what is there; is ready as long as there may be more.
    ///
    /// Frames are small: copying them together costs less than a list of them does in the kernel.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, queue, unsent, .. } = self;
        let queued = queue.poll_take(cx, |frames| match frames {
            [alone] if unsent.is_empty() => Some(alone.clone()),
            all => {
                unsent.reserve(all.iter().map(Bytes::len).sum());
                all.iter().for_each(|frame| unsent.extend_from_slice(frame));
                None
            }
        });
        if let Poll::Ready(Some(alone)) = queued {
            let written = match Pin::new(stream).poll_write(cx, &alone)? {
                Poll::Ready(written) => written,
                Poll::Pending => 0,
            };
            unsent.extend_from_slice(&alone[written..]);
        } else if unsent.is_empty() {
            return Poll::Pending;
        } else {
            let written = ready!(Pin::new(stream).poll_write(cx, unsent))?;
            // What is idle keeps no memory.
            *unsent = unsent[written..].to_vec();
        }
        Poll::Ready(Ok(()))
    }
}

fn frame(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    let length = payload.len() as u64;
    header.format(length, out).expect("a vector takes what is written to it");
    out.extend_from_slice(payload);
}

fn unmask(payload: &mut [u8], key: [u8; 4]) {
    // Eight at a time is what the compiler makes one instruction of.
    let long = [key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]];
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(long) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(long) {
        *byte ^= key;
    }
}
