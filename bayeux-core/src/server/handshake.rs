//! `/meta/handshake`: a new session (Bayeux §4.1).

use super::denial::{BUSY, denied};
use super::payload::{InProgress, Payload, Stage, Step};
use super::question::{AskHandshake, Denial, Question, Ticket};
use super::questions::Asker;
use super::rules::Ruling;
use super::session::{Session, State};
use super::setup::Setup;
use super::{Event, Server};
use crate::id::{BrowserId, SessionId};
use crate::message::{AckField, AckReply, Advice, BayeuxError, Reconnect, RequestKind};
use crate::transport::Transport;

impl Server {
    pub(super) fn handshake(&mut self, payload: &mut Payload, message: InProgress) -> Step {
        let RequestKind::Handshake { too_new, transports } = &message.request.kind else {
            return Step::Done(message.reply);
        };
        let never = Advice::reconnect(Reconnect::None);
        if *too_new {
            let reply = message.reply.fail(BayeuxError::VERSION_UNSUPPORTED);
            return Step::Done(reply.advise(never));
        }
        let offered = &self.config.allowed_transports;
        if transports.as_ref().is_some_and(|theirs| !theirs.iter().any(|it| offered.contains(it))) {
            let reply = message.reply.fail(BayeuxError::CONNECTION_TYPES_UNSUPPORTED);
            return Step::Done(reply.advise(never));
        }
        if let Some((error, advice)) = self.no_place() {
            return Step::Done(message.reply.fail(error).advise(advice));
        }
        match &self.rules.handshake {
            Ruling::Allow => self.accept(payload, message, Setup::default()),
            Ruling::Deny(denial) => {
                Step::Done(denied(message.reply, Stage::Handshake, denial.clone()))
            }
            Ruling::Ask => {
                let (link, ext) = (payload.link, message.request.ext.clone());
                let asked = self.ask(Asker::Payload(link), None, |number| {
                    Question::Handshake(AskHandshake { ticket: Ticket::new(number), link, ext })
                });
                if asked {
                    Step::wait(message, Stage::Handshake)
                } else {
                    // Overload passes; the client may try again, but not at once.
                    let advice =
                        Advice::reconnect(Reconnect::Handshake).interval(self.config.max_interval);
                    let denial = Denial::because(BUSY).advice(advice);
                    Step::Done(denied(message.reply, Stage::Handshake, denial))
                }
            }
        }
    }

    /// Why there is no place for another session, if there is none, and when to try again.
    fn no_place(&mut self) -> Option<(BayeuxError, Advice)> {
        let again = Advice::reconnect(Reconnect::Handshake);
        if let Some(spread) = self.draining {
            return Some((BayeuxError::DRAINING, again.interval(self.scatter(spread))));
        }
        if self.sessions.len() < self.config.limits.sessions {
            return None;
        }
        self.stats.refused_sessions += 1;
        Some((BayeuxError::TOO_MANY_SESSIONS, again.interval(self.config.max_interval)))
    }

    /// The client may have a session.
    pub(super) fn accept(
        &mut self,
        payload: &mut Payload,
        message: InProgress,
        setup: Setup,
    ) -> Step {
        let mut reply = message.reply;
        // While the application thought about it, the client may have gone (then nobody would ever
        // use the session), and others may have taken the last places.
        if payload.closed {
            return Step::Done(reply.fail(BayeuxError::HANDSHAKE_DENIED));
        }
        if let Some((error, advice)) = self.no_place() {
            return Step::Done(reply.fail(error).advise(advice));
        }
        let Some(info) = self.links.get(&payload.link).map(|link| link.info) else {
            return Step::Done(reply);
        };
        let shard = self.config.shard_tag();
        let id = SessionId::mint(shard, &mut *self.entropy);
        // A socket carries no cookies: its sessions are bound to it instead.
        let browser = match info.browser.filter(|&it| self.sessions.knows_browser(it)) {
            _ if info.transport.is_stream() => None,
            Some(browser) => Some(browser),
            None => {
                payload.browser = Some(BrowserId::mint(shard, &mut *self.entropy));
                payload.browser
            }
        };
        let mut session = Session::new(id, browser, info.transport, self.now, &self.config);
        if let Some(wanted) = &message.request.extensions {
            let offered = &self.config.extensions;
            session.timestamp = wanted.timestamp && offered.timestamp;
            payload.timestamp = session.timestamp;
            let can_acknowledge = info.transport != Transport::Local;
            if wanted.ack == Some(AckField::Wanted) && offered.ack && can_acknowledge {
                session.queue.keep_until_acknowledged();
                reply.ack = Some(AckReply::Enabled(None));
            }
        }
        if info.transport == Transport::Local {
            // It has no heartbeat: it is connected as long as it is there.
            session.state = State::Connected;
        }
        let key = self.sessions.insert(session);
        payload.session = Some(key);
        self.own(payload, key, id);
        self.attach(key, payload.link);
        self.start_expiry(key);
        self.stats.added_sessions += 1;
        self.tell(Event::SessionAdded { session: id, link: payload.link });
        self.set_up(key, setup);
        if self.sessions.get(key).is_none() {
            // What it was to begin with does not fit into its queue.
            (payload.session, payload.browser) = (None, None);
            let error = BayeuxError::HANDSHAKE_DENIED.because("queue_overflow");
            return Step::Done(reply.fail(error).advise(Advice::reconnect(Reconnect::None)));
        }
        reply.details_mut().client = Some(id);
        reply.details_mut().advice = self.advice(key);
        Step::Done(reply)
    }
}
