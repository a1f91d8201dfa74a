//! HTTP/1.1: as little of it as a client needs that is alone on its connection.

use std::io::{self, Read, Write as _};
use std::net::TcpStream;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

/// How many headers a response may have.
const MOST_HEADERS: usize = 32;

/// A request as it is sent.
pub(super) fn text_of(head: &Parts, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let path = head.uri.path_and_query().map_or("/cometd", |it| it.as_str());
    let path = if path == "/" { "/cometd" } else { path };
    let mut line = |parts: &[&[u8]]| {
        parts.iter().for_each(|part| text.extend_from_slice(part));
        text.extend_from_slice(b"\r\n");
    };
    line(&[head.method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1"]);
    for (name, value) in &head.headers {
        line(&[name.as_str().as_bytes(), b": ", value.as_bytes()]);
    }
    if !head.headers.contains_key(header::HOST) {
        line(&[b"host: server.example"]);
    }
    if !body.is_empty() {
        line(&[b"content-length: ", body.len().to_string().as_bytes()]);
    }
    line(&[]);
    text.extend_from_slice(body);
    text
}

/// Whether a connection on which nothing is expected has not been closed.
pub(super) fn is_open(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(seen.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
}

/// Reads responses, one behind the other.
pub(super) struct Reader<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: Read> Reader<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The connection, and what has been read of it and was not used.
    pub(super) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.buffer)
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut room = [0; 4096];
        match self.stream.read(&mut room)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => self.buffer.write_all(&room[..length]),
        }
    }

    /// A response's head. Nothing is read of its body, but it may be in the buffer.
    pub(super) fn head(&mut self) -> io::Result<Response<()>> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
            let mut parsed = httparse::Response::new(&mut headers);
            let status = parsed.parse(&self.buffer).map_err(invalid)?;
            let httparse::Status::Complete(length) = status else {
                self.fill()?;
                continue;
            };
            let mut response = Response::new(());
            let code = parsed.code.unwrap_or_default();
            *response.status_mut() = StatusCode::from_u16(code).map_err(invalid)?;
            for header in parsed.headers {
                let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(invalid)?;
                let value = HeaderValue::from_bytes(header.value).map_err(invalid)?;
                response.headers_mut().append(name, value);
            }
            self.buffer.drain(..length);
            return Ok(response);
        }
    }

    /// The response to the only request that is out.
    pub(super) fn response(mut self) -> io::Result<Response<Bytes>> {
        let head = self.head()?;
        let body = match body_of(head.headers())? {
            Body::Length(length) => self.take(length)?,
            Body::Chunked => self.chunks()?,
            Body::ToTheEnd => {
                self.stream.read_to_end(&mut self.buffer)?;
                self.buffer
            }
        };
        Ok(head.map(|()| body.into()))
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let parsed = httparse::parse_chunk_size(&self.buffer);
            let parsed = parsed.map_err(|_| invalid("no size of a chunk"))?;
            let httparse::Status::Complete((head, length)) = parsed else {
                self.fill()?;
                continue;
            };
            self.buffer.drain(..head);
            let length = usize::try_from(length).map_err(invalid)?;
            // Behind a chunk, and behind the last one, since nobody sends trailers, is an empty line.
            let chunk = self.take(length.saturating_add(2))?;
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..length]);
        }
    }
}

enum Body {
    Length(usize),
    Chunked,
    ToTheEnd,
}

fn body_of(headers: &HeaderMap) -> io::Result<Body> {
    if headers.get(header::TRANSFER_ENCODING).is_some_and(|it| it == "chunked") {
        return Ok(Body::Chunked);
    }
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return Ok(Body::ToTheEnd) };
    let length = length.to_str().ok().and_then(|it| it.parse().ok());
    length.map(Body::Length).ok_or_else(|| invalid("no length"))
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> io::Result<Bytes> {
        Reader::new(text.as_bytes()).response().map(Response::into_body)
    }

    #[test]
    fn bodies_of_each_kind_are_read() {
        let head = "HTTP/1.1 200 OK\r\n";
        for rest in [
            "content-length: 3\r\n\r\n[1]and what follows",
            "transfer-encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n",
            "\r\n[1]",
        ] {
            let read = body(&format!("{head}{rest}"));
            assert!(matches!(&read, Ok(body) if body == "[1]"), "{rest}: {read:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n[1]";
        for end in 0..whole.len() {
            assert!(body(&whole[..end]).is_err(), "{end}");
        }
        assert!(body("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n").is_err());
    }

    #[test]
    fn a_request_is_written_with_what_it_needs() {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.headers.insert(header::COOKIE, HeaderValue::from_static("a=b"));
        let text = text_of(&head, b"[]");
        let expected = "GET /cometd HTTP/1.1\r\ncookie: a=b\r\nhost: server.example\r\n\
                        content-length: 2\r\n\r\n[]";
        assert_eq!(String::from_utf8_lossy(&text), expected);
    }
}
