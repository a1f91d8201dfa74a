//! Raw JSON: application data as it came, never rebuilt.
//!
//! `data` and `ext` belong to the application. Parsing them into a tree and printing the tree again
//! would change them (`1.0`, `1e400`, `12345678901234567890`, escapes, the order of keys), and it
//! would cost more than everything else the server does. [`Json`] is the text of one JSON value,
//! checked for syntax once and then only moved.

use alloc::boxed::Box;
#[cfg(any(feature = "front", test))]
use alloc::collections::BTreeMap;
#[cfg(any(feature = "front", test))]
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// The text of one JSON value: valid, UTF-8, without surrounding white space.
///
/// Cloning is cheap (a reference count). Two values are equal when their text is.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(Bytes);

impl Json {
    /// The value `null`.
    pub const NULL: Self = Self(Bytes::from_static(b"null"));
    /// The value `true`.
    pub const TRUE: Self = Self(Bytes::from_static(b"true"));
    /// The value `false`.
    pub const FALSE: Self = Self(Bytes::from_static(b"false"));

    /// Writes `value` as JSON.
    ///
    /// # Errors
    ///
    /// When `value` has no JSON form: a map with keys that are not strings, say, or a `Serialize`
    /// implementation that fails by itself.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_vec(value).map(|text| Self(text.into()))
    }

    /// Checks that `text` is one JSON value and keeps it as it is, white space around it aside.
    ///
    /// # Errors
    ///
    /// When `text` is not JSON.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        let raw: &RawValue = serde_json::from_str(text)?;
        Ok(Self(Bytes::copy_from_slice(raw.get().as_bytes())))
    }

    /// Takes over bytes that a parser has already found to be one JSON value.
    pub(crate) fn trusted(text: Bytes) -> Self {
        Self(text)
    }

    /// The text, without a copy if nobody else has it; [`Json::trusted`] takes it back.
    pub(crate) fn into_bytes(self) -> Box<[u8]> {
        Vec::from(self.0).into()
    }

    /// Reads the value into a Rust type.
    ///
    /// # Errors
    ///
    /// When the value does not have the shape of `T`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    /// The text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Every constructor has seen valid UTF-8; `unsafe` to skip the check is forbidden here,
        // and nothing on a hot path asks for a `str`.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether this is the literal `true`.
    pub fn is_true(&self) -> bool {
        &self.0[..] == b"true"
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue =
            serde_json::from_str(self.as_str()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The members of an object that was written here, values as they are.
#[cfg(any(feature = "front", test))]
pub(crate) fn members(object: &[u8]) -> BTreeMap<String, &RawValue> {
    serde_json::from_slice(object).unwrap_or_default()
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        // Nearly always, and then without an allocation.
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    // Writing a `str` into a `Vec` cannot fail.
    if let Ok(quoted) = serde_json::to_vec(text) {
        out.extend_from_slice(&quoted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn text_is_kept_as_it_came() {
        for text in ["1.0", "1e400", "12345678901234567890", r#"{"b":1,"a":"\u00e9\/"}"#] {
            let json = Json::from_text(&alloc::format!(" {text}\n")).unwrap();
            assert_eq!(json.as_str(), text);
            assert_eq!(serde_json::to_string(&json).unwrap(), text);
        }
    }

    #[test]
    fn reads_into_rust_types() {
        assert_eq!(Json::from_text(r#""a\nb""#).unwrap().read::<String>().unwrap(), "a\nb");
        assert!(Json::from_text("[1]").unwrap().read::<String>().is_err());
        assert!(Json::from_text("[1").is_err());
    }
}
