//! [`Wire`]: the frames of a WebSocket on an upgraded connection.
//!
//! The protocol is tungstenite's. It is used without an async wrapper (tokio-tungstenite,
//! async-tungstenite), which would be another one for each runtime: its context takes the stream
//! with every call, and a stream of hyper's (`I`) can be polled, so a view of it that "would block"
//! instead of waiting is all that is needed. That saves each socket the wrapper's wakers, and leaves
//! the buffer of what is sent to us. tungstenite keeps the largest one that a socket ever needed; this
//! one is given back when it is empty, so an idle socket has none. And since it clears whatever it
//! reads into, for each attempt, the reading is done here, too ([`Inlet`]).
//!
//! Texts go into that buffer as frames, but for one that is alone and that the connection takes at
//! once; the answers to pings and to closings go into tungstenite's own. Neither may be written in
//! the middle of the other, so what is begun is finished first, and answers go before texts that are
//! not begun. And nothing is read while an answer is owed: a peer that does not take its pongs is not
//! asked for more pings.

use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use bytes::Bytes;
use hyper::rt::{Read, ReadBuf, Write};
use tungstenite::Message;
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, FrameHeader, Utf8Bytes};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

use super::inlet::{self, Inlet};
use crate::front::{Bayeux, Broken, Frames, Received, Sending, Sleep};
use crate::ws::Close;

/// tungstenite's room for a message that is not whole yet, eagerly allocated and cleared whenever it
/// wants more: every idle socket has it. A larger message needs more, and tungstenite keeps that for the
/// next one.
const MESSAGE_BUFFER: usize = 256;

/// What is written in one go, roughly. One message may be larger.
const WRITE_BUFFER: usize = 16 * 1024;

/// A frame that is no larger is made up on the stack.
const SMALL: usize = 512;

/// What is kept of a write buffer that is empty.
const KEPT_BUFFER: usize = 1024;

/// How long the end may take: to get out what was sent, and to see the peer close its side.
const CLOSE_TIME: Duration = Duration::from_secs(5);

/// How many pieces of what nobody wants are read before others get their turn.
const DISCARDED_AT_ONCE: usize = 64;

/// In this order: what is looked at to write a text is together, since in a burst to many it is in no cache.
#[repr(C)]
pub(super) struct Wire<I> {
    inlet: Inlet,
    /// Whether tungstenite needs more than it has been given.
    hungry: bool,
    /// Whether tungstenite owes the peer an answer, or has begun to write one.
    answering: bool,
    /// A text that is to be written before `out`, which is empty as long as this is there. Nearly always
    /// it is all that is written, and the connection takes it whole; then it is in no buffer of this socket's.
    only: Option<Bytes>,
    /// Frames, of which the first `written` bytes are out.
    out: Vec<u8>,
    written: usize,
    taken: u64,
    io: I,
    bayeux: Bayeux,
    closing: Option<Closing>,
    context: WebSocketContext,
}

/// The end of a connection, within its time.
struct Closing {
    deadline: Sleep,
    flushed: bool,
}

impl<I: Read + Write + Unpin> Wire<I> {
    /// `ahead` is what was read of the connection already.
    pub(super) fn new(io: I, ahead: Bytes, bayeux: Bayeux, max_message_size: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(MESSAGE_BUFFER)
            // Only control frames go here, which wait for the texts before them.
            .write_buffer_size(0)
            .max_message_size(Some(max_message_size))
            .max_frame_size(Some(max_message_size));
        Self {
            io,
            hungry: ahead.is_empty(),
            inlet: Inlet::new(ahead),
            bayeux,
            context: WebSocketContext::new(Role::Server, Some(config)),
            only: None,
            out: Vec::new(),
            written: 0,
            taken: 0,
            answering: false,
            closing: None,
        }
    }

    /// Writes the texts.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.written == 0 {
            ready!(self.poll_answer(cx))?;
        }
        if let Some(text) = self.only.take() {
            ready!(self.poll_write_only(cx, text))?;
        }
        while self.written < self.out.len() {
            let poll = Pin::new(&mut self.io).poll_write(cx, &self.out[self.written..]);
            let count = ready!(poll)?;
            if count == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.written += count;
            self.taken += count as u64;
        }
        self.written = 0;
        if self.out.capacity() > KEPT_BUFFER {
            self.out = Vec::new();
        } else {
            self.out.clear();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes a text that is alone, as far as the connection takes it at once; the rest goes into `out`.
    fn poll_write_only(&mut self, cx: &mut Context<'_>, text: Bytes) -> Poll<Result<(), Error>> {
        let frame = text_frame(text);
        let mut room = [0; SMALL];
        let length = frame.len();
        let Some(small) = room.get_mut(..length) else {
            self.put(frame);
            return Poll::Ready(Ok(()));
        };
        // A frame takes as many bytes as it says.
        let _ = frame.format(&mut &mut *small);
        let poll = Pin::new(&mut self.io).poll_write(cx, small);
        let taken = match &poll {
            Poll::Ready(Ok(count)) => *count,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        self.taken += taken as u64;
        if taken < length {
            self.out.extend_from_slice(small);
            self.written = taken;
        }
        match ready!(poll)? {
            0 => Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    /// Puts a frame behind what is to be written.
    fn put(&mut self, frame: Frame) {
        if !self.out.is_empty() && self.out.capacity() - self.out.len() < frame.len() {
            // The second of many, perhaps. It is not worth more: a peer that reads nothing keeps it.
            self.out.reserve(frame.len().max(4 * KEPT_BUFFER));
        }
        // Writing into a vector cannot fail.
        let _ = frame.format(&mut self.out);
    }

    /// Writes what tungstenite owes the peer. Never called in the middle of a text.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.answering {
            return Poll::Ready(Ok(()));
        }
        let mut view = View { io: &mut self.io, cx, came: &mut &[][..], is_all: false };
        let flushed = self.context.flush(&mut view);
        if matches!(&flushed, Err(error) if would_block(error)) {
            return Poll::Pending;
        }
        self.answering = false;
        if flushed.is_err() {
            // Nothing may follow the answer to a closing.
            self.only = None;
            self.out.clear();
        }
        Poll::Ready(flushed)
    }

    /// Writes everything.
    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let poll = self.poll_flush_once(cx);
        if poll.is_pending() {
            self.inlet.look_again();
        }
        poll
    }

    fn poll_flush_once(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_write_out(cx))?;
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.io).poll_flush(cx).map_err(Error::from)
    }

    /// The next message, from what is there already or comes in now.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        if !self.hungry {
            let mut ahead = self.inlet.ahead();
            let before = ahead.len();
            let mut view = View { io: &mut self.io, cx, came: &mut ahead, is_all: false };
            let message = self.context.read(&mut view);
            let taken = before - ahead.len();
            self.inlet.advance(taken);
            match message {
                Err(error) if would_block(&error) => self.hungry = true,
                message => return Poll::Ready(message),
            }
        }
        loop {
            let mut room = [const { MaybeUninit::uninit() }; inlet::READ];
            let mut buffer = ReadBuf::uninit(&mut room);
            ready!(self.inlet.poll_read(&mut self.io, cx, &mut buffer))?;
            let mut came = buffer.filled();
            let is_all = came.is_empty();
            let mut view = View { io: &mut self.io, cx, came: &mut came, is_all };
            match self.context.read(&mut view) {
                // A part of one, which tungstenite keeps.
                Err(error) if would_block(&error) => {}
                message => {
                    self.inlet.keep(came);
                    self.hungry = false;
                    return Poll::Ready(message);
                }
            }
        }
    }
}

impl<I: Read + Write + Unpin + Send> Frames for Wire<I> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        if self.answering && ready!(self.poll_flush_all(cx)).is_err() {
            return Poll::Ready(self.end());
        }
        Poll::Ready(match ready!(self.poll_message(cx)) {
            Ok(Message::Text(text)) => Received::Text(text.into()),
            Ok(Message::Binary(_)) => Received::Violation(Close::BINARY),
            Ok(Message::Ping(_) | Message::Close(_)) => {
                self.answering = true;
                Received::Control
            }
            Ok(Message::Pong(_) | Message::Frame(_)) => Received::Control,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                Received::Violation(Close::TOO_LARGE)
            }
            Err(Error::Utf8(_)) => Received::Violation(Close::NOT_UTF8),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => self.end(),
            Err(Error::Protocol(_)) => Received::Violation(Close::PROTOCOL),
            Err(_) => self.end(),
        })
    }

    fn receives_after_writing(&self) -> bool {
        self.answering
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        // What is out already is kept until the rest is.
        if self.buffered() + self.written < WRITE_BUFFER {
            return Poll::Ready(Ok(()));
        }
        let poll = self.poll_write_out(cx);
        if poll.is_pending() {
            self.inlet.look_again();
        }
        poll.map_err(|_| Broken)
    }

    fn send(&mut self, frame: Sending) {
        let frame = match frame {
            Sending::Text(text) if self.out.is_empty() && self.only.is_none() => {
                self.only = Some(text);
                return;
            }
            Sending::Text(text) => text_frame(text),
            Sending::Ping => Frame::ping(Bytes::new()),
            // The peer's own closing is answered, and that is all there is to say.
            Sending::Close(_) if !self.context.can_write() => return,
            Sending::Close(Close { code, reason }) => {
                let (code, reason) = (CloseCode::from(code), Utf8Bytes::from_static(reason));
                Frame::close(Some(CloseFrame { code, reason }))
            }
        };
        if let Some(before) = self.only.take() {
            self.put(text_frame(before));
        }
        self.put(frame);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_flush_all(cx).map_err(|_| Broken)
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn buffered(&self) -> usize {
        let only = self
            .only
            .as_ref()
            .map_or(0, |text| text.len() + FrameHeader::default().len(text.len() as u64));
        only + self.out.len() - self.written
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut closing = self
            .closing
            .take()
            .unwrap_or_else(|| Closing { deadline: self.bayeux.sleep(CLOSE_TIME), flushed: false });
        if closing.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let poll = self.poll_close_in_time(cx, &mut closing);
        self.closing = Some(closing);
        poll
    }
}

impl<I: Read + Write + Unpin> Wire<I> {
    /// Nothing more comes in, so what is not begun does not go out.
    fn end(&mut self) -> Received {
        if self.written == 0 {
            self.only = None;
            self.out.clear();
        }
        Received::End
    }

    fn poll_close_in_time(&mut self, cx: &mut Context<'_>, closing: &mut Closing) -> Poll<()> {
        if !closing.flushed {
            if ready!(self.poll_flush_all(cx)).is_err() {
                return Poll::Ready(());
            }
            closing.flushed = true;
        }
        if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        // Closing a connection with unread bytes resets it, and takes along what was sent. So
        // whatever the peer still sends is read, up to its own end.
        let mut scratch = [0; 1024];
        for _ in 0..DISCARDED_AT_ONCE {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled())) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn text_frame(text: Bytes) -> Frame {
    Frame::message(text, OpCode::Data(Data::Text), true)
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// The connection during one poll, as tungstenite knows connections: what has come, and where answers go.
struct View<'w, 'c, 'p, 'b, I> {
    io: &'w mut I,
    cx: &'p mut Context<'c>,
    came: &'p mut &'b [u8],
    /// Whether nothing will ever come behind it.
    is_all: bool,
}

fn now_or_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<I> io::Read for View<'_, '_, '_, '_, I> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.came.is_empty() && !self.is_all {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.came.read(into)
    }
}

impl<I: Write + Unpin> io::Write for View<'_, '_, '_, '_, I> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now_or_block(Pin::new(&mut *self.io).poll_write(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        now_or_block(Pin::new(&mut *self.io).poll_flush(self.cx))
    }
}
