//! Messages in `application/x-www-form-urlencoded` text: a form's body or a query string.
//!
//! The texts are the values of every parameter named `message`, in order, each an array of
//! messages or a lone one. Decoding follows the URL standard, which has no errors: a stray `%`
//! stands for itself, and bytes that are no UTF-8 become U+FFFD. What comes out is UTF-8 in any
//! case, at most three times as long as what went in.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use bytes::Bytes;

/// The parameter that carries messages; the Bayeux text fixes its name.
const MESSAGE: &str = "message";

/// The `message` parameters of a form; none if it has none.
pub(super) fn messages(form: &[u8]) -> Vec<Bytes> {
    form_urlencoded::parse(form)
        .filter(|(name, _)| name == MESSAGE)
        .map(|(_, value)| value.into_owned().into())
        .collect()
}

/// The first parameter called `name`, as servlets read it.
pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    form_urlencoded::parse(query.as_bytes()).find(|(it, _)| it == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_parameter_is_a_text() {
        let table: &[(&[u8], &[&str])] = &[
            (b"message=%5B%7B%22id%22%3A%221%22%7D%5D", &[r#"[{"id":"1"}]"#]),
            (b"message=[1]&x=y&message={}", &["[1]", "{}"]),
            (b"message=%5B%22a+b%2Bc%22%5D", &[r#"["a b+c"]"#]),
            (b"mess%61ge=[]", &["[]"]),
            (b"message=%E2%82%AC%F0%9F%98%80", &["€😀"]),
            (b"message=[\"a=b\"]", &[r#"["a=b"]"#]),
            (b"message=", &[""]),
            (b"message", &[""]),
            (b"Message=[]&message[]=[]&messages=[]&__proto__=x", &[]),
            (b"[{\"id\":\"1\"}]", &[]),
            (b"&&==&=&", &[]),
            (b"", &[]),
        ];
        for (form, texts) in table {
            assert_eq!(messages(form), *texts, "{form:?}");
        }
    }

    #[test]
    fn garbage_stays_bounded_utf_8() {
        for form in [
            &b"message=%"[..],
            b"message=%zz%4",
            b"message=%ff%fe%00",
            b"message=\xff\xc3\x28",
            b"message=%ED%A0%80",
            b"\xff=\xff&message=%E2%82",
        ] {
            let texts = messages(form);
            assert_eq!(texts.len(), 1, "{form:?}");
            assert!(core::str::from_utf8(&texts[0]).is_ok(), "{form:?}");
            assert!(texts[0].len() <= 3 * form.len(), "{form:?}");
        }
    }

    #[test]
    fn the_first_parameter_of_a_name_counts() {
        let table = [
            ("jsonp=cb&message=[]", Some("cb")),
            ("a=b&jsonp=x&jsonp=y", Some("x")),
            ("jsonp=a%0Ab", Some("a\nb")),
            ("jsonp", Some("")),
            ("JSONP=cb", None),
            ("constructor=x", None),
            ("", None),
        ];
        for (query, value) in table {
            assert_eq!(parameter(query, "jsonp").as_deref(), value, "{query}");
        }
    }
}
