//! Who may chat, where, and with what.

use std::sync::{Arc, Mutex, PoisonError};

use bayeux_core::front::{
    CreateRequest, HandshakeRequest, Policy, PublishRequest, Session, SubscribeRequest,
};
use bayeux_core::{Denial, Pattern, Verdict};
use serde::Deserialize;

use super::rooms::Rooms;
use super::{TEXT_LENGTH, Text, room_of};

/// Who a session belongs to. The key proves that a later session belongs to the same page.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct User {
    #[serde(rename = "user")]
    pub(super) name: String,
    pub(super) key: String,
}

/// Where a session's user is kept.
const USER: &str = "user";

pub(super) fn user_of(session: &Session) -> Option<Arc<User>> {
    session.attribute(USER)
}

#[derive(Deserialize)]
struct Ext {
    chat: User,
}

pub(super) struct ChatPolicy {
    pub(super) rooms: Arc<Mutex<Rooms>>,
}

impl Policy for ChatPolicy {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        let Ok(Ext { chat: mut user }) = request.ext() else {
            return Denial::because("name_missing").into();
        };
        user.name = user.name.trim().to_owned();
        if !is_name(&user.name) || user.key.is_empty() || user.key.len() > 128 {
            return Denial::because("name_invalid").into();
        }
        if self.rooms.lock().unwrap_or_else(PoisonError::into_inner).is_taken(&user) {
            return Denial::because("name_taken").into();
        }
        request.session.set_attribute(USER, user);
        Verdict::Allow
    }

    async fn can_create(&self, request: CreateRequest) -> Verdict {
        Verdict::from(is_ours(&request.channel))
    }

    async fn can_subscribe(&self, request: SubscribeRequest) -> Verdict {
        Verdict::from(is_ours(&request.channel))
    }

    async fn can_publish(&self, request: PublishRequest) -> Verdict {
        let channel = Pattern::from(request.message.channel().clone());
        match room_of(&channel) {
            Some(("chat", _)) => match request.message.data().read() {
                Ok(Text { text }) if (1..=TEXT_LENGTH).contains(&text.chars().count()) => {
                    Verdict::Allow
                }
                _ => Denial::because("text_invalid").into(),
            },
            _ => Verdict::from(channel.as_str() == "/service/private"),
        }
    }
}

/// Rooms' channels and the chat's own services; no wildcards, so nobody listens in everywhere.
fn is_ours(channel: &Pattern) -> bool {
    matches!(room_of(channel), Some(("chat" | "members", _)))
        || matches!(channel.as_str(), "/service/private" | "/service/history")
}

fn is_name(name: &str) -> bool {
    let plain = |it: char| it.is_alphanumeric() || matches!(it, ' ' | '.' | '_' | '-');
    (1..=24).contains(&name.chars().count()) && name.chars().all(plain)
}
