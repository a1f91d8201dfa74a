//! Identifiers: who mints them, and how they look on the wire.
//!
//! Session and browser ids are credentials: 128 bits from [`Entropy`], minted by the machine, with
//! the tag of the shard that owns them in front so that any node can tell whose they are. Link ids
//! are handles between the machine and its driver: minted by the driver, never reused.

use core::fmt;

use crate::entropy::Entropy;

/// Which of several servers (threads of one process, or nodes of a cluster) owns an id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ShardTag(pub u16);

/// One HTTP exchange or one WebSocket. Minted by the driver, unique over the server's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

const TAG: usize = 2;
const RANDOM: usize = 16;
const LEN: usize = TAG + RANDOM;

/// The length of the text form of a [`SessionId`] or [`BrowserId`], in bytes.
const TEXT_LEN: usize = LEN * 2;

/// The 18 bytes behind both kinds of credential. The text form is 36 lower-case hexadecimal
/// digits: alphanumeric, as the Bayeux grammar for `clientId` asks, and valid in a cookie.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Credential([u8; LEN]);

impl Credential {
    fn mint(shard: ShardTag, entropy: &mut dyn Entropy) -> Self {
        let mut bytes = [0; LEN];
        bytes[..TAG].copy_from_slice(&shard.0.to_be_bytes());
        entropy.fill(&mut bytes[TAG..]);
        Self(bytes)
    }

    /// `None` for anything that this server cannot have issued.
    fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; TEXT_LEN] = text.as_bytes().try_into().ok()?;
        let (mut values, mut wrong) = ([0; TEXT_LEN], false);
        for (value, &digit) in values.iter_mut().zip(digits) {
            // Without branches, so that the compiler does it for many at once.
            let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
            wrong |= (number > 9) & (letter > 5);
            *value = if number > 9 { letter.wrapping_add(10) } else { number };
        }
        let mut bytes = [0; LEN];
        for (byte, pair) in bytes.iter_mut().zip(values.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        (!wrong).then_some(Self(bytes))
    }

    fn shard(&self) -> ShardTag {
        ShardTag(u16::from_be_bytes([self.0[0], self.0[1]]))
    }

    fn text(&self) -> [u8; TEXT_LEN] {
        let mut text = [0; TEXT_LEN];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// How many bytes of an id are shown where it is not to be used.
const SHORT: usize = 6;

/// The beginning of a credential.
struct Short(Credential);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().take(SHORT).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! credential {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Credential);

        impl $name {
            pub(crate) fn mint(shard: ShardTag, entropy: &mut dyn Entropy) -> Self {
                Self(Credential::mint(shard, entropy))
            }

            /// Reads the text form; `None` for anything that cannot have been issued by a server
            /// of this kind.
            pub fn parse(text: &str) -> Option<Self> {
                Credential::parse(text).map(Self)
            }

            /// The shard or node that issued this id.
            pub fn shard(&self) -> ShardTag {
                self.0.shard()
            }

            /// The text form's bytes: ASCII, 36 hexadecimal digits.
            pub fn text(&self) -> [u8; 36] {
                self.0.text()
            }

            /// The first twelve digits, for logs: the shard, and enough to tell ids apart. 96 of the
            /// 128 random bits stay unsaid, so it opens nothing.
            pub fn short(&self) -> impl fmt::Display + fmt::Debug + use<> {
                Short(self.0)
            }
        }

        /// The whole credential. What goes into logs is [`Self::short`].
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                for byte in self.0.0 {
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }

        /// Not the whole credential: debug output ends up in logs.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), self.short())
            }
        }
    };
}

credential! {
    /// A session's id: `clientId` on the wire. 128 random bits behind the shard's tag.
    ///
    /// It is a credential of the client that got it: never show it to another client.
    SessionId
}

credential! {
    /// A browser's id: the value of the browser cookie, which all tabs of a browser share. 128
    /// random bits behind the shard's tag.
    BrowserId
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    struct Counter(u8);
    impl Entropy for Counter {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                self.0 = self.0.wrapping_add(1);
                *byte = self.0;
            }
        }
    }

    #[test]
    fn text_form_round_trips_and_keeps_the_shard() {
        let id = SessionId::mint(ShardTag(0xab01), &mut Counter(7));
        let text = id.to_string();
        assert_eq!(text, "ab0108090a0b0c0d0e0f1011121314151617");
        assert_eq!(text.as_bytes(), id.text());
        assert_eq!(SessionId::parse(&text), Some(id));
        assert_eq!(id.shard(), ShardTag(0xab01));
    }

    #[test]
    fn logs_show_the_beginning_only() {
        let id = SessionId::mint(ShardTag(0xab01), &mut Counter(7));
        assert_eq!(id.short().to_string(), "ab0108090a0b");
        assert_eq!(alloc::format!("{:?}", Some(id)), "Some(SessionId(ab0108090a0b…))");
    }

    #[test]
    fn foreign_text_is_no_id() {
        let id = SessionId::mint(ShardTag(0), &mut Counter(0)).to_string();
        for text in ["", "constructor", &id[1..], &id.to_uppercase(), &id.replace('1', "é")] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
        for byte in 0..=127 {
            let digit = char::from(byte);
            let text = id.replace('1', &digit.to_string());
            let is_digit = matches!(digit, '0'..='9' | 'a'..='f');
            assert_eq!(SessionId::parse(&text).is_some(), is_digit, "{text:?}");
        }
    }
}
