//! A naive reader of `application/x-www-form-urlencoded` text, to compare the server's with.

/// The parameters in their order. A stray `%` stands for itself, and what is no UTF-8 becomes
/// U+FFFD: the URL standard knows no errors.
pub(super) fn parameters(form: &[u8]) -> Vec<(String, String)> {
    let pairs = form.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            (decode(&pair[..end]), decode(pair.get(end + 1..).unwrap_or_default()))
        })
        .collect()
}

/// The values of all parameters of this name.
pub(super) fn values(form: &[u8], name: &str) -> Vec<String> {
    parameters(form).into_iter().filter(|(it, _)| it == name).map(|(_, value)| value).collect()
}

fn decode(text: &[u8]) -> String {
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let escaped = text.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(hexadecimal);
        bytes.push(match (escaped, byte) {
            (Some(escaped), _) => escaped,
            (None, b'+') => b' ',
            (None, byte) => byte,
        });
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` takes a sign, too.
    text.bytes().all(|it| it.is_ascii_hexdigit()).then_some(())?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_forms() {
        assert_eq!(values(b"a=1&b=2&&a=%31+%2b&a", "a"), ["1", "1 +", ""]);
        assert_eq!(values(b"a=%&a=%4&a=%zz&a=%+1&=x", "a"), ["%", "%4", "%zz", "% 1"]);
        assert_eq!(values(b"%61=%ff=", "a"), ["\u{fffd}="]);
    }
}
