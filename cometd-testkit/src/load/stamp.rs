//! [`Stamp`]: what a published message carries, to be known again when it arrives.

use memchr::memmem::Finder;

/// What a stamp begins with. Nothing in it is escaped by any encoder of JSON.
const MARK: &[u8] = b"~cometd~";

/// Digits of the members, in their order: 4, 8, 8 and 12.
const DIGITS: usize = 32;

/// Who published a message, and when it should have left.
///
/// It is a text of fixed width at the front of a JSON string, so that no server changes it, whatever
/// it does to objects and numbers, and so that it is found without parsing: the generator is to cost
/// less than any server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    /// The channel's number.
    pub(super) channel: u16,
    /// The message's number in its channel, from 0.
    pub(super) number: u32,
    /// One more than the number of what the same publisher published before on the same channel; 0
    /// if there is none.
    pub(super) after: u32,
    /// When it should have left: nanoseconds since the run began.
    pub(super) due: u64,
}

impl Stamp {
    /// How long the data is, at least, in bytes.
    pub(super) const LENGTH: usize = MARK.len() + DIGITS;

    /// Appends the data of a message: a JSON string of `payload` bytes inside its quotes.
    pub(super) fn write(self, payload: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        let start = out.len();
        out.extend_from_slice(MARK);
        hex(self.channel.into(), 4, out);
        hex(self.number.into(), 8, out);
        hex(self.after.into(), 8, out);
        hex(self.due, 12, out);
        out.resize(out.len().max(start + payload), b'x');
        out.push(b'"');
    }

    fn read(digits: &[u8; DIGITS]) -> Option<Self> {
        Some(Self {
            channel: number(&digits[..4])?.try_into().ok()?,
            number: number(&digits[4..12])?.try_into().ok()?,
            after: number(&digits[12..20])?.try_into().ok()?,
            due: number(&digits[20..])?,
        })
    }
}

fn hex(number: u64, digits: u32, out: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(number >> (4 * place) & 15) as usize]);
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

/// Finds in texts what matters, without parsing them.
pub(super) struct Finders {
    stamp: Finder<'static>,
    reply: Finder<'static>,
}

impl Finders {
    pub(super) fn new() -> Self {
        Self { stamp: Finder::new(MARK), reply: Finder::new(br#""successful""#) }
    }

    /// The stamps in a text, in their order.
    pub(super) fn stamps(&self, text: &[u8]) -> impl Iterator<Item = Stamp> {
        self.stamp.find_iter(text).filter_map(|at| {
            let digits = text.get(at + MARK.len()..)?.first_chunk()?;
            Stamp::read(digits)
        })
    }

    /// Whether there may be a reply in a text.
    pub(super) fn has_reply(&self, text: &[u8]) -> bool {
        self.reply.find(text).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp =
        Stamp { channel: 99, number: 1_000_000, after: 17, due: 86_400_000_000_000 };

    #[test]
    fn a_stamp_is_found_again() {
        let mut text = br#"[{"channel":"/load/99","data":"#.to_vec();
        STAMP.write(50, &mut text);
        text.extend_from_slice(br#"},{"channel":"/load/99","data":"#);
        let other = Stamp { number: 1_000_001, after: 1_000_001, ..STAMP };
        other.write(0, &mut text);
        text.extend_from_slice(b"}]");
        assert_eq!(Finders::new().stamps(&text).collect::<Vec<_>>(), [STAMP, other]);
    }

    #[test]
    fn the_payload_has_the_length_that_was_asked_for() {
        for (payload, length) in [(0, Stamp::LENGTH), (50, 50), (1_000, 1_000)] {
            let mut text = Vec::new();
            STAMP.write(payload, &mut text);
            assert_eq!(text.len(), length + 2);
            assert_eq!(serde_json::from_slice::<String>(&text).unwrap().len(), length);
        }
    }

    #[test]
    fn what_is_cut_off_or_spoilt_is_no_stamp() {
        let mut text = Vec::new();
        STAMP.write(0, &mut text);
        let finders = Finders::new();
        assert_eq!(finders.stamps(&text[..text.len() - 2]).count(), 0);
        text[20] = b'"';
        assert_eq!(finders.stamps(&text).count(), 0);
    }
}
