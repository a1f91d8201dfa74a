//! The chat: the example application, complete with its page.
//!
//! Rooms with a live list of who is in them, private messages, the last messages of a room for
//! whoever joins, and names that belong to one person at a time. It is written against the
//! application's API alone, so each adapter hosts the same one, and its tests run in virtual time.
//!
//! | channel | what travels |
//! | --- | --- |
//! | `/meta/handshake` | `ext.chat = {"user", "key"}`: the policy checks the name |
//! | `/chat/ROOM` | clients publish `{"text"}`; everybody gets `{"id", "user", "text", "time"}` |
//! | `/members/ROOM` | `{"room", "members"}` for whoever subscribes, then `{"room", "joined"}` and `{"room", "left"}` |
//! | `/service/history` | `{"room", "messages"}` for whoever subscribes to `/chat/ROOM` |
//! | `/service/private` | `{"to", "text"}` in, `{"from", "to", "text", "time"}` out to both |

mod options;
mod page;
mod policy;
mod rooms;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bayeux_core::front::{Bayeux, Builder, Error, Flow, Incoming, Notice, Session};
use bayeux_core::{ConfigError, Event, EventKind, Pattern};
use serde::Deserialize;
use serde_json::json;

pub use options::Options;
pub use page::respond;
use policy::{ChatPolicy, User, user_of};
use rooms::Rooms;

/// The longest message, in characters.
const TEXT_LENGTH: usize = 2_000;

/// The chat's state, shared by its handlers.
#[derive(Clone)]
struct Chat {
    rooms: Arc<Mutex<Rooms>>,
}

/// What clients send, in a room and in private.
#[derive(Deserialize)]
struct Text {
    text: String,
}

#[derive(Deserialize)]
struct Private {
    to: String,
    text: String,
}

/// Makes the chat's server: `start` gives the completed builder to an adapter.
///
/// # Errors
///
/// When the builder's options do not make sense.
pub fn build(
    builder: Builder,
    start: impl FnOnce(Builder) -> Result<Bayeux, ConfigError>,
) -> Result<Bayeux, Box<dyn std::error::Error>> {
    let chat = Chat { rooms: Arc::default() };
    let bayeux = start(builder.policy(ChatPolicy { rooms: Arc::clone(&chat.rooms) }))?;
    let room = chat.clone();
    bayeux.channel("/chat/*")?.on_message(move |incoming| {
        let chat = room.clone();
        async move { chat.sign(&incoming) }
    });
    let private = chat.clone();
    bayeux.channel("/service/private")?.on_message(move |incoming| {
        let chat = private.clone();
        async move { chat.pass_on(&incoming) }
    });
    bayeux.on_event_of(FOLLOWED, move |notice| {
        let chat = chat.clone();
        async move {
            // Whatever fails here fails because the session is gone, and then there is nothing
            // left to tell it.
            let _ = chat.follow(notice).await;
        }
    });
    Ok(bayeux)
}

/// What the rooms follow.
const FOLLOWED: [EventKind; 4] = [
    EventKind::SessionAdded,
    EventKind::SessionRemoved,
    EventKind::Subscribed,
    EventKind::Unsubscribed,
];

impl Chat {
    /// Puts the sender's name under a message, and remembers it for those who come later.
    fn sign(&self, incoming: &Incoming) -> Result<Flow, Error> {
        let Some(sender) = incoming.session() else { return Ok(Flow::Continue) };
        let Some(user) = user_of(sender) else { return Ok(Flow::Continue) };
        let Text { text } = incoming.data()?;
        let time = sender.bayeux().wall().as_millis();
        let message = self.rooms().remember(incoming.channel().as_str(), &user.name, text, time);
        Flow::replace(&message)
    }

    /// Delivers a private message to both of its ends.
    fn pass_on(&self, incoming: &Incoming) -> Result<(), Error> {
        let (sender, Private { to, text }) = (incoming.sender()?, incoming.data()?);
        let channel = incoming.channel().as_str();
        let Some(from) = user_of(sender) else { return Ok(()) };
        let receiver = self.rooms().session_of(&to).and_then(|id| sender.bayeux().session(id));
        let Some(receiver) = receiver else {
            return sender.deliver(channel, &json!({ "to": to, "error": "unknown user" }));
        };
        let length = text.chars().count();
        if length == 0 || length > TEXT_LENGTH {
            return sender.deliver(channel, &json!({ "to": to, "error": "invalid text" }));
        }
        let time = sender.bayeux().wall().as_millis();
        let message = json!({ "from": from.name, "to": to, "text": text, "time": time });
        if &receiver != sender {
            receiver.deliver(channel, &message)?;
        }
        sender.deliver(channel, &message)
    }

    /// Keeps the lists of members true.
    async fn follow(&self, notice: Notice) -> Result<(), Error> {
        let Some(session) = notice.session else { return Ok(()) };
        let Some(user) = user_of(&session) else { return Ok(()) };
        match notice.event {
            Event::SessionAdded { .. } => self.greet(&session, &user),
            Event::SessionRemoved { .. } => {
                self.rooms().forget(&user.name, session.id());
                Ok(())
            }
            Event::Subscribed { channel, .. } => match room_of(&channel) {
                Some(("chat", room)) => {
                    let messages = self.rooms().history(channel.as_str());
                    let history = json!({ "room": room, "messages": messages });
                    session.deliver("/service/history", &history)
                }
                Some(("members", room)) => {
                    let joined = self.rooms().join(room, &user.name, session.id());
                    let members = self.rooms().members(room);
                    session
                        .deliver(channel.as_str(), &json!({ "room": room, "members": members }))?;
                    if joined {
                        self.announce(&session, room, "joined", &user).await
                    } else {
                        Ok(())
                    }
                }
                _ => Ok(()),
            },
            Event::Unsubscribed { channel, .. } => match room_of(&channel) {
                Some(("members", room)) if self.rooms().leave(room, &user.name, session.id()) => {
                    self.announce(&session, room, "left", &user).await
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Gives a name to its new session. Whoever has the name's key takes it over from the session
    /// that had it, which is one that the same page has lost.
    fn greet(&self, session: &Session, user: &User) -> Result<(), Error> {
        let replaced = self.rooms().claim(user, session.id());
        match replaced {
            Ok(Some(old)) => match session.bayeux().session(old) {
                Some(old) => old.disconnect(),
                None => Ok(()),
            },
            Ok(None) => Ok(()),
            // Two handshakes for one name passed the policy at the same time; the first has it.
            Err(rooms::Taken) => session.disconnect(),
        }
    }

    /// Tells a room who has come or gone. That alone, and not who is there now: whoever comes and
    /// goes all the time must not fill the others' queues.
    async fn announce(
        &self,
        session: &Session,
        room: &str,
        change: &str,
        user: &User,
    ) -> Result<(), Error> {
        let news = json!({ "room": room, change: user.name });
        session.bayeux().publish(&format!("/members/{room}"), &news).await
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The two parts of `/chat/ROOM` and `/members/ROOM`.
fn room_of(channel: &Pattern) -> Option<(&str, &str)> {
    let (kind, room) = channel.as_str().strip_prefix('/')?.split_once('/')?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    ((1..=24).contains(&room.len()) && room.bytes().all(plain)).then_some((kind, room))
}
