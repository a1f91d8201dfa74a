//! Connections that are slow, broken, many, or gone.

use std::time::Duration;

use cometd_hyper::bayeux_core::front::Incoming;
use cometd_hyper::bayeux_core::{Event, ResumeCause};
use serde_json::json;
use tokio::sync::mpsc;

use crate::peer::{Running, request};

#[tokio::test]
async fn a_lost_connection_is_noticed_and_its_events_come_with_the_next_connect() {
    let server = Running::new(|_| {}).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    server.bayeux.on_event(move |notice| {
        let tell = tell.clone();
        async move {
            let _ = tell.send(notice.event);
        }
    });
    let mut peer = server.peer().await;
    let session = peer.open().await;
    peer.send(&session.cookie, &session.subscribe("/a")).await;
    peer.post(&session.cookie, &session.connect()).await;
    while !matches!(told.recv().await, Some(Event::Suspended { .. })) {}
    drop(peer);
    let cause = loop {
        if let Some(Event::Resumed { cause, .. }) = told.recv().await {
            break cause;
        }
    };
    assert_eq!(cause, ResumeCause::ConnectionLost);

    server.bayeux.channel("/a").unwrap().publish("missed").await.unwrap();
    let mut peer = server.peer().await;
    let answer = peer.send(&session.cookie, &session.connect()).await;
    assert_eq!(answer[0], json!({ "channel": "/a", "data": "missed" }));
}

#[tokio::test]
async fn a_request_behind_a_held_connect_is_answered_in_its_turn() {
    let server = Running::new(|_| {}).await;
    let mut peer = server.peer().await;
    let session = peer.open().await;
    let subscribe = session.subscribe("/a");
    let both = request(&session.cookie, &session.connect()) + &request(&session.cookie, &subscribe);
    peer.write(&both).await;
    // HTTP/1.1 answers in order, so the held connect has to end first.
    let other = server.bayeux.session(session.id()).unwrap();
    other.deliver("/x", "go on").unwrap();
    let first = peer.response().await.unwrap().messages();
    assert_eq!(first[1]["channel"], "/meta/connect");
    let second = peer.response().await.unwrap().messages();
    assert_eq!(second[0]["subscription"], "/a");
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = Running::new(|options| options.head_timeout = Duration::from_millis(50)).await;
    for head in ["", "P", "PRI * HT", "POST /cometd/ HTTP/1.1\r\nhost: x\r\n"] {
        let mut peer = server.peer().await;
        peer.write(head).await;
        // hyper answers 408 or just closes, depending on how much of the head it has.
        let answer = peer.response().await;
        assert!(answer.is_none_or(|response| response.status == 408), "{head:?}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_gets_408() {
    let server = Running::new(|options| options.body_timeout = Duration::from_millis(50)).await;
    let mut peer = server.peer().await;
    peer.write("POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[{").await;
    assert_eq!(peer.response().await.unwrap().status, 408);
}

#[tokio::test]
async fn a_body_that_is_too_large_gets_413_whether_it_says_so_or_not() {
    let server = Running::new(|_| {}).await;
    let mut peer = server.peer().await;
    peer.write("POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-length: 65537\r\n\r\n").await;
    assert_eq!(peer.response().await.unwrap().status, 413);

    let mut peer = server.peer().await;
    peer.write("POST /cometd/ HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    for _ in 0..5 {
        peer.write(&chunk).await;
    }
    assert_eq!(peer.response().await.unwrap().status, 413);
}

#[tokio::test]
async fn a_refused_body_is_read_so_that_its_sender_learns_why() {
    let server = Running::new(|_| {}).await;
    for (kind, status) in [("application/json", 413), ("text/plain", 415)] {
        let mut peer = server.peer().await;
        let length = 4 * 1024 * 1024;
        let head = format!(
            "POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\n\
             content-length: {length}\r\n\r\n"
        );
        peer.write(&head).await;
        peer.write(&"a".repeat(length)).await;
        assert_eq!(peer.response().await.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_hurts_nobody() {
    let server = Running::new(|_| {}).await;
    let mut broken = server.peer().await;
    broken.write("POST /cometd/ HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[{").await;
    drop(broken);
    server.peer().await.open().await;
    assert_eq!(server.bayeux.stats().sessions, 1);
}

#[tokio::test]
async fn a_peer_that_does_not_read_loses_its_connection() {
    let server = Running::new(|options| options.write_timeout = Duration::from_millis(50)).await;
    let mut peer = server.peer().await;
    let session = peer.open().await;
    // More than the operating system takes off the server's hands.
    let data = "a".repeat(64 * 1024 * 1024);
    server.bayeux.session(session.id()).unwrap().deliver("/a", &data).unwrap();
    peer.post(&session.cookie, &session.connect()).await;
    // An open connection would keep the server from ending for ten seconds.
    while server.bayeux.stats().events_sent == 0 {
        tokio::task::yield_now().await;
    }
    let ended = server.stop();
    let patience = Duration::from_secs(5);
    let ended = tokio::time::timeout(patience, ended).await;
    ended.expect("the connection ended before the time for the shutdown").unwrap().unwrap();
}

#[tokio::test]
async fn one_connection_more_than_allowed_waits_for_a_place() {
    let server = Running::new(|options| options.max_connections = 1).await;
    let mut first = server.peer().await;
    let session = first.open().await;
    let mut second = server.peer().await;
    second.post(&session.cookie, &session.subscribe("/a")).await;
    // The second one is not even read while the first one is open.
    first.send(&session.cookie, &session.subscribe("/b")).await;
    let id = session.id();
    assert_eq!(server.bayeux.session(id).unwrap().subscriptions().len(), 1);
    drop(first);
    assert_eq!(second.response().await.unwrap().status, 200);
    assert_eq!(server.bayeux.session(id).unwrap().subscriptions().len(), 2);
}

#[tokio::test]
async fn the_peers_address_and_headers_reach_the_handlers() {
    let server = Running::new(|_| {}).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    server.bayeux.channel("/service/who").unwrap().on_message(move |incoming: Incoming| {
        let context = incoming.context().unwrap();
        let _ = tell.send((context.peer(), context.header("host").map(str::to_owned)));
        async {}
    });
    let mut peer = server.peer().await;
    let session = peer.open().await;
    let message = json!([{ "channel": "/service/who", "clientId": session.id, "data": 1 }]);
    peer.send(&session.cookie, &message).await;
    let expected = (Some(peer.stream.local_addr().unwrap()), Some("x".to_owned()));
    assert_eq!(told.recv().await.unwrap(), expected);
}
