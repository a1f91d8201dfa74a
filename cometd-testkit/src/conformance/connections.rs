//! Connections that are slow, broken, many, or gone.

use std::time::Duration;

use bayeux_core::front::Incoming;
use bayeux_core::{Event, ResumeCause};
use serde_json::json;
use smol::channel::unbounded;

use super::peer::{Running, request};
use super::{until, within};
use crate::adapter::Adapter;

pub async fn a_lost_connection_is_noticed_and_its_events_come_with_the_next_connect(
    adapter: &dyn Adapter,
) {
    let server = Running::new(adapter);
    let (tell, told) = unbounded();
    server.bayeux.on_event(move |notice| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(notice.event).await;
        }
    });
    let mut peer = server.peer().await;
    let session = peer.open().await;
    peer.send(&session.cookie, &session.subscribe("/a")).await;
    peer.post(&session.cookie, &session.connect()).await;
    while !matches!(told.recv().await.unwrap(), Event::Suspended { .. }) {}
    drop(peer);
    let cause = loop {
        if let Event::Resumed { cause, .. } = told.recv().await.unwrap() {
            break cause;
        }
    };
    assert_eq!(cause, ResumeCause::ConnectionLost);

    server.bayeux.channel("/a").unwrap().publish("missed").await.unwrap();
    let mut peer = server.peer().await;
    let answer = peer.send(&session.cookie, &session.connect()).await;
    assert_eq!(answer[0], json!({ "channel": "/a", "data": "missed" }));
}

pub async fn a_request_behind_a_held_connect_is_answered_in_its_turn(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let mut peer = server.peer().await;
    let session = peer.open().await;
    let subscribe = session.subscribe("/a");
    let both = request(&session.cookie, &session.connect()) + &request(&session.cookie, &subscribe);
    peer.write(&both).await;
    // HTTP/1.1 answers in order, so the held connect has to end first.
    let other = server.bayeux.session(session.id()).unwrap();
    other.deliver("/x", "go on").unwrap();
    let first = peer.answer().await.messages();
    assert_eq!(first[1]["channel"], "/meta/connect");
    let second = peer.answer().await.messages();
    assert_eq!(second[0]["subscription"], "/a");
}

pub async fn a_head_that_does_not_come_ends_the_connection(adapter: &dyn Adapter) {
    let server =
        Running::serving(adapter, |options| options.head_timeout = Duration::from_millis(50));
    for head in ["", "P", "PRI * HT", "POST /cometd/ HTTP/1.1\r\nhost: x\r\n"] {
        let mut peer = server.peer().await;
        peer.write(head).await;
        // hyper answers 408 or just closes, depending on how much of the head it has.
        let answer = peer.response().await;
        assert!(answer.is_none_or(|response| response.status == 408), "{head:?}");
    }
}

pub async fn a_body_that_does_not_come_gets_408(adapter: &dyn Adapter) {
    let server =
        Running::serving(adapter, |options| options.body_timeout = Duration::from_millis(50));
    let mut peer = server.peer().await;
    peer.write("POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[{").await;
    assert_eq!(peer.answer().await.status, 408);
}

pub async fn a_body_that_is_too_large_gets_413_whether_it_says_so_or_not(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let mut peer = server.peer().await;
    peer.write("POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-length: 65537\r\n\r\n").await;
    assert_eq!(peer.answer().await.status, 413);

    let mut peer = server.peer().await;
    peer.write("POST /cometd/ HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    for _ in 0..5 {
        peer.write(&chunk).await;
    }
    assert_eq!(peer.answer().await.status, 413);
}

pub async fn a_refused_body_is_read_so_that_its_sender_learns_why(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    for (kind, status) in [("application/json", 413), ("text/plain", 415)] {
        let mut peer = server.peer().await;
        let length = 4 * 1024 * 1024;
        let head = format!(
            "POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\n\r\n"
        );
        peer.write(&head).await;
        peer.write(&"a".repeat(length)).await;
        assert_eq!(peer.answer().await.status, status);
    }
}

pub async fn a_body_that_breaks_off_hurts_nobody(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let mut broken = server.peer().await;
    broken.write("POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[{").await;
    drop(broken);
    server.peer().await.open().await;
    assert_eq!(server.bayeux.stats().sessions, 1);
}

pub async fn a_peer_that_does_not_read_loses_its_connection(adapter: &dyn Adapter) {
    let server =
        Running::serving(adapter, |options| options.write_timeout = Duration::from_millis(50));
    let mut peer = server.peer().await;
    let session = peer.open().await;
    // More than the operating system takes off the server's hands.
    let data = "a".repeat(64 * 1024 * 1024);
    server.bayeux.session(session.id()).unwrap().deliver("/a", &data).unwrap();
    peer.post(&session.cookie, &session.connect()).await;
    // An open connection would keep the server from ending for ten seconds.
    until(|| server.bayeux.stats().events_sent > 0).await;
    let ended = server.stop();
    let ended = within(Duration::from_secs(5), ended).await;
    ended.expect("the connection ended before the time for the shutdown").unwrap();
}

pub async fn one_connection_more_than_allowed_waits_for_a_place(adapter: &dyn Adapter) {
    let server = Running::serving(adapter, |options| options.max_connections = 1);
    let mut first = server.peer().await;
    let session = first.open().await;
    let mut second = server.peer().await;
    second.post(&session.cookie, &session.subscribe("/a")).await;
    // The second one is not even read while the first one is open.
    first.send(&session.cookie, &session.subscribe("/b")).await;
    let id = session.id();
    assert_eq!(server.bayeux.session(id).unwrap().subscriptions().len(), 1);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
    assert_eq!(server.bayeux.session(id).unwrap().subscriptions().len(), 2);
}

pub async fn the_peers_address_and_headers_reach_the_handlers(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let (tell, told) = unbounded();
    server.bayeux.channel("/service/who").unwrap().on_message(move |incoming: Incoming| {
        let context = incoming.context().unwrap();
        let _ = tell.try_send((context.peer(), context.header("host").map(str::to_owned)));
        async {}
    });
    let mut peer = server.peer().await;
    let session = peer.open().await;
    let message = json!([{ "channel": "/service/who", "clientId": session.id, "data": 1 }]);
    peer.send(&session.cookie, &message).await;
    let expected = (Some(peer.stream.local_addr().unwrap()), Some("x".to_owned()));
    assert_eq!(told.recv().await.unwrap(), expected);
}
