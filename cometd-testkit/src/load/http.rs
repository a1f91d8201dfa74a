//! HTTP/1.1 responses as they come in, and requests as they go out.

use std::fmt::Write as _;

/// Why a response makes no sense.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum BadResponse {
    #[error("not HTTP/1.1: {0}")]
    Head(#[from] httparse::Error),
    #[error("a chunk without a length")]
    Chunk,
    #[error("neither content-length nor chunks")]
    Endless,
}

/// The head of a response.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) body: Body,
    /// `name=value` of each cookie that it sets.
    pub(super) cookies: Vec<String>,
    /// How many bytes it took.
    pub(super) length: usize,
    /// The server closes the connection behind it.
    pub(super) close: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Body {
    Length(usize),
    Chunked,
}

impl Default for Body {
    fn default() -> Self {
        Self::Length(0)
    }
}

/// Headers of one response; servers have sent up to a dozen.
const MOST_HEADERS: usize = 64;

impl Head {
    /// The head at the front of what was read, or nothing as long as it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, BadResponse> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = response.parse(bytes)? else { return Ok(None) };
        let mut head = Self { status: response.code.unwrap_or(0), length, ..Self::default() };
        let mut body = None;
        for header in response.headers {
            let value = String::from_utf8_lossy(header.value);
            let name = header.name;
            if name.eq_ignore_ascii_case("content-length") {
                body = value.trim().parse().ok().map(Body::Length);
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                body = value.trim().eq_ignore_ascii_case("chunked").then_some(Body::Chunked);
            } else if name.eq_ignore_ascii_case("set-cookie") {
                head.cookies.extend(value.split(';').next().map(|it| it.trim().to_owned()));
            } else if name.eq_ignore_ascii_case("connection") {
                head.close = value.trim().eq_ignore_ascii_case("close");
            }
        }
        // These have none (RFC 9112 §6.3).
        if matches!(head.status, 100..=199 | 204 | 304) {
            body = Some(Body::Length(0));
        }
        head.body = body.ok_or(BadResponse::Endless)?;
        Ok(Some(head))
    }
}

/// The body at the front of what was read, appended to `body`, and how many bytes it took; nothing as
/// long as it is not whole.
pub(super) fn body<'a>(
    kind: Body,
    bytes: &'a [u8],
    unchunked: &'a mut Vec<u8>,
) -> Result<Option<(&'a [u8], usize)>, BadResponse> {
    let mut at = match kind {
        Body::Length(length) => return Ok(bytes.get(..length).map(|body| (body, length))),
        Body::Chunked => 0,
    };
    unchunked.clear();
    loop {
        let rest = &bytes[at..];
        let (line, length) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(it)) => it,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(BadResponse::Chunk),
        };
        let length = usize::try_from(length).map_err(|_| BadResponse::Chunk)?;
        // No server in this comparison sends trailers.
        let Some(chunk) = rest.get(line..).and_then(|it| it.get(..length.checked_add(2)?)) else {
            return Ok(None);
        };
        at += line + length + 2;
        if length == 0 {
            return Ok(Some((unchunked, at)));
        }
        unchunked.extend_from_slice(&chunk[..length]);
    }
}

/// What is the same in all requests of a client.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    pub(super) path: String,
    pub(super) host: String,
    /// `name=value; name=value`, as the server has set them.
    pub(super) cookies: String,
}

impl Requests {
    /// Appends a request with a payload.
    pub(super) fn post(&self, payload: &[u8], out: &mut Vec<u8>) {
        let mut head = String::with_capacity(256);
        let _ = write!(
            head,
            "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n",
            self.path, self.host
        );
        self.cookie(&mut head);
        let _ = write!(head, "content-length: {}\r\n\r\n", payload.len());
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(payload);
    }

    /// Appends a request for a WebSocket. The proof that comes back is not looked at.
    pub(super) fn upgrade(&self, out: &mut Vec<u8>) {
        let mut head = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            self.path, self.host
        );
        self.cookie(&mut head);
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
    }

    fn cookie(&self, head: &mut String) {
        if !self.cookies.is_empty() {
            let _ = write!(head, "cookie: {}\r\n", self.cookies);
        }
    }

    /// Takes what a response sets; a cookie of the same name is replaced.
    pub(super) fn keep(&mut self, cookies: Vec<String>) {
        for cookie in cookies {
            let name = cookie.split('=').next().unwrap_or_default();
            let mut kept: Vec<_> = (self.cookies.split("; "))
                .filter(|kept| !kept.is_empty() && kept.split('=').next() != Some(name))
                .collect();
            kept.push(&cookie);
            self.cookies = kept.join("; ");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_when_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nSet-Cookie: A=1; Path=/\r\nset-cookie: B=2\r\n\
                     Content-Length: 2\r\n\r\n[]";
        let end = text.len() - 2;
        for cut in 0..end {
            assert_eq!(Head::read(&text[..cut]), Ok(None));
        }
        let head = Head::read(text).unwrap().unwrap();
        assert_eq!((head.status, head.body, head.length), (200, Body::Length(2), end));
        assert_eq!(head.cookies, ["A=1", "B=2"]);
        let mut buffer = Vec::new();
        assert_eq!(body(head.body, b"[", &mut buffer), Ok(None));
        assert_eq!(body(head.body, b"[]HT", &mut buffer), Ok(Some((&b"[]"[..], 2))));
    }

    #[test]
    fn chunks_are_put_together() {
        let text = b"3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\n\r\nHTTP";
        let mut buffer = Vec::new();
        for cut in 0..text.len() - 4 {
            assert_eq!(body(Body::Chunked, &text[..cut], &mut buffer), Ok(None), "{cut}");
        }
        let whole = body(Body::Chunked, text, &mut buffer);
        assert_eq!(whole, Ok(Some((&b"abc0123456789abcdef"[..], text.len() - 4))));
        assert_eq!(body(Body::Chunked, b"zz\r\n", &mut buffer), Err(BadResponse::Chunk));
    }

    #[test]
    fn a_response_without_an_end_is_refused() {
        let head = Head::read(b"HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(head, Err(BadResponse::Endless));
        assert!(Head::read(b"HTTP/1.1 101 Switching\r\n\r\n").unwrap().is_some());
    }

    #[test]
    fn cookies_are_kept_by_name() {
        let mut requests = Requests { path: "/".into(), host: "h".into(), cookies: String::new() };
        requests.keep(vec!["A=1".into(), "B=2".into()]);
        requests.keep(vec!["A=3".into()]);
        assert_eq!(requests.cookies, "B=2; A=3");
        let mut out = Vec::new();
        requests.post(b"[]", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("\r\ncookie: B=2; A=3\r\ncontent-length: 2\r\n\r\n[]"), "{text}");
    }
}
