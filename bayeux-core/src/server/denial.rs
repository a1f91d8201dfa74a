//! What a client is told about a message that was refused.

use super::payload::Stage;
use super::question::Denial;
use crate::message::{Advice, BayeuxError, Reconnect, Reply, Verb};

/// The reason given when too many questions are open.
pub(super) const BUSY: &str = "too_many_questions";

/// The reply to a message that the application deleted.
pub(super) fn deleted(mut reply: Reply, reason: Option<&str>) -> Reply {
    if reply.answers(Verb::Handshake) && reply.details().advice.is_none() {
        // Without advice cometd.js would try again and again.
        reply.details_mut().advice = Some(Advice::reconnect(Reconnect::None));
    }
    let error = BayeuxError::MESSAGE_DELETED;
    reply.fail(reason.map_or_else(|| error.clone(), |reason| error.clone().because(reason)))
}

/// The reply to a message that the rules or the application denied at `stage`.
pub(super) fn denied(mut reply: Reply, stage: Stage, denial: Denial) -> Reply {
    let error = match stage {
        Stage::Handshake => BayeuxError::HANDSHAKE_DENIED,
        Stage::SubscribeCreate(_) => BayeuxError::CREATE_DENIED,
        Stage::Subscribe(_) => BayeuxError::SUBSCRIBE_DENIED,
        Stage::PublishCreate => BayeuxError::CHANNEL_CREATE_DENIED,
        Stage::Publish => BayeuxError::PUBLISH_DENIED,
        Stage::Extend | Stage::ListenMeta | Stage::ListenPublish => BayeuxError::MESSAGE_DELETED,
    };
    let error = match &denial.reason {
        Some(reason) => error.because(reason),
        None => error,
    };
    reply.details_mut().ext = denial.ext;
    reply.details_mut().advice = denial.advice;
    if stage == Stage::Handshake {
        // Without advice cometd.js would try again and again.
        let advice = reply.details_mut().advice.get_or_insert_default();
        advice.reconnect.get_or_insert(Reconnect::None);
    }
    reply.fail(error)
}
