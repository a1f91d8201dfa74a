//! HTTP as pure functions: from a request's head to a plan, from a payload to a response.
//!
//! An adapter builds one [`Mapper`] from an [`HttpConfig`] and asks it about every request's head.
//! The [`Plan`] is either a finished answer (a preflight, a wrong method, a body that is too large)
//! a WebSocket [`Upgrade`](crate::ws::Upgrade), or an [`Exchange`]: how much body to read, whose browser it is, how to find the JSON texts in
//! it, and how to dress whatever the server has to say. The exchange outlives the request's head,
//! because a `/meta/connect` is held for half a minute.
//!
//! ```text
//!   head ──▶ Mapper::plan ──▶ Plan::Answer(response)
//!                        ├──▶ Plan::Upgrade(upgrade) ──▶ (frames)
//!                        └──▶ Plan::Exchange ── body ──▶ texts ──▶ (the machine)
//!                                           └── payload ──▶ respond ──▶ response
//! ```
//!
//! What lives here is all that a browser or a proxy can see besides the messages: cookies, CORS,
//! content types, JSONP, status codes. Nothing here reads a message, knows a session, touches a
//! socket or waits, so every rule is a table in a unit test.
//!
//! The request's path is not looked at: CometD's JavaScript client appends `/handshake`,
//! `/connect` and `/disconnect` to the URL that it was given, and the application decides where
//! the server is mounted.
//!
//! ```
//! use bayeux_core::Config;
//! use bayeux_core::http::{HttpConfig, Mapper, Plan};
//! use bytes::Bytes;
//!
//! let mapper = Mapper::new(HttpConfig::default(), &Config::default().allowed_transports)?;
//! let (head, body) = http::Request::post("/cometd/handshake")
//!     .header("Content-Type", "application/json;charset=UTF-8")
//!     .body(Bytes::from_static(br#"[{"channel":"/meta/handshake"}]"#))?
//!     .into_parts();
//! let Plan::Exchange(mut exchange) = mapper.plan(&head) else { panic!("POST is served") };
//! let texts = exchange.texts(body)?;
//! assert_eq!(texts[..], [r#"[{"channel":"/meta/handshake"}]"#]);
//! let response = exchange.respond(Bytes::from_static(b"[]"), None);
//! assert_eq!(response.headers()["Content-Type"], "application/json;charset=UTF-8");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod cookie;
mod cors;
mod exchange;
mod form;
mod jsonp;
mod media;
mod plan;

pub use config::{HttpConfig, SameSite};
pub use exchange::{BodyError, BodyTexts, Exchange};
pub use plan::{Mapper, Plan};
