//! The application's handlers while they think about a question, until they have an answer or have
//! thought for too long.
//!
//! A handler that is not done when its question meets its deadline is dropped: else handlers that
//! wait for something that never comes would pile up without a bound.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::future::poll_fn;
use core::panic::AssertUnwindSafe;
use core::task::{Context as TaskContext, Poll, Waker};
use std::panic::catch_unwind;
use std::sync::{Mutex, PoisonError};

use super::Bayeux;
use super::guard::{self, Handling};
use super::runtime::Report;
use super::state::register;
use super::trace::SessionSpan;
use crate::server::{Answer, Input, Question, QuestionId};

/// The application thinking about a question, in the span of the session that it is about.
pub(super) struct Thinking {
    pub(super) id: QuestionId,
    pub(super) about: About,
    // In this order: what the handler drops is still the session's.
    pub(super) answer: Handling<Answer>,
    pub(super) span: SessionSpan,
}

/// What is thought about, for reports.
pub(super) enum About {
    Permission,
    Message(String),
    Extension,
}

impl About {
    pub(super) fn of(question: &Question) -> Self {
        match question {
            Question::Handshake(_)
            | Question::Create(_)
            | Question::Subscribe(_)
            | Question::Publish(_) => Self::Permission,
            Question::Listen(it) => Self::Message(it.message.channel().to_string()),
            Question::Extend(_) => Self::Extension,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Permission => "policy or authorizer".to_string(),
            Self::Message(channel) => format!("listener for a message on {channel}"),
            Self::Extension => "extension".to_string(),
        }
    }
}

/// Says to a task that its question was withdrawn.
#[derive(Default)]
pub(super) struct Withdrawal(Mutex<(bool, Option<Waker>)>);

impl Withdrawal {
    /// The waker of the task, to be woken outside the lock.
    pub(super) fn withdraw(&self) -> Option<Waker> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = true;
        state.1.take()
    }

    fn poll(&self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 {
            return Poll::Ready(());
        }
        let replaced = register(&mut state.1, cx.waker());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Thinking {
    /// Polls once. A handler that does not wait for anything needs no task.
    pub(super) fn poll_once(&mut self) -> Poll<Answer> {
        self.poll(&mut TaskContext::from_waker(Waker::noop()))
    }

    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Answer> {
        let _within = self.span.enter();
        self.answer.as_mut().poll(cx)
    }

    /// Goes on until there is an answer, or nobody waits for it any more.
    async fn until(&mut self, withdrawal: &Withdrawal) -> Option<Answer> {
        poll_fn(|cx| {
            if withdrawal.poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            self.poll(cx).map(Some)
        })
        .await
    }

    /// Gives up.
    fn stop(self, bayeux: &Bayeux) {
        let Self { about, span, answer, .. } = self;
        let _within = span.enter();
        bayeux.report(Report::HandlerStuck { handler: &about.name() });
        // What the handler holds may do anything when it is dropped.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(answer))) {
            let message = guard::message(&*panic);
            bayeux.report(Report::HandlerPanicked { handler: &about.name(), message: &message });
        }
    }
}

impl Bayeux {
    /// Goes on thinking in a task of its own.
    pub(super) fn think_aside(&self, mut thinking: Thinking) {
        let withdrawal = Arc::new(Withdrawal::default());
        {
            let mut state = self.lock();
            if state.server.is_open(thinking.id) {
                state.thinking.insert(thinking.id, Arc::clone(&withdrawal));
            } else {
                // It took longer than that to get here.
                let _ = withdrawal.withdraw();
            }
        }
        let bayeux = self.clone();
        self.spawn(async move {
            match thinking.until(&withdrawal).await {
                Some(answer) => bayeux.conclude(thinking.id, answer),
                None => thinking.stop(&bayeux),
            }
        });
    }

    /// Brings an answer home, and works off what follows.
    fn conclude(&self, id: QuestionId, answer: Answer) {
        self.turn_at_the_bottom(|state, after| {
            // Not the last pointer to it: this task has the other.
            state.thinking.remove(&id);
            state.turn(self, self.now(), Input::Answer(answer), after);
        });
    }
}
