//! CORS: which pages of other origins may read the answers.
//!
//! A browser sends `Origin` with every request that a script makes to another origin, and asks
//! first (a preflight) when the request is one that a plain form could not have sent; JSON is. The
//! answer's headers decide whether the script gets to see anything.
//!
//! The rules: an origin that is listed is named back, with permission to use the user's cookies.
//! Under `*` any other origin gets `*`, never with that permission: reflecting an unknown origin
//! together with credentials would hand the user's session to every page on the Web. An origin
//! that is neither gets no CORS headers. Once origins are configured every answer says
//! `Vary: Origin`, also one to a request without an origin, so that no cache serves one site's
//! answer to another.
//!
//! An unknown origin's preflight is answered 204 like any other `OPTIONS`, not 403. To the browser
//! both mean no; but a layer around the server that does CORS by itself adds its headers to our
//! answer, and a preflight with an error status fails whatever its headers say.

use alloc::vec::Vec;

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::config::HttpConfig;

/// The request headers that pages may set. A fixed list, as naming back whatever is asked for
/// would permit headers that mean something to a proxy on the way. `Pragma` and
/// `X-Requested-With` are sent by Faye's browser client, `Authorization` by applications.
const ALLOW_HEADERS: HeaderValue =
    HeaderValue::from_static("Accept, Authorization, Content-Type, Pragma, X-Requested-With");
const ALLOW_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
const ANY_ORIGIN: HeaderValue = HeaderValue::from_static("*");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The configured origins, as header values.
#[derive(Debug)]
pub(super) struct Cors {
    listed: Vec<HeaderValue>,
    any: bool,
    max_age: HeaderValue,
}

/// What the origin of a request may do with the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grant {
    /// No other origin asks, or one that is not allowed.
    Nothing,
    /// Read it, if the request carried no credentials.
    Anonymous,
    /// Read it: this entry of the list.
    Listed(usize),
}

impl Cors {
    pub(super) fn new(config: &HttpConfig) -> Self {
        let origins = config.allowed_origins.iter().filter(|it| *it != "*");
        Self {
            // A validated origin is always a header value.
            listed: origins.filter_map(|it| HeaderValue::from_str(it).ok()).collect(),
            any: config.allowed_origins.iter().any(|it| it == "*"),
            max_age: config.cors_max_age.into(),
        }
    }

    /// What the origin that the request names may do.
    ///
    /// Origins are compared as bytes: browsers send one spelling only (RFC 6454 §6.2).
    pub(super) fn grant(&self, request: &HeaderMap) -> Grant {
        let mut origins = request.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return Grant::Nothing;
        };
        match self.listed.iter().position(|it| it == origin) {
            Some(entry) => Grant::Listed(entry),
            None if self.any => Grant::Anonymous,
            None => Grant::Nothing,
        }
    }

    /// Adds the headers that any answer to this request needs.
    pub(super) fn apply(&self, grant: Grant, answer: &mut HeaderMap) {
        if self.any || !self.listed.is_empty() {
            answer.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        match grant {
            Grant::Nothing => {}
            Grant::Anonymous => {
                answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY_ORIGIN);
            }
            Grant::Listed(entry) => {
                if let Some(origin) = self.listed.get(entry) {
                    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    let yes = HeaderValue::from_static("true");
                    answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
                }
            }
        }
    }

    /// Adds what only the answer to a preflight says, if `request` is one from an origin that may
    /// do anything at all.
    pub(super) fn apply_preflight(&self, grant: Grant, request: &HeaderMap, to: &mut HeaderMap) {
        let preflight = request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if preflight && grant != Grant::Nothing {
            to.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOW_METHODS);
            to.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOW_HEADERS);
            to.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        }
    }
}

/// Whether a browser says that another site's page made this request.
///
/// Only that much: without TLS, and in old browsers, the header is absent. Comparing `Origin` with
/// `Host` would need to know what a proxy in front has rewritten.
pub(super) fn cross_site(request: &HeaderMap) -> bool {
    request.get_all(SEC_FETCH_SITE).iter().any(|it| it == "cross-site")
}

/// Checks that `text` is `*`, `null` or an origin in the one spelling that browsers send; in any
/// other it would never match.
pub(super) fn check_origin(text: &str) -> Result<(), &'static str> {
    if matches!(text, "*" | "null") {
        return Ok(());
    }
    let Some((scheme, authority)) = text.split_once("://") else {
        return Err("must be `*`, `null` or origins such as `https://example.org`");
    };
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("must be in lower case, as browsers send it");
    }
    if authority.contains(['/', '?', '#', '@']) {
        return Err("must be scheme, host and port alone, without path or trailing slash");
    }
    let scheme_ok = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it));
    // The colons of an IPv6 address are inside brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host_ok = match host.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(address) => address.parse::<core::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._".contains(&it))
        }
    };
    let port_ok = port.is_none_or(|port| {
        port.bytes().all(|it| it.is_ascii_digit())
            && !port.starts_with('0')
            && port.parse::<u16>().is_ok()
    });
    if !(scheme_ok && host_ok && port_ok) {
        return Err("must be origins such as `https://example.org:8443`, in ASCII (Punycode)");
    }
    if matches!((scheme, port), ("http", Some("80")) | ("https", Some("443"))) {
        return Err("must not name the scheme's default port, which browsers leave out");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};
    use alloc::vec;

    fn cors(origins: &[&str]) -> Cors {
        let allowed_origins = origins.iter().map(ToString::to_string).collect();
        let config = HttpConfig { allowed_origins, ..HttpConfig::default() };
        config.validate().unwrap();
        Cors::new(&config)
    }

    fn origins(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ORIGIN, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    /// `Access-Control-Allow-Origin`, `…-Credentials` and `Vary` of an answer.
    fn answer(cors: &Cors, request: &HeaderMap) -> [Option<String>; 3] {
        let mut headers = HeaderMap::new();
        cors.apply(cors.grant(request), &mut headers);
        assert!(headers.keys_len() <= 3);
        ["access-control-allow-origin", "access-control-allow-credentials", "vary"]
            .map(|name| headers.get(name).map(|it| it.to_str().unwrap().into()))
    }

    /// The list, the request's origins; the answer's origin, credentials and `Vary`.
    type Row<'a> = (&'a [&'a str], &'a [&'a [u8]], Option<&'a str>, [Option<&'a str>; 2]);

    #[test]
    fn only_listed_origins_get_credentials() {
        let one: &[&str] = &["https://a.example", "http://localhost:8080"];
        let mixed: &[&str] = &["*", "https://a.example"];
        let any: &[&str] = &["*"];
        let none: &[&str] = &[];
        let with = [Some("true"), Some("Origin")];
        let without = [None, Some("Origin")];
        let table: &[Row<'_>] = &[
            (one, &[b"https://a.example"], Some("https://a.example"), with),
            (one, &[b"http://localhost:8080"], Some("http://localhost:8080"), with),
            (one, &[b"http://a.example"], None, without),
            (one, &[b"https://a.example:444"], None, without),
            (one, &[b"https://a.example.evil.example"], None, without),
            (one, &[b"https://evil.example/https://a.example"], None, without),
            (one, &[b"HTTPS://A.EXAMPLE"], None, without),
            (one, &[b"https://a.example", b"https://evil.example"], None, without),
            (one, &[b"https://a.example https://evil.example"], None, without),
            (one, &[b"\xff\xfe"], None, without),
            (one, &[b""], None, without),
            (one, &[b"null"], None, without),
            (one, &[b"*"], None, without),
            (one, &[], None, without),
            (mixed, &[b"https://a.example"], Some("https://a.example"), with),
            (mixed, &[b"https://b.example"], Some("*"), without),
            (any, &[b"null"], Some("*"), without),
            (any, &[], None, without),
            (&["null"], &[b"null"], Some("null"), with),
            (none, &[b"https://a.example"], None, [None, None]),
            (none, &[b"null"], None, [None, None]),
        ];
        for (row, (list, request, origin, rest)) in table.iter().enumerate() {
            let found = answer(&cors(list), &origins(request));
            let found = found.each_ref().map(|it| it.as_deref());
            assert_eq!(found, [*origin, rest[0], rest[1]], "{row}");
        }
    }

    #[test]
    fn a_preflight_is_told_what_is_allowed_whatever_it_asks_for() {
        let cors = cors(&["https://a.example"]);
        let names = [
            header::ACCESS_CONTROL_ALLOW_METHODS,
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            header::ACCESS_CONTROL_MAX_AGE,
        ];
        let table: [(&[u8], bool, bool); 3] = [
            (b"https://a.example", true, true),
            (b"https://a.example", false, false),
            (b"https://evil.example", true, false),
        ];
        for (origin, preflight, told) in table {
            let mut request = origins(&[origin]);
            if preflight {
                let method = HeaderValue::from_static("PUT");
                request.insert(header::ACCESS_CONTROL_REQUEST_METHOD, method);
                let wanted = HeaderValue::from_static("x-evil");
                request.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, wanted);
            }
            let mut answer = HeaderMap::new();
            cors.apply_preflight(cors.grant(&request), &request, &mut answer);
            let found: Vec<&str> =
                names.iter().filter_map(|it| answer.get(it)?.to_str().ok()).collect();
            let expected = vec![
                "GET, POST, OPTIONS",
                "Accept, Authorization, Content-Type, Pragma, X-Requested-With",
                "600",
            ];
            assert_eq!(found, if told { expected } else { vec![] }, "{request:?}");
        }
    }

    #[test]
    fn only_the_spelling_of_browsers_is_an_origin() {
        for text in [
            "*",
            "null",
            "https://example.org",
            "http://localhost:8080",
            "http://127.0.0.1",
            "http://[::1]",
            "https://[2001:db8::1]:8443",
            "https://xn--bcher-kva.example",
            "capacitor://localhost",
            "chrome-extension://abcdefghijklmnop",
            "http://example.org:443",
        ] {
            assert_eq!(check_origin(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "example.org",
            "https://",
            "https://example.org/",
            "https://example.org/path",
            "https://example.org?",
            "https://user@example.org",
            "https://*.example.org",
            "https://Example.org",
            "https://example.org:443",
            "http://example.org:80",
            "https://example.org:",
            "https://example.org:0",
            "https://example.org:65536",
            "https://example.org:+1",
            "https://::1",
            "http://[::1",
            "http://[x]",
            "https://bücher.example",
            "https://a.example https://b.example",
            "https://a.example\r\nX: y",
            "://example.org",
            "1http://example.org",
            "NULL",
            "**",
        ] {
            assert!(check_origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_browser_says_when_a_request_crosses_sites() {
        for (value, crosses) in [
            ("cross-site", true),
            ("same-site", false),
            ("same-origin", false),
            ("none", false),
            ("constructor", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", HeaderValue::from_static(value));
            assert_eq!(cross_site(&headers), crosses, "{value}");
        }
        assert!(!cross_site(&HeaderMap::new()));
    }
}
