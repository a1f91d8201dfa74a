//! `/meta/subscribe` and `/meta/unsubscribe` (Bayeux §4.3, §4.4).
//!
//! A list is all or nothing: every channel in it is decided before the first one is subscribed to,
//! where the Java and NodeJS servers leave the part before the refused one behind.

use alloc::collections::BTreeSet;

use super::denial::{BUSY, denied};
use super::keys::SessionKey;
use super::payload::{InProgress, Payload, Stage, Step};
use super::question::{AskCreate, AskSubscribe, Denial, Operation, Question, Ticket};
use super::questions::Asker;
use super::rules::{Asking, Course};
use super::{Event, Server};
use crate::channel::{ChannelKind, Pattern};
use crate::message::{BayeuxError, RequestKind};

impl Server {
    /// Decides about the subscription's channels from the `at`-th on.
    pub(super) fn subscribe(
        &mut self,
        payload: &mut Payload,
        message: InProgress,
        mut at: usize,
    ) -> Step {
        loop {
            let pattern = match nth(&message, at) {
                Ok(Some(pattern)) => pattern,
                Ok(None) => return self.subscribe_all(payload, message),
                Err(error) => return Step::Done(message.reply.fail(error)),
            };
            let creates = match pattern.kind() {
                ChannelKind::Meta => {
                    return Step::Done(message.reply.fail(BayeuxError::SUBSCRIBE_DENIED));
                }
                // Subscribing to a service channel is harmless and has no effect.
                ChannelKind::Service => false,
                ChannelKind::Broadcast => self.channels.find(pattern).is_none(),
            };
            if creates {
                let authorizers = self.channels.authorizing(pattern);
                match Course::new(self.rules.create.find_covering(pattern), authorizers) {
                    Course::Allow => {}
                    Course::Deny(denial) => {
                        let stage = Stage::SubscribeCreate(at);
                        return Step::Done(denied(message.reply, stage, denial));
                    }
                    Course::Ask(asking) => {
                        return self.ask_subscribe_create(payload, message, at, asking);
                    }
                }
            }
            match self.may_subscribe(pattern) {
                Course::Allow => at += 1,
                Course::Deny(denial) => {
                    return Step::Done(denied(message.reply, Stage::Subscribe(at), denial));
                }
                Course::Ask(asking) => return self.ask_subscribe(payload, message, at, asking),
            }
        }
    }

    /// The subscription's `at`-th channel may be created; may it also be subscribed to?
    pub(super) fn subscribe_created(
        &mut self,
        payload: &mut Payload,
        message: InProgress,
        at: usize,
    ) -> Step {
        let Ok(Some(pattern)) = nth(&message, at) else { return Step::Done(message.reply) };
        match self.may_subscribe(pattern) {
            Course::Allow => self.subscribe(payload, message, at + 1),
            Course::Deny(denial) => Step::Done(denied(message.reply, Stage::Subscribe(at), denial)),
            Course::Ask(asking) => self.ask_subscribe(payload, message, at, asking),
        }
    }

    fn may_subscribe(&self, pattern: &Pattern) -> Course {
        let authorizers = self.channels.authorizing(pattern);
        let below = self.channels.authorizing_below(pattern);
        Course::with_below(self.rules.subscribe.find_reaching(pattern), authorizers, below)
    }

    fn ask_subscribe_create(
        &mut self,
        payload: &Payload,
        message: InProgress,
        at: usize,
        Asking { policy, authorizers, .. }: Asking,
    ) -> Step {
        let stage = Stage::SubscribeCreate(at);
        let (Ok(Some(pattern)), Some(session)) =
            (nth(&message, at), payload.session.and_then(|key| self.session_id(key)))
        else {
            return Step::Done(message.reply);
        };
        let (link, channel) = (payload.link, pattern.clone());
        let asked = self.ask(Asker::Payload(link), payload.session, |number| {
            let (ticket, operation) = (Ticket::new(number), Operation::Subscribe);
            Question::Create(AskCreate {
                ticket,
                link,
                session,
                channel,
                operation,
                policy,
                authorizers,
            })
        });
        wait_or_deny(asked, message, stage)
    }

    fn ask_subscribe(
        &mut self,
        payload: &Payload,
        message: InProgress,
        at: usize,
        Asking { policy, authorizers, below }: Asking,
    ) -> Step {
        let stage = Stage::Subscribe(at);
        let (Ok(Some(pattern)), Some(session)) =
            (nth(&message, at), payload.session.and_then(|key| self.session_id(key)))
        else {
            return Step::Done(message.reply);
        };
        let (link, channel, ext) = (payload.link, pattern.clone(), message.request.ext.clone());
        let asked = self.ask(Asker::Payload(link), payload.session, |number| {
            let ticket = Ticket::new(number);
            Question::Subscribe(AskSubscribe {
                ticket,
                link,
                session,
                channel,
                ext,
                policy,
                authorizers,
                below,
            })
        });
        wait_or_deny(asked, message, stage)
    }

    /// Everything is allowed: subscribes, unless a limit is in the way.
    fn subscribe_all(&mut self, payload: &Payload, message: InProgress) -> Step {
        let (Some(key), RequestKind::Subscribe(subscription)) =
            (payload.session, &message.request.kind)
        else {
            return Step::Done(message.reply);
        };
        let Ok(patterns) = &subscription.patterns else { return Step::Done(message.reply) };
        // A set, since a name may stand in a list twice.
        let broadcast: BTreeSet<&Pattern> =
            patterns.iter().filter(|it| it.kind() == ChannelKind::Broadcast).collect();
        let created = broadcast.iter().filter(|it| self.channels.find(it).is_none()).count();
        if created > 0 && self.channels.len() + created > self.config.limits.channels {
            self.stats.refused_channels += 1;
            let error = BayeuxError::CREATE_DENIED.because("too_many_channels");
            return Step::Done(message.reply.fail(error));
        }
        let subscribed = self.sessions.get(key).map_or(0, |it| it.subscriptions.len());
        let added = broadcast.iter().filter(|it| !self.is_subscribed(key, it)).count();
        if added > 0 && subscribed + added > self.config.limits.session_subscriptions {
            self.stats.refused_subscriptions += 1;
            let error = BayeuxError::SUBSCRIBE_DENIED.because("too_many_subscriptions");
            return Step::Done(message.reply.fail(error));
        }
        for pattern in patterns.iter().filter(|it| broadcast.contains(it)) {
            self.subscribe_session(key, pattern);
        }
        Step::Done(message.reply)
    }

    fn is_subscribed(&self, key: SessionKey, pattern: &Pattern) -> bool {
        let channel = self.channels.find(pattern).and_then(|it| self.channels.get(it));
        channel.is_some_and(|channel| channel.subscribers.contains(&key))
    }

    /// Subscribes a session to a broadcast channel or wildcard. Twice is as good as once.
    pub(super) fn subscribe_session(&mut self, key: SessionKey, pattern: &Pattern) {
        let channel = self.create_channel(pattern);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.subscribe(channel) {
            let session = session.id;
            if let Some(channel) = self.channels.get_mut(channel) {
                channel.subscribers.insert(key);
            }
            self.tell(Event::Subscribed { session, channel: pattern.clone() });
        }
    }

    pub(super) fn unsubscribe(&mut self, payload: &mut Payload, message: InProgress) -> Step {
        let (Some(key), RequestKind::Unsubscribe(subscription)) =
            (payload.session, &message.request.kind)
        else {
            return Step::Done(message.reply);
        };
        match &subscription.patterns {
            Ok(patterns) => {
                // Ending a subscription that is not there succeeds: the client has what it wants.
                for pattern in patterns {
                    self.unsubscribe_session(key, pattern);
                }
                Step::Done(message.reply)
            }
            Err(error) => {
                let error = error.clone();
                Step::Done(message.reply.fail(error))
            }
        }
    }

    /// Ends a session's subscription, if it has it.
    pub(super) fn unsubscribe_session(&mut self, key: SessionKey, pattern: &Pattern) {
        let Some(channel) = self.channels.find(pattern) else { return };
        let Some(session) = self.sessions.get_mut(key) else { return };
        if session.unsubscribe(channel) {
            let session = session.id;
            if let Some(channel) = self.channels.get_mut(channel) {
                channel.subscribers.remove(&key);
            }
            self.watch_channel(channel);
            self.tell(Event::Unsubscribed { session, channel: pattern.clone() });
        }
    }
}

/// The subscription's `at`-th channel; `None` behind the last one.
fn nth(message: &InProgress, at: usize) -> Result<Option<&Pattern>, BayeuxError> {
    match &message.request.kind {
        RequestKind::Subscribe(subscription) => match &subscription.patterns {
            Ok(patterns) => Ok(patterns.get(at)),
            Err(error) => Err(error.clone()),
        },
        RequestKind::Handshake { .. }
        | RequestKind::Connect { .. }
        | RequestKind::Unsubscribe(_)
        | RequestKind::Disconnect
        | RequestKind::Publish { .. }
        | RequestKind::Faulty { .. } => Ok(None),
    }
}

/// Parks a message whose question was asked; denies one whose question was one too many.
pub(super) fn wait_or_deny(asked: bool, message: InProgress, stage: Stage) -> Step {
    if asked {
        Step::wait(message, stage)
    } else {
        Step::Done(denied(message.reply, stage, Denial::because(BUSY)))
    }
}
