//! Answers that have to be the same to the byte, whatever serves them.
//!
//! Each request has a connection of its own, which is written to and then read to its end. What is
//! different each time (the date, ids, the cookie) is replaced by its name; the rest has to be what
//! `answers.txt` says. `UPDATE_ANSWERS=1` writes that file anew: look at what has changed.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use bayeux_core::front::Bayeux;
use bayeux_core::http::HttpConfig;
use bayeux_core::{Config, Transport};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::TcpStream;

use super::peer::Running;
use super::within;
use crate::adapter::Adapter;

const EXPECTED: &str = include_str!("answers.txt");
const ORIGIN: &str = "https://app.example";

/// A body that says that it is JSON.
fn json(body: &str) -> Vec<u8> {
    body_of("application/json", body)
}

fn body_of(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    request("POST /cometd", &format!("content-type: {kind}\r\ncontent-length: {length}\r\n"), body)
}

/// A request of HTTP/1.1 after whose answer the connection ends.
fn request(line: &str, headers: &str, body: &str) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}");
    format!("{head}\r\n{body}").into_bytes()
}

const UPGRADE: &str = "host: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A WebSocket on which these frames come at once, with a mask of zeros, which changes nothing.
fn socket(frames: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = format!("GET /cometd HTTP/1.1\r\n{UPGRADE}\r\n").into_bytes();
    for (first, content) in frames {
        bytes.extend_from_slice(&[*first, 0xfe]);
        let length = u16::try_from(content.len()).expect("a short frame");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(content);
    }
    bytes
}

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const BYE: &[u8] = &[3, 232];

/// What is asked, in this order; `{id}` and `{cookie}` are those of the first handshake.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let handshake = r#"[{"id":"1","channel":"/meta/handshake","version":"1.0"}]"#;
    let mine = |rest: &str| {
        let body = format!(r#"[{{"clientId":"{{id}}",{rest}}}]"#);
        let length = body.len() - "{id}".len() + ID_LENGTH;
        let headers = format!(
            "cookie: {{cookie}}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
        );
        request("POST /cometd/", &headers, &body)
    };
    let preflight = |origin: &str| {
        let headers = format!("origin: {origin}\r\naccess-control-request-method: POST\r\n");
        request("OPTIONS /cometd", &headers, "")
    };
    let long = "a".repeat(70_000);
    vec![
        ("a handshake", json(handshake)),
        ("the first connect", mine(r#""id":1,"channel":"/meta/connect""#)),
        ("a subscription", mine(r#""channel":"/meta/subscribe","subscription":"/a/*""#)),
        ("several", mine(r#""channel":"/meta/subscribe","subscription":["/b","/c/**"]"#)),
        ("a bad one", mine(r#""channel":"/meta/subscribe","subscription":"no""#)),
        ("one of a wrong type", mine(r#""channel":"/meta/subscribe","subscription":7"#)),
        ("to what is meta", mine(r#""channel":"/meta/subscribe","subscription":"/meta/**""#)),
        ("an id that is none", mine(r#""id":"é","channel":"/a/b","data":1"#)),
        ("a message", mine(r#""id":"m","channel":"/a/b","data":{"x":1.0,"e":"\u00e9"}"#)),
        ("its event", mine(r#""channel":"/meta/connect","advice":{"timeout":0}"#)),
        ("a bad channel", mine(r#""channel":"a b","data":1"#)),
        ("an unknown meta channel", mine(r#""channel":"/meta/what","data":1"#)),
        ("no channel", mine(r#""data":1"#)),
        ("a stranger", json(r#"[{"channel":"/meta/connect","clientId":"nobody"}]"#)),
        ("nobody", json(r#"[{"channel":"/a","data":1}]"#)),
        ("a version too new", json(r#"{"channel":"/meta/handshake","minimumVersion":"2.0"}"#)),
        (
            "no common type",
            json(r#"[{"channel":"/meta/handshake","supportedConnectionTypes":["iframe"]}]"#),
        ),
        ("not alone", json(r#"[{"channel":"/meta/handshake"},{"channel":"/a","data":1}]"#)),
        ("nothing", json("")),
        ("no JSON", json("[{")),
        ("no messages", json("[]")),
        ("no objects", json("[1]")),
        ("a form", body_of("application/x-www-form-urlencoded", "message=%5B%7B%7D%5D")),
        ("text", body_of("text/plain", handshake)),
        ("a body too large", json(&long)),
        (
            "a chunked body",
            request("POST /cometd", "transfer-encoding: chunked\r\n", "2\r\n[]\r\n0\r\n\r\n"),
        ),
        (
            "one that is waited for",
            request(
                "POST /cometd",
                "content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 2\r\n",
                "[]",
            ),
        ),
        (
            "one that will be too large",
            request("POST /cometd", "expect: 100-continue\r\ncontent-length: 99999\r\n", ""),
        ),
        ("JSONP", request("GET /cometd?jsonp=f&message=%5B%7B%7D%5D", "", "")),
        ("JSONP with a bad name", request("GET /cometd?jsonp=f()&message=%5B%5D", "", "")),
        ("GET", request("GET /cometd", "", "")),
        ("HEAD", request("HEAD /cometd", "", "")),
        ("PUT", request("PUT /cometd", "content-length: 2\r\n", "[]")),
        ("another path", request("GET /elsewhere", "", "")),
        ("a path that begins so", request("POST /cometdx", "content-length: 2\r\n", "[]")),
        ("a preflight", preflight(ORIGIN)),
        ("one from elsewhere", preflight("https://evil.example")),
        ("OPTIONS", request("OPTIONS /cometd", "", "")),
        (
            "a message of a page",
            request(
                "POST /cometd",
                &format!("origin: {ORIGIN}\r\ncontent-length: {}\r\n", handshake.len()),
                handshake,
            ),
        ),
        ("no host", b"POST /cometd HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec()),
        ("HTTP/1.0", b"GET /cometd HTTP/1.0\r\n\r\n".to_vec()),
        ("no HTTP", b"hello there\r\n\r\n".to_vec()),
        ("an unknown version", b"GET /cometd HTTP/3.0\r\n\r\n".to_vec()),
        ("a bad length", request("POST /cometd", "content-length: x\r\n", "")),
        ("two lengths", request("POST /cometd", "content-length: 2\r\ncontent-length: 3\r\n", "")),
        ("a bad header", request("POST /cometd", "no colon\r\n", "")),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(3)),
        (
            "two at once",
            [
                b"GET /cometd HTTP/1.1\r\nhost: test\r\n\r\n".to_vec(),
                request("GET /elsewhere", "", ""),
            ]
            .concat(),
        ),
        (
            "a socket without a key",
            request(
                "GET /cometd",
                "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n",
                "",
            ),
        ),
        (
            "a socket of another version",
            format!("GET /cometd HTTP/1.1\r\nconnection: close\r\n{UPGRADE}\r\n")
                .replace("13", "12")
                .into_bytes(),
        ),
        (
            "a socket from elsewhere",
            format!(
                "GET /cometd HTTP/1.1\r\nconnection: close\r\norigin: https://evil.example\r\n\
                 {UPGRADE}\r\n"
            )
            .into_bytes(),
        ),
        ("a socket that closes", socket(&[(CLOSE, BYE)])),
        ("a session on a socket", socket(&[(TEXT, handshake.as_bytes()), (CLOSE, BYE)])),
        ("a ping", socket(&[(0x89, b"are you there"), (CLOSE, BYE)])),
        (
            "parts",
            socket(&[
                (0x01, &handshake.as_bytes()[..9]),
                (0x80, &handshake.as_bytes()[9..]),
                (CLOSE, BYE),
            ]),
        ),
        ("binary", socket(&[(0x82, b"[]")])),
        ("no UTF-8", socket(&[(TEXT, b"[\xff]")])),
        ("no JSON on a socket", socket(&[(TEXT, b"[{")])),
        ("no messages on a socket", socket(&[(TEXT, b"[]")])),
        ("not alone on a socket", socket(&[(TEXT, b"[{\"channel\":\"/meta/handshake\"},{}]")])),
        ("an unknown opcode", socket(&[(0x83, b"x")])),
        ("a reserved bit", socket(&[(0xc1, b"x")])),
        (
            "a frame without a mask",
            [format!("GET /cometd HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes(), b"\x81\x02[]"].concat(),
        ),
        (
            "a frame too large",
            [
                format!("GET /cometd HTTP/1.1\r\n{UPGRADE}\r\n").as_bytes(),
                b"\x81\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00",
            ]
            .concat(),
        ),
        ("a goodbye", mine(r#""channel":"/meta/disconnect""#)),
        ("and after it", mine(r#""channel":"/meta/connect""#)),
    ]
}

/// The length of a session's id in its text form.
const ID_LENGTH: usize = 36;

/// What is learnt from the first handshake.
#[derive(Default)]
struct Known {
    id: String,
    cookie: String,
}

impl Known {
    fn learn(&mut self, answer: &str) {
        let between = |from: &str, to: &str| {
            let rest = answer.split_once(from)?.1;
            Some(rest.split_once(to)?.0.to_owned())
        };
        self.id = between(r#""clientId":""#, "\"").expect("a session");
        assert_eq!(self.id.len(), ID_LENGTH, "the length of ids");
        self.cookie = between("set-cookie: ", ";").expect("a cookie");
    }

    fn fill(&self, request: &[u8]) -> Vec<u8> {
        match std::str::from_utf8(request) {
            Ok(text) => {
                text.replace("{id}", &self.id).replace("{cookie}", &self.cookie).into_bytes()
            }
            Err(_) => request.to_vec(),
        }
    }
}

/// Replaces what stands between `from` and `to`, wherever that is.
fn hide(text: &str, from: &str, to: &str, name: &str) -> String {
    let mut pieces = text.split(from);
    let mut hidden = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(to).unwrap_or(piece.len());
        hidden.extend([from, name, &piece[end..]]);
    }
    hidden
}

fn normal(answer: &str) -> String {
    let answer = hide(answer, "date: ", "\r\n", "{date}");
    let answer = hide(&answer, "set-cookie: BAYEUX_BROWSER=", ";", "{browser}");
    let answer = hide(&answer, r#""clientId":""#, "\"", "{id}");
    hide(&answer, r#"\"clientId\":\""#, "\\", "{id}")
}

async fn ask(server: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).await.expect("the server accepts");
    // It may have enough before it has everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let all = within(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    let what = request.escape_ascii();
    assert!(all.is_some(), "the connection ends after {what}\nbut: {}", answer.escape_ascii());
    answer
}

pub async fn are_the_same_to_the_byte(adapter: &dyn Adapter) {
    let mut config = Config::default();
    config.allowed_transports =
        vec![Transport::WebSocket, Transport::LongPolling, Transport::CallbackPolling];
    let mut http = HttpConfig::default();
    http.allowed_origins = vec![ORIGIN.to_owned()];
    let server = Running::with(adapter, Bayeux::builder().config(config).http(http), |_| {});
    let mut known = Known::default();
    let mut all = String::new();
    for (name, request) in requests() {
        let answer = ask(server.address, &known.fill(&request)).await;
        // Frames and what else is no text are escaped; heads and bodies are as they are.
        let text = match String::from_utf8(answer) {
            Ok(text) => text,
            Err(error) => error.into_bytes().escape_ascii().to_string().replace("\\r\\n", "\r\n"),
        };
        if known.id.is_empty() {
            known.learn(&text);
        }
        let _ = writeln!(all, "=== {name}");
        for line in normal(&text).lines() {
            let _ = writeln!(all, "{}", line.trim_end_matches('\r'));
        }
    }
    if std::env::var_os("UPDATE_ANSWERS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance/answers.txt");
        std::fs::write(path, &all).expect("the file can be written");
        return;
    }
    for (number, (is, expected)) in all.lines().zip(EXPECTED.lines()).enumerate() {
        assert_eq!(is, expected, "line {} of answers.txt", number + 1);
    }
    assert_eq!(all.len(), EXPECTED.len());
}
