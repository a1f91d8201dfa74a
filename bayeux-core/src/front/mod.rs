//! The application's API, and the runtime-neutral front behind it.
//!
//! | to | use |
//! | --- | --- |
//! | make a server | [`Bayeux::builder`], with an adapter (`cometd_hyper::start`) |
//! | make, configure and find channels | [`Bayeux::channel`], [`Channel::configure`] |
//! | see, stop or change messages | [`Channel::on_message`], [`Incoming`], [`Flow`] |
//! | publish | [`Channel::publish`], [`Bayeux::publish`] |
//! | send and read bytes | [`Binary`], [`Incoming::binary`] |
//! | serve `/service/…` channels, with typed data and parameters | [`Bayeux::service`], [`ServiceMessage`] |
//! | answer remote calls | [`Bayeux::remote_call`], [`Call`]; later, [`Bayeux::on_call`], [`Caller`] |
//! | answer one client | [`Incoming::reply`], [`Session::deliver`] |
//! | decide who may do what | [`Policy`]; without asking anybody, [`Rules`](crate::Rules); channel by channel, [`Channel::add_authorizer`] |
//! | see, change or delete every message | [`Bayeux::add_extension`], [`Session::add_extension`] |
//! | be a client yourself | [`Bayeux::local_session`] |
//! | decide how a session begins | [`HandshakeRequest::session`], [`NewSession`] |
//! | know who is here | [`Bayeux::sessions`], [`Session`], [`Session::set_attribute`] |
//! | know what happens | [`Bayeux::on_event`], [`Session::on_removed`] |
//! | wait, tell the time, in the server's own time | [`Bayeux::sleep`], [`Bayeux::wall`] |
//! | know how much happens | [`Bayeux::stats`], [`Bayeux::figures`]; with the feature `metrics` also `Metrics` |
//! | end | [`Bayeux::drain`] |
//!
//! A [`Bayeux`] is a cheap handle on a server: the machine behind a lock. The adapters feed it HTTP
//! requests ([`Bayeux::exchange`]) and WebSockets ([`Bayeux::socket`]); what it needs from a runtime,
//! time above all, is a [`Runtime`]. This is the only concurrent code of the project, written once for all adapters.
//!
//! The house rules of this module: the application's code never runs under the lock; wakers are
//! woken after it is released; the clock is read under it; nothing is awaited, encoded or parsed
//! under it.
//!
//! # Cancel safety
//!
//! Dropping the future of [`Bayeux::exchange`] means that the client is gone (this is how hyper
//! says so), and dropping a [`Socket`] that its connection is lost. Handlers that have started do not
//! notice: they are polled to their end, or dropped when they take longer than `question_timeout`
//! (handlers of events and remote calls are not). Dropping the future of
//! [`Bayeux::local_session`] gives the session up; what another method of a [`LocalSession`] asks
//! for is asked in any case, once its future was polled. Dropping any other future of this module
//! does nothing but to stop waiting.
//!
//! # What is logged
//!
//! With the feature `tracing`, which the adapters turn on, each session has a span: target `bayeux`,
//! name `session`, level INFO, with the first digits of its id as `session` and the transport that
//! it began on as `transport`. It has no parent, and is open for as long as the session exists, and
//! then until its last handler is done. Within it run the application's handlers for the session's
//! messages and events (policy, authorizers, listeners, services, remote calls, extensions, dequeue
//! and event handlers, those of a local session), so what they log says whose it is; within it their
//! failures are reported; and within it the server says, with the same target:
//!
//! | level | what |
//! | --- | --- |
//! | WARN | events are dropped because the session's queue is full, once until it gets some again; the session is removed for that reason (both with `session`, since at this level there are no spans) |
//! | DEBUG | the session is added, removed, subscribes, unsubscribes; a message of it is refused (one without a session, too); more events are dropped |
//! | TRACE | a connect is held, is held no longer |
//!
//! Nothing out of a message's `data` or `ext` is logged above TRACE, and no id in full: ids are
//! credentials. Names of channels and the reasons that the application gives for its denials are
//! logged. So is what [`Runtime::report`] is given, by the adapters: what a handler's error or panic
//! says; and about data that a service cannot read, where in it (at TRACE what, which quotes it).
//!
//! A subscriber may use the server: it is never called under the lock. One that publishes log lines
//! on a channel must leave out those that its own publishes cause. If no subscriber wants a level,
//! what it would be told is not even noted; sessions that begin then have no span later either.

mod attributes;
mod authorizer;
mod binary;
mod builder;
mod call;
mod caller;
mod channel;
mod context;
mod drive;
mod error;
mod exchange;
mod extension;
mod figures;
mod guard;
mod listener;
mod local;
mod mailbox;
#[cfg(feature = "metrics")]
mod metrics;
mod notice;
mod passage;
mod policy;
mod publishing;
mod registered;
mod runtime;
mod service;
mod session;
mod socket;
mod state;
mod thinking;
mod trace;
mod turn;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::future::{Future, poll_fn};
use core::task::Poll;
use core::time::Duration;
use std::sync::Mutex;

pub use attributes::Attributes;
pub use authorizer::{
    Authorization, AuthorizeRequest, Authorizer, AuthorizerId, Grants, Permission,
};
pub use binary::Binary;
pub use builder::Builder;
pub use call::Call;
pub use caller::Caller;
pub use channel::Channel;
pub use context::{Context, PeerAddr};
pub use error::Error;
pub use exchange::{Exchanging, Receipt};
pub use extension::{ClientMessage, Extension, ExtensionId, ServerMessage};
pub use figures::FrontStats;
#[cfg(feature = "adapter")]
pub(crate) use guard::message as panic_message;
pub use listener::{Flow, Incoming, IntoFlow, ListenerId};
pub use local::LocalSession;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use notice::Notice;
pub use policy::{
    CreateRequest, HandshakeRequest, NewSession, Policy, PublishRequest, SubscribeRequest,
};
pub use registered::HandlerId;
pub use runtime::{Report, Runtime, Sleep, Task};
pub use service::ServiceMessage;
pub use session::{Batch, Session};
pub use socket::{Broken, Frames, Received, Sending, Socket};
use state::{Leftover, State};

use crate::channel::Pattern;
use crate::codec::Decoder;
use crate::config::Config;
use crate::http::Mapper;
use crate::id::SessionId;
use crate::message::Parcel;
use crate::server::{Command, Input, Server};
use crate::time::{Time, WallTime};
use crate::transport::Transport;

/// A handle on a Bayeux server. Cloning it is cheap; all clones are the same server.
#[derive(Clone)]
pub struct Bayeux {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    runtime: Arc<dyn Runtime>,
    mapper: Mapper,
    decoder: Decoder,
    config: Config,
}

impl Shared {
    /// What handshake replies list as `supportedConnectionTypes`.
    fn offered(&self) -> &[Transport] {
        &self.config.allowed_transports
    }

    /// What time it is for a parcel that leaves now. Most do not care, and the clock is not asked.
    fn wall_of(&self, parcel: &Parcel) -> WallTime {
        if parcel.tells_time() { self.runtime.wall() } else { WallTime::default() }
    }
}

impl Bayeux {
    /// Starts to make a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// A handle on a channel or wildcard that exists.
    pub fn find_channel(&self, name: &str) -> Option<Channel> {
        let channel = Channel::new(self.clone(), Pattern::parse(name).ok()?);
        channel.exists().then_some(channel)
    }

    /// A handle on a channel or wildcard, which is made if it does not exist.
    ///
    /// # Errors
    ///
    /// When `name` is no channel name or wildcard.
    pub fn channel(&self, name: &str) -> Result<Channel, Error> {
        let pattern = Pattern::parse(name)?;
        self.command(Command::CreateChannel { pattern: pattern.clone() });
        Ok(Channel::new(self.clone(), pattern))
    }

    /// The channels and wildcards that exist, sorted by name.
    pub fn channels(&self) -> Vec<Channel> {
        let mut patterns: Vec<_> =
            self.with_server(|server| server.channels().map(|it| it.pattern().clone()).collect());
        patterns.sort();
        patterns.into_iter().map(|it| Channel::new(self.clone(), it)).collect()
    }

    /// The session of this id, if it exists.
    pub fn session(&self, id: SessionId) -> Option<Session> {
        let session = Session::new(self.clone(), id, None);
        session.exists().then_some(session)
    }

    /// The sessions that exist.
    pub fn sessions(&self) -> Vec<Session> {
        let ids: Vec<_> = self.with_server(|server| server.sessions().map(|it| it.id()).collect());
        ids.into_iter().map(|id| Session::new(self.clone(), id, None)).collect()
    }

    /// The server's options.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Prepares for the end: held connects are answered, none is held from here on, no session is
    /// made, and WebSockets are closed when they have been told what they are owed. Clients are
    /// advised to come back after a random time below `spread`, so that the next server does not meet
    /// all of them at once; but not before a tenth of a second, since this server may still be there.
    pub fn drain(&self, spread: Duration) {
        self.command(Command::Drain { spread });
    }

    /// Waits until no exchange and no WebSocket is open. After [`Bayeux::drain`] that is soon.
    pub async fn idle(&self) {
        poll_fn(|cx| {
            let mut state = self.lock();
            if state.open_links() == 0 {
                return Poll::Ready(());
            }
            if !state.idle_wakers.iter().any(|it| it.will_wake(cx.waker())) {
                state.idle_wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// What the wall clock of the server's [`Runtime`] says: in a simulation that is virtual time.
    pub fn wall(&self) -> WallTime {
        self.shared.runtime.wall()
    }

    /// A future that is ready after `duration`, in the time of the server's [`Runtime`]: in a
    /// simulation that is virtual time. Dropping it stops the sleep.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    pub(crate) fn sleep_until(&self, at: Time) -> Sleep {
        self.shared.runtime.sleep_until(at)
    }

    /// Runs `future` as a task of the server's [`Runtime`]; nobody has to wait for it. What it
    /// panics with is the runtime's matter.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.shared.runtime.spawn(Box::pin(future));
    }

    pub(crate) fn now(&self) -> Time {
        self.shared.runtime.now()
    }

    fn with_server<T>(&self, look: impl FnOnce(&Server) -> T) -> T {
        look(&self.lock().server)
    }

    fn command(&self, command: Command) {
        self.turn(Input::Command(command));
    }

    fn remove_channel(&self, pattern: &Pattern) {
        self.turn_with(|state, after| {
            after.leftovers.extend(state.listeners.clear(pattern), Leftover::Listener);
            after.leftovers.extend(state.authorizers.clear(pattern), Leftover::Authorizer);
            let command = Command::RemoveChannel { pattern: pattern.clone() };
            state.turn(self, self.now(), Input::Command(command), after);
        });
    }

    /// The attributes of a session that exists, made if asked for.
    fn attributes_of(&self, id: SessionId, make: bool) -> Option<Attributes> {
        let mut state = self.lock();
        if let Some(attributes) = state.notes.attributes.get(&id) {
            return Some(attributes.clone());
        }
        if !make || state.server.session(id).is_none() {
            return None;
        }
        Some(state.notes.attributes.entry(id).or_default().clone())
    }
}

impl fmt::Debug for Bayeux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bayeux").finish_non_exhaustive()
    }
}
