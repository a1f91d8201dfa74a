//! Bytes to [`Request`](crate::Request)s, [`Parcel`](crate::Parcel)s to bytes.
//!
//! Both directions run outside the machine, so outside any lock. Decoding looks only at the
//! envelope: `data` and `ext` are skipped over (which checks their syntax) and kept as they came.

mod decode;
mod encode;
mod envelope;
mod extensions;

pub use decode::{DecodeError, Decoder};
pub use encode::{Encoding, encode};
#[cfg(feature = "http")]
pub(crate) use encode::{encode_event, encode_reply};
#[cfg(feature = "http")]
pub(crate) use extensions::stamp_bytes;
