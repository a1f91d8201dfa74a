//! The network under a simulated WebSocket: what the server writes is offered to the world at once,
//! and leaves the server's buffer when the world says so.

use bayeux_core::LinkId;
use bayeux_core::front::{Received, Sending};

use super::host::Down;
use super::outbox::Outbox;
use super::seed::Draw;
use crate::line::Network;

/// The network of one link.
#[derive(Debug)]
pub(super) struct Offered {
    link: LinkId,
    outbox: Outbox,
    /// How many texts the world has taken that are still in the buffer.
    credit: u64,
    /// How large the server's buffer is, in bytes.
    buffer: usize,
    /// Whether what is in the buffer when the server closes is taken at once.
    hurries: bool,
    closing: bool,
}

impl Offered {
    /// The network of a link, as chance wants it.
    pub(super) fn new(link: LinkId, outbox: &Outbox, chance: Draw) -> Self {
        let buffer = chance.then(1).one_of([16 * 1024, 400, 1]);
        let hurries = chance.then(2).per_mille(500);
        Self { link, outbox: outbox.clone(), credit: 0, buffer, hurries, closing: false }
    }

    /// The oldest text has been taken.
    pub(super) fn take(&mut self) {
        self.credit += 1;
    }
}

impl Network for Offered {
    fn buffer(&self) -> usize {
        self.buffer
    }

    fn offered(&mut self, frame: &Sending) {
        let link = self.link;
        match frame {
            Sending::Text(text) => {
                let text = String::from_utf8_lossy(text).into_owned();
                self.outbox.put(Down::Text { link, text });
            }
            Sending::Ping => {}
            // What stands before it comes to the client in any case, and the world says no more of
            // it. Whether the server notices, or waits in vain, is not the client's business.
            Sending::Close(close) => {
                self.closing = true;
                self.outbox.put(Down::Closed { link, code: close.code });
            }
        }
    }

    fn takes(&mut self, frame: &Sending) -> bool {
        match frame {
            Sending::Text(_) => self.credit > 0 || (self.closing && self.hurries),
            Sending::Ping | Sending::Close(_) => true,
        }
    }

    fn carry(&mut self, frame: Sending) -> Option<Received> {
        match frame {
            Sending::Text(_) => self.credit = self.credit.saturating_sub(1),
            // Not before what was written before it: a client that does not read sees no pings.
            Sending::Ping if !self.closing => self.outbox.put(Down::Ping { link: self.link }),
            Sending::Ping | Sending::Close(_) => {}
        }
        None
    }
}
