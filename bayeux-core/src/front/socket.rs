//! [`Socket`]: one WebSocket, from its upgrade to its end, on whatever carries its frames.
//!
//! The adapter implements [`Frames`] over its WebSocket library, and runs the [`Socket`] as a task
//! of its own. All that is decided about a socket is decided here or in the machine: when to read
//! and when to write, what a mistake of the peer means, what becomes of messages that did not get
//! out.
//!
//! One payload is read ahead of the one that is being processed, and no more: a client that sends
//! without reading is held back by its own connection, and one that goes away while the application
//! decides is noticed. (What was read ahead on a connection that breaks is not processed: nobody
//! has accepted it yet.) One parcel is written at a time; what is queued meanwhile stays in the
//! machine, within its bounds, and leaves together in the next.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context as TaskContext, Poll, ready};

use ::http::request;
use bytes::Bytes;

use super::mailbox::Mail;
use super::{Bayeux, Context};
use crate::id::LinkId;
use crate::message::Request;
use crate::server::{Input, LinkInfo, Refusal};
use crate::transport::Transport;
use crate::ws::{Close, Texts};

/// What came from the peer of a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// A text message, complete.
    Text(Bytes),
    /// A ping, which the library answers, or a pong.
    Control,
    /// Something that the connection does not survive.
    Violation(Close),
    /// The connection is over: closed by the peer, or broken.
    End,
}

/// What is sent to the peer of a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sending {
    /// A text message.
    Text(Bytes),
    /// A ping.
    Ping,
    /// The end.
    Close(Close),
}

/// The connection of a WebSocket is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// The frames of one WebSocket, over a library and a runtime.
///
/// All methods are polls of one task, so that reading and writing need no lock and no select.
pub trait Frames: Send + Unpin {
    /// The next thing that comes in. Not called again after [`Received::Violation`] or
    /// [`Received::End`].
    fn poll_receive(&mut self, cx: &mut TaskContext<'_>) -> Poll<Received>;

    /// Asked when [`poll_receive`](Frames::poll_receive) was pending: whether it may have waited for
    /// writing, so that it is to be called again after that. If not, its waker tells when.
    fn receives_after_writing(&self) -> bool {
        true
    }

    /// Waits until there is room for another frame: what was sent before is out, or fits into a
    /// small buffer.
    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Broken>>;

    /// Puts a frame into the buffer, whether there is room or not. What is wrong with the
    /// connection is for the polls to say.
    fn send(&mut self, frame: Sending);

    /// Waits until the connection has taken everything that was sent. (Over HTTP/2 that is when
    /// hyper has, which keeps a few pieces for a peer without a window.)
    fn poll_flush(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Broken>>;

    /// How many bytes of what was sent the connection has taken so far.
    fn taken(&self) -> u64;

    /// How many bytes of what was sent it has not taken yet.
    fn buffered(&self) -> usize;

    /// Ends the connection in good order: everything that was sent gets out, and the peer gets to
    /// see it. Bounded in time by the implementation, since a peer may never do its part.
    ///
    /// After [`Received::End`] a frame of which nothing is out must not get out any more: it is sent
    /// again elsewhere.
    fn poll_close(&mut self, cx: &mut TaskContext<'_>) -> Poll<()>;
}

impl Bayeux {
    /// Serves a WebSocket whose upgrade was planned as such and has been answered.
    ///
    /// `head` is what handlers see of the request, as their message's context. A connection that did
    /// not begin as HTTP has none: `http::Request::new(()).into_parts().0` will do.
    ///
    /// The future ends with the connection; run it as a task. Dropping it means that the connection
    /// is lost: the session lives on until its deadline, and what was not written is delivered to
    /// whichever connection its client comes back with.
    pub fn socket<F: Frames>(&self, head: request::Parts, frames: F) -> Socket<F> {
        self.socket_in(Context::new(head, Transport::WebSocket, None), frames)
    }

    /// The same with what handlers see of the request.
    pub(crate) fn socket_in<F: Frames>(&self, context: Context, frames: F) -> Socket<F> {
        let context = Arc::new(context.detached());
        let info = LinkInfo::new(Transport::WebSocket);
        let link = self.turn_with(|state, after| {
            let link = state.open_socket_mailbox(context);
            state.turn(self, self.now(), Input::Open { link, info }, after);
            link
        });
        Socket {
            bayeux: self.clone(),
            link,
            frames,
            stage: Stage::Open,
            intake: Intake::Open,
            written: Written::Nothing,
            outgoing: None,
        }
    }
}

/// A WebSocket that is being served; made by [`Bayeux::socket`].
#[must_use = "nothing is served until the future is polled"]
// In this order: what is looked at each time is together.
#[repr(C)]
pub struct Socket<F: Frames> {
    bayeux: Bayeux,
    link: LinkId,
    stage: Stage,
    /// What has become of a parcel that was written as soon as it was there.
    written: Written,
    intake: Intake,
    /// What the connection did not take at once.
    outgoing: Option<Box<Outgoing>>,
    frames: F,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// The machine has let go of the link; what is left is to end the connection.
    Closing,
    Ended,
}

/// Whether the machine takes a payload.
enum Intake {
    Open,
    /// It works on one, and there is no other.
    Closed,
    /// It works on one, and this is the next.
    Ahead(Vec<Request>),
}

/// What is being written.
struct Outgoing {
    /// The rest of a parcel; `None` for a ping, which nobody waits for.
    parcel: Option<Texts>,
    /// How many bytes the connection will have taken before the first of these.
    before: u64,
    /// How many it had taken when it was last asked.
    taken: u64,
}

#[derive(Clone, Copy)]
enum Written {
    /// There is nothing to write, or the connection takes nothing now.
    Nothing,
    /// The connection has taken a part since it was last asked.
    Some,
    /// It is out; whether it was a parcel.
    All {
        parcel: bool,
    },
    Broken,
}

/// Steps that a socket takes before others get their turn.
pub(super) const STEPS: usize = 64;

impl<F: Frames> Future for Socket<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        // Whether nothing came in, and this task is woken when something does.
        let mut quiet = false;
        for _ in 0..STEPS {
            match self.stage {
                Stage::Open => {}
                Stage::Closing => {
                    if self.frames.poll_close(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.end();
                    return Poll::Ready(());
                }
                Stage::Ended => return Poll::Ready(()),
            }
            let (mut news, mut looked) = (false, false);
            match self.write(cx) {
                Written::Nothing => {}
                Written::Broken => {
                    self.lose();
                    continue;
                }
                Written::Some => {
                    // However slowly: whoever reads is there.
                    let alive = Input::Alive { link: self.link };
                    (news, looked) = (self.turn(cx, Some(alive)), true);
                }
                Written::All { parcel: true } => {
                    let sent = Input::Sent { link: self.link, delivered: true };
                    (news, looked) = (self.turn(cx, Some(sent)), true);
                    // What follows is not written before the peer had a chance to say that it is going.
                    quiet &= self.outgoing.is_none();
                }
                Written::All { parcel: false } => {}
            }
            if self.stage == Stage::Open && !quiet && self.wants_to_read() {
                match self.frames.poll_receive(cx) {
                    Poll::Ready(received) => {
                        news = true;
                        self.take(cx, received);
                    }
                    Poll::Pending => quiet = !self.frames.receives_after_writing(),
                }
            }
            if self.stage == Stage::Open && !news {
                news = !looked && self.turn(cx, None);
                if !news {
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<F: Frames> Socket<F> {
    fn wants_to_read(&self) -> bool {
        !matches!(self.intake, Intake::Ahead(_))
    }

    /// Gives the machine an input, if there is one, and deals with what is in the mailbox. Whether
    /// there was anything; if not, the task is woken when there is.
    fn turn(&mut self, cx: &mut TaskContext<'_>, mut input: Option<Input>) -> bool {
        let mut news = false;
        loop {
            let mut mail = Mail::default();
            let follows = matches!(input, Some(Input::Sent { .. }));
            let Self { bayeux, link, .. } = &*self;
            bayeux.turn_at_the_bottom(|state, after| {
                state.turn_socket(bayeux, *link, input, cx.waker(), &mut mail, after);
            });
            news |= !mail.is_empty();
            let Some(payload) = self.open(cx, mail, follows) else { return news };
            input = Some(Input::Receive { link: self.link, payload });
        }
    }

    /// What has become of what was to be written.
    fn write(&mut self, cx: &mut TaskContext<'_>) -> Written {
        let written = mem::replace(&mut self.written, Written::Nothing);
        if !matches!(written, Written::Nothing) {
            return written;
        }
        let Some(mut outgoing) = self.outgoing.take() else { return Written::Nothing };
        match self.poll_write(cx, &mut outgoing) {
            Poll::Ready(Ok(parcel)) => Written::All { parcel },
            Poll::Ready(Err(Broken)) => {
                // How far it got matters.
                self.outgoing = Some(outgoing);
                Written::Broken
            }
            Poll::Pending => {
                let taken = self.frames.taken();
                let before = mem::replace(&mut outgoing.taken, taken);
                self.outgoing = Some(outgoing);
                if before < taken { Written::Some } else { Written::Nothing }
            }
        }
    }

    /// Begins to write. Nearly always the connection takes it at once, and then it is kept nowhere.
    fn begin_to_write(&mut self, cx: &mut TaskContext<'_>, mut outgoing: Outgoing) {
        match self.poll_write(cx, &mut outgoing) {
            Poll::Ready(Ok(parcel)) => self.written = Written::All { parcel },
            Poll::Ready(Err(Broken)) => {
                (self.written, self.outgoing) = (Written::Broken, Some(outgoing.into()));
            }
            Poll::Pending => self.outgoing = Some(outgoing.into()),
        }
    }

    /// Writes all of it; whether it was a parcel.
    fn poll_write(
        &mut self,
        cx: &mut TaskContext<'_>,
        outgoing: &mut Outgoing,
    ) -> Poll<Result<bool, Broken>> {
        let shared = &self.bayeux.shared;
        if let Some(texts) = &mut outgoing.parcel {
            loop {
                ready!(self.frames.poll_ready(cx))?;
                match texts.next(shared.offered(), shared.mapper.ws()) {
                    Some(text) => self.frames.send(Sending::Text(text)),
                    None => break,
                }
            }
        }
        ready!(self.frames.poll_flush(cx))?;
        Poll::Ready(Ok(outgoing.parcel.is_some()))
    }

    /// Deals with what came in.
    fn take(&mut self, cx: &mut TaskContext<'_>, received: Received) {
        match received {
            Received::Text(text) => match self.bayeux.shared.decoder.decode(&text) {
                Ok(payload) if matches!(self.intake, Intake::Open) => {
                    self.intake = Intake::Closed;
                    let receive = Input::Receive { link: self.link, payload };
                    self.turn(cx, Some(receive));
                }
                Ok(payload) => self.intake = Intake::Ahead(payload),
                Err(error) => self.fail(Close::of_payload(error)),
            },
            Received::Control => {
                let alive = Input::Alive { link: self.link };
                self.turn(cx, Some(alive));
            }
            Received::Violation(close) => self.fail(close),
            Received::End => {
                // The peer may have closed in good order, and is to see that this side does, too.
                self.leave(self.is_partly_written());
                self.outgoing = None;
                self.stage = Stage::Closing;
            }
        }
    }

    /// Deals with what the machine wants: a parcel that `follows` another one waits until there was a look
    /// at what comes in. The payload that was read ahead, if it is its turn.
    fn open(
        &mut self,
        cx: &mut TaskContext<'_>,
        mail: Mail,
        follows: bool,
    ) -> Option<Vec<Request>> {
        if let Some((mut parcel, passage)) = mail.parcel {
            if let Some(passage) = passage {
                passage.apply(&mut parcel, &*self.bayeux.shared.runtime);
            }
            let wall = self.bayeux.shared.wall_of(&parcel);
            let outgoing = self.outgoing(Some(Texts::new(parcel, wall)));
            if follows {
                self.outgoing = Some(outgoing.into());
            } else {
                self.begin_to_write(cx, outgoing);
            }
        }
        if mail.ping {
            let ping = self.outgoing(None);
            self.frames.send(Sending::Ping);
            self.outgoing.get_or_insert_with(|| ping.into());
        }
        if let Some(refusal) = mail.refusal {
            self.close(close_of(refusal));
            return None;
        }
        if !mail.resumed {
            return None;
        }
        match mem::replace(&mut self.intake, Intake::Open) {
            Intake::Ahead(payload) => {
                self.intake = Intake::Closed;
                Some(payload)
            }
            Intake::Open | Intake::Closed => None,
        }
    }

    fn outgoing(&self, parcel: Option<Texts>) -> Outgoing {
        let taken = self.frames.taken();
        Outgoing { parcel, before: taken + self.frames.buffered() as u64, taken }
    }

    /// The peer has made a mistake that the connection does not survive.
    fn fail(&mut self, close: Close) {
        // Half of it may be out already: what is half said is said to the end.
        let delivered = self.is_writing_parcel();
        self.leave(delivered);
        self.close(close);
    }

    /// Ends the connection in good order; the machine has let go of the link.
    fn close(&mut self, close: Close) {
        let shared = &self.bayeux.shared;
        if let Some(texts) = self.outgoing.as_mut().and_then(|it| it.parcel.as_mut()) {
            while let Some(text) = texts.next(shared.offered(), shared.mapper.ws()) {
                self.frames.send(Sending::Text(text));
            }
        }
        self.outgoing = None;
        self.frames.send(Sending::Close(close));
        self.stage = Stage::Closing;
    }

    /// The connection is gone.
    fn lose(&mut self) {
        self.leave(self.is_partly_written());
        self.end();
    }

    /// Whether the connection has begun to take the parcel: what may have arrived is not sent
    /// twice.
    fn is_partly_written(&self) -> bool {
        let outgoing = self.outgoing.as_ref().filter(|it| it.parcel.is_some());
        self.is_out() || outgoing.is_some_and(|it| self.frames.taken() > it.before)
    }

    fn is_writing_parcel(&self) -> bool {
        self.is_out() || self.outgoing.as_ref().is_some_and(|it| it.parcel.is_some())
    }

    /// Whether a parcel is out, and the machine does not know yet.
    fn is_out(&self) -> bool {
        matches!(self.written, Written::All { parcel: true })
    }

    /// Takes the link out of the machine.
    ///
    /// Nothing may be polled between the two inputs: the first gives credit for another parcel.
    fn leave(&self, delivered: bool) {
        let link = self.link;
        self.bayeux.turn_with(|state, after| {
            let now = self.bayeux.now();
            if delivered {
                state.server.handle(now, Input::Sent { link, delivered });
            }
            state.turn(&self.bayeux, now, Input::Close { link }, after);
        });
    }

    fn end(&mut self) {
        self.stage = Stage::Ended;
        let link = self.link;
        self.bayeux.turn_with(|state, after| state.close_mailbox(link, after));
    }
}

impl<F: Frames> Drop for Socket<F> {
    fn drop(&mut self) {
        if self.stage == Stage::Ended || self.bayeux.lock_in_drop().is_none() {
            return;
        }
        match self.stage {
            Stage::Open => self.lose(),
            Stage::Closing | Stage::Ended => self.end(),
        }
    }
}

impl<F: Frames> fmt::Debug for Socket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("link", &self.link).finish_non_exhaustive()
    }
}

fn close_of(refusal: Refusal) -> Close {
    match refusal {
        Refusal::HandshakeNotAlone | Refusal::Empty | Refusal::Superseded => {
            Close::violation(refusal.what())
        }
        Refusal::Idle | Refusal::Draining => Close::going_away(refusal.what()),
        Refusal::Moved => Close::done(refusal.what()),
    }
}
