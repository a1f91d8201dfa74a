//! [`Exchange`]: one HTTP request that is being served.
//!
//! It holds what answering needs and nothing else. A server has as many of these as it has idle
//! clients, each for as long as a connect is held, so the request's head is not among its fields
//! and what only JSONP needs is in a box.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;
use core::{fmt, mem};

use ::http::header::{self, HeaderValue};
use ::http::{Response, StatusCode};
use bytes::Bytes;
use smallvec::SmallVec;

use super::config::HttpConfig;
use super::cookie::BrowserCookie;
use super::cors::{Cors, Grant};
use super::{form, jsonp};
use crate::id::BrowserId;
use crate::transport::Transport;

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript;charset=UTF-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain;charset=UTF-8");
const DOWNLOAD: HeaderValue = HeaderValue::from_static("attachment; filename=f.txt");

/// What all requests of a server have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: HttpConfig,
    pub(super) callback_polling: bool,
    pub(super) websocket: bool,
    pub(super) cookie: BrowserCookie,
    pub(super) cors: Cors,
    pub(super) superseded: StatusCode,
}

impl Shared {
    /// An empty answer with the headers that every answer has.
    pub(super) fn answer(&self, grant: Grant, status: StatusCode) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.cors.apply(grant, headers);
        response
    }

    /// An answer that says in words what was wrong. The words are ours alone: what the peer sent
    /// must not come back as a page of this origin.
    pub(super) fn error(
        &self,
        grant: Grant,
        status: StatusCode,
        what: &'static str,
    ) -> Response<Bytes> {
        let mut response = self.answer(grant, status);
        response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
        *response.body_mut() = Bytes::from_static(what.as_bytes());
        response
    }
}

/// One request that is being served: where its messages are, and how to answer it.
///
/// Made by [`Mapper::plan`](super::Mapper::plan). Dropping it does nothing.
#[derive(Debug)]
pub struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) source: Source,
    pub(super) grant: Grant,
    pub(super) browser: Option<BrowserId>,
    pub(super) http2: bool,
}

/// Where the messages are.
#[derive(Debug)]
pub(super) enum Source {
    /// The body is one JSON text.
    Json,
    /// The body is a form.
    Form,
    /// The query string, which is decoded already; the answer is a script.
    Query(Box<Query>),
}

/// What is kept of a JSONP request.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) callback: String,
    pub(super) messages: Vec<Bytes>,
}

impl Exchange {
    /// Bytes of body to read at most; a longer one is answered with [`error`](Self::error) and
    /// 413. `None`: there is no body worth reading.
    pub fn read_limit(&self) -> Option<usize> {
        match self.source {
            Source::Json | Source::Form => Some(self.shared.config.max_message_size),
            Source::Query(_) => None,
        }
    }

    /// The transport that the client uses.
    pub fn transport(&self) -> Transport {
        match self.source {
            Source::Json | Source::Form => Transport::LongPolling,
            Source::Query(_) => Transport::CallbackPolling,
        }
    }

    /// The browser that the cookie names. The id has the right form; whether this server issued it
    /// is not known here.
    pub fn browser(&self) -> Option<BrowserId> {
        self.browser
    }

    /// Whether requests share a connection, so that a held one keeps no other from being sent:
    /// HTTP/2 and later.
    pub fn http2(&self) -> bool {
        self.http2
    }

    /// The JSON texts of the request, in order; each should be an array of messages or a lone one,
    /// which has not been checked. A JSON body is one text.
    ///
    /// `body` is ignored where [`read_limit`](Self::read_limit) is `None`. The texts of a query
    /// string are moved out, so that they are not kept while the request is held: ask once.
    ///
    /// # Errors
    ///
    /// When there are no texts, or the body is longer than it may be; answer with
    /// [`error`](Self::error), [`BodyError::status`] and [`BodyError::what`].
    pub fn texts(&mut self, body: Bytes) -> Result<BodyTexts, BodyError> {
        if self.read_limit().is_some_and(|limit| body.len() > limit) {
            return Err(BodyError::TooLarge);
        }
        let texts = match &mut self.source {
            Source::Json => SmallVec::from_buf([body]),
            Source::Form => form::messages(&body).into(),
            Source::Query(query) => mem::take(&mut query.messages).into(),
        };
        if texts.is_empty() { Err(BodyError::NoMessage) } else { Ok(BodyTexts(texts)) }
    }

    /// 200 with `payload`, which must be the text of a JSON array, and with the browser cookie if
    /// one is to be set.
    pub fn respond(&self, payload: Bytes, browser: Option<BrowserId>) -> Response<Bytes> {
        let mut response = self.shared.answer(self.grant, StatusCode::OK);
        let headers = response.headers_mut();
        if let Some(cookie) = browser.and_then(|id| self.shared.cookie.render(id)) {
            headers.insert(header::SET_COOKIE, cookie);
        }
        let body = match &self.source {
            Source::Json | Source::Form => {
                headers.insert(header::CONTENT_TYPE, JSON);
                payload
            }
            Source::Query(query) => {
                headers.insert(header::CONTENT_TYPE, SCRIPT);
                headers.insert(header::CONTENT_DISPOSITION, DOWNLOAD);
                jsonp::script(&query.callback, &payload)
            }
        };
        *response.body_mut() = body;
        response
    }

    /// An error answer: the status and a line of plain text.
    pub fn error(&self, status: StatusCode, what: &'static str) -> Response<Bytes> {
        self.shared.error(self.grant, status, what)
    }

    /// The empty answer to a held `/meta/connect` that a newer one has replaced.
    pub fn superseded(&self) -> Response<Bytes> {
        self.shared.answer(self.grant, self.shared.superseded)
    }
}

/// The JSON texts of one request. Reads like a slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BodyTexts(SmallVec<[Bytes; 1]>);

impl Deref for BodyTexts {
    type Target = [Bytes];

    fn deref(&self) -> &[Bytes] {
        &self.0
    }
}

/// Why no JSON text was found in a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is longer than `max_message_size`.
    TooLarge,
    /// The form has no `message` parameter.
    NoMessage,
}

impl BodyError {
    /// The status to answer with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoMessage => StatusCode::BAD_REQUEST,
        }
    }

    /// The words to answer with.
    pub const fn what(self) -> &'static str {
        match self {
            Self::TooLarge => "the body is too large",
            Self::NoMessage => "no `message` parameter",
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what())
    }
}

impl core::error::Error for BodyError {}

#[cfg(test)]
mod tests {
    use super::super::{Mapper, Plan};
    use super::*;
    use ::http::{Request, Version};
    use alloc::format;
    use alloc::string::ToString;

    const ID: &str = "0001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn exchange(request: ::http::request::Builder) -> Exchange {
        let config = HttpConfig {
            max_message_size: 100,
            allowed_origins: alloc::vec!["https://a.example".to_string()],
            duplicate_meta_connect_http_response_code: 503,
            ..HttpConfig::default()
        };
        let mapper =
            Mapper::new(config, &[Transport::LongPolling, Transport::CallbackPolling]).unwrap();
        match mapper.plan(&request.body(()).unwrap().into_parts().0) {
            Plan::Exchange(exchange) => exchange,
            Plan::Upgrade(_) => panic!("an upgrade"),
            Plan::Answer(answer) => panic!("{answer:?}"),
        }
    }

    fn json() -> Exchange {
        exchange(Request::post("/"))
    }

    fn form() -> Exchange {
        exchange(Request::post("/").header("content-type", "application/x-www-form-urlencoded"))
    }

    fn script() -> Exchange {
        exchange(Request::get("/x.bat?jsonp=cb&message=%5B1%5D&message=%7B%7D"))
    }

    fn header<'a>(response: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
        response.headers().get(name).map(|it| it.to_str().unwrap())
    }

    #[test]
    fn an_exchange_is_small_and_can_be_sent() {
        fn check<T: Send + Sync + 'static>() -> usize {
            size_of::<T>()
        }
        assert!(check::<Exchange>() <= 64, "{}", check::<Exchange>());
    }

    #[test]
    fn what_is_known_from_the_head() {
        assert_eq!(json().read_limit(), Some(100));
        assert_eq!(form().read_limit(), Some(100));
        assert_eq!(script().read_limit(), None);
        assert_eq!(json().transport(), Transport::LongPolling);
        assert_eq!(form().transport(), Transport::LongPolling);
        assert_eq!(script().transport(), Transport::CallbackPolling);
        for (version, http2) in [
            (Version::HTTP_10, false),
            (Version::HTTP_11, false),
            (Version::HTTP_2, true),
            (Version::HTTP_3, true),
        ] {
            assert_eq!(exchange(Request::post("/").version(version)).http2(), http2);
        }
        let cookie = format!("a=b; BAYEUX_BROWSER={ID}");
        let found = exchange(Request::post("/").header("cookie", cookie)).browser();
        assert_eq!(found, BrowserId::parse(ID));
        assert_eq!(json().browser(), None);
    }

    #[test]
    fn texts_are_where_the_type_says() {
        let body = Bytes::from_static;
        let long = Bytes::from(b"x".repeat(101));
        assert_eq!(json().texts(body(b"[1]")).unwrap()[..], ["[1]"]);
        assert_eq!(json().texts(body(b"")).unwrap()[..], [""]);
        assert_eq!(json().texts(body(b"message=[1]")).unwrap()[..], ["message=[1]"]);
        assert_eq!(json().texts(body(b"\xff")).unwrap()[..], [&b"\xff"[..]]);
        assert_eq!(json().texts(long.clone()), Err(BodyError::TooLarge));
        assert_eq!(form().texts(body(b"message=[1]&message={}")).unwrap()[..], ["[1]", "{}"]);
        assert_eq!(form().texts(body(b"[1]")), Err(BodyError::NoMessage));
        assert_eq!(form().texts(long.clone()), Err(BodyError::TooLarge));
        let mut script = script();
        assert_eq!(script.texts(long).unwrap()[..], ["[1]", "{}"]);
        assert_eq!(script.texts(Bytes::new()), Err(BodyError::NoMessage));
        assert_eq!(BodyError::TooLarge.status(), 413);
        assert_eq!(BodyError::NoMessage.to_string(), "no `message` parameter");
    }

    #[test]
    fn responses_say_what_they_are() {
        let payload = Bytes::from_static(b"[{}]");
        for exchange in [json(), form()] {
            let response = exchange.respond(payload.clone(), None);
            assert_eq!(response.status(), 200);
            assert_eq!(response.body(), "[{}]");
            let table = [
                ("content-type", Some("application/json;charset=UTF-8")),
                ("cache-control", Some("no-store")),
                ("x-content-type-options", Some("nosniff")),
                ("vary", Some("Origin")),
                ("set-cookie", None),
                ("content-disposition", None),
                ("access-control-allow-origin", None),
            ];
            for (name, value) in table {
                assert_eq!(header(&response, name), value, "{name}");
            }
        }
        let response = script().respond(payload, None);
        assert_eq!(response.body(), "/**/cb([{}])");
        assert_eq!(header(&response, "content-type"), Some("text/javascript;charset=UTF-8"));
        assert_eq!(header(&response, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&response, "content-disposition"), Some("attachment; filename=f.txt"));
    }

    #[test]
    fn the_cookie_is_set_when_asked_for() {
        for exchange in [json(), form(), script()] {
            let response = exchange.respond(Bytes::new(), BrowserId::parse(ID));
            let expected = format!("BAYEUX_BROWSER={ID}; Path=/; HttpOnly");
            assert_eq!(header(&response, "set-cookie"), Some(&expected[..]));
        }
    }

    #[test]
    fn every_answer_to_a_listed_origin_can_be_read_by_it() {
        let exchange = exchange(Request::post("/").header("origin", "https://a.example"));
        let error = exchange.error(StatusCode::BAD_REQUEST, "not JSON");
        assert_eq!((error.status().as_u16(), &error.body()[..]), (400, &b"not JSON"[..]));
        assert_eq!(header(&error, "content-type"), Some("text/plain;charset=UTF-8"));
        let superseded = exchange.superseded();
        assert_eq!((superseded.status().as_u16(), superseded.body().len()), (503, 0));
        assert_eq!(header(&superseded, "content-type"), None);
        for answer in [error, superseded, exchange.respond(Bytes::new(), None)] {
            let origin = header(&answer, "access-control-allow-origin");
            assert_eq!(origin, Some("https://a.example"));
            assert_eq!(header(&answer, "access-control-allow-credentials"), Some("true"));
            assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        }
    }
}
