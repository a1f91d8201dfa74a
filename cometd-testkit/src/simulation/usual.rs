//! [`Usual`]: the application of the generated runs on a whole server; what it decides about a
//! channel is in [`application`].
//!
//! It has a session of its own, which hears everything below `/open`, and whose handler is slow at
//! times.

use std::future::{Future, pending, ready};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bayeux_core::front::{
    Bayeux, Builder, CreateRequest, Error, Extension, Flow, HandshakeRequest, Incoming,
    LocalSession, Notice, Policy, PublishRequest, ServerMessage, ServiceMessage, SubscribeRequest,
};
use bayeux_core::http::HttpConfig;
use bayeux_core::{
    ChannelSettings, ConfigError, Event, Message, Pattern, RuleList, Rules, Ruling, SessionId,
    Time, Transport, Verdict,
};

use serde_json::Value;

use super::app::Application;
use super::application::{self, ANSWER, Course};
use super::ground::{self, Ground};
use super::host::{Down, Gauges};
use super::ledger;
use super::machine;
use super::outbox::Outbox;
use super::script::{Fault, Script, ScriptError};
use super::seed::Seed;
use crate::sim::Sim;

/// What the application's own session subscribes to.
const OWN: &str = "/open/**";

/// The application of the generated runs.
#[derive(Debug)]
pub(super) struct Usual {
    seed: Seed,
    thinker: Thinker,
    outbox: Outbox,
    own: Mutex<Option<LocalSession>>,
    /// Sessions whose end is to be told and was not.
    watched: Arc<AtomicI64>,
}

/// Lets the application think.
#[derive(Clone, Debug)]
pub(super) struct Thinker {
    ground: Arc<dyn Ground>,
    seed: Seed,
    /// The longest time, in milliseconds.
    most: u64,
    /// When it stops to take its time.
    heal: Time,
    questions: Arc<AtomicU64>,
}

impl Thinker {
    pub(super) fn new(script: &Script, ground: Arc<dyn Ground>) -> Self {
        Self {
            ground,
            seed: script.seed,
            most: script.faults.get(Fault::Think),
            heal: Time::from_millis(script.heal),
            questions: Arc::default(),
        }
    }

    /// Thinks about something for as long as chance wants.
    pub(super) fn think(
        &self,
        kind: &str,
        channel: &str,
    ) -> impl Future<Output = ()> + Send + use<> {
        let number = self.questions.fetch_add(1, Ordering::Relaxed);
        let most = if self.ground.now() < self.heal { self.most } else { 0 };
        let time = application::thinking(self.seed, most, &format!("{kind} {channel} {number}"));
        let sleep = (!time.is_zero()).then(|| self.ground.sleep(time));
        async move {
            if let Some(sleep) = sleep {
                sleep.await;
            }
        }
    }

    async fn decide(&self, kind: &str, channel: &str) -> Verdict {
        let course = application::policy(channel);
        if course == Course::Never {
            pending::<()>().await;
        }
        self.think(kind, channel).await;
        Verdict::from(course == Course::Yes)
    }
}

impl Policy for Thinker {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        // The application's own session is made before time begins.
        let own = request.context.as_ref().is_some_and(|it| it.transport() == Transport::Local);
        if own {
            return Verdict::Allow;
        }
        let greeting = request.raw_ext.as_ref().and_then(application::greeting);
        if let Some(message) = greeting.and_then(|number| machine::message("/direct", number)) {
            let greeted = request.session.deliver_message(message);
            assert!(greeted.is_ok(), "a channel for everybody");
        }
        self.think("handshake", "").await;
        Verdict::Allow
    }

    async fn can_create(&self, request: CreateRequest) -> Verdict {
        self.decide("create", request.channel.as_str()).await
    }

    async fn can_subscribe(&self, request: SubscribeRequest) -> Verdict {
        self.decide("subscribe", request.channel.as_str()).await
    }

    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        self.decide("publish", request.message.channel().as_str()).await
    }
}

/// Sees what goes out, and does nothing about it.
#[derive(Debug, Default)]
struct Counted(AtomicU64);

impl Extension for Counted {
    const INCOMING: bool = false;

    fn outgoing(&self, _message: &mut ServerMessage<'_>) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// How many channels the application needs for itself.
const CHANNELS: usize = 8;

impl Usual {
    pub(super) fn new(
        script: &Script,
        ground: Arc<dyn Ground>,
        outbox: &Outbox,
    ) -> Result<Self, ScriptError> {
        if script.config()?.limits.channels < CHANNELS {
            let what = "the application itself needs eight channels, so that there have to be more";
            return Err(ScriptError::new(what, "limits.channels"));
        }
        Ok(Self {
            seed: script.seed,
            thinker: Thinker::new(script, ground),
            outbox: outbox.clone(),
            own: Mutex::default(),
            watched: Arc::default(),
        })
    }

    fn rules(&self) -> Rules {
        let ask = || {
            let asked = application::ASKED.iter().filter_map(|it| Pattern::parse(it).ok());
            asked.fold(RuleList::new(Ruling::Allow), |list, it| list.rule(it, Ruling::Ask))
        };
        let mut rules = Rules::new();
        if self.thinker.most > 0 {
            rules.handshake = Ruling::Ask;
        }
        (rules.create, rules.subscribe, rules.publish) = (ask(), ask(), ask());
        rules
    }

    /// How messages travel: one text each, or as many as fit.
    fn http(&self) -> HttpConfig {
        let mut http = HttpConfig::default();
        let draw = self.seed.about("frames");
        http.ws.messages_per_frame = draw.one_of([http.ws.messages_per_frame, None, Some(3)]);
        http.ws.max_frame_bytes = draw.then(1).one_of([http.ws.max_frame_bytes, 300]);
        http
    }

    /// Who thinks for it.
    pub(super) fn thinker(&self) -> &Thinker {
        &self.thinker
    }

    /// Whether all sessions' ends were told.
    pub(super) fn is_told(&self) -> bool {
        let own = i64::from(self.own().is_some());
        (0..=own).contains(&self.watched.load(Ordering::Relaxed))
    }

    /// Sets itself up on a server that is started so.
    pub(super) fn start_with(
        &self,
        builder: Builder,
        start: impl FnOnce(Builder) -> Result<Bayeux, ConfigError>,
    ) -> Result<Bayeux, ConfigError> {
        let builder = builder.rules(self.rules()).policy(self.thinker.clone()).http(self.http());
        let bayeux = start(builder)?;
        let done = self.set_up(&bayeux);
        assert!(done.is_ok(), "the application could not set itself up: {done:?}");
        Ok(bayeux)
    }

    fn set_up(&self, bayeux: &Bayeux) -> Result<(), Error> {
        let served = self.seed.about("service").per_mille(500);
        if served {
            let thinker = self.thinker.clone();
            bayeux.service("/service/{name}", move |message: ServiceMessage<Value>| {
                let thinker = thinker.clone();
                async move { listen(&thinker, message.incoming()).await }
            })?;
        }
        let unserved = |it: &&str| !served || !it.starts_with("/service/");
        for pattern in application::LISTENED.into_iter().filter(unserved) {
            let thinker = self.thinker.clone();
            bayeux.channel(pattern)?.on_message(move |incoming| {
                let thinker = thinker.clone();
                async move { listen(&thinker, &incoming).await }
            });
        }
        let lazy = ChannelSettings::new().lazy(true).persistent(true);
        bayeux.channel(application::LAZY)?.configure(lazy);
        if self.seed.about("extension").per_mille(300) {
            bayeux.add_extension(Counted::default());
        }
        if self.seed.about("dequeue").per_mille(300) {
            let watched = Arc::clone(&self.watched);
            bayeux.on_event(move |notice: Notice| {
                watch(&watched, &notice);
                ready(())
            });
        }
        self.be_a_client(bayeux)
    }

    fn be_a_client(&self, bayeux: &Bayeux) -> Result<(), Error> {
        let server = bayeux.clone();
        let ground = &*self.thinker.ground;
        let own = ground::outcome(ground, async move { server.local_session().await });
        let own = own.unwrap_or(Err(Error::SessionGone))?;
        let (session, handle) = (own.session().id(), own.clone());
        let (outbox, thinker, seed) = (self.outbox.clone(), self.thinker.clone(), self.seed);
        let handler = move |message: Arc<Message>| {
            let number = ledger::number(&message);
            if let Some(number) = number {
                let (session, channel) = (session.to_string(), message.channel().to_string());
                outbox.put(Down::Heard { session, number, channel });
            }
            let draw = seed.about(format_args!("own handler {number:?}"));
            let slow = thinker.ground.now() < thinker.heal && draw.per_mille(100);
            let sleep = slow.then(|| thinker.ground.sleep(draw.then(1).up_to_millis(300)));
            async move {
                if let Some(sleep) = sleep {
                    sleep.await;
                }
            }
        };
        let subscribed = async move { handle.subscribe(OWN, handler).await.map(|_| ()) };
        ground::outcome(ground, subscribed).unwrap_or(Err(Error::SessionGone))?;
        let (session, pattern) = (session.to_string(), OWN.to_owned());
        self.outbox.put(Down::Subscribed { session, pattern });
        *self.own.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
        Ok(())
    }

    fn own(&self) -> Option<SessionId> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.as_ref().map(|it| it.session().id())
    }

    /// What the server holds for the application's own session, if that has not ended: a drain ends
    /// it, and so does a handler that is too slow.
    fn holds(&self, bayeux: &Bayeux) -> Gauges {
        let session = self.own().and_then(|id| bayeux.session(id));
        let Some(session) = session else { return Gauges::default() };
        let alone =
            |channel: &bayeux_core::front::Channel| *channel.subscribers() == [session.clone()];
        let channels = usize::from(bayeux.find_channel(OWN).is_some_and(|it| alone(&it)));
        Gauges { sessions: 1, channels, links: 1, tasks: 2, ..Gauges::default() }
    }
}

impl Application for Usual {
    fn start(&self, sim: &Sim, builder: Builder) -> Result<Bayeux, ConfigError> {
        self.start_with(builder, |builder| sim.start(builder))
    }
}

/// What a server holds beside what its application holds for itself; `tasks` are all that run, if that is
/// known.
pub(super) fn gauges(bayeux: &Bayeux, usual: Option<&Usual>, tasks: Option<usize>) -> Gauges {
    let stats = bayeux.stats();
    let own = usual.map(|it| it.holds(bayeux)).unwrap_or_default();
    Gauges {
        sessions: stats.sessions - own.sessions,
        browsers: stats.browsers,
        channels: stats.channels - own.channels,
        links: stats.links - own.links,
        questions: stats.questions,
        queued: (stats.census.queue_events(), stats.census.queue_bytes()),
        tasks: tasks.map_or(0, |tasks| tasks - own.tasks),
    }
}

/// The name of the attribute that watched sessions have.
const WATCHED: &str = "watched";

/// Looks at what is about to leave a session, and leaves it as it is; and at the session's end. A
/// panic in here is one of a handler, which no run may have.
fn watch(watched: &Arc<AtomicI64>, notice: &Notice) {
    let Some(session) = &notice.session else { return };
    match &notice.event {
        Event::SessionAdded { .. } => {
            let count = AtomicU64::new(0);
            // It may be gone already, here as below.
            let _ = session.on_dequeue(move |_, events| {
                count.fetch_add(events.len() as u64, Ordering::Relaxed);
            });
            let removed = Arc::clone(watched);
            let added = session.set_attribute(WATCHED, session.id()).and_then(|()| {
                session.on_removed(move |session, _| {
                    removed.fetch_sub(1, Ordering::Relaxed);
                    let kept = session.attribute::<SessionId>(WATCHED);
                    assert_eq!(kept.as_deref(), Some(&session.id()), "attributes outlive sessions");
                    ready(())
                })
            });
            if added.is_ok() {
                watched.fetch_add(1, Ordering::Relaxed);
            }
        }
        Event::SessionRemoved { .. } => {
            assert!(!session.exists(), "a session is gone before its end is told");
        }
        _ => {}
    }
}

async fn listen(thinker: &Thinker, incoming: &Incoming) -> Flow {
    let channel = incoming.channel().as_str();
    let course = application::listener(channel);
    if course == Course::Never {
        pending::<()>().await;
    }
    thinker.think("listen", channel).await;
    if channel == "/service/echo" {
        let number = ledger::number(incoming.message());
        let answer = number.and_then(|it| machine::message("/direct", it | ANSWER));
        if let (Some(session), Some(answer)) = (incoming.session(), answer) {
            // It may be gone by now.
            let _ = session.deliver_message(answer);
        }
    }
    match course {
        Course::No => Flow::Veto,
        _ if application::is_swapped(channel) => Flow::replace("swapped").unwrap_or_default(),
        _ => Flow::Continue,
    }
}
