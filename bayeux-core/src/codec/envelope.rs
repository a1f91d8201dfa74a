//! [`Envelope`]: the members of one message as raw JSON, before anything is believed.
//!
//! Kept apart from their interpretation (`decode`) because here a wrong type must not be an error:
//! whatever a member holds, the message's other members are still needed for the reply. When a
//! member comes twice the last one counts, as in JavaScript.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of one message that the protocol knows.
#[derive(Default)]
pub(super) struct Envelope<'a> {
    pub(super) channel: Option<&'a RawValue>,
    pub(super) id: Option<&'a RawValue>,
    pub(super) client_id: Option<&'a RawValue>,
    pub(super) data: Option<&'a RawValue>,
    pub(super) ext: Option<&'a RawValue>,
    pub(super) advice: Option<&'a RawValue>,
    pub(super) subscription: Option<&'a RawValue>,
    pub(super) version: Option<&'a RawValue>,
    pub(super) minimum_version: Option<&'a RawValue>,
    pub(super) connection_types: Option<&'a RawValue>,
    pub(super) connection_type: Option<&'a RawValue>,
}

/// Reads a payload, an array of at most `limit` messages or one message on its own, and gives each
/// message to `each`. What that has got counts only if the payload turns out to be one.
pub(super) struct Payload<F> {
    pub(super) limit: usize,
    pub(super) each: F,
}

/// The text of the error for a payload with too many messages; serde has no other way to say it.
pub(super) const TOO_MANY: &str = "too many messages";

impl<'de, F: FnMut(Envelope<'de>)> DeserializeSeed<'de> for Payload<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Envelope<'de>)> Visitor<'de> for Payload<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of messages or one message")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let mut count = 0;
        while let Some(envelope) = seq.next_element()? {
            if count == self.limit {
                return Err(A::Error::custom(TOO_MANY));
            }
            count += 1;
            (self.each)(envelope);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        if self.limit == 0 {
            return Err(A::Error::custom(TOO_MANY));
        }
        MessageVisitor.visit_map(map).map(|envelope| (self.each)(envelope))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(MessageVisitor)
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Envelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
        let mut envelope = Envelope::default();
        while let Some(Text(name)) = map.next_key()? {
            let member = match &*name {
                "channel" => &mut envelope.channel,
                "id" => &mut envelope.id,
                "clientId" => &mut envelope.client_id,
                "data" => &mut envelope.data,
                "ext" => &mut envelope.ext,
                "advice" => &mut envelope.advice,
                "subscription" => &mut envelope.subscription,
                "version" => &mut envelope.version,
                "minimumVersion" => &mut envelope.minimum_version,
                "supportedConnectionTypes" => &mut envelope.connection_types,
                "connectionType" => &mut envelope.connection_type,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = Some(map.next_value()?);
        }
        Ok(envelope)
    }
}

/// A JSON string, borrowed unless it has escapes.
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(String::from(text))))
    }
}
