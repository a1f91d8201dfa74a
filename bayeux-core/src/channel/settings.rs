//! What an application can set on a channel.

use core::time::Duration;

/// What happens to a message for a session whose queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overflow {
    /// The session is removed: its client is told to handshake again and knows that it missed
    /// something. The default, since it loses nothing in silence.
    #[default]
    Remove,
    /// The oldest queued messages make room.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// Queued messages of the same channel make room, then the oldest: for channels of which only
    /// the latest state matters.
    KeepLatest,
}

/// The settings of a channel, or of all channels below a wildcard.
///
/// CometD's `ConfigurableServerChannel`. `None` means "as the server's configuration says".
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ChannelSettings {
    /// Whether the channel stays when nobody subscribes or listens to it. Default: false.
    ///
    /// The Java server keeps service channels for ever, also those that a client invented; here
    /// every channel is swept when idle unless the application says otherwise.
    pub persistent: bool,
    /// Whether messages may wait for the next reason to answer the client. Default: false. A lazy
    /// wildcard makes all channels below it lazy.
    pub lazy: bool,
    /// How long a lazy message waits at most. Default: `max_lazy_timeout` of the configuration.
    pub lazy_timeout: Option<Duration>,
    /// Whether a publisher gets its own messages on this channel, whichever of its subscriptions
    /// matches. Default: as the nearest wildcard above it says, else as `broadcast_to_publisher`
    /// of the configuration.
    pub broadcast_to_publisher: Option<bool>,
    /// What happens when a subscriber's queue is full. Default: `overflow` of the configuration.
    pub overflow: Option<Overflow>,
}

impl ChannelSettings {
    /// The settings that every channel starts with.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the channel when nobody subscribes or listens to it.
    #[must_use]
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// Lets messages wait for the next reason to answer the client. Taking laziness away also
    /// takes the channel's own lazy timeout away.
    #[must_use]
    pub fn lazy(mut self, lazy: bool) -> Self {
        self.lazy = lazy;
        if !lazy {
            self.lazy_timeout = None;
        }
        self
    }

    /// Lets messages wait, but at most this long.
    #[must_use]
    pub fn lazy_timeout(mut self, timeout: Duration) -> Self {
        self.lazy = true;
        self.lazy_timeout = Some(timeout);
        self
    }

    /// Sets whether a publisher gets its own messages.
    #[must_use]
    pub fn broadcast_to_publisher(mut self, broadcast: bool) -> Self {
        self.broadcast_to_publisher = Some(broadcast);
        self
    }

    /// Sets what happens when a subscriber's queue is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lazy_and_its_timeout_go_together() {
        let settings = ChannelSettings::new().lazy_timeout(Duration::from_secs(1));
        assert!(settings.lazy);
        let settings = settings.lazy(true);
        assert_eq!(settings.lazy_timeout, Some(Duration::from_secs(1)));
        let settings = settings.lazy(false);
        assert_eq!(settings.lazy_timeout, None);
    }
}
