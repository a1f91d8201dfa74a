//! [`Questions`]: what the application was asked and has not answered.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use super::input::Receipt;
use super::keys::SessionKey;
use super::question::{Answer, ListenVerdict, Question, QuestionId, Verdict};
use super::setup::Setup;
use super::timers::TimerKey;
use super::{Output, Server};
use crate::id::{LinkId, SessionId};
use crate::message::{Message, Request};
use crate::time::Time;

/// Open questions by the number of their ticket.
#[derive(Default)]
pub(super) struct Questions {
    open: BTreeMap<u64, Asked>,
    /// How many of them are about handshakes. These have a bound of their own: their senders are
    /// anonymous, and must not use up the places of those who have a session.
    handshakes: usize,
    /// How many of them are about the application's own publishes, which are not bounded here.
    publishes: usize,
    asked: u64,
}

struct Asked {
    asker: Asker,
    deadline: Time,
    /// The session whose count of open questions includes this one.
    session: Option<SessionKey>,
}

/// Who waits for an answer.
pub(super) enum Asker {
    /// The payload of this link, whose current message is parked.
    Payload(LinkId),
    /// A publish of the application.
    Publish(ServerPublish),
}

/// A publish of the application that waits for its listeners.
pub(super) struct ServerPublish {
    pub(super) message: Arc<Message>,
    pub(super) from: Option<SessionId>,
    pub(super) receipt: Option<Receipt>,
}

/// What came back.
pub(super) enum Decision {
    Verdict(Verdict),
    Handshake(Verdict, Box<Setup>),
    Listen(ListenVerdict),
    Extend(Option<Box<Request>>),
    /// Nothing, in time.
    Expired,
}

impl Questions {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn of_sessions(&self) -> usize {
        self.open.len() - self.handshakes - self.publishes
    }

    fn count(&mut self, asker: &Asker, session: Option<SessionKey>, change: isize) {
        let counter = match (asker, session) {
            (Asker::Publish(_), _) => &mut self.publishes,
            (Asker::Payload(_), None) => &mut self.handshakes,
            (Asker::Payload(_), Some(_)) => return,
        };
        *counter = counter.saturating_add_signed(change);
    }
}

impl Server {
    /// Whether somebody waits for the answer to this question.
    pub fn is_open(&self, question: QuestionId) -> bool {
        self.questions.open.contains_key(&question.0)
    }

    /// Asks the application. False when too many questions are open: then nothing was asked, and
    /// whatever the question was about must not happen.
    pub(super) fn ask(
        &mut self,
        asker: Asker,
        session: Option<SessionKey>,
        question: impl FnOnce(u64) -> Question,
    ) -> bool {
        // One that is gone has no count: its messages are those of a stranger.
        let session = session.filter(|key| self.sessions.get(*key).is_some());
        let limits = &self.config.limits;
        let of_session = session.and_then(|key| self.sessions.get_mut(key));
        let full = match (&asker, &of_session) {
            (Asker::Publish(_), _) => false,
            (Asker::Payload(_), Some(session)) => {
                session.questions as usize >= limits.session_questions
                    || self.questions.of_sessions() >= limits.questions
            }
            (Asker::Payload(_), None) => self.questions.handshakes >= limits.handshake_questions,
        };
        if full {
            self.stats.refused_questions += 1;
            return false;
        }
        if let Some(session) = of_session {
            session.questions += 1;
        }
        self.questions.count(&asker, session, 1);
        self.questions.asked += 1;
        let number = self.questions.asked;
        let deadline = self.now + self.config.question_timeout;
        self.timers.arm(deadline, TimerKey::Question(number));
        self.questions.open.insert(number, Asked { asker, deadline, session });
        self.outbox.push(Output::Ask(question(number)));
        true
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        let (number, decision) = match answer {
            Answer::Handshake(ticket, verdict, setup) => {
                (ticket.id, Decision::Handshake(verdict, setup))
            }
            Answer::Create(ticket, verdict) => (ticket.id, Decision::Verdict(verdict)),
            Answer::Subscribe(ticket, verdict) => (ticket.id, Decision::Verdict(verdict)),
            Answer::Publish(ticket, verdict) => (ticket.id, Decision::Verdict(verdict)),
            Answer::Listen(ticket, verdict) => (ticket.id, Decision::Listen(verdict)),
            Answer::Extend(ticket, request) => (ticket.id, Decision::Extend(request)),
        };
        match self.questions.open.get(&number) {
            Some(asked) => {
                self.timers.disarm(asked.deadline, TimerKey::Question(number));
                self.settle(number, decision);
            }
            // It met its deadline first.
            None => self.stats.ignored_inputs += 1,
        }
    }

    pub(super) fn question_due(&mut self, number: u64) {
        self.stats.expired_questions += 1;
        self.outbox.push(Output::Withdraw(QuestionId(number)));
        self.settle(number, Decision::Expired);
    }

    fn settle(&mut self, number: u64, decision: Decision) {
        let Some(asked) = self.questions.open.remove(&number) else { return };
        self.questions.count(&asked.asker, asked.session, -1);
        if let Some(key) = asked.session {
            if let Some(session) = self.sessions.get_mut(key) {
                session.questions -= 1;
            }
            // It was not the client who was silent.
            self.postpone_expiry(key);
        }
        match asked.asker {
            Asker::Payload(link) => self.resume_payload(link, decision),
            Asker::Publish(publish) => self.resume_publish(publish, decision),
        }
    }
}
