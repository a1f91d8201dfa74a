//! The HTTP options, under their CometD names.
//!
//! They are checked once, when the [`Mapper`](super::Mapper) is made. Besides what HTTP's grammar
//! forbids, the check refuses what a browser would ignore without a word: a cookie that it drops,
//! an origin that it never sends. Such a server starts, and then no client stays connected.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{cors, media};
use crate::options::ConfigError;
use crate::ws::WebSocketConfig;

/// How requests are read and responses dressed: CometD's HTTP transport options, plus CORS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HttpConfig {
    /// The name of the cookie that tells browsers apart. Default: `BAYEUX_BROWSER`.
    pub browser_cookie_name: String,
    /// The cookie's `Domain`. Default: none, so the cookie goes back to this host only.
    pub browser_cookie_domain: Option<String>,
    /// The cookie's `Path`. Default: `/`. With none, the browser takes the directory of the URL
    /// that it asked, and with message types appended to the URL that is rarely what is wanted.
    pub browser_cookie_path: Option<String>,
    /// The cookie's `Max-Age` in seconds. `None` or -1, the default: the cookie ends with the
    /// browser. Zero is refused, since it deletes the cookie at once.
    #[serde(with = "seconds")]
    pub browser_cookie_max_age: Option<u64>,
    /// Whether the cookie is `Secure`: sent over TLS only. Default: false.
    ///
    /// The Java server leaves the attribute out when the request itself was not secure. Behind a
    /// proxy that ends TLS no request looks secure, so here the option alone decides.
    pub browser_cookie_secure: bool,
    /// Whether the cookie is `HttpOnly`: hidden from scripts. Default: true.
    pub browser_cookie_http_only: bool,
    /// The cookie's `SameSite`. Default: none, and most browsers then assume `Lax`. Cross-site
    /// clients need [`SameSite::None`].
    pub browser_cookie_same_site: Option<SameSite>,
    /// Whether the cookie is `Partitioned`: kept per top-level site (CHIPS). Default: false.
    pub browser_cookie_partitioned: bool,
    /// The status of the empty answer to a held `/meta/connect` that a newer one replaces, from
    /// 400 to 599. Default: 500.
    ///
    /// 408 is unwise: browsers send a request that got it once more by themselves, and the two
    /// connects go on replacing each other.
    pub duplicate_meta_connect_http_response_code: u16,
    /// Bytes of a request's body, of its query string (callback-polling), or of a WebSocket's
    /// message. Default: 65,536. Beyond: 413; 414 for a query; a WebSocket is closed with 1009.
    pub max_message_size: usize,
    /// The query parameter that names the function to call (callback-polling). Default: `jsonp`.
    pub callback_parameter: String,
    /// Characters of that function's name. Default: 64. Beyond: 400.
    pub callback_parameter_max_length: usize,
    /// The origins whose pages may read the answers (CORS) and open WebSockets, written as browsers send them:
    /// `https://example.org`, `http://localhost:8080`. Default: none, and no CORS headers at all.
    ///
    /// A listed origin is trusted with the user's cookies. CometD's and Faye's browser clients
    /// always ask with credentials, so the origins of their pages must be listed. `*` admits every
    /// other origin, but without credentials: it suits scripts that send no cookies, and sessions
    /// then need `trust_client_session`. (A WebSocket of any origin is then accepted, too, with the
    /// cookies that browsers send along.) `null` is what sandboxed frames and local files send; any
    /// page on the Web can make itself one, so listing it trusts everybody.
    pub allowed_origins: Vec<String>,
    /// How long browsers may remember a preflight's answer, in seconds. Default: 600. Browsers
    /// have a cap of their own, of two hours or one day.
    pub cors_max_age: u64,
    /// How messages travel over WebSocket.
    pub ws: WebSocketConfig,
}

/// The `SameSite` attribute of the browser cookie: with which cross-site requests it travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SameSite {
    /// With none.
    Strict,
    /// With navigation only, which no Bayeux request is.
    Lax,
    /// With all; the cookie must then be `Secure`.
    None,
}

impl SameSite {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            browser_cookie_name: "BAYEUX_BROWSER".into(),
            browser_cookie_domain: None,
            browser_cookie_path: Some("/".into()),
            browser_cookie_max_age: None,
            browser_cookie_secure: false,
            browser_cookie_http_only: true,
            browser_cookie_same_site: None,
            browser_cookie_partitioned: false,
            duplicate_meta_connect_http_response_code: 500,
            max_message_size: 65_536,
            callback_parameter: "jsonp".into(),
            callback_parameter_max_length: 64,
            allowed_origins: Vec::new(),
            cors_max_age: 600,
            ws: WebSocketConfig::default(),
        }
    }
}

impl HttpConfig {
    /// Checks that the options make sense together.
    ///
    /// # Errors
    ///
    /// Names the first option that does not.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_cookie()?;
        check(
            (400..=599).contains(&self.duplicate_meta_connect_http_response_code),
            "duplicate_meta_connect_http_response_code",
            "must be from 400 to 599",
        )?;
        for (option, value) in [
            ("max_message_size", self.max_message_size),
            ("callback_parameter_max_length", self.callback_parameter_max_length),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero { option });
            }
        }
        check(
            !matches!(self.callback_parameter.as_str(), "" | "message"),
            "callback_parameter",
            "must be neither empty nor `message`",
        )?;
        for origin in &self.allowed_origins {
            cors::check_origin(origin)
                .map_err(|reason| ConfigError::Invalid { option: "allowed_origins", reason })?;
        }
        self.ws.validate()
    }

    fn validate_cookie(&self) -> Result<(), ConfigError> {
        let (name, path) = (&self.browser_cookie_name, self.browser_cookie_path.as_deref());
        check(
            media::is_token(name),
            "browser_cookie_name",
            "must be a token: ASCII letters, digits and !#$%&'*+-.^_`|~",
        )?;
        let plain = |text: &str| {
            text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';')
                && text.trim() == text
        };
        check(
            self.browser_cookie_domain.as_deref().is_none_or(|it| !it.is_empty() && plain(it)),
            "browser_cookie_domain",
            "must be printable ASCII without semicolon, and not empty",
        )?;
        check(
            path.is_none_or(|it| it.starts_with('/') && plain(it)),
            "browser_cookie_path",
            "must start with `/` and be printable ASCII without semicolon",
        )?;
        if self.browser_cookie_max_age == Some(0) {
            return Err(ConfigError::Zero { option: "browser_cookie_max_age" });
        }
        // Browsers drop all of these silently (RFC 6265bis, CHIPS).
        let secure = self.browser_cookie_secure;
        check(
            secure || self.browser_cookie_same_site != Some(SameSite::None),
            "browser_cookie_same_site",
            "`None` requires `browser_cookie_secure`: browsers drop the cookie otherwise",
        )?;
        check(
            secure || !self.browser_cookie_partitioned,
            "browser_cookie_partitioned",
            "requires `browser_cookie_secure`: browsers drop the cookie otherwise",
        )?;
        check(
            secure || !has_prefix(name, "__Secure-"),
            "browser_cookie_name",
            "with the prefix `__Secure-` requires `browser_cookie_secure`",
        )?;
        let host_only = secure && self.browser_cookie_domain.is_none() && path == Some("/");
        check(
            host_only || !has_prefix(name, "__Host-"),
            "browser_cookie_name",
            "with the prefix `__Host-` requires `browser_cookie_secure`, the path `/`, no domain",
        )
    }
}

fn check(holds: bool, option: &'static str, reason: &'static str) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Invalid { option, reason }) }
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Seconds where a negative number or nothing means "none".
mod seconds {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(seconds) => to.serialize_u64(*seconds),
            None => to.serialize_i64(-1),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        // What does not fit is negative.
        Ok(Option::<i64>::deserialize(from)?.and_then(|value| u64::try_from(value).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn with(change: impl FnOnce(&mut HttpConfig)) -> Result<(), ConfigError> {
        let mut config = HttpConfig::default();
        change(&mut config);
        config.validate()
    }

    #[test]
    fn what_makes_sense_is_accepted() {
        with(|_| ()).unwrap();
        with(|it| it.browser_cookie_max_age = Some(3600)).unwrap();
        with(|it| it.browser_cookie_path = None).unwrap();
        with(|it| it.browser_cookie_domain = Some(".example.org".into())).unwrap();
        with(|it| {
            it.browser_cookie_same_site = Some(SameSite::None);
            it.browser_cookie_partitioned = true;
            it.browser_cookie_secure = true;
            it.browser_cookie_name = "__Host-bayeux".into();
        })
        .unwrap();
    }

    #[test]
    fn what_does_not_is_named() {
        type Change = fn(&mut HttpConfig);
        let table: &[(&str, Change)] = &[
            ("browser_cookie_name", |it| it.browser_cookie_name = "".into()),
            ("browser_cookie_name", |it| it.browser_cookie_name = "a b".into()),
            ("browser_cookie_name", |it| it.browser_cookie_name = "a=b".into()),
            ("browser_cookie_name", |it| it.browser_cookie_name = "a\r\nX: y".into()),
            ("browser_cookie_name", |it| it.browser_cookie_name = "é".into()),
            ("browser_cookie_name", |it| it.browser_cookie_name = "__secure-a".into()),
            ("browser_cookie_name", |it| it.browser_cookie_name = "__Host-a".into()),
            ("browser_cookie_name", |it| {
                it.browser_cookie_name = "__Host-a".into();
                it.browser_cookie_secure = true;
                it.browser_cookie_domain = Some("example.org".into());
            }),
            ("browser_cookie_domain", |it| it.browser_cookie_domain = Some("".into())),
            ("browser_cookie_domain", |it| it.browser_cookie_domain = Some("a;b".into())),
            ("browser_cookie_domain", |it| it.browser_cookie_domain = Some("a\nb".into())),
            ("browser_cookie_path", |it| it.browser_cookie_path = Some("".into())),
            ("browser_cookie_path", |it| it.browser_cookie_path = Some("cometd".into())),
            ("browser_cookie_path", |it| it.browser_cookie_path = Some("/;HttpOnly".into())),
            ("browser_cookie_path", |it| it.browser_cookie_path = Some("/\u{7f}".into())),
            ("browser_cookie_max_age", |it| it.browser_cookie_max_age = Some(0)),
            ("browser_cookie_same_site", |it| it.browser_cookie_same_site = Some(SameSite::None)),
            ("browser_cookie_partitioned", |it| it.browser_cookie_partitioned = true),
            ("duplicate_meta_connect_http_response_code", |it| {
                it.duplicate_meta_connect_http_response_code = 399;
            }),
            ("duplicate_meta_connect_http_response_code", |it| {
                it.duplicate_meta_connect_http_response_code = 600;
            }),
            ("max_message_size", |it| it.max_message_size = 0),
            ("callback_parameter", |it| it.callback_parameter = "".into()),
            ("callback_parameter", |it| it.callback_parameter = "message".into()),
            ("callback_parameter_max_length", |it| it.callback_parameter_max_length = 0),
            ("allowed_origins", |it| it.allowed_origins.push("example.org".into())),
        ];
        for (row, (option, change)) in table.iter().enumerate() {
            let text = with(change).unwrap_err().to_string();
            assert!(text.starts_with(&alloc::format!("`{option}` ")), "{row}: {text}");
        }
    }

    #[test]
    fn reads_cometd_numbers() {
        let config: HttpConfig = serde_json::from_str(
            r#"{"browser_cookie_max_age":-1,"browser_cookie_same_site":"Lax",
                "browser_cookie_path":null,"allowed_origins":["*"]}"#,
        )
        .unwrap();
        assert_eq!(config.browser_cookie_max_age, None);
        assert_eq!(config.browser_cookie_same_site, Some(SameSite::Lax));
        assert_eq!(config.browser_cookie_path, None);
        let aged = HttpConfig { browser_cookie_max_age: Some(86_400), ..config.clone() };
        for config in [config, aged] {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<HttpConfig>(&text).unwrap(), config);
        }
        for text in [r#"{"browser_cookie_nmae":"x"}"#, r#"{"browser_cookie_max_age":1e30}"#] {
            assert!(serde_json::from_str::<HttpConfig>(text).is_err(), "{text}");
        }
    }
}
