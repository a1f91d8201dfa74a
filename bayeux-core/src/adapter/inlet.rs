//! [`Inlet`]: what comes in on a WebSocket's connection, asked for only when there may be something.
//!
//! A task that is woken to write has nothing to read, nearly always. So reading has a [`Signal`] of its own.

use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;

use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBuf};

use super::signal::Signal;

/// How much is read in one go. It lies on the stack, so that an idle connection has none of it, and
/// streams that can read into memory that was not cleared need not clear it.
pub(super) const READ: usize = 8 * 1024;

pub(super) struct Inlet {
    /// What was read and is still to be taken.
    ahead: Bytes,
    /// Reading may go on.
    may_read: Signal,
}

impl Inlet {
    /// `ahead` was read already.
    pub(super) fn new(ahead: Bytes) -> Self {
        Self { ahead: or_nothing(ahead), may_read: Signal::new() }
    }

    /// What was read and is still to be taken.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// So much of it is taken.
    pub(super) fn advance(&mut self, count: usize) {
        self.ahead.advance(count);
        self.ahead = or_nothing(mem::take(&mut self.ahead));
    }

    /// Keeps what was read and not taken.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.ahead = Bytes::copy_from_slice(rest);
    }

    /// Asks again, whether there was a signal or not: another waker may have taken the place of this
    /// one, since some streams have one place for those who wait to read and those who wait to write.
    pub(super) fn look_again(&self) {
        self.may_read.give();
    }

    /// Reads what comes in; nothing at the connection's end.
    pub(super) fn poll_read(
        &mut self,
        io: &mut (impl Read + Unpin),
        cx: &Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.may_read.take(cx) {
            return Poll::Pending;
        }
        let waker = self.may_read.waker();
        let poll = Pin::new(io).poll_read(&mut Context::from_waker(&waker), buffer.unfilled());
        if poll.is_ready() {
            // Nobody waits, so nobody will give a signal.
            self.look_again();
        }
        poll
    }
}

/// What is empty may still hold on to all that it was once part of, such as hyper's read buffer.
fn or_nothing(ahead: Bytes) -> Bytes {
    if ahead.is_empty() { Bytes::new() } else { ahead }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    /// A socket that stays silent is to have no buffer.
    #[test]
    fn what_is_taken_is_let_go_of() {
        let mut read = BytesMut::with_capacity(8 * 1024);
        read.extend_from_slice(b"ab");
        let ahead = read.freeze();
        let buffer = ahead.clone();
        let mut inlet = Inlet::new(ahead);
        inlet.advance(1);
        assert_eq!((inlet.ahead(), buffer.is_unique()), (&b"b"[..], false));
        inlet.advance(1);
        assert_eq!((inlet.ahead(), buffer.is_unique()), (&b""[..], true));

        let empty = BytesMut::with_capacity(8 * 1024).freeze();
        let buffer = empty.clone();
        assert!(!buffer.is_unique());
        let inlet = Inlet::new(empty);
        assert_eq!((inlet.ahead(), buffer.is_unique()), (&b""[..], true));
    }
}
