//! [`Stream`]: a connection that gives its first bytes back, and gives up a peer that takes none.

use alloc::sync::Arc;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io;

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};

use super::connections::Place;
use crate::front::{Bayeux, Sleep};

/// What an HTTP/2 connection begins with (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How often in a row something is read before others get their turn. Some runtimes have a budget
/// for that, others let a peer that always has something to say keep a thread to itself.
const READS_AT_ONCE: u8 = 4;

/// The protocol that a peer has begun to speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A connection. hyper has no time-out for what it writes; here it is.
///
/// In this order: what is looked at each time is together.
#[repr(C)]
pub(super) struct Stream<I> {
    io: I,
    given_up: bool,
    read: u8,
    given: u8,
    reads: u8,
    /// Until when the peer may take nothing.
    stalled: Option<Sleep>,
    /// What went wrong behind what was given.
    failed: Option<io::Error>,
    /// What was read to tell the protocols apart; `read` bytes, of which hyper has got the first `given`.
    first: [u8; PREFACE.len()],
    bayeux: Bayeux,
    place: Arc<Place>,
    write_timeout: Duration,
}

impl<I: Read + Write + Unpin> Stream<I> {
    pub(super) fn new(io: I, bayeux: Bayeux, place: Arc<Place>, write_timeout: Duration) -> Self {
        Self {
            io,
            first: [0; PREFACE.len()],
            read: 0,
            given: 0,
            reads: 0,
            failed: None,
            bayeux,
            place,
            write_timeout,
            stalled: None,
            given_up: false,
        }
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
        if self.given_up {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if poll.is_ready() {
            if self.stalled.take().is_some() {
                self.place.set_stalled(false);
            }
            return poll;
        }
        let stalled = self.stalled.get_or_insert_with(|| {
            self.place.set_stalled(true);
            self.bayeux.sleep(self.write_timeout)
        });
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.given_up = true;
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
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error));
        }
        let left = &this.first[usize::from(this.given)..usize::from(this.read)];
        if left.is_empty() {
            if this.reads == READS_AT_ONCE {
                this.reads = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let poll = Pin::new(&mut this.io).poll_read(cx, into);
            this.reads = if poll.is_ready() { this.reads + 1 } else { 0 };
            return poll;
        }
        let count = left.len().min(into.remaining());
        into.put_slice(&left[..count]);
        // At most 24.
        this.given += count as u8;
        // Nearly always the rest of the head is there as well. hyper doubles its buffer for a read
        // that leaves room (6 KiB more for each idle connection), so it is to be one read.
        if into.remaining() > 0 {
            if let Poll::Ready(Err(error)) = Pin::new(&mut this.io).poll_read(cx, into) {
                this.failed = Some(error);
            }
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
