//! [`Binary`]: bytes as a message's data, as CometD's binary extension sends them.
//!
//! On the wire they are text ([`z85`]), marked by an `ext.binary`. Between clients such
//! messages pass as they are; here is how the application reads and writes them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::listener::Incoming;
use crate::json::Json;
use crate::message::{Message, MessageParts};
use crate::z85;

/// Bytes that travel as a message's data, perhaps in several messages.
///
/// ```
/// use bayeux_core::front::Binary;
/// use bayeux_core::{ChannelName, Message};
///
/// let channel = ChannelName::parse("/files")?;
/// let parts = Binary::new(b"\x86\x4f\xd2\x6f\xb5\x59\xf7\x5b".to_vec()).into_parts()?;
/// let message = Message::with(channel, &parts);
/// assert_eq!(message.data().to_string(), r#"{"data":"HelloWorld","last":true}"#);
/// assert_eq!(Binary::of(&message)?.unwrap().bytes.len(), 8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Binary {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Whether these are the last ones.
    pub last: bool,
    /// What the sender says about them.
    pub meta: Option<Json>,
}

#[derive(Serialize, Deserialize)]
struct Wire<M> {
    data: String,
    #[serde(default = "yes")]
    last: bool,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    meta: Option<M>,
}

fn yes() -> bool {
    true
}

fn none<M>() -> Option<M> {
    None
}

#[derive(Deserialize)]
struct Marked {
    #[serde(default)]
    binary: Option<serde::de::IgnoredAny>,
}

impl Binary {
    /// All the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), last: true, meta: None }
    }

    /// Says whether these are the last ones.
    #[must_use]
    pub fn last(mut self, last: bool) -> Self {
        self.last = last;
        self
    }

    /// Says something about them.
    #[must_use]
    pub fn meta(mut self, meta: Json) -> Self {
        self.meta = Some(meta);
        self
    }

    /// The bytes in a message; `None` if it is not marked as binary.
    ///
    /// # Errors
    ///
    /// When it is marked, and is not binary.
    pub fn of(message: &Message) -> Result<Option<Self>, Error> {
        let marked = message.ext().and_then(|ext| ext.read::<Marked>().ok());
        if marked.and_then(|it| it.binary).is_none() {
            return Ok(None);
        }
        let wire: Wire<alloc::boxed::Box<serde_json::value::RawValue>> = message.data().read()?;
        let meta = wire.meta.map(|meta| Json::from_text(meta.get())).transpose()?;
        Ok(Some(Self { bytes: z85::decode(&wire.data)?, last: wire.last, meta }))
    }

    /// The parts of a message that carries the bytes.
    ///
    /// # Errors
    ///
    /// When `meta` has no JSON form.
    pub fn into_parts(self) -> Result<MessageParts, Error> {
        let wire = Wire { data: z85::encode(&self.bytes), last: self.last, meta: self.meta };
        let ext = Json::from_text(r#"{"binary":{}}"#)?;
        Ok(MessageParts::data(Json::new(&wire)?).ext(ext))
    }
}

impl Incoming {
    /// The message's data as bytes; `None` if it is not marked as binary.
    ///
    /// # Errors
    ///
    /// When it is marked, and is not binary.
    pub fn binary(&self) -> Result<Option<Binary>, Error> {
        Binary::of(&self.message)
    }
}
