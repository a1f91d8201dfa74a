//! A naive reader of JSON (RFC 8259), to compare the server's with.
//!
//! It shares no code with the server, which relies on serde, and it keeps what a tree of values
//! would lose: the text of every value, members that come twice, numbers of any size, and strings
//! that have no Unicode form.

/// A JSON value and its text.
#[derive(Debug)]
pub(super) struct Value<'t> {
    pub(super) raw: &'t str,
    pub(super) node: Node<'t>,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Node<'t> {
    Null,
    Bool,
    Number,
    /// `None`: half of a surrogate pair is in it, as JSON permits and Unicode does not.
    Text(Option<String>),
    Array(Vec<Value<'t>>),
    Object(Vec<(Option<String>, Value<'t>)>),
}

/// Why a text was not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    NoJson,
    /// It begins like JSON, and arrays and objects are nested deeper than they may be.
    TooDeep,
}

/// Reads one value with white space around it, nested at most `depth` deep.
pub(super) fn parse(text: &str, depth: usize) -> Result<Value<'_>, Failure> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(depth)?;
    reader.space();
    if reader.at == text.len() { Ok(value) } else { Err(Failure::NoJson) }
}

impl<'t> Value<'t> {
    /// The text of a string.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.node {
            Node::Text(text) => text.as_deref(),
            _ => None,
        }
    }

    /// The elements of an array.
    pub(super) fn elements(&self) -> &[Self] {
        match &self.node {
            Node::Array(elements) => elements,
            _ => &[],
        }
    }

    /// A member of an object: the last one of this name.
    pub(super) fn member(&self, name: &str) -> Option<&Self> {
        let Node::Object(members) = &self.node else { return None };
        let found = members.iter().rev().find(|(it, _)| it.as_deref() == Some(name));
        found.map(|(_, value)| value)
    }

    /// The names of an object's members in their order.
    pub(super) fn names(&self) -> Vec<&str> {
        let Node::Object(members) = &self.node else { return Vec::new() };
        members.iter().map(|(name, _)| name.as_deref().unwrap_or_default()).collect()
    }

    /// Whether both mean the same: strings are compared with their escapes resolved, numbers by
    /// their text.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (&self.node, &other.node) {
            (Node::Text(Some(one)), Node::Text(Some(two))) => one == two,
            (Node::Array(one), Node::Array(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.same(two))
            }
            (Node::Object(one), Node::Object(two)) => {
                one.len() == two.len()
                    && one.iter().zip(two).all(|(one, two)| one.0 == two.0 && one.1.same(&two.1))
            }
            // Without a Unicode form there is only the text to compare.
            (Node::Text(None), Node::Text(None)) => true,
            _ => self.raw == other.raw,
        }
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> u8 {
        // No JSON text has a zero byte, so it may stand for the end.
        self.text.as_bytes().get(self.at).copied().unwrap_or_default()
    }

    fn take(&mut self, byte: u8) -> Result<(), Failure> {
        if self.peek() != byte {
            return Err(Failure::NoJson);
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'t>, Failure> {
        let start = self.at;
        let node = match self.peek() {
            b'[' | b'{' if depth == 0 => return Err(Failure::TooDeep),
            b'[' => self.array(depth - 1)?,
            b'{' => self.object(depth - 1)?,
            b'"' => Node::Text(self.string()?),
            b'-' | b'0'..=b'9' => self.number()?,
            _ => self.word()?,
        };
        Ok(Value { raw: &self.text[start..self.at], node })
    }

    fn word(&mut self) -> Result<Node<'t>, Failure> {
        let rest = &self.text[self.at..];
        let words = [("null", Node::Null), ("true", Node::Bool), ("false", Node::Bool)];
        let found = words.into_iter().find(|(word, _)| rest.starts_with(word));
        let (word, node) = found.ok_or(Failure::NoJson)?;
        self.at += word.len();
        Ok(node)
    }

    fn array(&mut self, depth: usize) -> Result<Node<'t>, Failure> {
        let mut elements = Vec::new();
        self.list(b'[', b']', |reader| {
            elements.push(reader.value(depth)?);
            Ok(())
        })?;
        Ok(Node::Array(elements))
    }

    fn object(&mut self, depth: usize) -> Result<Node<'t>, Failure> {
        let mut members = Vec::new();
        self.list(b'{', b'}', |reader| {
            let name = reader.string()?;
            reader.space();
            reader.take(b':')?;
            reader.space();
            members.push((name, reader.value(depth)?));
            Ok(())
        })?;
        Ok(Node::Object(members))
    }

    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.take(open)?;
        self.space();
        if self.peek() == close {
            return self.take(close);
        }
        loop {
            self.space();
            item(self)?;
            self.space();
            if self.peek() == close {
                return self.take(close);
            }
            self.take(b',')?;
        }
    }

    fn digits(&mut self) -> Result<(), Failure> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { Err(Failure::NoJson) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<Node<'t>, Failure> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        match self.peek() {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Node::Number)
    }

    fn string(&mut self) -> Result<Option<String>, Failure> {
        self.take(b'"')?;
        // In UTF-16, which is what escapes are about.
        let mut units = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let next = rest.chars().next().ok_or(Failure::NoJson)?;
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(String::from_utf16(&units).ok()),
                '\\' => units.push(self.escape()?),
                '\0'..='\x1f' => return Err(Failure::NoJson),
                _ => units.extend_from_slice(next.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Result<u16, Failure> {
        let escape = self.peek();
        self.at += 1;
        let unit = match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 8,
            b't' => b'\t',
            b'n' => b'\n',
            b'f' => 12,
            b'r' => b'\r',
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4).ok_or(Failure::NoJson)?;
                if !digits.bytes().all(|it| it.is_ascii_hexdigit()) {
                    return Err(Failure::NoJson);
                }
                self.at += 4;
                return u16::from_str_radix(digits, 16).map_err(|_| Failure::NoJson);
            }
            _ => return Err(Failure::NoJson),
        };
        Ok(u16::from(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_serde_json() {
        let texts = [
            "null",
            " true ",
            "false\n",
            "0",
            "-0",
            "01",
            "-",
            "1.",
            ".5",
            "1.5e+7",
            "1e",
            "1E-2",
            "\"\"",
            "\"a\\u00e9\\n\\/\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u00é\"",
            "\"\t\"",
            "\"a",
            "[]",
            "[1,]",
            "[1 , 2]",
            "[,]",
            "[",
            "{}",
            "{\"a\":1,\"a\":[]}",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{\"a\":1,}",
            "nul",
            "nullx",
            "1 2",
            "\u{feff}1",
            "\u{a0}1",
            "",
            "é",
            "\"é\u{2028}\"",
            "\"\\ud83d\\ude00\"",
        ];
        for text in texts {
            let expected = serde_json::from_str::<serde_json::Value>(text).ok();
            let found = parse(text, 8);
            assert_eq!(found.is_ok(), expected.is_some(), "{text}: {found:?}");
            if let (Ok(found), Some(expected)) = (found, expected) {
                assert_eq!(found.text(), expected.as_str(), "{text}");
                assert_eq!(found.raw, text.trim());
            }
        }
    }

    #[test]
    fn sees_what_serde_json_does_not() {
        assert!(matches!(parse(r#""\ud800""#, 0).unwrap().node, Node::Text(None)));
        assert_eq!(parse("1e400", 0).unwrap().raw, "1e400");
        assert_eq!(parse("[[1]]", 2).unwrap().elements()[0].raw, "[1]");
        assert_eq!(parse("[[x", 1).unwrap_err(), Failure::TooDeep);
        let object = parse(r#"{"a":1,"b":2,"a": [3] }"#, 2).unwrap();
        assert_eq!(object.member("a").map(|it| it.raw), Some("[3]"));
        assert_eq!(object.names(), ["a", "b", "a"]);
        assert!(parse(r#"["\u0061"]"#, 1).unwrap().same(&parse(r#"[ "a" ]"#, 1).unwrap()));
        assert!(!parse("[1]", 1).unwrap().same(&parse("[1.0]", 1).unwrap()));
    }
}
