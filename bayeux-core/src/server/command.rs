//! Commands: what the application wants.

use core::time::Duration;

use super::input::{Command, Timing};
use super::keys::SessionKey;
use super::questions::ServerPublish;
use super::session::Overrides;
use super::{Event, Extended, RemovedReason, Server};
use crate::channel::{ChannelKind, ChannelSettings, Pattern};
use crate::config::MAX_DURATION;

impl Server {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Publish { message, from, receipt } => {
                self.server_publish(ServerPublish { message, from, receipt });
            }
            Command::Deliver { session, message } => {
                if let Some(key) = self.sessions.find_live(session) {
                    self.deliver(key, &message);
                }
            }
            Command::Disconnect { session } => {
                if let Some(key) = self.sessions.find_live(session) {
                    self.remove_session(key, RemovedReason::DisconnectedByServer);
                }
            }
            Command::BeginBatch { session } => {
                let key = self.sessions.find_live(session);
                if let Some(session) = key.and_then(|key| self.sessions.get_mut(key)) {
                    session.batches += 1;
                }
            }
            Command::EndBatch { session } => {
                if let Some(key) = self.sessions.find_live(session) {
                    self.end_batch(key);
                }
            }
            Command::Subscribe { session, pattern } => {
                let key = self.sessions.find_live(session);
                if let (Some(key), ChannelKind::Broadcast) = (key, pattern.kind()) {
                    self.subscribe_session(key, &pattern);
                }
            }
            Command::Unsubscribe { session, pattern } => {
                if let Some(key) = self.sessions.find_live(session) {
                    self.unsubscribe_session(key, &pattern);
                }
            }
            Command::SetTiming { session, timing } => {
                if let Some(key) = self.sessions.find_live(session) {
                    self.set_timing(key, timing);
                }
            }
            Command::SetDelivery { session, delivery } => {
                if let Some(key) = self.sessions.find_live(session) {
                    self.set_delivery(key, delivery);
                }
            }
            Command::SetActivity { session, activity } => {
                if let Some(key) = self.sessions.find_live(session) {
                    self.set_activity(key, activity);
                }
            }
            Command::ExtendSession { session, incoming } => {
                let key = self.sessions.find_live(session);
                if let Some(session) = key.and_then(|key| self.sessions.get_mut(key)) {
                    session.extended = incoming;
                }
            }
            Command::Extend { incoming, outgoing } => {
                self.extended = Extended { incoming, outgoing };
            }
            Command::CreateChannel { pattern } => {
                let key = self.create_channel(&pattern);
                self.watch_channel(key);
            }
            Command::ConfigureChannel { pattern, settings } => self.configure(&pattern, settings),
            Command::ListenChannel { pattern, listen } => self.listen_channel(&pattern, listen),
            Command::AuthorizeChannel { pattern, authorize } => {
                self.authorize_channel(&pattern, authorize);
            }
            Command::RemoveChannel { pattern } => self.remove_channel(&pattern),
            Command::SetRules(rules) => self.rules = *rules,
            Command::Drain { spread } => self.drain(spread),
        }
    }

    pub(super) fn set_timing(&mut self, key: SessionKey, timing: Timing) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Timing { timeout, interval, max_interval } = timing;
        // The same bounds as for the configuration, where a value beyond them is an error: a
        // browser's timer, and some time at all to come back in.
        let within = |it: Duration| it.min(MAX_DURATION);
        let overrides = Overrides {
            timeout: timeout.map(within),
            interval: interval.map(within),
            max_interval: max_interval.map(|it| within(it).max(Duration::from_millis(1))),
        };
        session.overrides = (timing != Timing::default()).then(|| overrides.into());
        session.advise = true;
        // A connect that is held keeps its time, as on the Java server; silence counts anew.
        if session.held.is_none() {
            self.start_expiry(key);
        }
    }

    fn configure(&mut self, pattern: &Pattern, settings: ChannelSettings) {
        let key = self.create_channel(pattern);
        if let Some(channel) = self.channels.get_mut(key) {
            channel.settings = settings;
        }
        self.watch_channel(key);
    }

    fn listen_channel(&mut self, pattern: &Pattern, listen: bool) {
        let key = match self.channels.find(pattern) {
            Some(key) => key,
            None if listen => self.create_channel(pattern),
            None => return,
        };
        self.channels.set_listened(key, listen);
        self.watch_channel(key);
    }

    fn authorize_channel(&mut self, pattern: &Pattern, authorize: bool) {
        let key = match self.channels.find(pattern) {
            Some(key) => key,
            None if authorize => self.create_channel(pattern),
            None => return,
        };
        self.channels.set_authorized(key, authorize);
        self.watch_channel(key);
    }

    fn remove_channel(&mut self, pattern: &Pattern) {
        let Some(key) = self.channels.find(pattern) else { return };
        let Some(channel) = self.channels.remove(key) else { return };
        for &subscriber in &channel.subscribers {
            if let Some(session) = self.sessions.get_mut(subscriber) {
                session.unsubscribe(key);
                let session = session.id;
                self.tell(Event::Unsubscribed { session, channel: pattern.clone() });
            }
        }
        self.tell(Event::ChannelRemoved { channel: channel.pattern });
    }
}
