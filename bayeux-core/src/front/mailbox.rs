//! [`Mailboxes`]: what the machine wants of each link, and who is woken about it.
//!
//! A mailbox holds a note that there is an answer, not the answer: whoever writes to the link collects it when it
//! comes to that ([`Server::collect`](crate::Server::collect)). Until then what a session is owed is in one
//! place, its queue, and what comes meanwhile leaves together.

use alloc::sync::Arc;
use core::mem;
use core::task::Waker;

use slotmap::{Key, KeyData, SlotMap};

use super::Bayeux;
use super::context::Context;
use super::passage::Passage;
use super::policy::NewSession;
use super::state::{After, Leftover, State, register};
use crate::id::LinkId;
use crate::message::Parcel;
use crate::server::{Input, Refusal};

slotmap::new_key_type! {
    struct MailboxKey;
}

/// The mailboxes of all links.
#[derive(Default)]
pub(super) struct Mailboxes(SlotMap<MailboxKey, Mailbox>);

/// What is noted about a link, and what questions about its messages need to know.
#[derive(Default)]
pub(super) struct Mailbox {
    notes: Notes,
    waker: Option<Waker>,
    /// Whether a socket's `waker` is to be woken about new mail; an exchange takes its own away.
    waiting: bool,
    pub(super) context: Option<Arc<Context>>,
    /// What the policy wants of the session of a handshake.
    pub(super) new_session: Option<NewSession>,
    /// Whether further payloads will come, which need the context again.
    pub(super) is_socket: bool,
}

/// A parcel, and what the application does with it before it leaves.
pub(super) type Shaped = (Parcel, Option<Arc<Passage>>);

/// What the machine wants of a link, in short: what it is owed is looked up by whoever writes it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Notes {
    /// Whether there is an answer to collect.
    pub(super) due: bool,
    pub(super) refusal: Option<Refusal>,
    pub(super) resumed: bool,
    pub(super) ping: bool,
}

/// What the machine wants of a socket.
#[derive(Default)]
pub(super) struct Mail {
    pub(super) parcel: Option<Shaped>,
    pub(super) refusal: Option<Refusal>,
    pub(super) resumed: bool,
    pub(super) ping: bool,
}

impl Mail {
    pub(super) fn is_empty(&self) -> bool {
        self.parcel.is_none() && self.refusal.is_none() && !self.resumed && !self.ping
    }
}

impl Mailboxes {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, link: LinkId) -> Option<&Mailbox> {
        self.0.get(key(link))
    }

    pub(super) fn get_mut(&mut self, link: LinkId) -> Option<&mut Mailbox> {
        self.0.get_mut(key(link))
    }

    /// A mailbox for a new link. Its key, made of a place and a generation, is the link's id.
    fn insert(&mut self, mailbox: Mailbox) -> LinkId {
        LinkId(self.0.insert(mailbox).data().as_ffi())
    }

    fn remove(&mut self, link: LinkId) -> Option<Mailbox> {
        self.0.remove(key(link))
    }
}

fn key(link: LinkId) -> MailboxKey {
    KeyData::from_ffi(link.0).into()
}

impl State {
    /// A mailbox for a new exchange.
    pub(super) fn open_mailbox(&mut self, context: Arc<Context>) -> LinkId {
        self.mailboxes.insert(Mailbox { context: Some(context), ..Mailbox::default() })
    }

    /// The same for a WebSocket.
    pub(super) fn open_socket_mailbox(&mut self, context: Arc<Context>) -> LinkId {
        let context = Some(context);
        self.mailboxes.insert(Mailbox { context, is_socket: true, ..Mailbox::default() })
    }

    pub(super) fn close_mailbox(&mut self, link: LinkId, after: &mut After) {
        if let Some(mailbox) = self.mailboxes.remove(link) {
            after.leftovers.extend(mailbox.context, Leftover::Context);
            after.leftovers.extend(mailbox.new_session, Leftover::NewSession);
            after.leftovers.extend(mailbox.waker, Leftover::Waker);
        }
        if self.mailboxes.len() == 0 {
            after.wakers.append(&mut self.idle_wakers);
        }
    }

    pub(super) fn open_links(&self) -> usize {
        self.mailboxes.len()
    }

    /// `Ok` if there is an answer to an exchange. If there is none yet, `waker` is woken when there is, and the
    /// one that was there before is the error, to be dropped when the lock is released.
    ///
    /// hyper polls a held request several times for each answer, so this costs as little as can be: no turn.
    pub(super) fn await_answer(
        &mut self,
        link: LinkId,
        waker: &Waker,
    ) -> Result<(), Option<Waker>> {
        match self.mailboxes.get_mut(link) {
            None => Err(None),
            Some(mailbox) if mailbox.notes == Notes::default() => {
                mailbox.waiting = true;
                Err(register(&mut mailbox.waker, waker))
            }
            Some(_) => Ok(()),
        }
    }

    /// The answer to an exchange, once.
    pub(super) fn collect(
        &mut self,
        bayeux: &Bayeux,
        link: LinkId,
        after: &mut After,
    ) -> Option<Result<Shaped, Refusal>> {
        let Notes { due, refusal, .. } = mem::take(&mut self.mailboxes.get_mut(link)?.notes);
        if let Some(refusal) = refusal {
            return Some(Err(refusal));
        }
        let mut parcel = None;
        if due {
            self.collect_parcel(bayeux, link, &mut parcel, after);
        }
        parcel.map(Ok)
    }

    /// What the machine wants of a socket, after some inputs about it.
    ///
    /// If there is nothing, `waker` is woken when there is. (`mail` is the caller's, since a parcel is
    /// large enough that each hand it goes through counts.)
    pub(super) fn turn_socket(
        &mut self,
        bayeux: &Bayeux,
        link: LinkId,
        inputs: impl IntoIterator<Item = Input>,
        waker: &Waker,
        mail: &mut Mail,
        after: &mut After,
    ) {
        if let Some(mailbox) = self.mailboxes.get_mut(link) {
            // What comes of this very turn wakes nobody: it is taken here.
            mailbox.waiting = false;
        }
        for input in inputs {
            if !matches!(input, Input::Sent { .. }) {
                // The input may be the end of the link. (Before a parcel is out there is no other to
                // collect, and whatever else is noted can wait.)
                self.collect_mail(bayeux, link, mail, after);
            }
            self.turn(bayeux, bayeux.now(), input, after);
        }
        self.collect_mail(bayeux, link, mail, after);
        if mail.is_empty() {
            self.wait(link, waker, after);
        }
    }

    fn collect_mail(&mut self, bayeux: &Bayeux, link: LinkId, mail: &mut Mail, after: &mut After) {
        // Collecting may lead to more: the next payload may come.
        while let Some(mailbox) = self.mailboxes.get_mut(link) {
            let notes = mem::take(&mut mailbox.notes);
            if notes == Notes::default() {
                return;
            }
            mail.refusal = mail.refusal.or(notes.refusal);
            mail.resumed |= notes.resumed;
            mail.ping |= notes.ping;
            if notes.due {
                debug_assert!(mail.parcel.is_none(), "one at a time");
                self.collect_parcel(bayeux, link, &mut mail.parcel, after);
            }
        }
    }

    /// What a link is owed, and what that leads to.
    fn collect_parcel(
        &mut self,
        bayeux: &Bayeux,
        link: LinkId,
        into: &mut Option<Shaped>,
        after: &mut After,
    ) {
        if let Some(parcel) = self.server.collect(bayeux.now(), link) {
            self.notes.spans.note_parcel(&parcel, &mut after.log);
            let passage = self.passage(bayeux, parcel.session);
            *into = Some((parcel, passage));
        }
        self.drain(bayeux, after);
    }

    /// Sees to it that `waker` is woken when there is something in a mailbox.
    fn wait(&mut self, link: LinkId, waker: &Waker, after: &mut After) {
        if let Some(mailbox) = self.mailboxes.get_mut(link) {
            mailbox.waiting = true;
            after.leftovers.extend(register(&mut mailbox.waker, waker), Leftover::Waker);
        }
    }

    /// Notes something about a link, and wakes who waits for it.
    pub(super) fn post(&mut self, link: LinkId, after: &mut After, put: impl FnOnce(&mut Notes)) {
        if let Some(mailbox) = self.mailboxes.get_mut(link) {
            put(&mut mailbox.notes);
            // A socket waits again and again; an exchange does not.
            let waker = if mailbox.is_socket {
                mailbox.waker.as_ref().filter(|_| mailbox.waiting).cloned()
            } else {
                after.leftovers.extend(mailbox.context.take(), Leftover::Context);
                mailbox.waker.take()
            };
            mailbox.waiting = false;
            after.wakers.extend(waker);
        }
    }
}
