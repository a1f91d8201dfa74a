//! The same without the feature: nothing is kept, nothing is written.

use crate::id::SessionId;
use crate::message::Parcel;
use crate::server::Event;
use crate::transport::Transport;

pub(in crate::front) const fn makes_spans() -> bool {
    false
}

#[derive(Default)]
pub(in crate::front) struct Spans;

impl Spans {
    pub(in crate::front) fn of(&self, _: Option<SessionId>) -> SessionSpan {
        SessionSpan
    }

    pub(in crate::front) fn note(&mut self, _: &Event, _: Option<Transport>, _: &mut Log) {}

    pub(in crate::front) fn note_parcel(&mut self, _: &Parcel, _: &mut Log) {}

    pub(in crate::front) fn end(&mut self, _: SessionId, _: &mut Log) {}
}

#[derive(Clone, Default)]
pub(in crate::front) struct SessionSpan;

impl SessionSpan {
    pub(in crate::front) fn enter(&self) -> Entered {
        Entered
    }

    pub(in crate::front) fn around<F>(self, future: F) -> Around<F> {
        future
    }
}

pub(in crate::front) struct Entered;

pub(in crate::front) type Around<F> = F;

#[derive(Default)]
pub(in crate::front) struct Log;

impl Log {
    pub(in crate::front) const fn is_empty(&self) -> bool {
        true
    }

    pub(in crate::front) const fn is_nothing(&self) -> bool {
        true
    }

    pub(in crate::front) fn write(self) {}
}
