//! [`Stream`]: a connection that tries to read only when there may be something; and [`Io`], a stream
//! of futures-io as hyper knows streams.
//!
//! smol's own streams and smol-hyper's wrapper would do, but hyper asks often whether something has
//! come, and each time they ask the operating system (measured: 4 calls for each request instead of
//! one); and smol-hyper clears all of hyper's buffer (8 KiB) for each read, so that all of it becomes
//! resident: 5 KiB more for each idle connection.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_io::Async;
use futures_io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

/// A connection of one of smol's listeners: `T` is the standard library's stream.
pub struct Stream<T> {
    inner: Async<T>,
    /// Whether all that had come is read: more is a matter of waiting.
    drained: bool,
    /// Whether the operating system took no more: writing is a matter of waiting, too. Trying again
    /// for another reason would look as if the peer had taken something.
    full: bool,
    shutdown: fn(&T, Shutdown) -> io::Result<()>,
}

impl<T> Stream<T> {
    pub(crate) fn new(inner: Async<T>, shutdown: fn(&T, Shutdown) -> io::Result<()>) -> Self {
        Self { inner, drained: false, full: false, shutdown }
    }

    /// The stream itself, to look at its addresses, say.
    pub fn get_ref(&self) -> &T {
        self.inner.get_ref()
    }
}

impl<T> AsyncRead for Stream<T>
where
    T: Unpin,
    for<'a> &'a T: io::Read,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.drained {
                ready!(self.inner.poll_readable(cx))?;
                self.drained = false;
            }
            let mut stream = self.inner.get_ref();
            match stream.read(into) {
                Ok(count) => {
                    // The end, which is 0, is not waited for twice.
                    self.drained = count > 0 && count < into.len();
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drained = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<T> AsyncWrite for Stream<T>
where
    T: Unpin,
    for<'a> &'a T: io::Write,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.full {
                ready!(self.inner.poll_writable(cx))?;
                self.full = false;
            }
            let mut stream = self.inner.get_ref();
            match stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.full = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready((self.shutdown)(self.inner.get_ref(), Shutdown::Write))
    }
}

impl<T: fmt::Debug> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(self.get_ref()).finish()
    }
}

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
