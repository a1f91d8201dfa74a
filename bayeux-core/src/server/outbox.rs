//! [`Outbox`]: what the machine wants, in the order of the causes.

use alloc::collections::VecDeque;

use super::{Due, Output};
use crate::id::LinkId;

/// One order in two lists. A publish makes answers due by the thousand, which are names of links; any
/// other output is ten times as large.
#[derive(Default)]
pub(super) struct Outbox {
    /// The link that has an answer, or `None` for the next of `outputs`.
    order: VecDeque<Option<LinkId>>,
    outputs: VecDeque<Output>,
}

impl Outbox {
    /// The link has an answer, to be made up when it is collected.
    pub(super) fn push_answer(&mut self, link: LinkId) {
        self.order.push_back(Some(link));
    }

    pub(super) fn push(&mut self, output: Output) {
        self.order.push_back(None);
        self.outputs.push_back(output);
    }

    /// Puts an output before all that is there.
    pub(super) fn push_first(&mut self, output: Output) {
        self.order.push_front(None);
        self.outputs.push_front(output);
    }

    pub(super) fn pop(&mut self) -> Option<Due> {
        match self.order.pop_front()? {
            Some(link) => Some(Due::Answer(link)),
            None => self.outputs.pop_front().map(Due::Output),
        }
    }
}
