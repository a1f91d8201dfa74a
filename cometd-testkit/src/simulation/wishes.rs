//! [`Wishes`]: what the simulated application does by itself, through the API that applications
//! have.

use std::collections::BTreeMap;

use bayeux_core::front::{
    Authorization, AuthorizeRequest, Authorizer, AuthorizerId, Batch, Bayeux, ClientMessage, Error,
    Extension, ExtensionId, Flow, ListenerId, Session,
};
use bayeux_core::{Activity, Json, MessageParts, SessionId, Timing};

use super::ground::Ground;
use super::host::{Down, Wish};
use super::machine;
use super::outbox::Outbox;
use super::usual::Thinker;

/// Does what is wished, and remembers what has to be taken back.
#[derive(Debug)]
pub(super) struct Wishes {
    bayeux: Bayeux,
    thinker: Thinker,
    outbox: Outbox,
    batches: BTreeMap<String, Vec<Batch>>,
    listeners: BTreeMap<String, Vec<ListenerId>>,
    authorizers: BTreeMap<String, Vec<AuthorizerId>>,
    extensions: Vec<ExtensionId>,
}

/// An extension that takes its time and changes nothing.
struct Slow(Thinker);

impl Extension for Slow {
    async fn incoming(&self, message: ClientMessage) -> Option<ClientMessage> {
        self.0.think("extend", "").await;
        Some(message)
    }
}

/// An authorizer that takes its time and grants everything.
struct Granting(Thinker);

impl Authorizer for Granting {
    async fn authorize(&self, request: AuthorizeRequest) -> Authorization {
        self.0.think("authorize", request.channel.as_str()).await;
        Authorization::Grant
    }
}

impl Wishes {
    pub(super) fn new(bayeux: &Bayeux, thinker: Thinker, outbox: &Outbox) -> Self {
        Self {
            bayeux: bayeux.clone(),
            thinker,
            outbox: outbox.clone(),
            batches: BTreeMap::new(),
            listeners: BTreeMap::new(),
            authorizers: BTreeMap::new(),
            extensions: Vec::new(),
        }
    }

    /// Does what is wished. What concerns a session that is gone is in vain, as it is for every
    /// application.
    pub(super) fn grant(&mut self, ground: &dyn Ground, wish: Wish) {
        let _ = self.try_grant(ground, wish);
    }

    fn session(&self, id: &str) -> Result<Session, Error> {
        let session = SessionId::parse(id).and_then(|id| self.bayeux.session(id));
        session.ok_or(Error::SessionGone)
    }

    fn try_grant(&mut self, ground: &dyn Ground, wish: Wish) -> Result<(), Error> {
        match wish {
            Wish::Publish { channel, number } => self.publish(ground, &channel, number)?,
            Wish::Deliver { session, number } => {
                if let Some(message) = machine::message("/direct", number) {
                    self.session(&session)?.deliver_message(message)?;
                }
            }
            Wish::Disconnect { session } => self.session(&session)?.disconnect()?,
            Wish::Batch { session, begin: true } => {
                let batch = self.session(&session)?.begin_batch()?;
                self.batches.entry(session).or_default().push(batch);
            }
            Wish::Batch { session, begin: false } => {
                drop(self.batches.get_mut(&session).and_then(Vec::pop));
            }
            Wish::Subscribe { session, pattern, on: true } => {
                self.session(&session)?.subscribe(&pattern)?;
            }
            Wish::Subscribe { session, pattern, on: false } => {
                self.session(&session)?.unsubscribe(&pattern)?;
            }
            Wish::Activity { session, period } => {
                self.session(&session)?.set_activity(period.map(Activity::of_client))?;
            }
            Wish::Timeout { session, timeout } => {
                self.session(&session)?.set_timing(Timing::new().timeout(timeout))?;
            }
            Wish::Extend { on: true } => {
                let id = self.bayeux.add_extension(Slow(self.thinker.clone()));
                self.extensions.push(id);
            }
            Wish::Extend { on: false } => {
                for id in std::mem::take(&mut self.extensions) {
                    self.bayeux.remove_extension(id);
                }
            }
            Wish::Listen { pattern, on: true } => {
                let thinker = self.thinker.clone();
                let id = self.bayeux.channel(&pattern)?.on_message(move |incoming| {
                    let thinking = thinker.think("listen", incoming.channel().as_str());
                    async move {
                        thinking.await;
                        Flow::Continue
                    }
                });
                self.listeners.entry(pattern).or_default().push(id);
            }
            Wish::Listen { pattern, on: false } => {
                for id in self.listeners.remove(&pattern).unwrap_or_default() {
                    self.bayeux.remove_listener(&id);
                }
            }
            Wish::Authorize { pattern, on: true } => {
                let authorizer = Granting(self.thinker.clone());
                let id = self.bayeux.channel(&pattern)?.add_authorizer(authorizer);
                self.authorizers.entry(pattern).or_default().push(id);
            }
            Wish::Authorize { pattern, on: false } => {
                let channel = self.bayeux.channel(&pattern)?;
                for id in self.authorizers.remove(&pattern).unwrap_or_default() {
                    channel.remove_authorizer(&id);
                }
            }
            Wish::Remove { pattern } => {
                if let Some(channel) = self.bayeux.find_channel(&pattern) {
                    channel.remove();
                }
            }
            Wish::Drain { spread } => {
                self.bayeux.drain(spread);
                // A task that would be left if this never came true.
                let bayeux = self.bayeux.clone();
                ground.spawn(Box::pin(async move { bayeux.idle().await }));
            }
        }
        Ok(())
    }

    /// Publishes, in a task that says what came of it.
    fn publish(&self, ground: &dyn Ground, channel: &str, number: u64) -> Result<(), Error> {
        let channel = self.bayeux.channel(channel)?;
        let ext = Json::from_text(&format!("{{\"sim\":{number}}}"))?;
        let parts = MessageParts::data(Json::new("from the application")?).ext(ext);
        let outbox = self.outbox.clone();
        ground.spawn(Box::pin(async move {
            let done = channel.publish_parts(None, &parts).await.is_ok();
            outbox.put(Down::Published { number, done });
        }));
        Ok(())
    }
}
