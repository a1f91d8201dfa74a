//! The testbed: one small application that shows every capability of the server over the wire.
//!
//! Any black-box client or suite can be pointed at it. It is written against the application's API
//! alone, so each adapter hosts the same one (`cargo run -p cometd-hyper --example testbed`, and
//! `-p cometd-smol`).
//! What is where:
//!
//! | what | behaviour |
//! | --- | --- |
//! | `/meta/handshake`, `ext.testbed.deny: true` | denied |
//! | `/meta/handshake`, `ext.testbed.delay: MS` | allowed after that time |
//! | `/meta/handshake`, `ext.testbed.activity: MS` | disconnected after that time without activity |
//! | `/meta/handshake`, `ext.ack`, `ext.timestamp` | acknowledged messages, timestamps |
//! | any meta message, `ext.timesync` | time synchronization |
//! | `/denied/**` | cannot be created |
//! | `/readonly/**`, `/writeonly/**` | clients cannot publish, cannot subscribe |
//! | `/**` | cannot be subscribed to |
//! | `/service/echo` | the data comes back, with the message's id |
//! | `/service/delayed-echo` | `{"delay": MS, "value": X}`: X comes back after the delay |
//! | `/service/whoami` | `{"sessionId", "transport", "subscriptions"}` of the sender |
//! | `/service/publish` | `{"channel", "data"}`: the server publishes it in the sender's name |
//! | `/service/deliver` | `{"sessionId", "channel", "data"}`: delivered to that session alone |
//! | `/service/batch` | `{"channel", "count"}`: that many messages in one batch |
//! | `/service/disconnect` | the server disconnects the sender |
//! | `/service/fail` | the listener fails |
//! | `/veto/**` | messages with `"veto": true` are stopped |
//! | `/lazy/**` | lazy |
//! | `/quiet/**` | not echoed to the publisher |
//! | `/replace/**` | the data becomes `{"replaced": true, "was": …}` |
//! | `/events` | `{"type", "sessionId"}` as other sessions come and go |

mod options;
mod policy;
mod services;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bayeux_core::front::{Bayeux, Builder, Error, Flow, Incoming, Notice};
use bayeux_core::{ChannelSettings, ConfigError, Event, EventKind, RemovedReason};
use serde_json::{Value, json};

pub use options::Options;

/// How the testbed sleeps: the one thing that it needs from a runtime.
pub type Sleep = Arc<dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Makes the testbed's server: `start` gives the builder to an adapter.
///
/// # Errors
///
/// When the options do not make sense.
pub fn build(
    options: &Options,
    sleep: Sleep,
    start: impl FnOnce(Builder) -> Result<Bayeux, ConfigError>,
) -> Result<Bayeux, Box<dyn std::error::Error>> {
    let builder = Bayeux::builder()
        .config(options.config())
        .http(options.http())
        .rules(policy::rules()?)
        .policy(policy::TestbedPolicy { sleep: Arc::clone(&sleep) });
    let bayeux = start(builder)?;
    services::install(&bayeux, sleep)?;
    channels(&bayeux)?;
    bayeux.on_event_of([EventKind::SessionAdded, EventKind::SessionRemoved], announce);
    Ok(bayeux)
}

fn channels(bayeux: &Bayeux) -> Result<(), Error> {
    bayeux.channel("/lazy/**")?.configure(ChannelSettings::new().persistent(true).lazy(true));
    bayeux
        .channel("/quiet/**")?
        .configure(ChannelSettings::new().persistent(true).broadcast_to_publisher(false));
    bayeux.channel("/veto/**")?.on_message(|incoming: Incoming| async move {
        let vetoed = matches!(incoming.data::<Value>(), Ok(data) if data["veto"] == true);
        if vetoed { Flow::Veto } else { Flow::Continue }
    });
    bayeux.channel("/replace/**")?.on_message(|incoming: Incoming| async move {
        #[derive(serde::Serialize)]
        struct Replaced {
            replaced: bool,
            was: bayeux_core::Json,
        }
        Flow::replace(&Replaced { replaced: true, was: incoming.raw_data() })
    });
    Ok(())
}

/// Tells on `/events` who comes and goes.
async fn announce(notice: Notice) {
    let (session, kind) = match notice.event {
        Event::SessionAdded { session, .. } => (session, "added"),
        Event::SessionRemoved { session, reason } => {
            let kind = match reason {
                RemovedReason::Expired => "expired",
                RemovedReason::Overflowed => "overflowed",
                _ => "removed",
            };
            (session, kind)
        }
        _ => return,
    };
    let Some(bayeux) = notice.session.map(|session| session.bayeux().clone()) else { return };
    let Ok(channel) = bayeux.channel("/events") else { return };
    // Nobody vetoes on this channel, and the data has a JSON form.
    let _ = channel.publish(&json!({ "type": kind, "sessionId": session.to_string() })).await;
}
