//! The clients' side of a WebSocket: frames, without the politeness.
//!
//! A client library would answer pings by itself, and so would be alive when the world wants it to
//! be dead. So only the framing is a library's.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bayeux_core::LinkId;
use http::StatusCode;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameSocket};

use super::super::host::Down;
use super::http::Reader;

/// The key that frames are masked with. Chance would do no more for a test, and differ each time.
const MASK: [u8; 4] = [0x5c, 0x21, 0xe7, 0x90];

/// The end that writes.
pub(super) struct Socket {
    outgoing: Arc<Mutex<Outgoing>>,
}

/// What is sent before the server has agreed has to wait until it has.
#[derive(Default)]
struct Outgoing {
    agreed: bool,
    waiting: Vec<u8>,
}

/// The end that reads, for a thread.
pub(super) struct Reading {
    link: LinkId,
    stream: TcpStream,
    outgoing: Arc<Mutex<Outgoing>>,
}

impl Socket {
    /// Both ends of a socket for which the server was asked on this stream.
    pub(super) fn new(link: LinkId, stream: &TcpStream) -> io::Result<(Self, Reading)> {
        let outgoing = Arc::<Mutex<Outgoing>>::default();
        let reading = Reading { link, stream: stream.try_clone()?, outgoing: outgoing.clone() };
        Ok((Self { outgoing }, reading))
    }

    pub(super) fn text(&self, stream: &mut TcpStream, text: &str) -> io::Result<()> {
        let frame = Frame::message(text.to_owned(), OpCode::Data(Data::Text), true);
        self.send(stream, frame)
    }

    pub(super) fn pong(&self, stream: &mut TcpStream) -> io::Result<()> {
        self.send(stream, Frame::pong(""))
    }

    fn send(&self, stream: &mut TcpStream, frame: Frame) -> io::Result<()> {
        let mut outgoing = lock(&self.outgoing);
        let frame = masked(frame)?;
        if outgoing.agreed {
            return stream.write_all(&frame);
        }
        outgoing.waiting.extend_from_slice(&frame);
        Ok(())
    }
}

impl Reading {
    /// Reads until there is nothing more, and says what has come.
    pub(super) fn run(self, tell: impl Fn(Down)) {
        let link = self.link;
        let code = self.read(&tell).unwrap_or(1006);
        tell(Down::Closed { link, code });
    }

    /// The code that the server closes with; an error if it is gone without one.
    fn read(self, tell: &impl Fn(Down)) -> io::Result<u16> {
        let link = self.link;
        let mut reader = Reader::new(self.stream);
        if reader.head()?.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (mut stream, rest) = reader.into_parts();
        let mut outgoing = lock(&self.outgoing);
        outgoing.agreed = true;
        stream.write_all(&std::mem::take(&mut outgoing.waiting))?;
        drop(outgoing);
        let mut frames = FrameSocket::from_partially_read(stream, rest);
        let mut text = Vec::new();
        loop {
            let frame = frames.read(None).map_err(io::Error::other)?;
            let frame = frame.ok_or(io::ErrorKind::UnexpectedEof)?;
            match frame.header().opcode {
                OpCode::Data(_) => {
                    text.extend_from_slice(frame.payload());
                    if frame.header().is_final {
                        let text = String::from_utf8_lossy(&std::mem::take(&mut text)).into_owned();
                        tell(Down::Text { link, text });
                    }
                }
                OpCode::Control(Control::Ping) => tell(Down::Ping { link }),
                OpCode::Control(Control::Close) => {
                    let _outgoing = lock(&self.outgoing);
                    let code = code_of(frame.payload());
                    // The server may not wait for the answer.
                    let _ = frames.get_mut().write_all(&masked(Frame::close(None))?);
                    let _ = frames.get_ref().shutdown(Shutdown::Write);
                    return Ok(code);
                }
                OpCode::Control(_) => {}
            }
        }
    }
}

fn lock(outgoing: &Mutex<Outgoing>) -> MutexGuard<'_, Outgoing> {
    outgoing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A frame's bytes; what comes from a client is masked.
fn masked(mut frame: Frame) -> io::Result<Vec<u8>> {
    frame.header_mut().mask = Some(MASK);
    let mut bytes = Vec::new();
    frame.format(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

/// The code of a closing; 1005 if there is none (RFC 6455 §7.1.5).
fn code_of(payload: &[u8]) -> u16 {
    payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
}
