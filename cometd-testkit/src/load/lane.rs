//! [`Lane`]: a connection, with what of a response or a message is not whole yet.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::frame::{self, Kind};
use super::http::{self, BadResponse, Head};
use super::plan::Transport;

/// Why nothing more comes on a lane.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the server closed the connection")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Response(#[from] BadResponse),
    #[error("no upgrade, but status {0}")]
    NoUpgrade(u16),
    #[error("a frame that was not agreed on")]
    Frame,
}

/// What comes in.
pub(super) enum Incoming<'a> {
    /// An HTTP response.
    Response { status: u16, cookies: Vec<String>, close: bool, body: &'a [u8] },
    /// The connection is a WebSocket.
    Upgraded { cookies: Vec<String> },
    /// A text of a WebSocket.
    Text(&'a [u8]),
    /// To be sent back.
    Ping(&'a [u8]),
}

/// What is expected to come.
enum Expected {
    Response,
    Upgrade,
    /// Frames, and those of a message before them.
    Frames(Vec<u8>),
}

pub(super) struct Lane {
    stream: TcpStream,
    expected: Expected,
    /// The front of what is not whole yet.
    kept: Vec<u8>,
    /// How much of the client's bytes was written.
    written: usize,
    connected: bool,
}

impl Lane {
    pub(super) fn open(
        address: SocketAddr,
        transport: Transport,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let expected = match transport {
            Transport::LongPolling => Expected::Response,
            Transport::WebSocket => Expected::Upgrade,
        };
        Ok(Self { stream, expected, kept: Vec::new(), written: 0, connected: false })
    }

    /// Writes what it can of `out`, and empties it when it has written all.
    pub(super) fn write(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        if !self.connected {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            if self.stream.peer_addr().is_err() {
                return Ok(());
            }
            self.stream.set_nodelay(true)?;
            self.connected = true;
        }
        while self.written < out.len() {
            match self.stream.write(&out[self.written..]) {
                Ok(0) => return Err(Broken::Closed),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads all that is there, through `buffer`, and says what it is. `ended` says that the server will
    /// write no more.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        unchunked: &mut Vec<u8>,
        ended: bool,
        mut take: impl FnMut(Incoming<'_>),
    ) -> Result<(), Broken> {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(Broken::Closed),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if self.kept.is_empty() {
                let rest = self.expected.take(&buffer[..length], unchunked, &mut take)?;
                self.kept.extend_from_slice(rest);
            } else {
                self.kept.extend_from_slice(&buffer[..length]);
                let rest = self.expected.take(&self.kept, unchunked, &mut take)?.len();
                self.kept.drain(..self.kept.len() - rest);
            }
            // Less than there was room for is all that there was, and what comes later is told again
            // (epoll(7), kqueue(2)): it saves a call for each message. But an end that has come already
            // is not told again.
            if cfg!(unix) && length < buffer.len() && !ended {
                return Ok(());
            }
        }
    }
}

impl Expected {
    /// Takes whatever is whole, and leaves the rest.
    fn take<'a>(
        &mut self,
        mut bytes: &'a [u8],
        unchunked: &mut Vec<u8>,
        take: &mut impl FnMut(Incoming<'_>),
    ) -> Result<&'a [u8], Broken> {
        while !bytes.is_empty() {
            match self {
                Self::Response => {
                    let Some(head) = Head::read(bytes)? else { break };
                    let rest = &bytes[head.length..];
                    let Some((body, length)) = http::body(head.body, rest, unchunked)? else {
                        break;
                    };
                    bytes = &rest[length..];
                    let (status, cookies, close) = (head.status, head.cookies, head.close);
                    take(Incoming::Response { status, cookies, close, body });
                }
                Self::Upgrade => {
                    let Some(head) = Head::read(bytes)? else { break };
                    if head.status != 101 {
                        return Err(Broken::NoUpgrade(head.status));
                    }
                    bytes = &bytes[head.length..];
                    *self = Self::Frames(Vec::new());
                    take(Incoming::Upgraded { cookies: head.cookies });
                }
                Self::Frames(before) => {
                    let Some((frame, rest)) = frame::read(bytes).map_err(|_| Broken::Frame)? else {
                        break;
                    };
                    bytes = rest;
                    match frame.kind {
                        Kind::Text if frame.last => take(Incoming::Text(frame.payload)),
                        Kind::Text | Kind::Continuation => {
                            before.extend_from_slice(frame.payload);
                            if frame.last {
                                take(Incoming::Text(before));
                                before.clear();
                            }
                        }
                        Kind::Ping => take(Incoming::Ping(frame.payload)),
                        Kind::Pong => {}
                        Kind::Close => return Err(Broken::Closed),
                    }
                }
            }
        }
        Ok(bytes)
    }
}
