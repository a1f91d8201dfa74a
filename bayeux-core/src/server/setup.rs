//! [`Setup`]: how a session begins; and [`Activity`], the end of one that nobody uses.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::input::Timing;
use super::keys::SessionKey;
use super::timers::TimerKey;
use super::{RemovedReason, Server};
use crate::channel::{ChannelKind, Overflow, Pattern};
use crate::config::MAX_DURATION;
use crate::message::Message;
use crate::time::Time;

/// How a session begins, decided with its handshake: nobody can see it otherwise.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Setup {
    /// Its times.
    pub timing: Timing,
    /// How it gets its events.
    pub delivery: Delivery,
    /// When it ends for want of activity.
    pub activity: Option<Activity>,
    /// What it subscribes to; meta and service channels are ignored.
    pub subscriptions: Vec<Pattern>,
    /// What it is owed from the beginning. With `allow_message_delivery_during_handshake` it
    /// travels with the handshake's reply.
    pub messages: Vec<Arc<Message>>,
    /// Whether the application wants to see the session's messages before anything is done with
    /// them.
    pub extended: bool,
}

/// How a session gets its events. `None` leaves things as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Delivery {
    /// Whether events travel only with connect replies.
    pub connect_only: Option<bool>,
    /// Whether the session gets its own messages.
    pub broadcast_to_publisher: Option<bool>,
    /// What happens when its queue is full, whatever the channel says.
    pub overflow: Option<Overflow>,
}

impl Delivery {
    /// Everything stays as it is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether events travel only with connect replies.
    #[must_use]
    pub fn connect_only(mut self, connect_only: bool) -> Self {
        self.connect_only = Some(connect_only);
        self
    }

    /// Sets whether the session gets its own messages.
    #[must_use]
    pub fn broadcast_to_publisher(mut self, broadcast: bool) -> Self {
        self.broadcast_to_publisher = Some(broadcast);
        self
    }

    /// Sets what happens when the session's queue is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }
}

/// When a session ends because it is not used: CometD's activity extension.
///
/// Connects never count, since they are no more than a heartbeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Activity {
    /// How long it may be unused; at least a millisecond.
    pub period: Duration,
    /// Whether the server's messages count, too, and not only those of the client.
    pub both_ways: bool,
}

impl Activity {
    /// The session ends when its client has sent nothing but connects for `period`.
    pub fn of_client(period: Duration) -> Self {
        Self { period, both_ways: false }
    }

    /// The session ends when neither side has sent anything but connects for `period`.
    pub fn of_both(period: Duration) -> Self {
        Self { period, both_ways: true }
    }
}

/// An [`Activity`] that counts.
pub(super) struct Watch {
    activity: Activity,
    since: Time,
    /// The moment of the entry in the timers, never later than the end.
    armed: Time,
}

impl Server {
    /// Applies what was decided about a session with its handshake.
    pub(super) fn set_up(&mut self, key: SessionKey, setup: Setup) {
        let Setup { timing, delivery, activity, subscriptions, messages, extended } = setup;
        if timing != Timing::default() {
            self.set_timing(key, timing);
        }
        self.set_delivery(key, delivery);
        self.set_activity(key, activity);
        if let Some(session) = self.sessions.get_mut(key) {
            session.extended = extended;
        }
        for pattern in subscriptions.iter().filter(|it| it.kind() == ChannelKind::Broadcast) {
            self.subscribe_session(key, pattern);
        }
        for message in messages {
            self.deliver(key, &message);
        }
    }

    pub(super) fn set_delivery(&mut self, key: SessionKey, delivery: Delivery) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Delivery { connect_only, broadcast_to_publisher, overflow } = delivery;
        session.connect_only = connect_only.unwrap_or(session.connect_only);
        session.broadcast_to_publisher =
            broadcast_to_publisher.unwrap_or(session.broadcast_to_publisher);
        session.overflow = overflow.or(session.overflow);
        self.wake(key);
    }

    pub(super) fn set_activity(&mut self, key: SessionKey, activity: Option<Activity>) {
        self.unwatch(key);
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(mut activity) = activity else { return };
        activity.period = activity.period.clamp(Duration::from_millis(1), MAX_DURATION);
        let armed = now + activity.period;
        session.watch = Some(Watch { activity, since: now, armed }.into());
        self.timers.arm(armed, TimerKey::Activity(key));
    }

    /// Stops to count.
    pub(super) fn unwatch(&mut self, key: SessionKey) {
        let watch = self.sessions.get_mut(key).and_then(|session| session.watch.take());
        if let Some(watch) = watch {
            self.timers.disarm(watch.armed, TimerKey::Activity(key));
        }
    }

    /// The client has sent something that is no connect, or (`from_server`) was sent it.
    pub(super) fn note_activity(&mut self, key: SessionKey, from_server: bool) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Some(watch) = &mut session.watch {
            if !from_server || watch.activity.both_ways {
                watch.since = now;
            }
        }
    }

    pub(super) fn activity_due(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(watch) = &mut session.watch else { return };
        if session.questions > 0 {
            // The client has said something; it is the application's turn.
            watch.since = self.now;
        }
        let end = watch.since + watch.activity.period;
        if end > self.now {
            watch.armed = end;
            return self.timers.arm(end, TimerKey::Activity(key));
        }
        session.watch = None;
        if session.is_live() {
            self.remove_session(key, RemovedReason::Inactive);
        }
    }
}
