//! Who is where, and what was said last.

use std::collections::{BTreeMap, VecDeque};

use bayeux_core::SessionId;
use serde::Serialize;

use super::policy::User;

/// Messages that a room remembers.
const HISTORY: usize = 50;

/// Rooms that are remembered; beyond, those that were silent for longest are forgotten.
const ROOMS: usize = 1_000;

#[derive(Default)]
pub(super) struct Rooms {
    /// Names in use, with the key that they were claimed with.
    names: BTreeMap<String, (String, SessionId)>,
    members: BTreeMap<String, BTreeMap<String, SessionId>>,
    /// By the name of the room's channel.
    history: BTreeMap<String, VecDeque<Said>>,
    said: u64,
}

/// A message as everybody gets it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Said {
    id: u64,
    user: String,
    text: String,
    time: u64,
}

/// The name belongs to somebody else.
#[derive(Debug)]
pub(super) struct Taken;

impl Rooms {
    pub(super) fn is_taken(&self, user: &User) -> bool {
        self.names.get(&user.name).is_some_and(|(key, _)| *key != user.key)
    }

    /// Gives a name to a session; the session that had it before, if there was one.
    pub(super) fn claim(
        &mut self,
        user: &User,
        session: SessionId,
    ) -> Result<Option<SessionId>, Taken> {
        if self.is_taken(user) {
            return Err(Taken);
        }
        let old = self.names.insert(user.name.clone(), (user.key.clone(), session));
        Ok(old.map(|(_, old)| old))
    }

    /// Frees a name, unless another session has taken it over.
    pub(super) fn forget(&mut self, name: &str, session: SessionId) {
        if self.session_of(name) == Some(session) {
            self.names.remove(name);
        }
    }

    pub(super) fn session_of(&self, name: &str) -> Option<SessionId> {
        self.names.get(name).map(|(_, session)| *session)
    }

    /// Whether the name is new in the room.
    pub(super) fn join(&mut self, room: &str, name: &str, session: SessionId) -> bool {
        let members = self.members.entry(room.to_owned()).or_default();
        members.insert(name.to_owned(), session).is_none()
    }

    /// Whether the name was in the room with this session, and is no more.
    pub(super) fn leave(&mut self, room: &str, name: &str, session: SessionId) -> bool {
        let Some(members) = self.members.get_mut(room) else { return false };
        if members.get(name) != Some(&session) {
            return false;
        }
        members.remove(name);
        if members.is_empty() {
            self.members.remove(room);
        }
        true
    }

    /// The names in a room, sorted.
    pub(super) fn members(&self, room: &str) -> Vec<String> {
        self.members.get(room).map(|it| it.keys().cloned().collect()).unwrap_or_default()
    }

    /// Gives a message its number, and keeps it for those who come later.
    pub(super) fn remember(&mut self, channel: &str, user: &str, text: String, time: u64) -> Said {
        self.said += 1;
        let said = Said { id: self.said, user: user.to_owned(), text, time };
        let history = self.history.entry(channel.to_owned()).or_default();
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(said.clone());
        if self.history.len() > ROOMS {
            self.forget_oldest_room();
        }
        said
    }

    fn forget_oldest_room(&mut self) {
        let last_said = |history: &VecDeque<Said>| history.back().map(|said| said.id);
        let oldest = self.history.iter().min_by_key(|(_, history)| last_said(history));
        if let Some(channel) = oldest.map(|(channel, _)| channel.clone()) {
            self.history.remove(&channel);
        }
    }

    /// The last messages of a room, oldest first.
    pub(super) fn history(&self, channel: &str) -> Vec<Said> {
        self.history.get(channel).into_iter().flatten().cloned().collect()
    }
}
