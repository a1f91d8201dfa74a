//! Publishing: from a client's message or the application's command to the subscribers' queues.

use alloc::sync::Arc;

use super::denial::denied;
use super::keys::SessionKey;
use super::payload::{InProgress, Payload, Stage, Step};
use super::question::{
    AskCreate, AskListen, AskPublish, ListenVerdict, Operation, Question, Ticket,
};
use super::questions::{Asker, Decision, ServerPublish};
use super::rules::{Asking, Course};
use super::subscribe::wait_or_deny;
use super::{Event, Output, Server};
use crate::channel::{ChannelKind, Pattern};
use crate::message::{BayeuxError, Message, RequestKind};

impl Server {
    /// May the channel be created, if it has to be?
    pub(super) fn publish(&mut self, payload: &mut Payload, message: InProgress) -> Step {
        let Some(name) = published_on(&message) else { return Step::Done(message.reply) };
        if self.channels.find_name(name.channel()).is_some() {
            return self.publish_created(payload, message);
        }
        let authorizers = self.channels.authorizing_name(name.channel().as_str());
        match Course::new(self.rules.create.find_name(name.channel()), authorizers) {
            Course::Allow => self.publish_created(payload, message),
            Course::Deny(denial) => Step::Done(denied(message.reply, Stage::PublishCreate, denial)),
            Course::Ask(Asking { policy, authorizers, .. }) => {
                let channel = Pattern::from(name.channel().clone());
                let link = payload.link;
                let Some(session) = payload.session.and_then(|key| self.session_id(key)) else {
                    return Step::Done(message.reply);
                };
                let asked = self.ask(Asker::Payload(link), payload.session, |number| {
                    let (ticket, operation) = (Ticket::new(number), Operation::Publish);
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
                wait_or_deny(asked, message, Stage::PublishCreate)
            }
        }
    }

    /// May the session publish?
    pub(super) fn publish_created(&mut self, payload: &mut Payload, message: InProgress) -> Step {
        let Some(published) = published_on(&message) else { return Step::Done(message.reply) };
        let authorizers = self.channels.authorizing_name(published.channel().as_str());
        match Course::new(self.rules.publish.find_name(published.channel()), authorizers) {
            Course::Allow => self.publish_allowed(payload, message),
            Course::Deny(denial) => Step::Done(denied(message.reply, Stage::Publish, denial)),
            Course::Ask(Asking { policy, authorizers, .. }) => {
                let (link, published) = (payload.link, Arc::clone(published));
                let Some(session) = payload.session.and_then(|key| self.session_id(key)) else {
                    return Step::Done(message.reply);
                };
                let asked = self.ask(Asker::Payload(link), payload.session, |number| {
                    let ticket = Ticket::new(number);
                    Question::Publish(AskPublish {
                        ticket,
                        link,
                        session,
                        message: published,
                        policy,
                        authorizers,
                    })
                });
                wait_or_deny(asked, message, Stage::Publish)
            }
        }
    }

    /// The session may publish: the channel exists from here on, and listeners see the message.
    pub(super) fn publish_allowed(&mut self, payload: &mut Payload, message: InProgress) -> Step {
        let Some(published) = published_on(&message) else { return Step::Done(message.reply) };
        match self.channels.find_name(published.channel()) {
            Some(key) => {
                if let Some(channel) = self.channels.get_mut(key) {
                    channel.used = self.now;
                }
            }
            None if self.channels.len() >= self.config.limits.channels => {
                self.stats.refused_channels += 1;
                let error = BayeuxError::CHANNEL_CREATE_DENIED.because("too_many_channels");
                return Step::Done(message.reply.fail(error));
            }
            None => {
                let pattern = Pattern::from(published.channel().clone());
                self.create_channel(&pattern);
            }
        }
        let channels = self.channels.listening(published.channel().as_str());
        if channels.is_empty() && !self.is_extended_outgoing(published) {
            return self.published(payload, message);
        }
        let seen = Arc::clone(published);
        self.ask_listeners(payload, message, Stage::ListenPublish, seen, channels)
    }

    /// Whether the application's extensions want to see a message before it goes to its subscribers.
    /// They come after the listeners, and are asked in one question with them.
    fn is_extended_outgoing(&self, message: &Message) -> bool {
        self.extended.outgoing && message.channel().kind() == ChannelKind::Broadcast
    }

    /// Nothing is left to decide: subscribers get the message.
    pub(super) fn published(&mut self, payload: &Payload, message: InProgress) -> Step {
        if let RequestKind::Publish { message, .. } = &message.request.kind {
            self.broadcast(message, payload.session);
        }
        Step::Done(message.reply)
    }

    /// A publish of the application. Neither rules nor policy are asked, listeners are.
    pub(super) fn server_publish(&mut self, publish: ServerPublish) {
        let channels = self.channels.listening(publish.message.channel().as_str());
        if channels.is_empty() && !self.is_extended_outgoing(&publish.message) {
            return self.server_published(publish);
        }
        let (message, session) = (Arc::clone(&publish.message), publish.from);
        self.ask(Asker::Publish(publish), None, |number| {
            let ticket = Ticket::new(number);
            Question::Listen(AskListen { ticket, link: None, session, message, channels })
        });
    }

    pub(super) fn resume_publish(&mut self, mut publish: ServerPublish, decision: Decision) {
        match decision {
            // See `decide` for those who take too long.
            Decision::Listen(ListenVerdict::Veto) | Decision::Expired => {
                if let Some(receipt) = publish.receipt {
                    self.tell(Event::Published { receipt, published: false });
                }
                return;
            }
            Decision::Listen(ListenVerdict::Replace(by))
                if by.channel() == publish.message.channel() =>
            {
                publish.message = by;
            }
            Decision::Listen(_)
            | Decision::Verdict(_)
            | Decision::Handshake(..)
            | Decision::Extend(_) => {}
        }
        self.server_published(publish);
    }

    fn server_published(&mut self, publish: ServerPublish) {
        let from = publish.from.and_then(|id| self.sessions.find_live(id));
        self.broadcast(&publish.message, from);
        if let Some(receipt) = publish.receipt {
            self.tell(Event::Published { receipt, published: true });
        }
    }

    /// A message that was published on another shard or node.
    pub(super) fn relayed(&mut self, message: &Arc<Message>) {
        if message.channel().kind() == ChannelKind::Broadcast {
            self.fan_out(message, None);
        }
    }

    /// Sends a message to its subscribers here and to the other shards and nodes.
    fn broadcast(&mut self, message: &Arc<Message>, from: Option<SessionKey>) {
        if message.channel().kind() != ChannelKind::Broadcast {
            return;
        }
        self.fan_out(message, from);
        if self.config.relay {
            self.outbox.push(Output::Relay(Arc::clone(message)));
        }
    }
}

fn published_on(message: &InProgress) -> Option<&Arc<Message>> {
    match &message.request.kind {
        RequestKind::Publish { message, .. } => Some(message),
        RequestKind::Handshake { .. }
        | RequestKind::Connect { .. }
        | RequestKind::Subscribe(_)
        | RequestKind::Unsubscribe(_)
        | RequestKind::Disconnect
        | RequestKind::Faulty { .. } => None,
    }
}
