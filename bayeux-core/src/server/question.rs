//! [`Question`] and [`Answer`]: decisions that the application makes, as data.
//!
//! A question carries a ticket. The ticket can be neither copied nor made, its type says which
//! verdict it goes with, and answering consumes it: answering twice or with the wrong kind of
//! verdict does not compile, and forgetting to answer meets a deadline inside the server.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use crate::channel::Pattern;
use crate::id::{LinkId, SessionId};
use crate::json::Json;
use crate::message::{Advice, Message, Request};

use super::setup::Setup;

/// Which question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct QuestionId(pub(super) u64);

/// The right to answer one question, once.
#[must_use = "a question without an answer keeps its payload waiting until the deadline"]
pub struct Ticket<Q> {
    pub(super) id: u64,
    kind: PhantomData<fn() -> Q>,
}

impl<Q> Ticket<Q> {
    pub(super) fn new(id: u64) -> Self {
        Self { id, kind: PhantomData }
    }
}

impl<Q> fmt::Debug for Ticket<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ticket {}", self.id)
    }
}

/// A decision that the rules leave to the application.
#[derive(Debug)]
pub enum Question {
    /// May this client have a session?
    Handshake(AskHandshake),
    /// May this channel be created for the sake of a message?
    Create(AskCreate),
    /// May this session subscribe?
    Subscribe(AskSubscribe),
    /// May this session publish?
    Publish(AskPublish),
    /// Here is a message before it is delivered: shall it be?
    Listen(AskListen),
    /// Here is a client's message before anything is done with it: shall anything be?
    Extend(AskExtend),
}

impl Question {
    /// Which one it is.
    pub fn id(&self) -> QuestionId {
        QuestionId(match self {
            Self::Handshake(it) => it.ticket.id,
            Self::Create(it) => it.ticket.id,
            Self::Subscribe(it) => it.ticket.id,
            Self::Publish(it) => it.ticket.id,
            Self::Listen(it) => it.ticket.id,
            Self::Extend(it) => it.ticket.id,
        })
    }
}

/// May this client have a session?
#[derive(Debug)]
#[non_exhaustive]
pub struct AskHandshake {
    /// Answers with [`Answer::Handshake`].
    pub ticket: Ticket<Self>,
    /// The link that carries the handshake.
    pub link: LinkId,
    /// What the client says about itself.
    pub ext: Option<Json>,
}

/// May this channel be created for the sake of a message?
#[derive(Debug)]
#[non_exhaustive]
pub struct AskCreate {
    /// Answers with [`Answer::Create`].
    pub ticket: Ticket<Self>,
    /// The link that carries the message.
    pub link: LinkId,
    /// The session that sent it.
    pub session: SessionId,
    /// The channel or wildcard that does not exist.
    pub channel: Pattern,
    /// What it would be created for.
    pub operation: Operation,
    /// Whether the rules leave it to the application's policy.
    pub policy: bool,
    /// The channels whose authorizers are to be asked, from the root to the leaf.
    pub authorizers: Vec<Pattern>,
}

/// What a client wants to do with a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Operation {
    /// Subscribe to it.
    Subscribe,
    /// Publish on it.
    Publish,
}

/// May this session subscribe?
#[derive(Debug)]
#[non_exhaustive]
pub struct AskSubscribe {
    /// Answers with [`Answer::Subscribe`].
    pub ticket: Ticket<Self>,
    /// The link that carries the message.
    pub link: LinkId,
    /// The session that sent it.
    pub session: SessionId,
    /// What it wants to subscribe to.
    pub channel: Pattern,
    /// The message's extension data.
    pub ext: Option<Json>,
    /// Whether the rules leave it to the application's policy.
    pub policy: bool,
    /// The channels whose authorizers are to be asked, from the root to the leaf.
    pub authorizers: Vec<Pattern>,
    /// The channels below a wildcard whose authorizers are to be asked, too, and can only deny:
    /// whoever subscribes to the wildcard hears what is said there.
    pub below: Vec<Pattern>,
}

/// May this session publish?
#[derive(Debug)]
#[non_exhaustive]
pub struct AskPublish {
    /// Answers with [`Answer::Publish`].
    pub ticket: Ticket<Self>,
    /// The link that carries the message.
    pub link: LinkId,
    /// The session that sent it.
    pub session: SessionId,
    /// The message.
    pub message: Arc<Message>,
    /// Whether the rules leave it to the application's policy.
    pub policy: bool,
    /// The channels whose authorizers are to be asked, from the root to the leaf.
    pub authorizers: Vec<Pattern>,
}

/// A message on a channel that the application listens to, before it is delivered.
///
/// One question stands for all of the application's listeners that concern the message, and for its
/// extensions, which see it after them if it is on its way to subscribers.
#[derive(Debug)]
#[non_exhaustive]
pub struct AskListen {
    /// Answers with [`Answer::Listen`].
    pub ticket: Ticket<Self>,
    /// The link that carries the message; `None` for a server-side publish.
    pub link: Option<LinkId>,
    /// The session that sent it; `None` for a handshake and for a server-side publish in nobody's
    /// name.
    pub session: Option<SessionId>,
    /// The message. On meta channels its data is `null`.
    pub message: Arc<Message>,
    /// The channels that are listened to and concern the message, from the root to the leaf.
    pub channels: Vec<Pattern>,
}

/// A client's message that the application's extensions want to see before anything is done with
/// it.
#[derive(Debug)]
#[non_exhaustive]
pub struct AskExtend {
    /// Answers with [`Answer::Extend`].
    pub ticket: Ticket<Self>,
    /// The link that carries the message.
    pub link: LinkId,
    /// The session that sent it; `None` for a handshake, and if it is not known.
    pub session: Option<SessionId>,
    /// The message's id, as it came.
    pub id: Option<Json>,
    /// The message.
    pub request: Box<Request>,
}

/// An answer with the ticket of its question.
#[derive(Debug)]
pub enum Answer {
    /// Whether a client may have a session, and how it begins.
    Handshake(Ticket<AskHandshake>, Verdict, Box<Setup>),
    /// Whether a channel may be created.
    Create(Ticket<AskCreate>, Verdict),
    /// Whether a session may subscribe.
    Subscribe(Ticket<AskSubscribe>, Verdict),
    /// Whether a session may publish.
    Publish(Ticket<AskPublish>, Verdict),
    /// What to do with a message.
    Listen(Ticket<AskListen>, ListenVerdict),
    /// What becomes of a client's message: it goes on, perhaps changed, or (`None`) it is deleted
    /// and its client is told `404::message_deleted`. Its kind and channel stay what they were.
    Extend(Ticket<AskExtend>, Option<Box<Request>>),
}

/// The answer to "may it?".
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It may.
    Allow,
    /// It may not.
    Deny(Box<Denial>),
}

impl Verdict {
    /// It may not, and no reason is given.
    pub fn deny() -> Self {
        Self::Deny(Box::default())
    }
}

impl From<bool> for Verdict {
    fn from(allowed: bool) -> Self {
        if allowed { Self::Allow } else { Self::deny() }
    }
}

impl From<Denial> for Verdict {
    fn from(denial: Denial) -> Self {
        Self::Deny(denial.into())
    }
}

/// What the client is told about a denial.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Denial {
    /// The middle field of the error: `403:<reason>:publish_denied`.
    pub reason: Option<Box<str>>,
    /// What the client should do. Without it a denied handshake is told `reconnect: none`.
    pub advice: Option<Advice>,
    /// Extension data for the reply, a JSON object.
    pub ext: Option<Json>,
}

impl Denial {
    /// A denial with this reason.
    pub fn because(reason: impl Into<Box<str>>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }

    /// Tells the client what to do.
    #[must_use]
    pub fn advice(mut self, advice: Advice) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Adds extension data, a JSON object, to the reply.
    #[must_use]
    pub fn ext(mut self, ext: Json) -> Self {
        self.ext = Some(ext);
        self
    }
}

/// What listeners decided about a message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ListenVerdict {
    /// Go on.
    Continue,
    /// Go on with this message instead; its channel must be the same. On meta channels the
    /// original goes on.
    Replace(Arc<Message>),
    /// Nobody gets it; its sender is told `404::message_deleted`.
    Veto,
}
