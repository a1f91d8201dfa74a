//! The testbed's service channels.

use std::time::Duration;

use bayeux_core::front::{Bayeux, Error, Incoming};
use bayeux_core::{Json, SessionId};
use serde::Deserialize;
use serde_json::json;

use super::Sleep;

#[derive(Deserialize)]
struct DelayedEcho {
    delay: u64,
    value: serde_json::Value,
}

#[derive(Deserialize)]
struct Publish {
    channel: String,
    data: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deliver {
    session_id: String,
    channel: String,
    data: serde_json::Value,
}

#[derive(Deserialize)]
struct Batch {
    channel: String,
    count: u32,
}

/// What `/service/fail` fails with.
const FAILURE: &str = "failed on request";

pub(super) fn install(bayeux: &Bayeux, sleep: Sleep) -> Result<(), Error> {
    bayeux.channel("/service/echo")?.on_message(|incoming: Incoming| async move {
        let data: Json = incoming.raw_data();
        incoming.reply(&data)
    });
    bayeux.channel("/service/delayed-echo")?.on_message(move |incoming: Incoming| {
        let sleep = Sleep::clone(&sleep);
        async move {
            let DelayedEcho { delay, value } = incoming.data()?;
            sleep(Duration::from_millis(delay)).await;
            incoming.sender()?.deliver(incoming.channel().as_str(), &value)
        }
    });
    bayeux.channel("/service/whoami")?.on_message(|incoming: Incoming| async move {
        let session = incoming.sender()?;
        let names: Vec<_> = session.subscriptions().iter().map(ToString::to_string).collect();
        let me = json!({
            "sessionId": session.id().to_string(),
            "transport": session.transport().map(|transport| transport.name()),
            "subscriptions": names,
        });
        session.deliver(incoming.channel().as_str(), &me)
    });
    bayeux.channel("/service/publish")?.on_message(|incoming: Incoming| async move {
        let Publish { channel, data } = incoming.data()?;
        let sender = incoming.sender()?;
        sender.bayeux().publish_from(sender, &channel, &data).await
    });
    bayeux.channel("/service/deliver")?.on_message(|incoming: Incoming| async move {
        let Deliver { session_id, channel, data } = incoming.data()?;
        let sender = incoming.sender()?;
        let to = SessionId::parse(&session_id).and_then(|id| sender.bayeux().session(id));
        match to {
            Some(session) => session.deliver(&channel, &data),
            None => {
                let error = json!({ "error": "unknown session" });
                sender.deliver(incoming.channel().as_str(), &error)
            }
        }
    });
    bayeux.channel("/service/batch")?.on_message(|incoming: Incoming| async move {
        let Batch { channel, count } = incoming.data()?;
        let sender = incoming.sender()?;
        sender.batch(|| {
            (0..count).try_for_each(|seq| sender.deliver(&channel, &json!({ "seq": seq })))
        })?
    });
    bayeux
        .channel("/service/disconnect")?
        .on_message(|incoming: Incoming| async move { incoming.sender()?.disconnect() });
    bayeux.channel("/service/fail")?.on_message(|_: Incoming| async { Err::<(), _>(FAILURE) });
    Ok(())
}
