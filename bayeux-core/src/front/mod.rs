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
//! | decide who may do what | [`Policy`]; without asking anybody, [`Rules`]; channel by channel, [`Channel::add_authorizer`] |
//! | see, change or delete every message | [`Bayeux::add_extension`], [`Session::add_extension`] |
//! | be a client yourself | [`Bayeux::local_session`] |
//! | decide how a session begins | [`HandshakeRequest::session`], [`NewSession`] |
//! | know who is here | [`Bayeux::sessions`], [`Session`], [`Session::set_attribute`] |
//! | know what happens | [`Bayeux::on_event`], [`Session::on_removed`] |
//! | know how much happens | [`Bayeux::stats`], [`Bayeux::figures`]; with the feature `metrics` also `Metrics` |
//! | end | [`Bayeux::drain`] |
//!
//! A [`Bayeux`] is a cheap handle on a server: the machine behind a lock. The adapters feed it HTTP
//! requests ([`Bayeux::exchange`]), WebSockets ([`Bayeux::socket`]) and time ([`Bayeux::drive`]); what it needs from a runtime is a
//! [`Runtime`]. This is the only concurrent code of the project, written once for all adapters.
//!
//! The house rules of this module: the application's code never runs under the lock; wakers are
//! woken after it is released; the clock is read under it; nothing is awaited, encoded or parsed
//! under it.
//!
//! # Cancel safety
//!
//! Dropping the future of [`Bayeux::exchange`] means that the client is gone (this is how hyper
//! says so), and dropping a [`Socket`] that its connection is lost. Handlers that have started run to their end in any case. [`Bayeux::drive`] must run
//! for as long as the server lives: without it nothing times out. Dropping the future of
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
mod call;
mod caller;
mod channel;
mod context;
mod drive;
mod error;
mod exchange;
mod extension;
mod guard;
mod listener;
mod local;
#[cfg(feature = "metrics")]
mod metrics;
mod notice;
mod passage;
mod policy;
mod registered;
mod runtime;
mod service;
mod session;
mod socket;
mod state;
mod trace;
mod turn;

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
pub use call::Call;
pub use caller::{CallStats, Caller};
pub use channel::Channel;
pub use context::{Context, PeerAddr};
pub use error::Error;
pub use exchange::Receipt;
pub use extension::{ClientMessage, Extension, ExtensionId, ServerMessage};
pub use listener::{Flow, Incoming, IntoFlow, ListenerId};
pub use local::LocalSession;
#[cfg(feature = "metrics")]
pub use metrics::Metrics;
pub use notice::Notice;
use notice::RemovedHandler;
pub use policy::{
    CreateRequest, HandshakeRequest, NewSession, Policy, PublishRequest, SubscribeRequest,
};
pub use registered::HandlerId;
pub use runtime::{Report, Runtime, Task};
pub use service::ServiceMessage;
pub use session::{Batch, Session};
pub use socket::{Broken, Frames, Received, Sending, Socket};
use state::{Publishing, State, register};

use crate::channel::Pattern;
use crate::codec::Decoder;
use crate::config::Config;
use crate::http::{HttpConfig, Mapper};
use crate::id::SessionId;
use crate::message::{Message, Parcel};
use crate::options::ConfigError;
use crate::server::{Command, Figure, Input, Rules, Server, Stats};
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

/// Makes a [`Bayeux`].
#[derive(Default)]
pub struct Builder {
    config: Config,
    http: HttpConfig,
    rules: Option<Rules>,
    policy: Option<Arc<dyn policy::AnyPolicy>>,
}

impl Builder {
    /// A server with the default options, which allows what Bayeux allows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the server's options.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the HTTP options.
    #[must_use]
    pub fn http(mut self, http: HttpConfig) -> Self {
        self.http = http;
        self
    }

    /// Sets the policy that is asked where the rules say so. Without rules it is asked about
    /// everything.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Sets static rules, which are decided without asking anybody.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = Some(rules);
        self
    }

    /// Makes the server on `runtime`. Somebody has to run [`Bayeux::drive`] on it; the adapters'
    /// own constructors do.
    ///
    /// # Errors
    ///
    /// When the options do not make sense.
    pub fn build(self, runtime: Arc<dyn Runtime>) -> Result<Bayeux, ConfigError> {
        let Self { config, http, rules, policy } = self;
        if config.relay {
            let reason = "needs a driver of its own: the front has no peers to relay to";
            return Err(ConfigError::Invalid { option: "relay", reason });
        }
        let mapper = Mapper::new(http, &config.allowed_transports)?;
        let decoder = Decoder::new(&config);
        let now = runtime.now();
        let mut server = Server::new(config.clone(), runtime.entropy(), now)?;
        let rules = rules.or_else(|| policy.is_some().then(Rules::ask));
        if let Some(rules) = rules {
            server.handle(now, Input::Command(Command::SetRules(rules.into())));
        }
        let mut state = State::new(server);
        state.policy = policy;
        let shared = Shared { state: Mutex::new(state), runtime, mapper, decoder, config };
        Ok(Bayeux { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

impl Bayeux {
    /// Starts to make a server.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Publishes `data` on a channel that need not exist, and is not made for the purpose: for
    /// names that come from elsewhere. Returns when the listeners have seen it.
    ///
    /// # Errors
    ///
    /// When `channel` is no channel name, a wildcard or a meta channel, `data` has no JSON form, or
    /// a listener vetoed the message.
    pub async fn publish<T: serde::Serialize + ?Sized>(
        &self,
        channel: &str,
        data: &T,
    ) -> Result<(), Error> {
        Channel::new(self.clone(), Pattern::parse(channel)?).publish(data).await
    }

    /// The same in the name of a session; see [`Channel::publish_from`].
    ///
    /// # Errors
    ///
    /// As for [`Bayeux::publish`].
    pub async fn publish_from<T: serde::Serialize + ?Sized>(
        &self,
        session: &Session,
        channel: &str,
        data: &T,
    ) -> Result<(), Error> {
        Channel::new(self.clone(), Pattern::parse(channel)?).publish_from(session, data).await
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

    /// Calls `handler` for each event, one after another in their order: the next event is told
    /// when all handlers are done with this one. A handler that panics is reported; one that takes
    /// longer than `question_timeout` is reported, and the events behind it wait for it no longer.
    ///
    /// A handler that keeps a [`Bayeux`] keeps the server alive; take it from the notice's session
    /// instead where you can.
    pub fn on_event<H, F>(&self, handler: H) -> HandlerId
    where
        H: Fn(Notice) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut state = self.lock();
        let number = state.next_number();
        state.event_handlers.add(number, notice::boxed(handler));
        HandlerId(number)
    }

    /// Removes what [`Bayeux::on_event`] has added. Whether it was there. What was told to it before
    /// comes to its end.
    pub fn remove_handler(&self, id: HandlerId) -> bool {
        self.turn_with(|state, after| {
            let removed = state.event_handlers.remove(id.0);
            let was_there = removed.is_some();
            after.leftovers.event_handlers.extend(removed);
            was_there
        })
    }

    /// Adds an extension that sees every message of every session.
    pub fn add_extension(&self, extension: impl Extension) -> ExtensionId {
        self.turn_with(|state, after| {
            let id = state.add_extension(None, Arc::new(extension));
            self.tell_extended(state, after);
            id
        })
    }

    /// Removes an extension of the server. Whether it was there.
    pub fn remove_extension(&self, id: ExtensionId) -> bool {
        self.turn_with(|state, after| {
            let Some(extension) = state.extensions.remove(id.0) else { return false };
            after.leftovers.extensions.push(extension);
            self.tell_extended(state, after);
            true
        })
    }

    /// Says to the machine whether there are extensions.
    fn tell_extended(&self, state: &mut State, after: &mut state::After) {
        let any = !state.extensions.is_empty();
        let command = Command::Extend { incoming: any, outgoing: any };
        state.turn(self, self.now(), Input::Command(command), after);
    }

    /// Removes a listener. Whether it was there.
    pub fn remove_listener(&self, id: &ListenerId) -> bool {
        self.turn_with(|state, after| {
            let Some((listener, last)) = state.listeners.remove(id) else { return false };
            after.leftovers.listeners.push(listener);
            if last {
                let command = Command::ListenChannel { pattern: id.pattern.clone(), listen: false };
                state.turn(self, self.now(), Input::Command(command), after);
            }
            true
        })
    }

    /// The server's options.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Counters and gauges. This takes a moment under the server's lock, however much there is to
    /// count.
    pub fn stats(&self) -> Stats {
        self.with_server(Server::stats)
    }

    /// How many remote calls there are.
    pub fn call_stats(&self) -> CallStats {
        self.lock().calls.stats()
    }

    /// [`Bayeux::stats`] and [`Bayeux::call_stats`] under the names that monitoring systems give
    /// them. The histogram [`Stats::delivery`] is not among them.
    pub fn figures(&self) -> Vec<Figure> {
        let (stats, calls) = self.all_stats();
        figures(&stats, calls)
    }

    fn all_stats(&self) -> (Stats, CallStats) {
        let state = self.lock();
        (state.server.stats(), state.calls.stats())
    }

    /// Prepares for the end: held connects are answered, none is held from here on, no session is
    /// made, and WebSockets are closed when they have been told what they are owed. Clients are advised to come back after a random time below `spread`, so that the
    /// next server does not meet all of them at once.
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

    pub(crate) fn now(&self) -> Time {
        self.shared.runtime.now()
    }

    fn with_server<T>(&self, look: impl FnOnce(&Server) -> T) -> T {
        look(&self.lock().server)
    }

    fn command(&self, command: Command) {
        self.turn(Input::Command(command));
    }

    fn add_listener(&self, pattern: Pattern, listener: listener::AnyListener) -> ListenerId {
        self.turn_with(|state, after| {
            let command = Command::ListenChannel { pattern: pattern.clone(), listen: true };
            let id = state.listeners.add(pattern, listener);
            state.turn(self, self.now(), Input::Command(command), after);
            id
        })
    }

    fn add_authorizer(
        &self,
        pattern: Pattern,
        authorizer: Arc<dyn authorizer::AnyAuthorizer>,
    ) -> AuthorizerId {
        self.turn_with(|state, after| {
            let command = Command::AuthorizeChannel { pattern: pattern.clone(), authorize: true };
            let id = state.authorizers.add(pattern, authorizer);
            state.turn(self, self.now(), Input::Command(command), after);
            id
        })
    }

    fn remove_authorizer(&self, id: &AuthorizerId) -> bool {
        self.turn_with(|state, after| {
            let Some((authorizer, last)) = state.authorizers.remove(id) else { return false };
            after.leftovers.authorizers.push(authorizer);
            if last {
                let pattern = id.pattern.clone();
                let command = Command::AuthorizeChannel { pattern, authorize: false };
                state.turn(self, self.now(), Input::Command(command), after);
            }
            true
        })
    }

    fn remove_channel(&self, pattern: &Pattern) {
        self.turn_with(|state, after| {
            after.leftovers.listeners.extend(state.listeners.clear(pattern));
            after.leftovers.authorizers.extend(state.authorizers.clear(pattern));
            let command = Command::RemoveChannel { pattern: pattern.clone() };
            state.turn(self, self.now(), Input::Command(command), after);
        });
    }

    async fn publish_message(
        &self,
        message: Arc<Message>,
        from: Option<SessionId>,
    ) -> Result<(), Error> {
        let receipt = self.turn_with(|state, after| {
            state.receipts += 1;
            let receipt = crate::server::Receipt(state.receipts);
            state.publishes.insert(receipt, Publishing::Waiting(None));
            let command = Command::Publish { message, from, receipt: Some(receipt) };
            state.turn(self, self.now(), Input::Command(command), after);
            receipt
        });
        let waiting = Forget { bayeux: self, receipt };
        let published = poll_fn(|cx| {
            let mut state = self.lock();
            let replaced = match state.publishes.get_mut(&receipt) {
                Some(Publishing::Waiting(waker)) => register(waker, cx.waker()),
                Some(Publishing::Done { published }) => return Poll::Ready(*published),
                None => return Poll::Ready(true),
            };
            drop(state);
            drop(replaced);
            Poll::Pending
        })
        .await;
        drop(waiting);
        if published { Ok(()) } else { Err(Error::Vetoed) }
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

    /// Adds to what is done with the messages of a session, if it is there.
    fn shape<T>(&self, id: SessionId, add: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        let added = self.turn_with(|state, after| {
            if state.server.session(id).is_none() {
                // Given back, since dropping what it holds may do anything: outside the lock.
                return Err(add);
            }
            let added = add(state);
            let incoming = state.notes.shaping.get(&id).is_some_and(|it| !it.extensions.is_empty());
            let command = Command::ExtendSession { session: id, incoming };
            state.turn(self, self.now(), Input::Command(command), after);
            Ok(added)
        });
        added.map_err(|_| Error::SessionGone)
    }

    fn add_removed_handler(
        &self,
        id: SessionId,
        handler: RemovedHandler,
    ) -> Result<HandlerId, Error> {
        let mut state = self.lock();
        if state.server.session(id).is_none() {
            return Err(Error::SessionGone);
        }
        let number = state.next_number();
        state.notes.on_removed.entry(id).or_default().add(number, handler);
        Ok(HandlerId(number))
    }
}

/// Forgets a publish when nobody waits for its outcome any more.
struct Forget<'b> {
    bayeux: &'b Bayeux,
    receipt: crate::server::Receipt,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        let state = self.bayeux.lock_in_drop();
        let forgotten = state.and_then(|mut state| state.publishes.remove(&self.receipt));
        drop(forgotten);
    }
}

impl fmt::Debug for Bayeux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bayeux").finish_non_exhaustive()
    }
}

fn figures(stats: &Stats, calls: CallStats) -> Vec<Figure> {
    let mut figures = stats.figures();
    figures.push(Figure::gauge("bayeux_calls", "Remote calls in progress.", calls.open));
    figures.push(Figure::counter(
        "bayeux_calls_refused_total",
        "Remote calls refused because there were too many.",
        calls.refused,
    ));
    figures
}
