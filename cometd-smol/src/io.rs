//! [`Io`]: a stream of futures-io, as hyper knows streams.
//!
//! smol-hyper has one as well. It clears all of hyper's buffer (8 KiB) for each read, so all of it
//! becomes resident: 5 KiB more for each idle connection. Here the buffer is touched only as far
//! as something has come.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

/// What is read at once, at most.
const READ_AT_ONCE: usize = 4 * 1024;

/// A stream of futures-io, as hyper knows streams.
pub(crate) struct Io<S>(S);

impl<S> Io<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(stream)
    }
}

impl<S: AsyncRead + Unpin> Read for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut read = [0; READ_AT_ONCE];
        let room = into.remaining().min(READ_AT_ONCE);
        let count = ready!(Pin::new(&mut self.0).poll_read(cx, &mut read[..room]))?;
        into.put_slice(&read[..count]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Write for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx)
    }
}
