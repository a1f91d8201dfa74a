//! The server's own end.

use std::time::Duration;

use serde_json::json;

use super::peer::Running;
use super::{held, until, within};
use crate::adapter::Adapter;

pub async fn held_connects_are_answered_and_then_the_server_ends(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let mut peers = Vec::new();
    for _ in 0..20 {
        let mut peer = server.peer().await;
        let session = peer.open().await;
        peer.post(&session.cookie, &session.connect()).await;
        peers.push(peer);
    }
    held(&server.bayeux, 20).await;
    let ended = server.stop();
    for peer in &mut peers {
        let response = peer.answer().await;
        let advice = &response.messages()[0]["advice"];
        assert_eq!(advice["reconnect"], "retry");
        assert!(advice["interval"].as_u64().unwrap() < 2_000);
        assert!(peer.response().await.is_none(), "the connection is closed");
    }
    ended.await.unwrap();
}

pub async fn connections_that_ask_for_nothing_are_not_waited_for(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let (mut silent, mut idle) = (server.peer().await, server.peer().await);
    idle.open().await;
    let ended = within(Duration::from_secs(5), server.stop()).await;
    ended.expect("well before the time for the shutdown is over").unwrap();
    assert!(silent.response().await.is_none() && idle.response().await.is_none());
}

pub async fn what_does_not_end_is_cut_off(adapter: &dyn Adapter) {
    let server =
        Running::serving(adapter, |options| options.shutdown_timeout = Duration::from_millis(50));
    let channel = server.bayeux.channel("/service/never").unwrap();
    channel.on_message(|_| std::future::pending::<()>());
    let mut peer = server.peer().await;
    let session = peer.open().await;
    let message = json!([{ "channel": "/service/never", "clientId": session.id, "data": 1 }]);
    peer.post(&session.cookie, &message).await;
    until(|| server.bayeux.stats().questions > 0).await;
    server.stop().await.unwrap();
    assert!(peer.response().await.is_none());
}
