//! Z85: bytes as text that needs no escapes in JSON, five characters for four bytes.
//!
//! ZeroMQ's RFC 32, and beyond it any number of bytes, as CometD's binary extension has it: of a last
//! group of *n* bytes (fewer than four) only the first *n* + 1 characters are written.

use alloc::string::String;
use alloc::vec::Vec;

const ALPHABET: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

/// What no character has.
const NONE: u8 = 0xff;

const VALUES: [u8; 128] = {
    let mut values = [NONE; 128];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Why a text is not Z85.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Z85Error {
    /// A character is not one of the 85.
    #[error("a character that is not part of Z85")]
    Character,
    /// One character is left over: there is no number of bytes that gives this length.
    #[error("a length that is not one of Z85")]
    Length,
    /// Five characters stand for a number that does not fit into four bytes.
    #[error("a group that stands for more than four bytes")]
    Overflow,
}

/// Writes bytes as text.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 4 * 5 + 5);
    for group in bytes.chunks(4) {
        let mut padded = [0; 4];
        padded[..group.len()].copy_from_slice(group);
        let value = u32::from_be_bytes(padded);
        let digits = [85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1].map(|it| value / it % 85);
        let written = digits.iter().take(group.len() + 1);
        text.extend(written.map(|&digit| char::from(ALPHABET[digit as usize])));
    }
    text
}

/// Reads text back into bytes.
///
/// # Errors
///
/// When the text is not Z85.
pub fn decode(text: &str) -> Result<Vec<u8>, Z85Error> {
    let mut bytes = Vec::with_capacity(text.len() / 5 * 4 + 4);
    for group in text.as_bytes().chunks(5) {
        if group.len() == 1 {
            return Err(Z85Error::Length);
        }
        let mut value = 0_u64;
        // What was not written is taken for the largest digit, since writing cut it off.
        for place in 0..5 {
            let digit = match group.get(place) {
                Some(&character) => {
                    let digit = VALUES.get(usize::from(character)).copied().unwrap_or(NONE);
                    if digit == NONE {
                        return Err(Z85Error::Character);
                    }
                    digit
                }
                None => 84,
            };
            value = value * 85 + u64::from(digit);
        }
        let value = u32::try_from(value).map_err(|_| Z85Error::Overflow)?;
        bytes.extend_from_slice(&value.to_be_bytes()[..group.len() - 1]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b222_the_vector_of_the_rfc() {
        let bytes = [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b];
        assert_eq!(encode(&bytes), "HelloWorld");
        assert_eq!(decode("HelloWorld").unwrap(), bytes);
    }

    #[test]
    fn b222_any_number_of_bytes_comes_back() {
        let mut seed = 7_u32;
        for length in 0..70 {
            let random = core::iter::repeat_with(|| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            });
            for bytes in [
                alloc::vec![0; length],
                alloc::vec![0xff; length],
                random.take(length).collect::<Vec<_>>(),
            ] {
                let text = encode(&bytes);
                assert_eq!(text.len(), length / 4 * 5 + [0, 2, 3, 4][length % 4]);
                assert_eq!(decode(&text).unwrap(), bytes, "{text}");
            }
        }
    }

    #[test]
    fn every_single_byte_and_pair_comes_back() {
        for one in 0..=255_u8 {
            assert_eq!(decode(&encode(&[one])).unwrap(), [one]);
            for other in 0..=255_u8 {
                assert_eq!(decode(&encode(&[one, other])).unwrap(), [one, other]);
            }
        }
    }

    #[test]
    fn what_is_not_z85_is_refused() {
        let table = [
            ("Hello,orld", Z85Error::Character),
            ("Hell\"", Z85Error::Character),
            ("Hellé", Z85Error::Character),
            ("HelloW", Z85Error::Length),
            ("0", Z85Error::Length),
            ("#####", Z85Error::Overflow),
            ("##", Z85Error::Overflow),
        ];
        for (text, error) in table {
            assert_eq!(decode(text), Err(error), "{text}");
        }
        assert!(decode("").unwrap().is_empty());
    }
}
