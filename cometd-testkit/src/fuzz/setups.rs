//! The servers that HTTP requests of the fuzzer meet.

use std::sync::LazyLock;

use bayeux_core::Transport;
use bayeux_core::http::{HttpConfig, Mapper, SameSite};

/// A mapper and the options that it was made with.
pub(super) struct Setup {
    pub(super) mapper: Mapper,
    pub(super) config: HttpConfig,
    pub(super) transports: &'static [Transport],
}

impl Setup {
    fn new(transports: &'static [Transport], change: impl FnOnce(&mut HttpConfig)) -> Self {
        let mut config = HttpConfig::default();
        change(&mut config);
        let mapper = Mapper::new(config.clone(), transports).expect("the options make sense");
        Self { mapper, config, transports }
    }

    pub(super) fn has(&self, transport: Transport) -> bool {
        self.transports.contains(&transport)
    }

    /// Whether pages of this origin may do what those of the server may.
    pub(super) fn lists(&self, origin: &[u8]) -> bool {
        self.config.allowed_origins.iter().any(|it| it != "*" && it.as_bytes() == origin)
    }

    /// Whether pages of all origins may do something.
    pub(super) fn lists_any(&self) -> bool {
        self.config.allowed_origins.iter().any(|it| it == "*")
    }
}

const ALL: &[Transport] =
    &[Transport::WebSocket, Transport::LongPolling, Transport::CallbackPolling];

/// Inputs choose one of these by its number.
pub(super) static SETUPS: LazyLock<[Setup; 4]> = LazyLock::new(|| {
    [
        Setup::new(&ALL[..2], |_| ()),
        Setup::new(ALL, |config| {
            config.allowed_origins = vec!["https://a.example".into(), "http://b:8080".into()];
            config.max_message_size = 64;
            config.browser_cookie_name = "b".into();
            config.browser_cookie_path = None;
            config.browser_cookie_http_only = false;
            config.ws.protocol = Some("bayeux".into());
        }),
        Setup::new(&ALL[1..], |config| {
            config.allowed_origins = vec!["*".into(), "https://a.example".into()];
            config.max_message_size = 200;
            config.browser_cookie_name = "__Host-b".into();
            config.browser_cookie_secure = true;
            config.browser_cookie_max_age = Some(60);
            config.browser_cookie_same_site = Some(SameSite::None);
            config.browser_cookie_partitioned = true;
            config.callback_parameter = "c b".into();
            config.callback_parameter_max_length = 8;
            config.duplicate_meta_connect_http_response_code = 408;
        }),
        Setup::new(ALL, |config| {
            config.allowed_origins = vec!["*".into(), "null".into()];
            config.browser_cookie_domain = Some("a.example".into());
        }),
    ]
});
