//! The application of level 0: its rules, its wishes, and what it answers.

use std::sync::Arc;

use bayeux_core::{
    Activity, Answer, ChannelSettings, Command, Input, Json, LinkId, ListenVerdict, Pattern,
    Question, QuestionId, Receipt, RuleList, Rules, Ruling, SessionId, Setup, Timing, Verdict,
};

use super::application::{self, ANSWER, Course};
use super::host::{Violation, Wish};
use super::ledger;
use super::machine::{Machine, message};
use super::script::Fault;

impl Machine {
    pub(super) fn set_up(&mut self) {
        let ask = || {
            let asked = application::ASKED.iter().filter_map(|it| Pattern::parse(it).ok());
            asked.fold(RuleList::new(Ruling::Allow), |list, it| list.rule(it, Ruling::Ask))
        };
        let mut rules = Rules::new();
        if self.faults.get(Fault::Think) > 0 {
            rules.handshake = Ruling::Ask;
        }
        (rules.create, rules.subscribe, rules.publish) = (ask(), ask(), ask());
        self.command(Command::SetRules(rules.into()));
        for pattern in application::LISTENED.iter().filter_map(|it| Pattern::parse(it).ok()) {
            self.command(Command::ListenChannel { pattern, listen: true });
        }
        if let Ok(pattern) = Pattern::parse(application::LAZY) {
            let settings = ChannelSettings::new().lazy(true).persistent(true);
            self.command(Command::ConfigureChannel { pattern, settings });
        }
        while self.server.poll_output().is_some() {}
    }

    pub(super) fn wish(&mut self, wish: Wish) -> Result<(), Violation> {
        // What is due happens first, so that the books say to whom the wish applies.
        self.input(Input::Tick);
        self.drain()?;
        let parse = |text: &str| Pattern::parse(text).ok();
        let id = |text: &str| SessionId::parse(text);
        let command = match wish {
            Wish::Publish { channel, number } => {
                let (from, receipt) = (None, Some(Receipt(number)));
                message(&channel, number).map(|message| Command::Publish {
                    message: message.into(),
                    from,
                    receipt,
                })
            }
            Wish::Deliver { session, number } => {
                let Some(session) = id(&session) else { return Ok(()) };
                self.deliver(session, number);
                None
            }
            Wish::Disconnect { session } => {
                id(&session).map(|session| Command::Disconnect { session })
            }
            Wish::Batch { session, begin } => id(&session).map(|session| {
                self.ledger.batches(session, begin);
                match begin {
                    true => Command::BeginBatch { session },
                    false => Command::EndBatch { session },
                }
            }),
            Wish::Subscribe { session, pattern, on } => {
                let both = id(&session).zip(parse(&pattern));
                both.map(|(session, pattern)| match on {
                    true => Command::Subscribe { session, pattern },
                    false => Command::Unsubscribe { session, pattern },
                })
            }
            Wish::Activity { session, period } => id(&session).map(|session| {
                self.ledger.watches(session, period, self.now);
                let activity = period.map(Activity::of_client);
                Command::SetActivity { session, activity }
            }),
            Wish::Timeout { session, timeout } => id(&session).map(|session| {
                self.ledger.stirs(session, self.now);
                Command::SetTiming { session, timing: Timing::new().timeout(timeout) }
            }),
            Wish::Extend { on } => Some(Command::Extend { incoming: on, outgoing: on }),
            Wish::Listen { pattern, on } => {
                parse(&pattern).map(|pattern| Command::ListenChannel { pattern, listen: on })
            }
            Wish::Authorize { pattern, on } => {
                parse(&pattern).map(|pattern| Command::AuthorizeChannel { pattern, authorize: on })
            }
            Wish::Remove { pattern } => {
                parse(&pattern).map(|pattern| Command::RemoveChannel { pattern })
            }
            Wish::Drain { spread } => {
                self.ledger.drains(self.now);
                Some(Command::Drain { spread })
            }
        };
        if let Some(command) = command {
            self.command(command);
        }
        Ok(())
    }

    fn deliver(&mut self, session: SessionId, number: u64) {
        if let Some(message) = message("/direct", number) {
            self.ledger.delivers(session, number);
            self.command(Command::Deliver { session, message: message.into() });
        }
    }

    /// The application thinks about a question, or not at all, or for ever.
    pub(super) fn ask(&mut self, question: Question) -> Result<(), Violation> {
        let id = question.id();
        let (session, kind, channel) = match &question {
            Question::Handshake(_) => (None, "handshake", String::new()),
            Question::Create(it) => (Some(it.session), "create", it.channel.to_string()),
            Question::Subscribe(it) => (Some(it.session), "subscribe", it.channel.to_string()),
            Question::Publish(it) => {
                (Some(it.session), "publish", it.message.channel().to_string())
            }
            Question::Listen(it) => (
                it.session.filter(|_| it.link.is_some()),
                "listen",
                it.message.channel().to_string(),
            ),
            Question::Extend(it) => (it.session, "extend", String::new()),
        };
        if let Some(session) = session {
            self.asked.insert(id, session);
            self.ledger.asked(session, true, self.now)?;
        }
        self.questions += 1;
        let what = format!("{kind} {channel} {}", self.questions);
        self.notes.push(format!("ask {kind} {channel}"));
        let time = application::thinking(self.seed, self.rate(Fault::Think), &what);
        let course = match &question {
            Question::Listen(it) => application::listener(it.message.channel().as_str()),
            Question::Handshake(_) | Question::Extend(_) => Course::Yes,
            _ => application::policy(&channel),
        };
        if course == Course::Never {
            return Ok(());
        }
        let verdict = Verdict::from(course == Course::Yes);
        let answer = match question {
            Question::Handshake(it) => {
                let setup = self.greet(it.link, it.ext.as_ref());
                Answer::Handshake(it.ticket, verdict, setup.into())
            }
            Question::Create(it) => Answer::Create(it.ticket, verdict),
            Question::Subscribe(it) => Answer::Subscribe(it.ticket, verdict),
            Question::Publish(it) => Answer::Publish(it.ticket, verdict),
            Question::Extend(it) => Answer::Extend(it.ticket, Some(it.request)),
            Question::Listen(it) => {
                if channel == "/service/echo" {
                    if let (Some(session), Some(number)) = (it.session, ledger::number(&it.message))
                    {
                        self.deliver(session, number | ANSWER);
                    }
                }
                let swapped = Json::from_text("\"swapped\"").ok();
                let verdict = match (course, swapped) {
                    (Course::No, _) => ListenVerdict::Veto,
                    (_, Some(data)) if application::is_swapped(&channel) => {
                        ListenVerdict::Replace(Arc::new(it.message.replace_data(&data)))
                    }
                    _ => ListenVerdict::Continue,
                };
                Answer::Listen(it.ticket, verdict)
            }
        };
        if time.is_zero() {
            self.settled(id)?;
            self.input(Input::Answer(answer));
        } else {
            self.thinking.insert((self.now + time, self.questions), (id, answer));
        }
        Ok(())
    }

    /// Who wants to be greeted is.
    fn greet(&mut self, link: LinkId, ext: Option<&Json>) -> Setup {
        let mut setup = Setup::default();
        let number = ext.and_then(application::greeting);
        if let Some((number, message)) = number.and_then(|it| Some((it, message("/direct", it)?))) {
            self.ledger.greets(link, number);
            setup.messages.push(message.into());
        }
        setup
    }

    /// A question is not open any more.
    pub(super) fn settled(&mut self, question: QuestionId) -> Result<(), Violation> {
        match self.asked.remove(&question) {
            Some(session) => self.ledger.asked(session, false, self.now),
            None => Ok(()),
        }
    }
}
