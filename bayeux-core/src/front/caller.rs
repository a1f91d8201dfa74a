//! [`Caller`]: who waits for the answer to a remote call, and how many of them there are.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use bytes::Bytes;
use serde::Serialize;

use super::Bayeux;
use super::runtime::Report;
use super::service::Explanation;
use super::session::Session;
use super::trace::SessionSpan;
use crate::channel::{ChannelName, Template};
use crate::id::SessionId;
use crate::json::Json;
use crate::limits::Limits;
use crate::message::{Message, MessageParts};

/// What a client is told of a panic, or of an answer without a JSON form: what is behind it is
/// none of its business.
const INTERNAL_ERROR: &str = "internal error";

/// Who waits for the answer to a remote call. Answering consumes it, so that nobody is answered
/// twice; dropping it is an answer, too: the failure `{"message":"no answer"}`.
///
/// It can be sent to other threads and kept for any time; meanwhile it counts as a call in
/// progress, and keeps the server alive. If its session is gone, the answer is dropped.
///
/// ```compile_fail,E0382
/// # use bayeux_core::front::Caller;
/// fn twice(caller: Caller) {
///     caller.result(&1);
///     caller.result(&2); // use of moved value
/// }
/// ```
#[must_use = "dropping the caller fails the call"]
pub struct Caller {
    session: Session,
    channel: ChannelName,
    id: Option<Json>,
    /// `None` once it was answered.
    in_progress: Option<Arc<InProgress>>,
}

impl Caller {
    pub(super) fn new(session: Session, message: &Message, in_progress: Arc<InProgress>) -> Self {
        // A copy: a call that takes its time must not keep the whole message.
        let id = message.id().map(|id| Json::trusted(Bytes::copy_from_slice(id.as_bytes())));
        let channel = message.channel().clone();
        Self { session, channel, id, in_progress: Some(in_progress) }
    }

    /// The session that calls. Whether it still waits for the answer says [`Session::exists`].
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Answers with a result. If it has no JSON form, that is reported, and the call fails with
    /// `{"message":"internal error"}`.
    pub fn result<R: Serialize + ?Sized>(self, result: &R) {
        self.answer(Answer::new(result, true));
    }

    /// The same for a call that failed.
    pub fn failure<E: Serialize + ?Sized>(self, failure: &E) {
        self.answer(Answer::new(failure, false));
    }

    /// Answers with all the parts of a message: bytes, say (see
    /// [`Binary::into_parts`](super::Binary::into_parts)). It is a result unless they say otherwise;
    /// an id in them is ignored, the call has its own.
    pub fn parts(self, parts: MessageParts) {
        self.answer(Ok(Answer(parts)));
    }

    /// Its place among the calls in progress, which it leaves when it is answered.
    pub(super) fn in_progress(&self) -> Option<Arc<InProgress>> {
        self.in_progress.clone()
    }

    /// The session's span, which stays open for as long as the call is in progress.
    pub(super) fn span(&self) -> SessionSpan {
        self.in_progress.as_ref().map(|it| it.span.clone()).unwrap_or_default()
    }

    pub(super) fn answer(mut self, answer: Result<Answer, serde_json::Error>) {
        let Some(in_progress) = self.in_progress.take() else { return };
        let answer = answer.unwrap_or_else(|error| {
            in_progress.report_failure(&error);
            Answer::failure(&INTERNAL_ERROR)
        });
        // First of all: whoever gets the answer may call again at once.
        drop(in_progress);
        answer.deliver(&self.session, &self.channel, self.id.take());
    }

    /// Answers a call whose data cannot be read.
    pub(super) fn refuse(self, error: &serde_json::Error) {
        if let Some(in_progress) = &self.in_progress {
            in_progress.report_refusal(error);
        }
        self.answer(Ok(Answer::failure(error)));
    }

    /// Answers for a handler that panicked.
    pub(super) fn fail_after_panic(self, message: &str) {
        if let Some(in_progress) = &self.in_progress {
            in_progress.report_panic(message);
        }
        self.answer(Ok(Answer::failure(&INTERNAL_ERROR)));
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let Some(in_progress) = self.in_progress.take() else { return };
        drop(in_progress);
        if self.session.bayeux().lock_in_drop().is_none() {
            return;
        }
        Answer::failure(&"no answer").deliver(&self.session, &self.channel, self.id.take());
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// What a caller gets.
pub(super) struct Answer(MessageParts);

impl Answer {
    pub(super) fn new<T: Serialize + ?Sized>(
        data: &T,
        successful: bool,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self(MessageParts::data(Json::new(data)?).successful(successful)))
    }

    /// A failure for which the server has the words.
    pub(super) fn failure(message: &dyn fmt::Display) -> Self {
        // A text always has a JSON form.
        let data = Json::new(&Explanation::of(message)).unwrap_or(Json::NULL);
        Self(MessageParts::data(data).successful(false))
    }

    /// Unlike other replies to a message without an id, this one still says whether it is a
    /// result: its data alone would not.
    pub(super) fn deliver(self, session: &Session, channel: &ChannelName, id: Option<Json>) {
        let Self(parts) = self;
        let successful = parts.successful.unwrap_or(true);
        let parts = parts.id(id).successful(successful);
        // If the session is gone, nobody waits for the answer.
        let _ = session.deliver_message(Message::with(channel.clone(), &parts));
    }
}

/// The place of one call among those in progress; it is free again when this is dropped.
pub(super) struct InProgress {
    bayeux: Bayeux,
    session: SessionId,
    template: Template,
    span: SessionSpan,
}

impl InProgress {
    /// Takes a place, if there is one left.
    pub(super) fn begin(session: &Session, template: &Template) -> Option<Arc<Self>> {
        let (bayeux, session) = (session.bayeux().clone(), session.id());
        let span = {
            let mut state = bayeux.lock();
            if !state.calls.begin(session, &bayeux.config().limits) {
                return None;
            }
            state.notes.spans.of(Some(session))
        };
        Some(Arc::new(Self { bayeux, session, template: template.clone(), span }))
    }

    fn report_refusal(&self, error: &serde_json::Error) {
        self.report(Report::DataRefused { handler: &self.name(), error });
    }

    fn report_failure(&self, error: &dyn fmt::Display) {
        self.report(Report::HandlerFailed { handler: &self.name(), error: &error });
    }

    pub(super) fn report_panic(&self, message: &str) {
        self.report(Report::HandlerPanicked { handler: &self.name(), message });
    }

    fn report(&self, report: Report<'_>) {
        let _within = self.span.enter();
        self.bayeux.report(report);
    }

    fn name(&self) -> String {
        format!("remote call on {}", self.template)
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        if let Some(mut state) = self.bayeux.lock_in_drop() {
            state.calls.end(self.session);
        }
    }
}

/// How many calls are in progress. Sessions without any are not in the map, and those that are gone
/// stay in it until their last call is done.
#[derive(Default)]
pub(super) struct Calls {
    all: usize,
    refused: u64,
    by_session: BTreeMap<SessionId, usize>,
}

impl Calls {
    /// Counts another call of `session`, if there is a place for it.
    fn begin(&mut self, session: SessionId, limits: &Limits) -> bool {
        let own = self.by_session.get(&session).copied().unwrap_or_default();
        if self.all >= limits.calls || own >= limits.session_calls {
            self.refused += 1;
            return false;
        }
        self.all += 1;
        self.by_session.insert(session, own + 1);
        true
    }

    /// How many there are, and how many were refused.
    pub(super) fn counts(&self) -> (usize, u64) {
        (self.all, self.refused)
    }

    fn end(&mut self, session: SessionId) {
        self.all -= 1;
        if let Some(own) = self.by_session.get_mut(&session) {
            *own -= 1;
            if *own == 0 {
                self.by_session.remove(&session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_without_calls_leave_nothing_behind() {
        let session = |digit: &str| SessionId::parse(&digit.repeat(36)).unwrap();
        let limits = Limits { calls: 3, session_calls: 2, ..Limits::default() };
        let mut calls = Calls::default();
        assert!(calls.begin(session("a"), &limits) && calls.begin(session("a"), &limits));
        assert!(!calls.begin(session("a"), &limits), "no more for this session");
        assert!(calls.begin(session("b"), &limits));
        assert!(!calls.begin(session("c"), &limits), "no more for anybody");
        calls.end(session("a"));
        assert!(calls.begin(session("c"), &limits));
        for digit in ["a", "b", "c"] {
            calls.end(session(digit));
        }
        assert_eq!((calls.all, calls.by_session.len()), (0, 0));
        assert_eq!(calls.counts(), (0, 2));
    }
}
