//! The target `cookies`: which browser a request comes from.

use bayeux_core::BrowserId;
use bayeux_core::http::{Exchange, Plan};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, request};

use super::answers::{check_answer, one};
use super::input::Input;
use super::setups::{SETUPS, Setup};

/// The number of a server's options, then lines: each the value of one `Cookie` header.
///
/// - The browser is the first value of the cookie in all headers that has the form of an id, as a
///   naive reader finds it: split at `;`, compared, trimmed, 36 hexadecimal digits.
/// - An id that is set comes back as the same id, whatever other cookies stand around it, and is
///   the only one that is set.
///
/// # Panics
///
/// When one of these does not hold.
pub fn cookies(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let setup = input.choose(&*SETUPS);
    let lines = input.lines();
    let headers: Vec<HeaderValue> =
        lines.iter().take(64).filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let (exchange, head) = ask(&headers, setup);
    let expected = headers.iter().find_map(|it| browser(it.as_bytes(), setup));
    let found = exchange.browser().map(|it| it.to_string());
    assert_eq!(found, expected, "the browser of {headers:?}");

    let digits = bytes.iter().chain(&[0; 18]).take(18).map(|byte| format!("{byte:02x}"));
    let new = BrowserId::parse(&digits.collect::<String>()).expect("36 hexadecimal digits");
    for id in exchange.browser().into_iter().chain([new]) {
        let answer = exchange.respond(Bytes::from_static(b"[]"), Some(id));
        check_answer(&answer, &head, setup);
        let cookie = one(answer.headers(), "set-cookie").expect("the cookie is set");
        let cookie = std::str::from_utf8(cookie).expect("a cookie is ASCII");
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        assert_eq!(pair, format!("{}={id}", setup.config.browser_cookie_name));
        check_attributes(attributes, setup);

        let pair = HeaderValue::from_str(pair).expect("it was one");
        let (again, _) = ask(std::slice::from_ref(&pair), setup);
        assert_eq!(again.browser(), Some(id), "the cookie comes back");
        // Whatever others stand around it, unless one of them is an id, too.
        let around: Vec<HeaderValue> = headers.iter().cloned().chain([pair]).collect();
        let expected = exchange.browser().or(Some(id));
        assert_eq!(ask(&around, setup).0.browser(), expected, "behind {headers:?}");
    }
}

/// A request with these cookies, which is served.
fn ask(cookies: &[HeaderValue], setup: &Setup) -> (Exchange, request::Parts) {
    let (mut head, ()) = Request::post("/").body(()).expect("a request").into_parts();
    for cookie in cookies {
        head.headers.append(header::COOKIE, cookie.clone());
    }
    let Plan::Exchange(exchange) = setup.mapper.plan(&head) else {
        panic!("cookies are no reason to refuse a request: {head:?}");
    };
    (exchange, head)
}

/// The first id in one header.
fn browser(header: &[u8], setup: &Setup) -> Option<String> {
    header.split(|&byte| byte == b';').find_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        let value = match value {
            [b'"', inner @ .., b'"'] => inner,
            _ => value,
        };
        let digits = value.iter().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
        let right = name == setup.config.browser_cookie_name.as_bytes();
        let value = std::str::from_utf8(value).ok()?;
        (right && digits && value.len() == 36).then(|| value.to_owned())
    })
}

fn check_attributes(attributes: &str, setup: &Setup) {
    let found: Vec<&str> = attributes.split(';').map(str::trim).collect();
    let config = &setup.config;
    for (name, expected) in [
        ("HttpOnly", config.browser_cookie_http_only),
        ("Secure", config.browser_cookie_secure),
        ("Partitioned", config.browser_cookie_partitioned),
    ] {
        assert_eq!(found.contains(&name), expected, "{attributes}");
    }
    let value = |name: &str| found.iter().find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
    assert_eq!(value("Path"), config.browser_cookie_path.as_deref(), "{attributes}");
    assert_eq!(value("Domain"), config.browser_cookie_domain.as_deref(), "{attributes}");
    assert_eq!(value("SameSite").is_some(), config.browser_cookie_same_site.is_some());
    let age = config.browser_cookie_max_age.map(|it| it.to_string());
    assert_eq!(value("Max-Age"), age.as_deref(), "{attributes}");
}
