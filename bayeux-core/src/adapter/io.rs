//! [`Stream`]: a connection that gives its first bytes back, and gives up a peer that takes none.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use crate::front::{Bayeux, Sleep};

/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol that a peer has begun to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A connection. hyper has time-outs for a head's arrival, but none for what is before it and none
/// for what it writes; here they are.
pub(super) struct Stream<I> {
    io: I,
    /// What was read to tell the protocols apart, and how much of it hyper has got.
    first: [u8; PREFACE.len()],
    read: u8,
    given: u8,
    bayeux: Bayeux,
    write_timeout: Duration,
    /// Since when the peer takes nothing.
    stalled: Option<Sleep>,
}

impl<I: Read + Write + Unpin> Stream<I> {
    pub(super) fn new(io: I, bayeux: Bayeux, write_timeout: Duration) -> Self {
        let first = [0; PREFACE.len()];
        Self { io, first, read: 0, given: 0, bayeux, write_timeout, stalled: None }
    }

    /// Reads until it is clear what the peer speaks. What is read is not lost; at the connection's
    /// end it is HTTP/1 that has to say so.
    pub(super) fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Protocol>> {
        loop {
            let read = usize::from(self.read);
            if self.first[..read] != PREFACE[..read] {
                return Poll::Ready(Ok(Protocol::Http1));
            }
            if read == PREFACE.len() {
                return Poll::Ready(Ok(Protocol::Http2));
            }
            let mut buffer = ReadBuf::new(&mut self.first[read..]);
            ready!(Pin::new(&mut self.io).poll_read(cx, buffer.unfilled()))?;
            match buffer.filled().len() {
                0 if read == 0 => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                0 => return Poll::Ready(Ok(Protocol::Http1)),
                // At most 24.
                count => self.read += count as u8,
            }
        }
    }

    /// What came of an attempt to write, unless the peer has taken nothing for too long.
    fn in_time<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stalled = None;
            return poll;
        }
        let stalled = self.stalled.get_or_insert_with(|| self.bayeux.sleep(self.write_timeout));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: Read + Write + Unpin> Read for Stream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = &this.first[usize::from(this.given)..usize::from(this.read)];
        if left.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, into);
        }
        let count = left.len().min(into.remaining());
        into.put_slice(&left[..count]);
        // At most 24.
        this.given += count as u8;
        if into.remaining() > 0 {
            // Nearly always the rest of the head is there as well. If not, or if the connection is
            // broken, the next read tells.
            let _ = Pin::new(&mut this.io).poll_read(cx, into);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: Read + Write + Unpin> Write for Stream<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.in_time(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, pieces);
        self.in_time(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_flush(cx);
        self.in_time(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.io).poll_shutdown(cx);
        self.in_time(cx, poll)
    }
}
