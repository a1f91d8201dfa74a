//! [`Reply`]: the answer to one request, as data.

use alloc::boxed::Box;

use super::{AckReply, Advice, BayeuxError, Request, RequestKind, TimesyncReply, Verb};
use crate::id::SessionId;
use crate::json::Json;

/// The answer to one request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply {
    /// The request's id, as it came.
    pub id: Option<Json>,
    /// The request's channel.
    pub channel: ReplyChannel,
    /// `None` when the request was done, else why it was not.
    pub outcome: Result<(), Option<BayeuxError>>,
    /// `ext.ack`.
    pub ack: Option<AckReply>,
    /// `ext.timesync`.
    pub timesync: Option<Box<TimesyncReply>>,
    /// What most replies do not have.
    details: Option<Box<ReplyDetails>>,
}

/// What most replies do not have: neither those to publishes nor those to connects, which are moved
/// about a lot.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReplyDetails {
    /// The new session, on a successful handshake reply only.
    pub client: Option<SessionId>,
    /// The request's `subscription`, as it came.
    pub subscription: Option<Json>,
    /// What to do next.
    pub advice: Option<Advice>,
    /// Extension data for the client, a JSON object.
    pub ext: Option<Json>,
    /// Further members of the reply itself, a JSON object.
    pub members: Option<Json>,
    /// How many events follow a handshake reply in its own parcel (`x-messages`).
    pub messages: Option<usize>,
}

static NO_DETAILS: ReplyDetails = ReplyDetails {
    client: None,
    subscription: None,
    advice: None,
    ext: None,
    members: None,
    messages: None,
};

/// The channel that a reply names.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ReplyChannel {
    /// One of Bayeux's own.
    Meta(Verb),
    /// As the client wrote it.
    Echo(Json),
    /// The request had none.
    Missing,
}

impl Reply {
    /// A reply on `channel`, successful until it is said otherwise.
    pub(crate) fn new(channel: ReplyChannel, id: Option<Json>) -> Self {
        Self { id, channel, outcome: Ok(()), ack: None, timesync: None, details: None }
    }

    /// A reply to `request`, successful until it is said otherwise.
    /// Takes from the request what only the reply needs.
    pub(crate) fn to(request: &mut Request) -> Self {
        let (channel, subscription) = match &mut request.kind {
            RequestKind::Publish { echo, .. } => {
                (ReplyChannel::Echo(core::mem::replace(echo, Json::NULL)), None)
            }
            RequestKind::Faulty { echo, .. } => {
                (echo.take().map_or(ReplyChannel::Missing, ReplyChannel::Echo), None)
            }
            RequestKind::Subscribe(subscription) => {
                (ReplyChannel::Meta(Verb::Subscribe), subscription.echo.take())
            }
            RequestKind::Unsubscribe(subscription) => {
                (ReplyChannel::Meta(Verb::Unsubscribe), subscription.echo.take())
            }
            RequestKind::Handshake { .. } => (ReplyChannel::Meta(Verb::Handshake), None),
            RequestKind::Connect { .. } => (ReplyChannel::Meta(Verb::Connect), None),
            RequestKind::Disconnect => (ReplyChannel::Meta(Verb::Disconnect), None),
        };
        let mut reply = Self::new(channel, request.id.take());
        if subscription.is_some() {
            reply.details_mut().subscription = subscription;
        }
        reply
    }

    /// What most replies do not have.
    pub fn details(&self) -> &ReplyDetails {
        self.details.as_deref().unwrap_or(&NO_DETAILS)
    }

    /// The same, to be changed.
    pub fn details_mut(&mut self) -> &mut ReplyDetails {
        self.details.get_or_insert_default()
    }

    /// The same reply, unsuccessful.
    pub(crate) fn fail(mut self, error: BayeuxError) -> Self {
        self.outcome = Err(Some(error));
        self
    }

    /// The same reply with advice.
    pub(crate) fn advise(mut self, advice: Advice) -> Self {
        self.details_mut().advice = Some(advice);
        self
    }

    /// Whether the request was done.
    pub fn is_successful(&self) -> bool {
        self.outcome.is_ok()
    }

    /// Whether this answers the given meta channel.
    pub fn answers(&self, verb: Verb) -> bool {
        matches!(self.channel, ReplyChannel::Meta(it) if it == verb)
    }
}
