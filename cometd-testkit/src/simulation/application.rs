//! The application that the generated runs have: what it decides about a channel is in its name.
//!
//! | channel | subscribing, publishing | a message |
//! | --- | --- | --- |
//! | `/open/…` | everybody may, and nobody is asked | goes to its subscribers |
//! | `/ask/…` | the application is asked, and says yes after a while | the same |
//! | `/deny/…` | the application is asked, and says no after a while | - |
//! | `/never/…` | the application is asked, and never answers | - |
//! | `/veto/…` | everybody may | a listener stops it |
//! | `/hang/…` | everybody may | a listener never answers |
//! | `/swap/…` | everybody may | a listener replaces its data |
//! | `/lazy/…` | everybody may | may wait |
//! | `/service/echo` | | is answered to its sender alone |

use std::time::Duration;

use bayeux_core::Json;
use serde_json::Value;

use super::seed::{Draw, Seed};

/// Channels that clients publish on.
pub(super) const CHANNELS: [&str; 13] = [
    "/open",
    "/open/a",
    "/open/a/b",
    "/open/c",
    "/ask/a",
    "/ask/b/c",
    "/deny/a",
    "/never/a",
    "/veto/a",
    "/hang/a",
    "/swap/a",
    "/lazy/a",
    "/service/echo",
];

/// What clients subscribe to.
pub(super) const PATTERNS: [&str; 16] = [
    "/open/a",
    "/open/a/b",
    "/open/c",
    "/open/*",
    "/open/**",
    "/**",
    "/*",
    "/ask/a",
    "/ask/*",
    "/deny/a",
    "/never/a",
    "/veto/*",
    "/hang/a",
    "/swap/a",
    "/lazy/*",
    "/service/x",
];

/// The number of the answer to a message is that of the message with this bit.
pub(super) const ANSWER: u64 = 1 << 40;

/// How the application decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Course {
    Yes,
    No,
    /// It does not.
    Never,
}

/// Whether the rules leave what happens on these channels to the application.
pub(super) const ASKED: [&str; 3] = ["/ask/**", "/deny/**", "/never/**"];

/// What listeners are there from the beginning.
pub(super) const LISTENED: [&str; 4] = ["/veto/**", "/hang/**", "/swap/**", "/service/*"];

/// What is lazy.
pub(super) const LAZY: &str = "/lazy/**";

/// What the policy says about a channel.
pub(super) fn policy(channel: &str) -> Course {
    match first(channel) {
        "deny" => Course::No,
        "never" => Course::Never,
        _ => Course::Yes,
    }
}

/// What a listener says about a channel.
pub(super) fn listener(channel: &str) -> Course {
    match first(channel) {
        "veto" => Course::No,
        "hang" => Course::Never,
        _ => Course::Yes,
    }
}

/// Whether what clients publish on a channel may never be received.
pub(super) fn is_denied(channel: &str) -> bool {
    matches!(first(channel), "deny" | "never") || is_stopped(channel)
}

/// Whether nothing may ever be received on a channel, whoever publishes it.
pub(super) fn is_stopped(channel: &str) -> bool {
    matches!(first(channel), "veto" | "hang")
}

/// Whether a listener replaces the data of what is published on a channel.
pub(super) fn is_swapped(channel: &str) -> bool {
    first(channel) == "swap"
}

fn first(channel: &str) -> &str {
    channel.split('/').nth(1).unwrap_or_default()
}

/// The number of the message that a client wants its session to begin with, from what its handshake
/// says: then it does, if the application is asked about the handshake at all.
pub(super) fn greeting(ext: &Json) -> Option<u64> {
    ext.read::<Value>().ok()?.get("sim")?.as_u64()
}

/// How long the application thinks about something: often not at all.
pub(super) fn thinking(seed: Seed, most: u64, what: &str) -> Duration {
    let draw: Draw = seed.about(format_args!("think {what}"));
    if most == 0 || draw.per_mille(500) { Duration::ZERO } else { draw.then(1).up_to_millis(most) }
}
