//! One turn: lock, hand the machine an input, unlock, then do what it wants.
//!
//! Wakers are woken and the application's handlers are run only after the lock is released. A
//! handler gets its first poll on the spot: most of them decide without waiting, and then no task
//! is spawned for them. Answers can lead to further questions, so this is a loop, not a recursion.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;
use core::panic::AssertUnwindSafe;
use core::pin::pin;
use core::task::{Poll, Waker};
use std::panic::catch_unwind;
use std::sync::MutexGuard;

use super::authorizer::{AuthorizeRequest, Permission, Tally};
use super::extension::{ClientMessage, Content, ServerMessage};
use super::guard::{self, Guarded, Handling};
use super::listener::{AnyListener, Flow, Incoming};
use super::passage;
use super::policy::{
    AnyPolicy, CreateRequest, HandshakeRequest, NewSession, PublishRequest, SubscribeRequest,
};
use super::runtime::Report;
use super::session::Session;
use super::state::{After, Asked, State, Teller};
use super::thinking::{About, Thinking};
use super::{Bayeux, Context, Error};
use crate::channel::{ChannelKind, Pattern};
use crate::message::Message;
use crate::server::{
    Answer, AskExtend, AskListen, Input, ListenVerdict, Question, Server, Ticket, Verdict,
};

impl Bayeux {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code of the application runs under the lock, so a poisoned one means a defect in the
        // server itself. Its state cannot be trusted any more, and serving on would hide that.
        self.shared.state.lock().unwrap_or_else(|_| {
            panic!("the Bayeux server panicked before; this is a defect, please report it")
        })
    }

    /// The lock for a `Drop`: `None` if the server panicked before. A second panic while the
    /// first one unwinds would end the process.
    pub(super) fn lock_in_drop(&self) -> Option<MutexGuard<'_, State>> {
        self.shared.state.lock().ok()
    }

    /// Gives the machine an input.
    pub(super) fn turn(&self, input: Input) {
        self.turn_with(|state, after| {
            // Read under the lock, so that time does not run backwards for the machine.
            state.turn(self, self.now(), input, after);
        });
    }

    /// Gives the machine an input about a session if `condition` holds.
    pub(super) fn turn_if(
        &self,
        condition: impl FnOnce(&Server) -> bool,
        input: Input,
    ) -> Result<(), Error> {
        self.turn_with(|state, after| {
            if !condition(&state.server) {
                return Err(Error::SessionGone);
            }
            state.turn(self, self.now(), input, after);
            Ok(())
        })
    }

    /// Does something under the lock, and afterwards what follows from it. Handlers are spawned:
    /// this may be called from a handler, and handlers must not nest on one stack.
    pub(super) fn turn_with<T>(&self, act: impl FnOnce(&mut State, &mut After) -> T) -> T {
        let mut after = After::default();
        let result = act(&mut self.lock(), &mut after);
        if after.is_nothing() {
            mem::forget(after);
            return result;
        }
        for asked in self.settle(after) {
            self.think_aside(self.think(asked));
        }
        result
    }

    /// The same where no handler is on the stack: handlers get their first poll here.
    pub(super) fn turn_at_the_bottom<T>(&self, act: impl FnOnce(&mut State, &mut After) -> T) -> T {
        let mut after = After::default();
        let result = act(&mut self.lock(), &mut after);
        if after.is_nothing() {
            // Twice for each delivery: not even the end of lists without room is worth it.
            mem::forget(after);
            return result;
        }
        let asked = self.settle(after);
        if !asked.is_empty() {
            self.work_off(asked.into());
        }
        result
    }

    fn work_off(&self, mut open: VecDeque<Asked>) {
        while let Some(asked) = open.pop_front() {
            let mut thinking = self.think(asked);
            match thinking.poll_once() {
                Poll::Ready(answer) => {
                    let mut after = After::default();
                    self.lock().turn(self, self.now(), Input::Answer(answer), &mut after);
                    open.extend(self.settle(after));
                }
                Poll::Pending => self.think_aside(thinking),
            }
        }
    }

    /// Logs, wakes, starts to tell events; what is left are the questions.
    fn settle(&self, after: After) -> Vec<Asked> {
        let After { wakers, questions, tell, stuck, log, leftovers } = after;
        if !log.is_empty() {
            // First: whoever is woken may do something in a session whose span is to be there.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| log.write())) {
                let (handler, message) = (&"tracing subscriber", guard::message(&*panic));
                self.report(Report::HandlerPanicked { handler, message: &message });
            }
        }
        wakers.into_iter().for_each(Waker::wake);
        if stuck {
            self.report(Report::HandlerStuck { handler: &"event handler" });
        }
        if let Some(teller) = tell {
            let telling = Telling { bayeux: self.clone(), teller };
            self.spawn(async move { telling.run().await });
        }
        // Last, since dropping the application's values may do anything.
        if !leftovers.is_empty() {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(leftovers))) {
                let (handler, message) = (&"dropped value", guard::message(&*panic));
                self.report(Report::HandlerPanicked { handler, message: &message });
            }
        }
        questions
    }

    /// Lets the application think about a question. A panic or an error has the outcome that the
    /// safer one of the two has: a policy denies, a listener continues.
    fn think(&self, asked: Asked) -> Thinking {
        let Asked { question, context, new_session, span } = asked;
        let (id, about) = (question.id(), About::of(&question));
        Thinking { id, about, span, answer: self.answer(question, context, new_session) }
    }

    fn answer(
        &self,
        question: Question,
        context: Option<Arc<Context>>,
        new_session: NewSession,
    ) -> Handling<Answer> {
        let bayeux = self.clone();
        let session = |id| Session::new(bayeux.clone(), id, None);
        let policy = match &question {
            Question::Listen(_) | Question::Extend(_) => None,
            Question::Handshake(_)
            | Question::Create(_)
            | Question::Subscribe(_)
            | Question::Publish(_) => self.lock().policy.clone(),
        };
        match question {
            Question::Handshake(it) => {
                // Rules that ask without a policy to ask: there is nobody who would allow it.
                let Some(policy) = policy else {
                    let verdict = Verdict::deny();
                    return ready(Answer::Handshake(it.ticket, verdict, Box::default()));
                };
                let session = new_session.clone();
                let request = HandshakeRequest { raw_ext: it.ext, context, session };
                let deciding = Guarded::new(|| policy.handshake(request));
                Box::pin(async move {
                    let verdict = bayeux.verdict(Some(deciding)).await;
                    let mut setup = new_session.setup();
                    setup.messages.retain_mut(|message| bayeux.lets_out(message));
                    Answer::Handshake(it.ticket, verdict, setup.into())
                })
            }
            Question::Create(it) => {
                let authorizing = AuthorizeRequest {
                    permission: Permission::Create,
                    channel: it.channel.clone(),
                    session: session(it.session),
                    message: None,
                    ext: None,
                    context: context.clone(),
                };
                let request = CreateRequest {
                    session: session(it.session),
                    channel: it.channel,
                    operation: it.operation,
                    context,
                };
                let deciding = asks(it.policy, policy, |policy| policy.create(request));
                Box::pin(async move {
                    let verdict =
                        bayeux.decide(deciding, [it.authorizers, Vec::new()], authorizing).await;
                    Answer::Create(it.ticket, verdict)
                })
            }
            Question::Subscribe(it) => {
                let authorizing = AuthorizeRequest {
                    permission: Permission::Subscribe,
                    channel: it.channel.clone(),
                    session: session(it.session),
                    message: None,
                    ext: it.ext.clone(),
                    context: context.clone(),
                };
                let request = SubscribeRequest {
                    session: session(it.session),
                    channel: it.channel,
                    ext: it.ext,
                    context,
                };
                let deciding = asks(it.policy, policy, |policy| policy.subscribe(request));
                Box::pin(async move {
                    let verdict =
                        bayeux.decide(deciding, [it.authorizers, it.below], authorizing).await;
                    Answer::Subscribe(it.ticket, verdict)
                })
            }
            Question::Publish(it) => {
                let authorizing = AuthorizeRequest {
                    permission: Permission::Publish,
                    channel: it.message.channel().clone().into(),
                    session: session(it.session),
                    message: Some(Arc::clone(&it.message)),
                    ext: it.message.ext(),
                    context: context.clone(),
                };
                let request =
                    PublishRequest { session: session(it.session), message: it.message, context };
                let deciding = asks(it.policy, policy, |policy| policy.publish(request));
                Box::pin(async move {
                    let verdict =
                        bayeux.decide(deciding, [it.authorizers, Vec::new()], authorizing).await;
                    Answer::Publish(it.ticket, verdict)
                })
            }
            Question::Listen(it) => {
                let session = it.session.map(session);
                Box::pin(bayeux.listen(it, session, context))
            }
            Question::Extend(it) => {
                let session = it.session.map(session);
                let message = ClientMessage { request: *it.request, id: it.id, session, context };
                Box::pin(bayeux.extend(it.ticket, message))
            }
        }
    }

    /// The policy's verdict, if it is asked, and then that of the authorizers.
    async fn decide(
        &self,
        deciding: Option<Guarded<Verdict>>,
        [channels, below]: [Vec<Pattern>; 2],
        request: AuthorizeRequest,
    ) -> Verdict {
        match self.verdict(deciding).await {
            Verdict::Allow => {}
            denied @ Verdict::Deny(_) => return denied,
        }
        let (authorizers, denying) = {
            let state = self.lock();
            (state.authorizers.on(&channels), state.authorizers.on(&below))
        };
        let mut tally = Tally::default();
        let all = authorizers.into_iter().map(|(_, it)| (it, true));
        for (authorizer, counts) in all.chain(denying.into_iter().map(|(_, it)| (it, false))) {
            let request = request.clone();
            let authorization = match Guarded::new(|| authorizer.decide(request)).await {
                Ok(authorization) => authorization,
                Err(message) => {
                    let handler = &"authorizer";
                    self.report(Report::HandlerPanicked { handler, message: &message });
                    return Verdict::deny();
                }
            };
            if let Err(denied) = tally.count(authorization, counts) {
                return denied;
            }
        }
        tally.verdict()
    }

    /// Lets the application's extensions see a client's message, one after another.
    async fn extend(self, ticket: Ticket<AskExtend>, mut message: ClientMessage) -> Answer {
        let extensions: Vec<_> = {
            let state = self.lock();
            let session = message.session().and_then(|it| state.notes.shaping.get(&it.id()));
            let own = session.into_iter().flat_map(|it| it.extensions.receiving());
            state.extensions.receiving().chain(own).cloned().collect()
        };
        for extension in extensions {
            match Guarded::new(|| extension.receive(message)).await {
                Ok(Some(passed)) => message = passed,
                Ok(None) => return Answer::Extend(ticket, None),
                Err(panic) => {
                    let handler = &"extension";
                    self.report(Report::HandlerPanicked { handler, message: &panic });
                    return Answer::Extend(ticket, None);
                }
            }
        }
        Answer::Extend(ticket, Some(message.request.into()))
    }

    async fn verdict(&self, deciding: Option<Guarded<Verdict>>) -> Verdict {
        let Some(deciding) = deciding else { return Verdict::Allow };
        match deciding.await {
            Ok(verdict) => verdict,
            Err(message) => {
                self.report(Report::HandlerPanicked { handler: &"policy", message: &message });
                Verdict::deny()
            }
        }
    }

    /// Shows a message to its listeners, one after another.
    async fn listen(
        self,
        asked: AskListen,
        session: Option<Session>,
        context: Option<Arc<Context>>,
    ) -> Answer {
        let listeners = self.lock().listeners.on(&asked.channels);
        let (mut message, mut replaced) = (asked.message, false);
        for (pattern, listener) in listeners {
            let incoming = Incoming {
                message: Arc::clone(&message),
                session: session.clone(),
                context: context.clone(),
            };
            match self.call(&pattern, &listener, incoming).await {
                Flow::Continue => {}
                Flow::Veto => return Answer::Listen(asked.ticket, ListenVerdict::Veto),
                Flow::Replace(data) => {
                    message = Arc::new(message.replace_data(&data));
                    replaced = true;
                }
            }
        }
        if message.channel().kind() == ChannelKind::Broadcast {
            let before = Arc::clone(&message);
            if !self.lets_out(&mut message) {
                return Answer::Listen(asked.ticket, ListenVerdict::Veto);
            }
            replaced |= !Arc::ptr_eq(&before, &message);
        }
        let verdict =
            if replaced { ListenVerdict::Replace(message) } else { ListenVerdict::Continue };
        Answer::Listen(asked.ticket, verdict)
    }

    /// Lets the server's extensions see a message on its way out. Whether it goes on.
    fn lets_out(&self, message: &mut Arc<Message>) -> bool {
        let extensions: Vec<_> = self.lock().extensions.sending().cloned().collect();
        extensions.into_iter().all(|extension| {
            let content = Content::Event(message);
            let runtime = &*self.shared.runtime;
            passage::send(&*extension, ServerMessage { content, session: None }, runtime)
        })
    }

    async fn call(&self, pattern: &Pattern, listener: &AnyListener, incoming: Incoming) -> Flow {
        let name = || -> String { format!("listener on {pattern}") };
        match Guarded::new(|| listener(incoming)).await {
            Ok(Ok(flow)) => flow,
            Ok(Err(error)) => {
                self.report(Report::HandlerFailed { handler: &name(), error: &error });
                Flow::Continue
            }
            Err(message) => {
                self.report(Report::HandlerPanicked { handler: &name(), message: &message });
                Flow::Continue
            }
        }
    }

    pub(super) fn report(&self, report: Report<'_>) {
        self.shared.runtime.report(report);
    }
}

/// Tells the application what happened, one event after another.
struct Telling {
    bayeux: Bayeux,
    teller: Teller,
}

impl Telling {
    async fn run(&self) {
        loop {
            let now = self.bayeux.now();
            let telling = self.bayeux.lock().next_telling(self.teller, now);
            let Some(telling) = telling else { return };
            let span = telling.span.clone();
            span.around(pin!(telling.run(&*self.bayeux.shared.runtime))).await;
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(mut state) = self.bayeux.lock_in_drop() {
            state.end_teller(self.teller);
        }
    }
}

/// What the policy thinks, if the rules ask it. When there is none, there is nobody who would
/// allow anything.
fn asks(
    asked: bool,
    policy: Option<Arc<dyn AnyPolicy>>,
    ask: impl FnOnce(Arc<dyn AnyPolicy>) -> Handling<Verdict>,
) -> Option<Guarded<Verdict>> {
    asked.then(|| match policy {
        Some(policy) => Guarded::new(|| ask(policy)),
        None => Guarded::new(|| Box::pin(core::future::ready(Verdict::deny()))),
    })
}

fn ready(answer: Answer) -> Handling<Answer> {
    Box::pin(core::future::ready(answer))
}
