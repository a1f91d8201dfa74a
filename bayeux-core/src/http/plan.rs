//! [`Mapper`]: what to do with a request, decided from its head alone.
//!
//! | request | plan |
//! | --- | --- |
//! | `OPTIONS` | 204 with `Allow`, and with CORS headers for origins that may do anything |
//! | `POST`, JSON or no type | the body is a JSON text |
//! | `POST`, a form | the body's `message` parameters |
//! | `POST`, plain text from a listed origin | the same: Faye's browser client does it so |
//! | `POST`, a form or no type, from a site that is foreign | 403 |
//! | `POST`, any other type | 415 |
//! | `POST` that announces too much | 413 |
//! | `GET` that asks for a WebSocket, `CONNECT` that does (HTTP/2), if WebSocket is on | 101, 200 |
//! | the same, not as it should be; from a foreign origin | 400, 426; 403 |
//! | `GET` with a callback and messages, if callback-polling is on | the query's parameters |
//! | `GET` without them; too long | 400; 414 |
//! | anything else | 405 with `Allow` |
//!
//! For a `POST` "foreign" is what the browser says (`Sec-Fetch-Site`) of a page whose origin is not listed; see
//! [`media`] for why only some types are asked about it. JSONP is exempt: being reachable from any
//! site is what it is for.

use alloc::boxed::Box;
use alloc::sync::Arc;

use ::http::header::{self, HeaderValue};
use ::http::{Method, Response, StatusCode, Version, request};
use bytes::Bytes;

use super::config::HttpConfig;
use super::cookie::BrowserCookie;
use super::cors::{self, Cors, Grant};
use super::exchange::{Exchange, Query, Shared, Source};
use super::media::{self, Media};
use super::{form, jsonp};
use crate::options::ConfigError;
use crate::transport::Transport;
use crate::ws::{self, Rejection, Upgrade, WebSocketConfig};

/// Reads request heads. Built once; clones share everything.
#[derive(Clone, Debug)]
pub struct Mapper {
    shared: Arc<Shared>,
}

/// What to do with a request.
#[derive(Debug)]
#[must_use]
pub enum Plan {
    /// Send this; the body need not be read.
    Answer(Response<Bytes>),
    /// Read the body and serve it.
    Exchange(Exchange),
    /// Send the answer, and speak WebSocket from there on.
    Upgrade(Upgrade),
}

/// A status, and what to say with it.
type Refusal = (StatusCode, &'static str);

impl Mapper {
    /// A mapper with these options, for a server that offers these transports.
    ///
    /// # Errors
    ///
    /// Names the first option that makes no sense, as [`HttpConfig::validate`] does.
    pub fn new(config: HttpConfig, transports: &[Transport]) -> Result<Self, ConfigError> {
        config.validate()?;
        let code = config.duplicate_meta_connect_http_response_code;
        let shared = Shared {
            cookie: BrowserCookie::new(&config),
            cors: Cors::new(&config),
            // Validated: the fallback is the option's default.
            superseded: StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            callback_polling: transports.contains(&Transport::CallbackPolling),
            websocket: transports.contains(&Transport::WebSocket),
            config,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What to do with the request that begins with `head`.
    pub fn plan(&self, head: &request::Parts) -> Plan {
        let shared = &self.shared;
        let grant = shared.cors.grant(&head.headers);
        if shared.websocket && ws::wants_upgrade(head) {
            return self.upgrade(head, grant);
        }
        let source = match head.method {
            Method::POST => self.post(head, grant),
            Method::GET if shared.callback_polling => self.get(head),
            Method::OPTIONS => return Plan::Answer(self.options(head, grant)),
            _ => Err((StatusCode::METHOD_NOT_ALLOWED, "method not allowed: use POST")),
        };
        match source {
            Ok(source) => Plan::Exchange(Exchange {
                shared: Arc::clone(shared),
                source,
                grant,
                browser: shared.cookie.find(&head.headers),
                http2: head.version >= Version::HTTP_2,
            }),
            Err((status, what)) => {
                let mut answer = shared.error(grant, status, what);
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    answer.headers_mut().insert(header::ALLOW, self.allow());
                }
                Plan::Answer(answer)
            }
        }
    }

    /// How messages travel over WebSocket.
    pub fn ws(&self) -> &WebSocketConfig {
        &self.shared.config.ws
    }

    fn upgrade(&self, head: &request::Parts, grant: Grant) -> Plan {
        let config = &self.shared.config;
        match ws::accept(head, grant != Grant::Nothing, &config.ws) {
            Ok(response) => {
                Plan::Upgrade(Upgrade { response, max_message_size: config.max_message_size })
            }
            Err(Rejection { status, headers, what }) => {
                let mut answer = self.shared.error(grant, status, what);
                answer.headers_mut().extend(headers);
                Plan::Answer(answer)
            }
        }
    }

    fn allow(&self) -> HeaderValue {
        HeaderValue::from_static(if self.shared.callback_polling {
            "GET, POST, OPTIONS"
        } else {
            "POST, OPTIONS"
        })
    }

    fn options(&self, head: &request::Parts, grant: Grant) -> Response<Bytes> {
        let mut answer = self.shared.answer(grant, StatusCode::NO_CONTENT);
        let headers = answer.headers_mut();
        headers.insert(header::ALLOW, self.allow());
        self.shared.cors.apply_preflight(grant, &head.headers, headers);
        answer
    }

    fn post(&self, head: &request::Parts, grant: Grant) -> Result<Source, Refusal> {
        let unsupported = |what| (StatusCode::UNSUPPORTED_MEDIA_TYPE, what);
        let media = media::classify(&head.headers).map_err(unsupported)?;
        if !matches!(grant, Grant::Listed(_)) {
            match media {
                Media::Json => {}
                Media::Text => return Err(unsupported("Content-Type must be application/json")),
                Media::Form | Media::Untyped => {
                    if cors::cross_site(&head.headers) {
                        return Err((StatusCode::FORBIDDEN, "this site's origin is not allowed"));
                    }
                }
            }
        }
        if media::announces_more(&head.headers, self.shared.config.max_message_size) {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
        }
        Ok(match media {
            Media::Json | Media::Untyped => Source::Json,
            Media::Form | Media::Text => Source::Form,
        })
    }

    fn get(&self, head: &request::Parts) -> Result<Source, Refusal> {
        let bad = |what| (StatusCode::BAD_REQUEST, what);
        let config = &self.shared.config;
        let query = head.uri.query().unwrap_or_default();
        if query.len() > config.max_message_size {
            return Err((StatusCode::URI_TOO_LONG, "the query string is too long"));
        }
        let callback = form::parameter(query, &config.callback_parameter)
            .ok_or_else(|| bad("no callback parameter"))?;
        if !jsonp::is_callback(&callback, config.callback_parameter_max_length) {
            return Err(bad("the callback parameter is not a valid name"));
        }
        let messages = form::messages(query.as_bytes());
        if messages.is_empty() {
            return Err(bad("no `message` parameter"));
        }
        Ok(Source::Query(Box::new(Query { callback: callback.into_owned(), messages })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::Request;
    use alloc::string::{String, ToString};
    use alloc::{format, vec};

    const ALL: [Transport; 3] =
        [Transport::LongPolling, Transport::CallbackPolling, Transport::WebSocket];

    type Header<'a> = (&'a str, &'a [u8]);

    fn mapper(callback_polling: bool) -> Mapper {
        let config = HttpConfig {
            max_message_size: 100,
            allowed_origins: vec!["https://a.example".to_string(), "*".to_string()],
            ..HttpConfig::default()
        };
        let transports = if callback_polling { &ALL[..] } else { &ALL[..1] };
        Mapper::new(config, transports).unwrap()
    }

    fn head(method: &str, uri: &str, headers: &[Header<'_>]) -> request::Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// The status of the answer, or 0 if the request is to be served.
    fn status(plan: &Plan) -> u16 {
        match plan {
            Plan::Answer(answer) => answer.status().as_u16(),
            Plan::Exchange(_) => 0,
            Plan::Upgrade(upgrade) => upgrade.response.status().as_u16(),
        }
    }

    #[test]
    fn posts_are_planned_by_their_headers() {
        let form: Header<'_> = ("content-type", b"application/x-www-form-urlencoded");
        let json: Header<'_> = ("content-type", b"application/json");
        let text: Header<'_> = ("content-type", b"text/plain;charset=UTF-8");
        let listed: Header<'_> = ("origin", b"https://a.example");
        let other: Header<'_> = ("origin", b"https://evil.example");
        let foreign: Header<'_> = ("sec-fetch-site", b"cross-site");
        let table: &[(&[Header<'_>], u16)] = &[
            (&[], 0),
            (&[json], 0),
            (&[form], 0),
            (&[json, ("content-length", b"100")], 0),
            (&[json, ("content-length", b"101")], 413),
            (&[form, ("content-length", b"99999999999999999999999")], 413),
            (&[json, ("content-length", b"x")], 0),
            (&[json, ("expect", b"100-continue"), ("cookie", b"\xff\xff")], 0),
            (&[text], 415),
            (&[text, listed], 0),
            (&[text, other], 415),
            (&[text, listed, foreign], 0),
            (&[json, other, foreign], 0),
            (&[form, other, foreign], 403),
            (&[other, foreign], 403),
            (&[form, listed, foreign], 0),
            (&[listed, foreign], 0),
            (&[form, other], 0),
            (&[form, ("sec-fetch-site", b"same-origin")], 0),
            (&[("content-type", b"multipart/form-data")], 415),
            (&[("content-type", b"\xff\xfe")], 415),
            (&[("content-type", b"application/json;charset=latin1")], 415),
        ];
        for (headers, expected) in table {
            let plan = mapper(true).plan(&head("POST", "/cometd/connect", headers));
            assert_eq!(status(&plan), *expected, "{headers:?}");
        }
    }

    #[test]
    fn gets_are_planned_by_their_query() {
        let cb = |len| format!("/?jsonp={}&message=[]", "x".repeat(len));
        let (longest, too_long) = (cb(64), cb(65));
        let query = |len: usize| format!("/?jsonp=c&message={}", "x".repeat(len - 16));
        let (full, over) = (query(100), query(101));
        let table = [
            ("/?jsonp=cb&message=%5B%5D", 0),
            ("/cometd/connect.json?message=[]&jsonp=a.b-c_d", 0),
            ("/?jsonp=__proto__&message=[]", 0),
            (&longest, 0),
            (&too_long, 400),
            (&full, 0),
            (&over, 414),
            ("/?message=[]", 400),
            ("/?jsonp=&message=[]", 400),
            ("/?jsonp=a%0Ab&message=[]", 400),
            ("/?jsonp=a%0D%0AX:y&message=[]", 400),
            ("/?jsonp=a%20b&message=[]", 400),
            ("/?jsonp=a+b&message=[]", 400),
            ("/?jsonp=a:b&message=[]", 400),
            ("/?jsonp=%ff&message=[]", 400),
            ("/?jsonp=bad(&jsonp=good&message=[]", 400),
            ("/?jsonp=cb", 400),
            ("/?%zz&=&%", 400),
            ("/", 400),
        ];
        for (uri, expected) in table {
            let head = head("GET", uri, &[]);
            assert_eq!(status(&mapper(true).plan(&head)), expected, "{uri}");
            assert_eq!(status(&mapper(false).plan(&head)), 405, "{uri}");
        }
        let Plan::Exchange(exchange) = mapper(true).plan(&head("GET", table[0].0, &[])) else {
            panic!("served")
        };
        assert_eq!(exchange.transport(), Transport::CallbackPolling);
    }

    #[test]
    fn other_methods_are_told_what_is_allowed() {
        for method in ["HEAD", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "post", "FOO"] {
            for (callback_polling, allow) in
                [(true, "GET, POST, OPTIONS"), (false, "POST, OPTIONS")]
            {
                let plan = mapper(callback_polling).plan(&head(method, "/?jsonp=a", &[]));
                let Plan::Answer(answer) = plan else { panic!("{method}") };
                assert_eq!(
                    (answer.status().as_u16(), &answer.headers()["allow"]),
                    (405, &allow.parse().unwrap())
                );
            }
        }
    }

    #[test]
    fn options_are_answered_at_once() {
        let ask: Header<'_> = ("access-control-request-method", b"POST");
        let listed: Header<'_> = ("origin", b"https://a.example");
        let table: &[(&[Header<'_>], bool, bool)] = &[
            (&[], false, false),
            (&[listed], true, false),
            (&[listed, ask], true, true),
            (&[ask], false, false),
        ];
        for (headers, readable, preflight) in table {
            let Plan::Answer(answer) = mapper(false).plan(&head("OPTIONS", "/", headers)) else {
                panic!("answered")
            };
            assert_eq!((answer.status().as_u16(), answer.body().len()), (204, 0));
            let has = |name: &str| answer.headers().contains_key(name);
            assert!(has("allow") && has("vary"));
            assert_eq!(has("access-control-allow-origin"), *readable, "{headers:?}");
            assert_eq!(has("access-control-allow-credentials"), *readable, "{headers:?}");
            assert_eq!(has("access-control-allow-methods"), *preflight, "{headers:?}");
        }
        // Without CORS configured, nothing about it is said.
        let plain = Mapper::new(HttpConfig::default(), &ALL[..1]).unwrap();
        let Plan::Answer(answer) = plain.plan(&head("OPTIONS", "/", &[listed, ask])) else {
            panic!("answered")
        };
        assert_eq!(answer.status(), 204);
        assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
        assert!(!answer.headers().contains_key("vary"));
    }

    #[test]
    fn errors_can_be_read_by_the_page_and_echo_nothing() {
        let plan = mapper(true).plan(&head(
            "GET",
            "/?jsonp=%3Cscript%3E&message=%3Cscript%3E",
            &[("origin", b"https://a.example")],
        ));
        let Plan::Answer(answer) = plan else { panic!("refused") };
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        assert_eq!(text, "the callback parameter is not a valid name");
        assert_eq!(answer.headers()["content-type"], "text/plain;charset=UTF-8");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://a.example");
    }

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let config = HttpConfig { max_message_size: 0, ..HttpConfig::default() };
        let error = Mapper::new(config, &ALL[..1]).unwrap_err();
        assert_eq!(error, ConfigError::Zero { option: "max_message_size" });
    }
}
