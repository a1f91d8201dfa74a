//! [`Input`]: the fuzzer's bytes, read from the front to the end.
//!
//! Inputs are meant to be read and written by people, so most targets take lines of text. Nothing
//! here fails: where bytes are missing, there is an empty line.

use std::borrow::Cow;

/// What is left of an input.
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| byte == b'\n').unwrap_or(self.0.len());
        let (line, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        line
    }

    /// The next line as text; bytes that are no UTF-8 become U+FFFD.
    pub(super) fn text(&mut self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.line())
    }

    /// A line that chooses one of `all`: by its first byte, so that `0` is the first of them.
    pub(super) fn choose<T>(&mut self, all: &'a [T]) -> &'a T {
        let digit = self.line().first().map_or(0, |byte| usize::from(byte.wrapping_sub(b'0')));
        &all[digit % all.len()]
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// The lines that are left.
    pub(super) fn lines(&mut self) -> Vec<&'a [u8]> {
        let mut lines = Vec::new();
        while !self.0.is_empty() {
            lines.push(self.line());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_then_the_rest() {
        let mut input = Input::new(b"1\na\n\nb\nc");
        assert_eq!(*input.choose(&["zero", "one"]), "one");
        assert_eq!((input.line(), input.text()), (&b"a"[..], Cow::from("")));
        assert_eq!(input.rest(), b"b\nc");
        assert_eq!((input.line(), input.rest(), input.lines().len()), (&b""[..], &b""[..], 0));
        assert_eq!(Input::new(b"\na\n\nb\n").lines(), [&b""[..], b"a", b"", b"b"]);
    }
}
