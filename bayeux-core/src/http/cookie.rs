//! The browser cookie: found in a request, written into a response.
//!
//! All tabs of a browser share the cookie. It binds a session to the browser that made it, and it
//! counts how many connects of one browser are held. It is a credential, so a value counts only if
//! it has the form of an id that a server of this kind issues; whether this server did is the
//! machine's question. Whatever else clients send under the name (`constructor`, another server's
//! id) is as good as no cookie: the answer to a handshake sets a proper one.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::{iter, str};

use ::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;

use super::config::HttpConfig;
use crate::id::BrowserId;

/// The cookie's name and attributes, rendered once.
#[derive(Debug)]
pub(super) struct BrowserCookie {
    name: String,
    /// Everything after the value: empty, or `; Path=/…`.
    attributes: String,
}

impl BrowserCookie {
    pub(super) fn new(config: &HttpConfig) -> Self {
        // CometD's order: nobody should depend on it, and it makes answers comparable.
        let mut attributes = String::new();
        let mut add = |name: &str, value: &str| {
            attributes.push_str("; ");
            attributes.push_str(name);
            attributes.push_str(if value.is_empty() { "" } else { "=" });
            attributes.push_str(value);
        };
        if let Some(domain) = &config.browser_cookie_domain {
            add("Domain", domain);
        }
        if let Some(path) = &config.browser_cookie_path {
            add("Path", path);
        }
        if let Some(seconds) = config.browser_cookie_max_age {
            let mut number = String::new();
            // Writing into a `String` cannot fail.
            _ = write!(number, "{seconds}");
            add("Max-Age", &number);
        }
        if config.browser_cookie_http_only {
            add("HttpOnly", "");
        }
        if config.browser_cookie_secure {
            add("Secure", "");
        }
        if let Some(same_site) = config.browser_cookie_same_site {
            add("SameSite", same_site.name());
        }
        if config.browser_cookie_partitioned {
            add("Partitioned", "");
        }
        Self { name: config.browser_cookie_name.clone(), attributes }
    }

    /// The first value of the cookie that can be an id, in all `Cookie` headers.
    ///
    /// There may be several: HTTP/2 clients may send one header for each cookie, and a cookie set
    /// for another path or domain goes along under the same name, maybe in front. The headers are
    /// taken as bytes, since other cookies may hold anything.
    pub(super) fn find(&self, headers: &HeaderMap) -> Option<BrowserId> {
        let mut values = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        let first = values.next()?;
        // Nearly always there is one, and no other cookie. A `;` ends a cookie also inside quotes, where none
        // is allowed (RFC 6265 §4.1.1).
        self.value(first).or_else(|| {
            let pairs = iter::once(first).chain(values);
            pairs.flat_map(|it| it.split(|&byte| byte == b';')).find_map(|it| self.value(it))
        })
    }

    fn value(&self, pair: &[u8]) -> Option<BrowserId> {
        let pair = pair.trim_ascii_start();
        let rest = pair.strip_prefix(self.name.as_bytes())?.trim_ascii_start();
        let value = rest.strip_prefix(b"=")?.trim_ascii();
        let quoted = value.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\""));
        BrowserId::parse(str::from_utf8(quoted.unwrap_or(value)).ok()?)
    }

    /// A `Set-Cookie` header's value. `None` cannot happen with options that were validated.
    pub(super) fn render(&self, id: BrowserId) -> Option<HeaderValue> {
        let id = id.text();
        let mut text = Vec::with_capacity(self.name.len() + 1 + id.len() + self.attributes.len());
        text.extend_from_slice(self.name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(&id);
        text.extend_from_slice(self.attributes.as_bytes());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(text)).ok()?;
        // A credential: keeps it out of `Debug` output and of HTTP/2's compression tables.
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::SameSite;
    use super::*;
    use alloc::string::ToString;
    use alloc::{format, vec};

    const A: &str = "0001aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "0001bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn find(cookies: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, HeaderValue::from_bytes(cookie).unwrap());
        }
        BrowserCookie::new(&HttpConfig::default()).find(&headers).map(|id| id.to_string())
    }

    #[test]
    fn the_first_valid_value_counts() {
        let table = [
            (format!("BAYEUX_BROWSER={A}"), Some(A)),
            (format!("a=b; BAYEUX_BROWSER={A}; c=d"), Some(A)),
            (format!("a=b;BAYEUX_BROWSER={A};c=d"), Some(A)),
            (format!(" BAYEUX_BROWSER\t= {A} "), Some(A)),
            (format!("BAYEUX_BROWSER=\"{A}\""), Some(A)),
            (format!("BAYEUX_BROWSER={A}; BAYEUX_BROWSER={B}"), Some(A)),
            (format!("BAYEUX_BROWSER=constructor; BAYEUX_BROWSER={B}"), Some(B)),
            (format!("BAYEUX_BROWSER=; BAYEUX_BROWSER; =; ;; BAYEUX_BROWSER={B}"), Some(B)),
            (format!("x=\"; BAYEUX_BROWSER={A}; y=\""), Some(A)),
            (format!("x=\"; BAYEUX_BROWSER={A}\""), None),
            (format!("BAYEUX_BROWSER=\"{A}"), None),
            (format!("BAYEUX_BROWSER=={A}"), None),
            (format!("BAYEUX_BROWSER={A}, BAYEUX_BROWSER={B}"), None),
            (format!("bayeux_browser={A}"), None),
            (format!("XBAYEUX_BROWSER={A}"), None),
            (format!("BAYEUX_BROWSER2={A}"), None),
            (format!("BAYEUX_BROWSER={}", A.to_uppercase()), None),
            (format!("BAYEUX_BROWSER={A}0"), None),
            ("BAYEUX_BROWSER=__proto__".into(), None),
            ("BAYEUX_BROWSER".into(), None),
            (String::new(), None),
        ];
        for (cookie, id) in table {
            assert_eq!(find(&[cookie.as_bytes()]).as_deref(), id, "{cookie}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let valid = format!("BAYEUX_BROWSER={A}");
        assert_eq!(find(&[b"a=b", valid.as_bytes()]).as_deref(), Some(A));
        assert_eq!(find(&[b"BAYEUX_BROWSER=x", b"", valid.as_bytes()]).as_deref(), Some(A));
    }

    #[test]
    fn hostile_cookies_do_no_harm() {
        let mut cookies = vec![b"BAYEUX_BROWSER=\xff\xfe; \xc3\x28=\x80; ".to_vec(); 200];
        cookies.push(b"a=b; ".repeat(20_000));
        cookies.push(format!("\"; BAYEUX_BROWSER={B}").into_bytes());
        let cookies: Vec<&[u8]> = cookies.iter().map(|it| &it[..]).collect();
        assert_eq!(find(&cookies).as_deref(), Some(B));
    }

    #[test]
    fn attributes_come_in_cometd_order() {
        let id = BrowserId::parse(A).unwrap();
        let mut config = HttpConfig::default();
        let render = |config: &HttpConfig| BrowserCookie::new(config).render(id).unwrap();
        assert_eq!(render(&config), format!("BAYEUX_BROWSER={A}; Path=/; HttpOnly"));
        assert!(render(&config).is_sensitive());

        config.browser_cookie_domain = Some("example.org".into());
        config.browser_cookie_max_age = Some(60);
        config.browser_cookie_secure = true;
        config.browser_cookie_same_site = Some(SameSite::None);
        config.browser_cookie_partitioned = true;
        let all = "Domain=example.org; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=None; \
                   Partitioned";
        assert_eq!(render(&config), format!("BAYEUX_BROWSER={A}; {all}"));

        let bare = HttpConfig {
            browser_cookie_name: "b".into(),
            browser_cookie_path: None,
            browser_cookie_http_only: false,
            ..HttpConfig::default()
        };
        assert_eq!(render(&bare), format!("b={A}"));
    }
}
