//! WebSockets over real connections: their upgrade, their end, their peers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bayeux_core::front::Bayeux;
use bayeux_core::{Config, Event, RemovedReason};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::ext::Protocol;
use serde_json::json;
use smol::future::yield_now;

use super::http2::{Streaming, dial};
use super::peer::Running;
use super::socket::{Frame, Socket};
use super::{held, until, within};
use crate::adapter::Adapter;

pub async fn messages_go_both_ways(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let mut socket = Socket::open(server.address).await;
    let id = socket.session().await;
    held(&server.bayeux, 1).await;
    server.bayeux.publish("/a", &1).await.unwrap();
    assert_eq!(socket.text().await, json!([{ "channel": "/a", "data": 1 }]));
    let publish =
        json!([{ "id": "p", "channel": "/a", "clientId": id, "data": "x".repeat(60_000) }]);
    socket.send(&publish).await;
    assert_eq!(socket.text().await[0]["data"].as_str().unwrap().len(), 60_000);
    assert_eq!(socket.text().await, json!([{ "id": "p", "channel": "/a", "successful": true }]));
}

pub async fn the_servers_end_answers_held_connects_and_closes(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = Socket::open(server.address).await;
        socket.session().await;
        sockets.push(socket);
    }
    let mut empty = Socket::open(server.address).await;
    held(&server.bayeux, 20).await;
    let ended = server.stop();
    for socket in &mut sockets {
        let reply = socket.text().await;
        assert_eq!(reply[0]["channel"], "/meta/connect");
        assert!(reply[0]["advice"]["interval"].as_u64().unwrap() < 2_000);
        assert_eq!(socket.frame().await, Some(Frame::Close(1001)));
        assert_eq!(socket.frame().await, None);
    }
    assert_eq!(empty.frame().await, Some(Frame::Close(1001)));
    drop((sockets, empty));
    let ended = within(Duration::from_secs(5), ended).await;
    ended.expect("well before the time for the shutdown is over").unwrap();
}

pub async fn a_socket_that_does_not_end_is_cut_off(adapter: &dyn Adapter) {
    let server =
        Running::serving(adapter, |options| options.shutdown_timeout = Duration::from_millis(50));
    let channel = server.bayeux.channel("/service/never").unwrap();
    channel.on_message(|_| std::future::pending::<()>());
    let mut socket = Socket::open(server.address).await;
    let id = socket.session().await;
    socket.send(&json!([{ "channel": "/service/never", "clientId": id, "data": 1 }])).await;
    until(|| server.bayeux.stats().questions > 0).await;
    server.stop().await.unwrap();
    assert_eq!(socket.text().await[0]["channel"], "/meta/connect");
    assert_eq!(socket.frame().await, None);
}

pub async fn a_socket_keeps_its_connections_place(adapter: &dyn Adapter) {
    let server = Running::serving(adapter, |options| options.max_connections = 1);
    let mut first = Socket::open(server.address).await;
    first.session().await;
    held(&server.bayeux, 1).await;
    let second = smol::spawn(Socket::open(server.address));
    server.bayeux.publish("/a", &1).await.unwrap();
    first.text().await;
    assert_eq!((server.bayeux.stats().sockets, second.is_finished()), (1, false));
    drop(first);
    second.await.session().await;
}

pub async fn a_silent_peer_is_pinged_and_closed_unless_it_answers(adapter: &dyn Adapter) {
    let mut config = Config::default();
    config.ws_ping_interval = Duration::from_millis(100);
    config.ws_idle_timeout = Duration::from_millis(400);
    let server = Running::with(adapter, Bayeux::builder().config(config), |_| {});
    let (mut mute, mut well) =
        (Socket::open(server.address).await, Socket::open(server.address).await);
    mute.session().await;
    well.session().await;
    for _ in 0..6 {
        assert_eq!(well.frame().await, Some(Frame::Ping));
        well.pong().await;
    }
    assert_eq!(mute.frame().await, Some(Frame::Ping));
    assert_eq!(mute.frame().await, Some(Frame::Close(1001)));
    assert_eq!(mute.frame().await, None);
    assert_eq!(server.bayeux.stats().sockets, 1);
}

pub async fn a_peer_that_reads_nothing_is_bounded_and_holds_up_nobody(adapter: &dyn Adapter) {
    const MESSAGES: u64 = 100_000;
    let server = Running::new(adapter);
    let ended = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ended);
    server.bayeux.on_event(move |notice| {
        let seen = Arc::clone(&seen);
        async move {
            if let Event::SessionRemoved { session, reason } = notice.event {
                seen.lock().unwrap().push((session.to_string(), reason));
            }
        }
    });
    let mut deaf = Socket::small(server.address).await;
    let id = deaf.session().await;
    let mut other = Socket::open(server.address).await;
    other.session().await;
    held(&server.bayeux, 2).await;
    let reading = smol::spawn(async move {
        for number in 0..MESSAGES {
            assert_eq!(other.text().await[0]["data"]["number"], number);
        }
    });
    let (limit, text) = (server.bayeux.config().limits.queue_bytes, "x".repeat(100));
    let mut most = 0;
    for number in 0..MESSAGES {
        server.bayeux.publish("/a", &json!({ "number": number, "text": text })).await.unwrap();
        // The reader is not to be outrun by a test on one thread.
        while server
            .bayeux
            .sessions()
            .iter()
            .any(|it| it.id().to_string() != id && it.queue_messages() > 1_000)
        {
            yield_now().await;
        }
        if number % 100 == 0 {
            let sizes = server.bayeux.sessions().into_iter().map(|it| it.queue_bytes());
            most = most.max(sizes.max().unwrap_or_default());
        }
    }
    within(Duration::from_secs(60), reading).await.expect("all is read");
    assert!(most <= limit && most > limit / 2, "{most} of {limit} bytes");
    assert_eq!(*ended.lock().unwrap(), [(id, RemovedReason::Overflowed)]);
}

pub async fn a_peer_that_does_not_take_its_pongs_is_not_read_and_gets_its_texts_whole(
    adapter: &dyn Adapter,
) {
    let server = Running::new(adapter);
    let mut socket = Socket::small(server.address).await;
    socket.session().await;
    held(&server.bayeux, 1).await;
    // Nobody reads the answers, so that one of them gets stuck half-way, and then the pings do.
    let mut pings = 0;
    while within(Duration::from_millis(500), socket.ping()).await.is_some() {
        pings += 1;
        assert!(pings < 1_000_000, "the server goes on reading");
    }
    for number in 0..10 {
        server.bayeux.publish("/a", &number).await.unwrap();
        yield_now().await;
    }
    let mut numbers = Vec::new();
    while numbers.len() < 10 {
        match socket.frame().await {
            Some(Frame::Text(text)) => numbers.push(text[0]["data"].as_u64().unwrap()),
            Some(Frame::Pong) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(numbers.is_sorted());
}

pub async fn a_socket_over_http2_that_was_just_accepted_does_not_stall_the_servers_end(
    adapter: &dyn Adapter,
) {
    for turns in 0..6 {
        let server = Running::new(adapter);
        let (mut sender, _socket) = dial::<Empty<Bytes>>(server.address).await;
        let plain = Request::get("http://test/cometd").body(Empty::new()).unwrap();
        assert_eq!(sender.send_request(plain).await.unwrap().status(), 405);
        let request = Request::connect("http://test/cometd")
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(Empty::new())
            .unwrap();
        let response = smol::spawn(sender.send_request(request));
        for _ in 0..turns {
            yield_now().await;
        }
        let ended = server.stop();
        let client = smol::spawn(async move {
            // It may have come too late to be accepted.
            let Ok(response) = response.await else { return };
            let stream = Streaming(hyper::upgrade::on(response).await.unwrap());
            assert_eq!(Socket { stream }.frame().await, Some(Frame::Close(1001)));
        });
        let ended = within(Duration::from_secs(5), ended).await;
        ended.expect("well before the time for the shutdown is over").unwrap();
        client.await;
    }
}

pub async fn over_http2_each_stream_can_be_a_websocket(adapter: &dyn Adapter) {
    let server = Running::new(adapter);
    let (mut sender, _socket) = dial::<Empty<Bytes>>(server.address).await;
    // The server's settings, which allow it, have to be there first.
    let plain = Request::get("http://test/cometd").body(Empty::new()).unwrap();
    assert_eq!(sender.send_request(plain).await.unwrap().status(), 405);
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let request = Request::connect("http://test/cometd")
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(Empty::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let stream = Streaming(hyper::upgrade::on(response).await.unwrap());
        let mut socket = Socket { stream };
        socket.session().await;
        sockets.push(socket);
    }
    held(&server.bayeux, 2).await;
    server.bayeux.publish("/a", &1).await.unwrap();
    for socket in &mut sockets {
        assert_eq!(socket.text().await, json!([{ "channel": "/a", "data": 1 }]));
    }
    drop(sockets.pop());
    until(|| server.bayeux.stats().sockets == 1).await;
    let ended = server.stop();
    let socket = &mut sockets[0];
    assert_eq!(socket.text().await[0]["channel"], "/meta/connect");
    assert_eq!(socket.frame().await, Some(Frame::Close(1001)));
    drop(sockets);
    ended.await.unwrap();
}
