//! Remote calls: a client asks, the application answers, once, whenever it is ready.
//!
//! `cometd.remoteCall('contacts/friends', …)` of CometD's clients is a publish on
//! `/service/contacts/friends`. The answer is an event on the same channel with the request's id,
//! `successful`, and the result or failure as its `data` (`RemoteCall` of the Java server).
//!
//! The publish itself is acknowledged at once: the payload that it came with, and everything else
//! that the client sends, goes on while a handler takes its time. So a handler is polled once where
//! the message is, and an answer that is there by then leaves with the same response; what takes
//! longer becomes a task of its own. Nothing but the handler's end ends such a task, so how many
//! there are is bounded, by [`Limits::calls`](crate::Limits) and `session_calls`.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::future::{Future, poll_fn, ready};
use core::task::Poll;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Bayeux;
use super::caller::{Answer, Caller, InProgress};
use super::context::Context;
use super::error::Error;
use super::guard::{Guarded, Handling};
use super::listener::{Flow, Incoming, ListenerId};
use super::service::{concerned, param};
use super::session::Session;
use super::trace::SessionSpan;
use crate::channel::{ChannelKind, ChannelName, NameError, Params, Template};
use crate::message::Message;

impl Bayeux {
    /// Answers remote calls of `target` with what `handler` returns.
    ///
    /// The target is the one that CometD's clients name: `contacts/{group}` means the channels
    /// `/service/contacts/{group}`, and a slash in front changes nothing. Its variables are
    /// parameters of the call; see [`Template`]. `Ok` is a result, `Err` a failure; both arrive as
    /// the JSON that they are, so a failure may be a text as well as a structure.
    ///
    /// Nothing waits for the handler: not the sender's other messages, not other sessions, and no
    /// deadline ends it. It runs to its end even if the session is gone; then its answer is
    /// dropped. These calls fail without it, or in spite of it:
    ///
    /// | what | failure |
    /// | --- | --- |
    /// | the data is no `T` (reported) | `{"message":"…"}`, what serde says |
    /// | the handler panics (reported), or its answer has no JSON form (reported) | `{"message":"internal error"}` |
    /// | too many are in progress: [`Limits::calls`](crate::Limits), `session_calls` | `{"message":"too many calls"}` |
    ///
    /// A call without an id, which is a plain publish, is answered as well, without an id.
    ///
    /// ```
    /// use bayeux_core::front::{Bayeux, Call, Error};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Query {
    ///     prefix: String,
    /// }
    ///
    /// async fn contacts(call: Call<Query>) -> Result<Vec<String>, String> {
    ///     match call.param("group") {
    ///         "friends" => Ok(vec![format!("{}nn", call.data.prefix)]),
    ///         other => Err(format!("there is no group {other}")),
    ///     }
    /// }
    ///
    /// fn install(bayeux: &Bayeux) -> Result<(), Error> {
    ///     bayeux.remote_call("contacts/{group}", contacts)?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// When `target` is none.
    pub fn remote_call<T, R, E, H, F>(&self, target: &str, handler: H) -> Result<ListenerId, Error>
    where
        T: DeserializeOwned,
        R: Serialize,
        E: Serialize,
        H: Fn(Call<T>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
    {
        self.answer_calls(target, move |call, caller: Caller| {
            // The caller stays out of the handler's hands: it is there if that panics.
            let handling = Guarded::new(|| {
                let handling = handler(call);
                Box::pin(async move {
                    match handling.await {
                        Ok(result) => Answer::new(&result, true),
                        Err(failure) => Answer::new(&failure, false),
                    }
                })
            });
            Box::pin(async move {
                match handling.await {
                    Ok(answer) => caller.answer(answer),
                    Err(message) => caller.fail_after_panic(&message),
                }
            })
        })
    }

    /// Gives remote calls of `target` to `handler` together with their [`Caller`], who can be
    /// answered from anywhere and at any time.
    ///
    /// Everything else is as for [`Bayeux::remote_call`]. A caller that is dropped without an
    /// answer, by a panic say, gets the failure `{"message":"no answer"}`.
    ///
    /// ```
    /// use std::sync::{Mutex, PoisonError};
    /// use bayeux_core::front::{Bayeux, Call, Caller, Error};
    ///
    /// /// Those who wait for the doors to open.
    /// static WAITING: Mutex<Vec<Caller>> = Mutex::new(Vec::new());
    ///
    /// fn install(bayeux: &Bayeux) -> Result<(), Error> {
    ///     bayeux.on_call("enter", |_: Call<()>, caller: Caller| async move {
    ///         WAITING.lock().unwrap_or_else(PoisonError::into_inner).push(caller);
    ///     })?;
    ///     Ok(())
    /// }
    ///
    /// fn open_the_doors() {
    ///     let waiting = std::mem::take(&mut *WAITING.lock().unwrap_or_else(PoisonError::into_inner));
    ///     for caller in waiting {
    ///         caller.result(&"come in");
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Bayeux::remote_call`].
    pub fn on_call<T, H, F>(&self, target: &str, handler: H) -> Result<ListenerId, Error>
    where
        T: DeserializeOwned,
        H: Fn(Call<T>, Caller) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.answer_calls(target, move |call, caller: Caller| {
            // A handler that goes on after its answer is still in progress.
            let in_progress = caller.in_progress();
            let handling = Guarded::new(|| Box::pin(handler(call, caller)));
            Box::pin(async move {
                if let (Err(message), Some(it)) = (handling.await, in_progress) {
                    it.report_panic(&message);
                }
            })
        })
    }

    /// Listens for calls of `target`; `answer` is all that happens between a call and its answer.
    fn answer_calls<T, H>(&self, target: &str, answer: H) -> Result<ListenerId, Error>
    where
        T: DeserializeOwned,
        H: Fn(Call<T>, Caller) -> Handling<()> + Send + Sync + 'static,
    {
        let template = of_target(target)?;
        let pattern = template.pattern().clone();
        let listener = move |incoming: Incoming| -> Handling<_> {
            let Some((session, params)) = concerned(&template, &incoming) else {
                return Box::pin(ready(Ok(Flow::Continue)));
            };
            let bayeux = session.bayeux().clone();
            let answering = begin(&template, incoming, session, params).map(|(call, caller)| {
                let span = caller.span();
                (answer(call, caller), span)
            });
            Box::pin(async move {
                if let Some((answering, span)) = answering {
                    bayeux.run_aside(answering, span).await;
                }
                Ok(Flow::Continue)
            })
        };
        Ok(self.add_listener(pattern, Arc::new(listener)))
    }

    /// Polls `task` once on the spot; what is not done by then is spawned, and nobody waits for it.
    async fn run_aside(&self, mut task: Handling<()>, span: SessionSpan) {
        let first = poll_fn(|cx| Poll::Ready(task.as_mut().poll(cx))).await;
        if first.is_pending() {
            self.spawn(span.around(task));
        }
    }
}

/// The template of the channels that a target means, as `remoteCall` of `cometd.js` makes them.
fn of_target(target: &str) -> Result<Template, NameError> {
    let target = target.trim();
    let slash = if target.starts_with('/') { "" } else { "/" };
    let template = Template::parse(&format!("/service{slash}{target}"))?;
    // An empty target leaves `/service`, which is a channel like any other.
    if template.kind() == ChannelKind::Service { Ok(template) } else { Err(NameError::NoSlash) }
}

/// What a message asks, and who is to be answered; `None` if that was done already.
fn begin<T: DeserializeOwned>(
    template: &Template,
    incoming: Incoming,
    session: Session,
    params: Params,
) -> Option<(Call<T>, Caller)> {
    let message = &incoming.message;
    let Some(in_progress) = InProgress::begin(&session, template) else {
        Answer::failure(&"too many calls").deliver(&session, message.channel(), message.id());
        return None;
    };
    // From here on there is an answer in any case, even if reading the data panics.
    let caller = Caller::new(session.clone(), message, in_progress);
    match message.data().read() {
        Ok(data) => {
            let Incoming { message, context, .. } = incoming;
            Some((Call { data, message, session, params, context }, caller))
        }
        Err(error) => {
            caller.refuse(&error);
            None
        }
    }
}

/// What a client asks in a remote call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call<T> {
    /// What the client sent with it.
    pub data: T,
    message: Arc<Message>,
    session: Session,
    params: Params,
    context: Option<Arc<Context>>,
}

impl<T> Call<T> {
    /// The value of a variable of the target.
    ///
    /// # Panics
    ///
    /// When the target has no such variable, which is a slip in the handler; see
    /// [`Params::get`] for names that come from elsewhere.
    pub fn param(&self, variable: &str) -> &str {
        param(&self.params, variable)
    }

    /// The values of the target's variables.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The channel that the call came on.
    pub fn channel(&self) -> &ChannelName {
        self.message.channel()
    }

    /// The message that is the call, with its `ext` and its data as it came; see
    /// [`Binary::of`](super::Binary::of) for bytes.
    pub fn message(&self) -> &Arc<Message> {
        &self.message
    }

    /// The session that calls. Whether it still waits for the answer says [`Session::exists`].
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The request that carried the call; `None` when the client was gone already, or the
    /// application published in its name.
    pub fn context(&self) -> Option<&Context> {
        self.context.as_deref()
    }
}
