//! What the built-in extensions say, as data: acknowledgements, timesync, timestamps.
//!
//! Their members of `ext` are read by the decoder and written by the encoder, so the machine sees
//! neither JSON nor the wall clock. Each acts only for clients that ask for it.

use alloc::boxed::Box;
use core::time::Duration;

use crate::json::Json;
use crate::time::{Time, WallTime};

/// What a meta message's `ext` says to the built-in extensions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct ExtensionFields {
    /// `ext.ack`.
    pub ack: Option<AckField>,
    /// `ext.timesync`.
    pub timesync: Option<TimesyncField>,
    /// Whether `ext.timestamp` is `true`.
    pub timestamp: bool,
}

impl ExtensionFields {
    /// These, or nothing if they say nothing.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| self.into())
    }
}

/// `ext.ack` of a client's message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckField {
    /// `true`: in a handshake, the client wants acknowledged messages.
    Wanted,
    /// In a connect: the last batch that the client has received. Negative numbers, with which old
    /// clients begin, count as zero.
    Received(u64),
}

/// `ext.timesync` of a client's message; all times in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TimesyncField {
    /// `tc`: the client's time when it sent the message, as it came.
    pub sent: Json,
    /// The same as a number.
    pub sent_millis: i64,
    /// `l`: the network's delay in one direction, as the client has computed it last.
    pub lag: Option<i64>,
    /// `o`: how far the server's clock is ahead of the client's, as the client has computed it last.
    pub offset: Option<i64>,
}

/// `ext.ack` of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AckReply {
    /// To a handshake: messages will be acknowledged. With the number of the batch that follows the
    /// reply, where events may travel with it.
    Enabled(Option<u32>),
    /// To a connect: the number of the batch that goes with the reply.
    Batch(u32),
}

/// `ext.timesync` of a reply, as far as it can be said without the wall clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimesyncReply {
    field: TimesyncField,
    /// When the request came.
    received: Time,
    /// How long it has been here.
    processing: Duration,
    /// How far the client's idea of the time may be off without being told.
    tolerance: Duration,
}

impl TimesyncReply {
    pub(crate) fn new(field: TimesyncField, received: Time, tolerance: Duration) -> Self {
        Self { field, received, processing: Duration::ZERO, tolerance }
    }

    /// The reply leaves now.
    pub(crate) fn leave(&mut self, now: Time) {
        self.processing = now.since(self.received);
    }

    /// The client's time, as it came.
    pub fn sent(&self) -> &Json {
        &self.field.sent
    }

    /// The network's delay that the client reported, in milliseconds.
    pub fn lag(&self) -> Option<i64> {
        self.field.lag
    }

    /// How long the request has been here.
    pub fn processing(&self) -> Duration {
        self.processing
    }

    /// When the request came, in milliseconds since 1970, if the reply leaves at `wall`.
    pub fn received_at(&self, wall: WallTime) -> i64 {
        signed(wall.as_millis()).saturating_sub(signed(millis(self.processing)))
    }

    /// How far the client's idea of the server's time was off when its message came, in
    /// milliseconds; `None` for clients of old, which do not tell it.
    pub fn accuracy(&self, wall: WallTime) -> Option<i64> {
        let lag = self.field.lag?;
        let offset = self.field.offset.unwrap_or_default();
        let expected = self.field.sent_millis.saturating_add(offset).saturating_add(lag);
        Some(expected.saturating_sub(self.received_at(wall)))
    }

    /// Whether there is need to answer: not if the client knows the time well enough
    /// (`TimesyncExtension` of the Java server).
    pub fn is_needed(&self, wall: WallTime) -> bool {
        let well = |it: i64| it.unsigned_abs() < millis(self.tolerance);
        self.field.lag.is_none_or(|lag| lag == 0) || !self.accuracy(wall).is_some_and(well)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(sent: i64, lag: Option<i64>, offset: Option<i64>) -> TimesyncReply {
        let field = TimesyncField { sent: Json::NULL, sent_millis: sent, lag, offset };
        let mut reply = TimesyncReply::new(field, Time::from_millis(10), Duration::from_millis(25));
        reply.leave(Time::from_millis(40));
        reply
    }

    #[test]
    fn the_time_of_arrival_is_that_of_leaving_less_the_processing() {
        let reply = reply(0, None, None);
        assert_eq!(reply.processing(), Duration::from_millis(30));
        assert_eq!(reply.received_at(WallTime::from_millis(1_030)), 1_000);
        assert_eq!(reply.accuracy(WallTime::from_millis(1_030)), None);
        assert!(reply.is_needed(WallTime::from_millis(1_030)));
    }

    #[test]
    fn a_client_that_knows_the_time_well_enough_is_not_told() {
        // The request arrived at 1,000 by the server's clock.
        let wall = WallTime::from_millis(1_030);
        let table = [
            ((990, 0, 0), -10, true),
            ((990, 5, 5), 0, false),
            ((990, 5, 29), 24, false),
            ((990, 5, 30), 25, true),
            ((990, 5, -20), -25, true),
            ((i64::MAX, 5, i64::MAX), i64::MAX - 1_000, true),
        ];
        for ((sent, lag, offset), accuracy, needed) in table {
            let reply = reply(sent, Some(lag), Some(offset));
            assert_eq!((reply.accuracy(wall), reply.is_needed(wall)), (Some(accuracy), needed));
        }
    }
}
