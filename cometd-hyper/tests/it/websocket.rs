//! WebSockets over real connections: their upgrade, their end, their peers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use cometd_hyper::bayeux_core::{Config, Event, RemovedReason};
use cometd_hyper::{Bayeux, CometdLayer, CometdService, start};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

use crate::peer::Running;
use crate::socket::{Frame, Socket};

/// Waits until all of that many sessions have a connect held.
async fn held(bayeux: &Bayeux, count: usize) {
    while bayeux.stats().held < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn messages_go_both_ways() {
    let server = Running::new(|_| {}).await;
    let mut socket = Socket::open(server.address, "/cometd").await;
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

#[tokio::test]
async fn the_servers_end_answers_held_connects_and_closes() {
    let server = Running::new(|_| {}).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = Socket::open(server.address, "/cometd").await;
        socket.session().await;
        sockets.push(socket);
    }
    let mut empty = Socket::open(server.address, "/cometd").await;
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
    let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
    ended.expect("well before the time for the shutdown is over").unwrap().unwrap();
}

#[tokio::test]
async fn a_socket_that_does_not_end_is_cut_off() {
    let server = Running::new(|options| options.shutdown_timeout = Duration::from_millis(50)).await;
    let channel = server.bayeux.channel("/service/never").unwrap();
    channel.on_message(|_| std::future::pending::<()>());
    let mut socket = Socket::open(server.address, "/cometd").await;
    let id = socket.session().await;
    socket.send(&json!([{ "channel": "/service/never", "clientId": id, "data": 1 }])).await;
    while server.bayeux.stats().questions == 0 {
        tokio::task::yield_now().await;
    }
    server.stop().await.unwrap().unwrap();
    assert_eq!(socket.text().await[0]["channel"], "/meta/connect");
    assert_eq!(socket.frame().await, None);
}

#[tokio::test]
async fn a_socket_keeps_its_connections_place() {
    let server = Running::new(|options| options.max_connections = 1).await;
    let mut first = Socket::open(server.address, "/cometd").await;
    first.session().await;
    held(&server.bayeux, 1).await;
    let second = tokio::spawn(Socket::open(server.address, "/cometd"));
    server.bayeux.publish("/a", &1).await.unwrap();
    first.text().await;
    assert_eq!((server.bayeux.stats().sockets, second.is_finished()), (1, false));
    drop(first);
    second.await.unwrap().session().await;
}

#[tokio::test]
async fn a_silent_peer_is_pinged_and_closed_unless_it_answers() {
    let mut config = Config::default();
    config.ws_ping_interval = Duration::from_millis(100);
    config.ws_idle_timeout = Duration::from_millis(400);
    let server = Running::with(Bayeux::builder().config(config)).await;
    let (mut mute, mut well) = (
        Socket::open(server.address, "/cometd").await,
        Socket::open(server.address, "/cometd").await,
    );
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

#[tokio::test]
async fn a_peer_that_reads_nothing_is_bounded_and_holds_up_nobody() {
    const MESSAGES: u64 = 100_000;
    let server = Running::new(|_| {}).await;
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
    let mut other = Socket::open(server.address, "/cometd").await;
    other.session().await;
    held(&server.bayeux, 2).await;
    let reading = tokio::spawn(async move {
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
            tokio::task::yield_now().await;
        }
        if number % 100 == 0 {
            let sizes = server.bayeux.sessions().into_iter().map(|it| it.queue_bytes());
            most = most.max(sizes.max().unwrap_or_default());
        }
    }
    tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap().unwrap();
    assert!(most <= limit && most > limit / 2, "{most} of {limit} bytes");
    assert_eq!(*ended.lock().unwrap(), [(id, RemovedReason::Overflowed)]);
}

#[tokio::test]
async fn a_peer_that_does_not_take_its_pongs_is_not_read_and_gets_its_texts_whole() {
    let server = Running::new(|_| {}).await;
    let mut socket = Socket::small(server.address).await;
    socket.session().await;
    held(&server.bayeux, 1).await;
    // Nobody reads the answers, so that one of them gets stuck half-way, and then the pings do.
    let mut pings = 0;
    while tokio::time::timeout(Duration::from_millis(500), socket.ping()).await.is_ok() {
        pings += 1;
        assert!(pings < 1_000_000, "the server goes on reading");
    }
    for number in 0..10 {
        server.bayeux.publish("/a", &number).await.unwrap();
        tokio::task::yield_now().await;
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

/// A server and a client with a network between them that takes `size` bytes at a time.
async fn over_duplex(size: usize) -> (Bayeux, Socket<DuplexStream>) {
    let bayeux = start(Bayeux::builder()).unwrap();
    let (client, server) = tokio::io::duplex(size);
    let service = TowerToHyperService::new(CometdService::new(bayeux.clone()));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
    tokio::spawn(connection.with_upgrades());
    let mut socket = Socket::over(client, "/cometd").await;
    socket.session().await;
    held(&bayeux, 1).await;
    (bayeux, socket)
}

#[tokio::test]
async fn over_the_narrowest_network_frames_stay_whole() {
    let (bayeux, mut socket) = over_duplex(64).await;
    socket.ping().await;
    bayeux.publish("/a", &"x".repeat(300)).await.unwrap();
    let mut frames = [socket.frame().await.unwrap(), socket.frame().await.unwrap()];
    frames.sort_by_key(|frame| *frame != Frame::Pong);
    assert_eq!(frames[0], Frame::Pong);
    assert!(matches!(&frames[1], Frame::Text(text) if text[0]["channel"] == "/a"));
}

#[tokio::test]
async fn nothing_follows_the_answer_to_a_closing_and_what_would_have_stays_queued() {
    let (bayeux, mut socket) = over_duplex(16 * 1024).await;
    for _ in 0..300 {
        bayeux.publish("/a", &"x".repeat(2_000)).await.unwrap();
        tokio::task::yield_now().await;
    }
    socket.close(1000).await;
    let (mut texts, mut closed) = (0, false);
    while let Some(frame) = socket.frame().await {
        match frame {
            Frame::Close(code) => closed = code == 1000,
            Frame::Text(_) => {
                assert!(!closed, "a text behind the closing");
                texts += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(closed && texts > 0);
    // What was begun counts as delivered: at most one parcel more than what was read.
    let parcel = bayeux.config().limits.socket_bytes / 2_000;
    let queued = bayeux.sessions()[0].queue_messages();
    assert!(queued + texts <= 300 && queued + texts + parcel >= 300, "{texts}, {queued}");
}

#[tokio::test]
async fn a_socket_over_http2_that_was_just_accepted_does_not_stall_the_servers_end() {
    for turns in 0..6 {
        let server = Running::new(|_| {}).await;
        let stream = TcpStream::connect(server.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let plain = Request::get("http://test/cometd").body(Empty::new()).unwrap();
        assert_eq!(sender.send_request(plain).await.unwrap().status(), 405);
        let request = Request::connect("http://test/cometd")
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static("websocket"))
            .body(Empty::new())
            .unwrap();
        let response = tokio::spawn(sender.send_request(request));
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let ended = server.stop();
        let client = tokio::spawn(async move {
            // It may have come too late to be accepted.
            let Ok(response) = response.await.unwrap() else { return };
            let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
            assert_eq!(Socket { stream }.frame().await, Some(Frame::Close(1001)));
        });
        let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
        ended.expect("well before the time for the shutdown is over").unwrap().unwrap();
        client.await.unwrap();
    }
}

#[tokio::test]
async fn in_axum_it_upgrades_as_well() {
    let bayeux = start(Bayeux::builder()).unwrap();
    let router: Router = Router::new().fallback(|| async { "x" }).layer(CometdLayer::new(bayeux));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut socket = Socket::open(address, "/cometd/").await;
    socket.session().await;
}

#[tokio::test]
async fn a_host_that_cannot_upgrade_says_so() {
    let mut service = CometdService::new(start(Bayeux::builder()).unwrap());
    let request = Request::get("/cometd")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = service.call(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn over_http2_each_stream_can_be_a_websocket() {
    let server = Running::new(|_| {}).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
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
        let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
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
    while server.bayeux.stats().sockets > 1 {
        tokio::task::yield_now().await;
    }
    let ended = server.stop();
    let socket = &mut sockets[0];
    assert_eq!(socket.text().await[0]["channel"], "/meta/connect");
    assert_eq!(socket.frame().await, Some(Frame::Close(1001)));
    drop(sockets);
    ended.await.unwrap().unwrap();
}
