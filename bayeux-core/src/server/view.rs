//! Read-only looks at sessions and channels.

use alloc::vec::Vec;

use super::Server;
use super::census::SessionState;
use super::channels::Channel;
use super::session::{Session, State};
use crate::channel::{ChannelSettings, Pattern};
use crate::id::{BrowserId, LinkId, SessionId};
use crate::transport::Transport;

/// A look at one session.
#[derive(Clone, Copy)]
pub struct SessionView<'s> {
    server: &'s Server,
    session: &'s Session,
}

impl SessionView<'_> {
    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.session.id
    }

    /// The browser that made the session; `None` if it was made over a WebSocket.
    pub fn browser(&self) -> Option<BrowserId> {
        self.session.browser
    }

    /// The transport of its last message.
    pub fn transport(&self) -> Transport {
        self.session.transport
    }

    /// Whether there was a connect since the handshake.
    pub fn is_connected(&self) -> bool {
        self.session.state == State::Connected
    }

    /// What it is doing.
    pub fn state(&self) -> SessionState {
        self.session.state()
    }

    /// Whether a connect is held.
    pub fn is_held(&self) -> bool {
        self.session.held.is_some()
    }

    /// The WebSocket that its events are pushed to.
    pub fn socket(&self) -> Option<LinkId> {
        self.session.socket.and_then(|it| self.server.sockets.get(it)).map(|it| it.link())
    }

    /// Whether its events stay queued until its client has acknowledged them.
    pub fn is_acknowledged(&self) -> bool {
        self.session.queue.is_acknowledged()
    }

    /// The network's delay in one direction, as its client has computed it with timesync.
    pub fn lag(&self) -> Option<core::time::Duration> {
        self.session.lag.map(|millis| core::time::Duration::from_millis(millis.into()))
    }

    /// What it subscribes to, sorted by name.
    pub fn subscriptions(&self) -> Vec<Pattern> {
        let channels = self.session.subscriptions.iter();
        let mut patterns: Vec<_> = channels
            .filter_map(|&key| self.server.channels.get(key))
            .map(|channel| channel.pattern.clone())
            .collect();
        patterns.sort();
        patterns
    }

    /// Events that it is owed, those on their way included.
    pub fn queue_messages(&self) -> usize {
        self.session.queue.len()
    }

    /// What these events cost, in bytes.
    pub fn queue_bytes(&self) -> usize {
        self.session.queue.bytes()
    }
}

/// A look at one channel or wildcard.
#[derive(Clone, Copy)]
pub struct ChannelView<'s> {
    server: &'s Server,
    channel: &'s Channel,
}

impl<'s> ChannelView<'s> {
    /// Its name.
    pub fn pattern(&self) -> &'s Pattern {
        &self.channel.pattern
    }

    /// Its settings.
    pub fn settings(&self) -> &'s ChannelSettings {
        &self.channel.settings
    }

    /// How many sessions subscribe to exactly this.
    pub fn subscriber_count(&self) -> usize {
        self.channel.subscribers.len()
    }

    /// Who subscribes to exactly this.
    pub fn subscribers(&self) -> impl Iterator<Item = SessionId> + use<'s> {
        let server = self.server;
        self.channel.subscribers.iter().filter_map(|&key| server.session_id(key))
    }
}

impl Server {
    /// The session of this id.
    pub fn session(&self, id: SessionId) -> Option<SessionView<'_>> {
        let session = self.sessions.get(self.sessions.find_live(id)?)?;
        Some(SessionView { server: self, session })
    }

    /// All sessions.
    pub fn sessions(&self) -> impl Iterator<Item = SessionView<'_>> {
        self.sessions
            .iter()
            .filter(|(_, session)| session.is_live())
            .map(|(_, session)| SessionView { server: self, session })
    }

    /// The channel of this name or wildcard.
    pub fn channel(&self, pattern: &Pattern) -> Option<ChannelView<'_>> {
        let channel = self.channels.get(self.channels.find(pattern)?)?;
        Some(ChannelView { server: self, channel })
    }

    /// All channels, wildcards included.
    pub fn channels(&self) -> impl Iterator<Item = ChannelView<'_>> {
        self.channels.iter().map(|channel| ChannelView { server: self, channel })
    }
}
