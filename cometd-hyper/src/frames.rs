//! [`Wire`]: the frames of a WebSocket on an upgraded connection.
//!
//! The protocol is tungstenite's. It is used without the usual async wrapper: its context takes the
//! stream with every call, and hyper's upgraded connection can be polled, so a view of it that
//! "would block" instead of waiting is all that is needed. That saves each socket the wrapper's
//! wakers, and leaves the buffer of what is sent to us. tungstenite keeps the largest one that a
//! socket ever needed; this one is given back when it is empty, so an idle socket has none.
//!
//! Texts go into that buffer as frames; answers to pings and closings go into tungstenite's own.
//! Neither may be written in the middle of the other: what is begun is finished first, answers go
//! before texts that are not begun, and our own closing goes behind them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bayeux_core::front::{Broken, Frames, Received, Sending};
use bayeux_core::ws::Close;
use bytes::Bytes;
use hyper::rt::{Read, ReadBuf, Write};
use hyper::upgrade::Upgraded;
use tokio::time::Sleep;
use tungstenite::Message;
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame, Utf8Bytes};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};

/// Room for what is read, eagerly allocated: every idle socket has it. A larger message gets more
/// for as long as it takes.
const READ_BUFFER: usize = 4 * 1024;

/// What is written in one go, roughly. One message may be larger.
const WRITE_BUFFER: usize = 16 * 1024;

/// What is kept of a write buffer that is empty.
const KEPT_BUFFER: usize = 1024;

/// How long the end may take: to get out what was sent, and to see the peer close its side.
const CLOSE_TIME: Duration = Duration::from_secs(5);

pub(crate) struct Wire {
    io: Upgraded,
    context: WebSocketContext,
    /// Frames, of which the first `written` bytes are out.
    out: Vec<u8>,
    written: usize,
    taken: u64,
    /// Whether tungstenite may have something to write.
    answers: bool,
    /// The closing that goes behind what is in `out`.
    close: Option<Close>,
    closing: Option<Closing>,
}

/// The end of a connection, within its time.
struct Closing {
    deadline: Pin<Box<Sleep>>,
    flushed: bool,
}

impl Wire {
    pub(crate) fn new(io: Upgraded, max_message_size: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            // Only control frames go here, which wait for the texts before them.
            .write_buffer_size(0)
            .max_message_size(Some(max_message_size))
            .max_frame_size(Some(max_message_size));
        Self {
            io,
            context: WebSocketContext::new(Role::Server, Some(config)),
            out: Vec::new(),
            written: 0,
            taken: 0,
            answers: false,
            close: None,
            closing: None,
        }
    }

    /// Writes the texts, and before them what tungstenite may have begun to write.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.written == 0 {
            ready!(self.poll_write_answers(cx))?;
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

    /// Writes what tungstenite has to write.
    fn poll_write_answers(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if !self.answers {
            return Poll::Ready(Ok(()));
        }
        let mut view = View { io: &mut self.io, cx, may_write: true };
        match self.context.flush(&mut view) {
            Ok(()) => {}
            // The answer to the peer's closing is out, and nothing may follow it.
            Err(Error::ConnectionClosed) => self.out.clear(),
            Err(error) if would_block(&error) => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
        self.answers = false;
        Poll::Ready(Ok(()))
    }

    /// Writes everything.
    fn poll_flush_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_write_out(cx))?;
        if let Some(Close { code, reason }) = self.close.take() {
            let (code, reason) = (CloseCode::from(code), Utf8Bytes::from_static(reason));
            // It is queued whatever this says, which is that nothing can be written now.
            let _ = self.context.close(&mut Nowhere, Some(CloseFrame { code, reason }));
            self.answers = true;
        }
        ready!(self.poll_write_answers(cx))?;
        Pin::new(&mut self.io).poll_flush(cx).map_err(Error::from)
    }
}

impl Frames for Wire {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        let may_write = self.out.is_empty();
        let mut view = View { io: &mut self.io, cx, may_write };
        let received = match self.context.read(&mut view) {
            Ok(Message::Text(text)) => Received::Text(text.into()),
            Ok(Message::Binary(_)) => Received::Violation(Close::BINARY),
            // The answer to a closing goes out with the next call, which then reports the end.
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                self.answers = true;
                Received::Control
            }
            Err(error) if would_block(&error) => return Poll::Pending,
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                Received::Violation(Close::TOO_LARGE)
            }
            Err(Error::Utf8(_)) => Received::Violation(Close::NOT_UTF8),
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Received::End,
            Err(Error::Protocol(_)) => Received::Violation(Close::PROTOCOL),
            Err(_) => Received::End,
        };
        if received == Received::End && self.written == 0 {
            self.out.clear();
        }
        Poll::Ready(received)
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.out.len() < WRITE_BUFFER {
            return Poll::Ready(Ok(()));
        }
        self.poll_write_out(cx).map_err(|_| Broken)
    }

    fn send(&mut self, frame: Sending) {
        let frame = match frame {
            Sending::Text(text) => Frame::message(text, OpCode::Data(Data::Text), true),
            Sending::Ping => Frame::ping(Bytes::new()),
            Sending::Close(close) => {
                self.close = Some(close);
                return;
            }
        };
        // Writing into a vector cannot fail.
        let _ = frame.format(&mut self.out);
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.poll_flush_all(cx).map_err(|_| Broken)
    }

    fn taken(&self) -> u64 {
        self.taken
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut closing = self.closing.take().unwrap_or_else(|| Closing {
            deadline: Box::pin(tokio::time::sleep(CLOSE_TIME)),
            flushed: false,
        });
        if closing.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let poll = self.poll_close_in_time(cx, &mut closing);
        self.closing = Some(closing);
        poll
    }
}

impl Wire {
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
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled())) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

fn would_block(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// The connection during one poll, as tungstenite knows connections.
struct View<'w, 'c, 'p> {
    io: &'w mut Upgraded,
    cx: &'p mut Context<'c>,
    may_write: bool,
}

fn now_or_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl io::Read for View<'_, '_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(into);
        now_or_block(Pin::new(&mut *self.io).poll_read(self.cx, buffer.unfilled()))?;
        Ok(buffer.filled().len())
    }
}

impl io::Write for View<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.may_write {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        now_or_block(Pin::new(&mut *self.io).poll_write(self.cx, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.may_write {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        now_or_block(Pin::new(&mut *self.io).poll_flush(self.cx))
    }
}

/// A connection outside of polls: nothing can be done with it.
struct Nowhere;

impl io::Read for Nowhere {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl io::Write for Nowhere {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}
