//! What the wire tests share: a server with short times, and clients that have a session.
//!
//! The times are those of the study of cometd-nodejs-server (hold 1.5 s, no pause, expiry after
//! 2 s, housekeeping every 0.2 s), so that its transcripts can be compared line by line. They pass
//! in virtual time.

use std::time::Duration;

use bayeux_core::front::{Bayeux, Builder, Channel, Error, Session};
use bayeux_core::{Config, SessionId};
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::{Client, InFlight, connect};
use serde_json::{Value, json};

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server on a simulated runtime.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) bayeux: Bayeux,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    /// A server whose options differ from the study's.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::build(Bayeux::builder(), change)
    }

    /// A server with a policy, rules or HTTP options.
    pub(crate) fn build(builder: Builder, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.timeout = ms(1500);
        config.max_interval = ms(2000);
        config.sweep_period = ms(200);
        change(&mut config);
        let sim = Sim::new(1);
        let bayeux = sim.start(builder.config(config)).expect("the options make sense");
        Self { sim, bayeux }
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, millis: u64) {
        self.sim.advance(ms(millis));
    }

    /// A client without cookie or session.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.sim, &self.bayeux)
    }

    /// A browser with a session that has had its first connect.
    pub(crate) fn open(&self) -> Peer {
        let client = self.client();
        let id = client.open();
        Peer { client, id }
    }

    /// Another tab of the same browser, with a session of its own that has had its first connect.
    pub(crate) fn open_tab(&self, of: &Peer) -> Peer {
        let client = of.client.tab();
        let id = client.open();
        Peer { client, id }
    }

    pub(crate) fn channel(&self, name: &str) -> Channel {
        self.bayeux.channel(name).expect("a channel name")
    }

    pub(crate) fn has_channel(&self, name: &str) -> bool {
        self.bayeux.channels().iter().any(|channel| channel.name() == name)
    }

    /// Publishes in the application's name.
    pub(crate) fn publish(&self, channel: &str, data: Value) -> Result<(), Error> {
        let channel = self.channel(channel);
        self.sim.block_on(async move { channel.publish(&data).await })
    }

    /// The server's side of a client's session.
    pub(crate) fn session(&self, of: &Peer) -> Session {
        self.find_session(of).expect("the session exists")
    }

    pub(crate) fn find_session(&self, of: &Peer) -> Option<Session> {
        self.bayeux.session(SessionId::parse(&of.id)?)
    }

    /// What a session subscribes to, as text.
    pub(crate) fn subscriptions(&self, of: &Peer) -> Vec<String> {
        self.session(of).subscriptions().iter().map(ToString::to_string).collect()
    }
}

/// A client with a session.
pub(crate) struct Peer {
    pub(crate) client: Client,
    pub(crate) id: String,
}

impl Peer {
    /// Sends one message of this session; the whole body of the answer.
    pub(crate) fn ask(&self, message: Value) -> Value {
        self.ask_all([message])
    }

    /// Sends several messages in one payload; the whole body of the answer.
    pub(crate) fn ask_all<const N: usize>(&self, messages: [Value; N]) -> Value {
        let answer = self.start_all(messages).wait();
        self.client.keep_cookie(&answer);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Sends one message of this session without waiting.
    pub(crate) fn start(&self, message: Value) -> InFlight {
        self.start_all([message])
    }

    fn start_all<const N: usize>(&self, messages: [Value; N]) -> InFlight {
        let messages = messages.map(|mut message| {
            if message.get("clientId").is_none() {
                message["clientId"] = self.id.clone().into();
            }
            message
        });
        self.client.post(&Value::from(messages.to_vec()))
    }

    /// A connect (with the id `c`) that the server holds.
    pub(crate) fn hold(&self) -> InFlight {
        let mut held = self.client.post(&json!([connect(&self.id)]));
        assert!(held.is_held(), "{:?}", held.take());
        held
    }

    /// A connect that is answered at once or times out; the whole body of the answer.
    pub(crate) fn connect(&self) -> Value {
        self.ask(connect(&self.id))
    }

    /// Subscribes, which has to succeed. Events that were queued are thrown away.
    pub(crate) fn subscribe(&self, subscription: impl Into<Value>) {
        let subscription = subscription.into();
        let message = json!({ "channel": "/meta/subscribe", "subscription": subscription });
        let answer = self.ask(message);
        let reply = answer.as_array().and_then(|replies| replies.last()).cloned();
        let expected = json!({
            "channel": "/meta/subscribe", "subscription": subscription, "successful": true,
        });
        assert_eq!(reply, Some(expected));
    }
}

/// The reply to a connect with the id `c` that has nothing special about it.
pub(crate) fn connected() -> Value {
    json!({ "id": "c", "channel": "/meta/connect", "successful": true })
}

/// The advice of the server of [`World::new`].
pub(crate) fn advice() -> Value {
    json!({ "reconnect": "retry", "interval": 0, "timeout": 1500 })
}

/// The reply to a connect of a session that the server does not know.
pub(crate) fn unknown() -> Value {
    json!({
        "id": "c", "channel": "/meta/connect", "successful": false,
        "error": "402::session_unknown", "advice": { "reconnect": "handshake", "interval": 0 },
    })
}
