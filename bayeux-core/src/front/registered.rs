//! [`Registered`]: what the application has added and may remove again.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;

use super::authorizer::{AnyAuthorizer, AuthorizerId};
use super::extension::{Extension, ExtensionId};
use super::listener::{AnyListener, ListenerId};
use super::notice::{self, EventHandler, Kinds, Notice, RemovedHandler};
use super::state::{After, Leftover, State};
use super::{Bayeux, Error};
use crate::channel::Pattern;
use crate::id::SessionId;
use crate::server::{Command, EventKind, Input};

/// Which handler; for removing it from what it was added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HandlerId(pub(super) u64);

/// Things in the order of their registration. Their numbers are the caller's, and never used again.
pub(super) struct Registered<T>(Vec<(u64, T)>);

impl<T> Registered<T> {
    pub(super) fn add(&mut self, number: u64, it: T) {
        self.0.push((number, it));
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.0.iter().position(|(it, _)| *it == number)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter().map(|(_, it)| it)
    }

    pub(super) fn into_vec(self) -> Vec<T> {
        self.0.into_iter().map(|(_, it)| it).collect()
    }
}

impl<T> Default for Registered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Things by the channel or wildcard that they are for, each in the order of their registration.
pub(super) struct ByPattern<T>(BTreeMap<Pattern, Registered<T>>);

impl<T: Clone> ByPattern<T> {
    pub(super) fn add(&mut self, pattern: Pattern, number: u64, it: T) {
        self.0.entry(pattern).or_default().add(number, it);
    }

    /// Removes one. It and whether it was the last one there; `None` if it was not there.
    pub(super) fn remove(&mut self, pattern: &Pattern, number: u64) -> Option<(T, bool)> {
        let registered = self.0.get_mut(pattern)?;
        let removed = registered.remove(number)?;
        let last = registered.is_empty();
        if last {
            self.0.remove(pattern);
        }
        Some((removed, last))
    }

    /// Removes all that are for a channel.
    pub(super) fn clear(&mut self, pattern: &Pattern) -> Vec<T> {
        self.0.remove(pattern).map(Registered::into_vec).unwrap_or_default()
    }

    /// Those of these channels, in this order.
    pub(super) fn on(&self, channels: &[Pattern]) -> Vec<(Pattern, T)> {
        let found = channels.iter().filter_map(|it| self.0.get_key_value(it));
        found
            .flat_map(|(pattern, all)| all.iter().map(|it| (pattern.clone(), it.clone())))
            .collect()
    }
}

impl<T> Default for ByPattern<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl Bayeux {
    /// Calls `handler` for each event, one after another in their order: the next event is told
    /// when all handlers are done with this one. A handler that panics is reported; one that takes
    /// longer than `question_timeout` is reported, and the events behind it wait for it no longer.
    ///
    /// A handler that keeps a [`Bayeux`] keeps the server alive; take it from the notice's session
    /// instead where you can.
    ///
    /// There are two events for each connect that is held: whoever does not care about those is better
    /// served by [`on_event_of`](Self::on_event_of).
    pub fn on_event<H, F>(&self, handler: H) -> HandlerId
    where
        H: Fn(Notice) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.add_event_handler(notice::boxed(Kinds::ALL, handler))
    }

    /// Calls `handler` for each event of these kinds. The others cost nothing.
    pub fn on_event_of<H, F>(
        &self,
        kinds: impl IntoIterator<Item = EventKind>,
        handler: H,
    ) -> HandlerId
    where
        H: Fn(Notice) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.add_event_handler(notice::boxed(kinds.into_iter().collect(), handler))
    }

    fn add_event_handler(&self, handler: EventHandler) -> HandlerId {
        let mut state = self.lock();
        let number = state.next_number();
        state.event_handlers.add(number, handler);
        HandlerId(number)
    }

    /// Removes what [`Bayeux::on_event`] or [`Bayeux::on_event_of`] has added. Whether it was there.
    /// What was told to it before comes to its end.
    pub fn remove_handler(&self, id: HandlerId) -> bool {
        self.turn_with(|state, after| {
            let removed = state.event_handlers.remove(id.0);
            let was_there = removed.is_some();
            after.leftovers.extend(removed, Leftover::EventHandler);
            was_there
        })
    }

    /// Adds an extension that sees every message of every session.
    pub fn add_extension(&self, extension: impl Extension) -> ExtensionId {
        self.turn_with(|state, after| {
            let id = state.add_extension(None, Arc::new(extension));
            self.tell_extended(state, after);
            id
        })
    }

    /// Removes an extension of the server. Whether it was there.
    pub fn remove_extension(&self, id: ExtensionId) -> bool {
        self.turn_with(|state, after| {
            let Some(extension) = state.extensions.remove(id.0) else { return false };
            after.leftovers.push(Leftover::Extension(extension));
            self.tell_extended(state, after);
            true
        })
    }

    /// Says to the machine whether there are extensions.
    fn tell_extended(&self, state: &mut State, after: &mut After) {
        let incoming = state.extensions.receiving().next().is_some();
        let outgoing = state.extensions.sending().next().is_some();
        let command = Command::Extend { incoming, outgoing };
        state.turn(self, self.now(), Input::Command(command), after);
    }

    /// Removes a listener. Whether it was there.
    pub fn remove_listener(&self, id: &ListenerId) -> bool {
        self.turn_with(|state, after| {
            let removed = state.listeners.remove(&id.pattern, id.number);
            let Some((listener, last)) = removed else { return false };
            after.leftovers.push(Leftover::Listener(listener));
            if last {
                let command = Command::ListenChannel { pattern: id.pattern.clone(), listen: false };
                state.turn(self, self.now(), Input::Command(command), after);
            }
            true
        })
    }

    pub(super) fn add_listener(&self, pattern: Pattern, listener: AnyListener) -> ListenerId {
        self.turn_with(|state, after| {
            let command = Command::ListenChannel { pattern: pattern.clone(), listen: true };
            let number = state.next_number();
            let id = ListenerId { pattern: pattern.clone(), number };
            state.listeners.add(pattern, number, listener);
            state.turn(self, self.now(), Input::Command(command), after);
            id
        })
    }

    pub(super) fn add_authorizer(
        &self,
        pattern: Pattern,
        authorizer: Arc<dyn AnyAuthorizer>,
    ) -> AuthorizerId {
        self.turn_with(|state, after| {
            let command = Command::AuthorizeChannel { pattern: pattern.clone(), authorize: true };
            let number = state.next_number();
            let id = AuthorizerId { pattern: pattern.clone(), number };
            state.authorizers.add(pattern, number, authorizer);
            state.turn(self, self.now(), Input::Command(command), after);
            id
        })
    }

    pub(super) fn remove_authorizer(&self, id: &AuthorizerId) -> bool {
        self.turn_with(|state, after| {
            let removed = state.authorizers.remove(&id.pattern, id.number);
            let Some((authorizer, last)) = removed else { return false };
            after.leftovers.push(Leftover::Authorizer(authorizer));
            if last {
                let pattern = id.pattern.clone();
                let command = Command::AuthorizeChannel { pattern, authorize: false };
                state.turn(self, self.now(), Input::Command(command), after);
            }
            true
        })
    }

    /// Adds to what is done with the messages of a session, if it is there.
    pub(super) fn shape<T>(
        &self,
        id: SessionId,
        add: impl FnOnce(&mut State) -> T,
    ) -> Result<T, Error> {
        let added = self.turn_with(|state, after| {
            if state.server.session(id).is_none() {
                // Given back, since dropping what it holds may do anything: outside the lock.
                return Err(add);
            }
            let added = add(state);
            let shaping = state.notes.shaping.get(&id);
            let incoming = shaping.is_some_and(|it| it.extensions.receiving().next().is_some());
            let command = Command::ExtendSession { session: id, incoming };
            state.turn(self, self.now(), Input::Command(command), after);
            Ok(added)
        });
        added.map_err(|_| Error::SessionGone)
    }

    pub(super) fn add_removed_handler(
        &self,
        id: SessionId,
        handler: RemovedHandler,
    ) -> Result<HandlerId, Error> {
        let mut state = self.lock();
        if state.server.session(id).is_none() {
            return Err(Error::SessionGone);
        }
        let number = state.next_number();
        state.notes.on_removed.entry(id).or_default().add(number, handler);
        Ok(HandlerId(number))
    }
}
