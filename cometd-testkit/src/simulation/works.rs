//! What the application does by itself: from the script's words to wishes, which name sessions.

use std::time::Duration;

use super::action::{Action, Work};
use super::host::{Up, Wish};
use super::record::Source;
use super::world::World;

impl World {
    /// Whether the application ends sessions that are not used.
    pub(super) fn watches(&self) -> bool {
        self.steps.iter().any(|(_, action)| matches!(action, Action::App(Work::Activity(..))))
    }

    fn session_of(&self, client: usize) -> Option<String> {
        self.clients.get(&client).and_then(|it| it.session.clone())
    }

    pub(super) fn work(&mut self, work: &Work) {
        let now = self.now;
        let millis = Duration::from_millis;
        let wish = match work {
            Work::Publish(channel) => {
                let number = self.record.publish(channel, Source::Application, now);
                Some(Wish::Publish { channel: channel.clone(), number })
            }
            Work::Deliver(to) => self.session_of(*to).map(|session| {
                let source = Source::Delivery(session.clone());
                let number = self.record.publish("/direct", source, now);
                Wish::Deliver { session, number }
            }),
            Work::Disconnect(whom) => {
                self.session_of(*whom).map(|session| Wish::Disconnect { session })
            }
            Work::Batch(whose, begin) => self.session_of(*whose).map(|session| {
                if *begin {
                    self.undo.push(Wish::Batch { session: session.clone(), begin: false });
                }
                Wish::Batch { session, begin: *begin }
            }),
            Work::Subscribe(whom, pattern, on) => self.session_of(*whom).map(|session| {
                let pattern = pattern.clone();
                if *on {
                    self.record.subscribe(&session, &pattern, now);
                } else {
                    self.record.unsubscribe(&session, &pattern, now);
                }
                Wish::Subscribe { session, pattern, on: *on }
            }),
            Work::Activity(whose, period) => self.session_of(*whose).map(|session| {
                self.undo.push(Wish::Activity { session: session.clone(), period: None });
                Wish::Activity { session, period: period.map(millis) }
            }),
            Work::Timeout(whose, timeout) => self
                .session_of(*whose)
                .map(|session| Wish::Timeout { session, timeout: millis(*timeout) }),
            Work::Extend(on) => {
                self.undo.push(Wish::Extend { on: false });
                Some(Wish::Extend { on: *on })
            }
            Work::Listen(pattern, on) => {
                let pattern = pattern.clone();
                self.undo.push(Wish::Listen { pattern: pattern.clone(), on: false });
                Some(Wish::Listen { pattern, on: *on })
            }
            Work::Authorize(pattern, on) => {
                let pattern = pattern.clone();
                self.undo.push(Wish::Authorize { pattern: pattern.clone(), on: false });
                Some(Wish::Authorize { pattern, on: *on })
            }
            Work::Remove(pattern) => {
                self.record.removed_channel(pattern, now);
                Some(Wish::Remove { pattern: pattern.clone() })
            }
            Work::Drain(spread) => {
                self.draining = true;
                Some(Wish::Drain { spread: millis(*spread) })
            }
        };
        if let Some(wish) = wish {
            self.up(Up::Wish(wish));
        }
    }
}
