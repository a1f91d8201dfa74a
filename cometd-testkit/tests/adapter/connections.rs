//! Connections and their times.

use std::convert::Infallible;
use std::future::{Ready, pending};
use std::io;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bayeux_core::adapter::{ServeOptions, serve};
use bayeux_core::front::{Bayeux, Incoming};
use bytes::Bytes;
use cometd_testkit::sim::Sim;
use http::Response;
use http_body_util::Empty;
use hyper::body::Incoming as RequestBody;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::duplex;
use tower::service_fn;
use tower_service::Service;

use crate::network::{Frame, InMemory, Met, Peer, World};

const PIPE: usize = 64 * 1024;
const MINUTE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

/// What is there for everybody.
fn is_well(world: &World) {
    let reply = world.dial(PIPE).send(&json!([{ "channel": "/meta/handshake" }]));
    assert_eq!(reply[0]["successful"], true);
}

#[test]
fn who_asks_for_nothing_has_a_minute() {
    let world = World::new(|_| {});
    let begun: [&[u8]; 4] =
        [b"", b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", b"POST /cometd HTTP/1.1\r\n"];
    let mut peers = begun.map(|bytes| {
        let mut peer = world.dial(PIPE);
        peer.write(bytes);
        peer
    });
    world.sim.advance(MINUTE - MILLI);
    assert!(peers.iter_mut().all(Peer::is_silent));
    world.sim.advance(2 * MILLI);
    assert!(peers.iter_mut().all(Peer::has_ended));
    is_well(&world);
}

#[test]
fn a_handshake_before_http_has_its_time_and_holds_up_nobody() {
    let world = World::new(|_| {});
    let dial = |time| {
        let (client, server) = duplex(PIPE);
        world.meet.send(Met::Slow(time, server)).unwrap();
        Peer::over(&world.sim, client)
    };
    let (mut slow, mut too_slow) = (dial(MINUTE - MILLI), dial(MINUTE + MILLI));
    is_well(&world);
    world.sim.advance(MINUTE - 2 * MILLI);
    assert!(slow.is_silent() && too_slow.is_silent());
    slow.post(&json!([{ "channel": "/meta/handshake" }]));
    assert!(slow.head().starts_with("HTTP/1.1 200 "));
    assert!(too_slow.has_ended());
}

#[test]
fn http2_is_known_by_its_preface_however_it_comes() {
    let world = World::new(|_| {});
    let mut peer = world.dial(PIPE);
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        assert!(peer.is_silent());
        peer.write(&[*byte]);
    }
    // Its own settings: a frame of type 4.
    assert_eq!(peer.read(4)[3], 4);
    let mut peer = world.dial(PIPE);
    peer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX");
    assert!(peer.head().starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let world = World::new(|_| {});
    let mut peer = world.dial(PIPE);
    for byte in b"PUT /cometd HTTP/1.1\r\nhost: x\r\n\r" {
        peer.write(&[*byte]);
        world.sim.advance(Duration::from_secs(1));
    }
    peer.write(b"\n");
    assert!(peer.head().starts_with("HTTP/1.1 405 "));
}

#[test]
fn who_takes_nothing_has_half_a_minute() {
    let world = World::new(|_| {});
    // Less than the head of a response.
    let mut peer = world.dial(16);
    let mut steady = world.dial(16);
    for peer in [&mut peer, &mut steady] {
        peer.write(b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n");
    }
    world.sim.advance(Duration::from_secs(29));
    // Whoever takes anything is given another half minute.
    assert_eq!(steady.read(1), b"H");
    world.sim.advance(Duration::from_secs(2));
    assert_eq!(String::from_utf8(peer.read(1_000)).unwrap(), "HTTP/1.1 404 Not");
    assert!(steady.head().ends_with("\r\n\r\n"));
}

#[test]
fn a_body_has_its_time() {
    let world = World::new(|options| options.body_timeout = MINUTE);
    let mut peer = world.dial(PIPE);
    peer.write(b"POST /cometd HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n[");
    world.sim.advance(MINUTE - MILLI);
    assert!(peer.is_silent());
    world.sim.advance(MILLI);
    assert!(peer.head().starts_with("HTTP/1.1 408 "));
}

#[test]
fn the_longest_times_are_no_trouble() {
    let mut world = World::new(|options| {
        options.head_timeout = Duration::MAX;
        options.body_timeout = Duration::MAX;
        options.write_timeout = Duration::MAX;
        options.shutdown_timeout = Duration::MAX;
    });
    is_well(&world);
    let mut peer = world.dial(PIPE);
    peer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(peer.read(4)[3], 4);
    let mut narrow = world.dial(16);
    narrow.write(b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n");
    drop((peer, narrow));
    world.stop();
    world.served.take().unwrap().unwrap();
}

#[test]
fn there_is_always_place_for_one() {
    let world = World::new(|options| options.max_connections = 0);
    is_well(&world);
    is_well(&world);
}

#[test]
fn a_listener_that_fails_is_tried_again_unless_it_failed_for_good() {
    let world = World::new(|_| {});
    world.meet.send(Met::Error(io::ErrorKind::Other)).unwrap();
    is_well(&world);
    assert!(world.sim.now().as_micros() >= 50_000, "a little later");
    world.meet.send(Met::Error(io::ErrorKind::InvalidInput)).unwrap();
    world.sim.settle();
    let served = world.served.take().unwrap();
    assert_eq!(served.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_client_that_was_gone_at_once_holds_up_nobody() {
    let world = World::new(|_| {});
    for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::NotConnected] {
        world.meet.send(Met::Error(kind)).unwrap();
    }
    is_well(&world);
    assert_eq!(world.sim.now().as_micros(), 0);
}

#[test]
fn a_listener_that_fails_for_good_ends_the_server_in_good_order() {
    let world = World::new(|_| {});
    let mut socket = world.dial(PIPE);
    socket.upgrade();
    socket.session();
    world.meet.send(Met::Error(io::ErrorKind::InvalidInput)).unwrap();
    world.sim.settle();
    let Some(Frame::Text(reply)) = socket.frame() else { panic!("the connect's reply") };
    assert_eq!(reply[0]["advice"]["reconnect"], "retry");
    assert_eq!(socket.frame(), Some(Frame::Close(1_001)));
    drop(socket);
    world.sim.settle();
    assert!(world.served.take().unwrap().is_err());
}

#[test]
fn half_a_head_does_not_delay_the_end() {
    let mut world = World::new(|_| {});
    let begun: [&[u8]; 3] =
        [b"G", b"POST /cometd HTTP/1.1\r\nhost: ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    let mut peers = begun.map(|bytes| {
        let mut peer = world.dial(PIPE);
        peer.write(bytes);
        peer
    });
    world.stop();
    // What is on its way when the end comes is answered.
    peers[1].write(b"x\r\ncontent-length: 0\r\n\r\n");
    assert!(peers[1].head().starts_with("HTTP/1.1 400 "));
    world.sim.advance(Duration::from_secs(1));
    world.served.take().unwrap().unwrap();
}

#[test]
fn what_is_being_taken_at_the_end_arrives_whole() {
    let mut world = World::new(|_| {});
    let mut peer = world.dial(1_000);
    let reply = peer.send(&json!([{ "channel": "/meta/handshake" }]));
    let session = world.bayeux.sessions().remove(0);
    session.deliver("/a", &"x".repeat(50_000)).unwrap();
    let connect = json!([{ "channel": "/meta/connect", "clientId": reply[0]["clientId"] }]);
    let body = connect.to_string();
    let head = "POST /cometd HTTP/1.1\r\nhost: x\r\n";
    let cookie = format!("cookie: BAYEUX_BROWSER={}\r\n", peer.cookie());
    peer.write(format!("{head}{cookie}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let head = peer.head();
    world.stop();
    let mut taken = 0;
    // Slowly, but not too slowly.
    while taken < 50_000 {
        world.sim.advance(Duration::from_millis(150));
        taken += peer.read(1_000).len();
        assert!(world.sim.now().as_micros() < 9_000_000, "{head}");
    }
    let rest = String::from_utf8(peer.read(10_000)).unwrap();
    assert!(rest.ends_with("}]"), "{rest}");
    world.sim.settle();
    world.served.take().unwrap().unwrap();
}

#[test]
fn a_connection_of_http2_without_requests_is_given_up() {
    let world = World::new(|_| {});
    let mut peer = world.dial(PIPE);
    peer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    // It answers all that it is asked.
    loop {
        let head = peer.read(9);
        let [_, high, low, kind, flags, ..] = head[..] else { break };
        let content = peer.read(usize::from(u16::from_be_bytes([high, low])));
        match (kind, flags) {
            (4, 0) => peer.write(b"\0\0\0\x04\x01\0\0\0\0"),
            (6, 0) => peer.write(&[b"\0\0\x08\x06\x01\0\0\0\0", &content[..]].concat()),
            _ => {}
        }
        assert!(world.sim.now().as_micros() < 62_000_000, "it is still there");
    }
    assert!(world.sim.now().as_micros() >= 60_000_000);
}

#[test]
fn the_time_for_a_head_is_counted_from_the_last_response() {
    let world = World::new(|_| {});
    let mut peer = world.dial(PIPE);
    world.sim.advance(MINUTE - MILLI);
    for _ in 0..3 {
        peer.send(&json!([{ "channel": "/meta/handshake" }]));
        world.sim.advance(MINUTE - MILLI);
        assert!(peer.is_silent());
    }
    world.sim.advance(MILLI);
    assert!(peer.has_ended());
    // And for the first one from the beginning, whatever has come of it.
    let mut slow = world.dial(PIPE);
    world.sim.advance(MINUTE - MILLI);
    slow.write(b"P");
    world.sim.advance(MILLI + Duration::from_secs(1));
    assert!(slow.has_ended());
}

#[test]
fn what_the_application_keeps_of_a_request_does_not_keep_its_connection() {
    let world = World::new(|options| options.max_connections = 1);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    world.bayeux.channel("/service/keep").unwrap().on_message(move |incoming: Incoming| {
        keep.lock().unwrap().push(incoming);
        async {}
    });
    let mut peer = world.dial(PIPE);
    let reply = peer.send(&json!([{ "channel": "/meta/handshake" }]));
    let body = json!([{ "channel": "/service/keep", "clientId": reply[0]["clientId"], "data": 1 }]);
    let body = body.to_string();
    let head = "POST /cometd HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n";
    let cookie = format!("cookie: BAYEUX_BROWSER={}\r\n", peer.cookie());
    peer.write(format!("{head}{cookie}content-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    peer.head();
    drop(peer);
    is_well(&world);
    assert_eq!(kept.lock().unwrap().len(), 1);
}

#[test]
fn the_end_waits_for_what_is_being_answered_but_not_for_ever() {
    let mut world = World::new(|_| {});
    let channel = world.bayeux.channel("/service/never").unwrap();
    channel.on_message(|_| pending::<()>());
    let mut socket = world.dial(PIPE);
    socket.upgrade();
    socket.session();
    let id = world.bayeux.sessions()[0].id().to_string();
    socket.say(&json!([{ "channel": "/service/never", "clientId": id, "data": 1 }]));
    let mut idle = world.dial(PIPE);
    idle.send(&json!([{ "channel": "/meta/handshake" }]));
    world.stop();
    assert!(idle.has_ended());
    world.sim.advance(Duration::from_secs(9) - MILLI);
    assert!(world.served.take().is_none());
    world.sim.advance(MILLI);
    world.served.take().unwrap().unwrap();
    while socket.frame().is_some() {}
    // The driver, and the handler, which is dropped after its own time.
    assert_eq!(world.sim.tasks(), 2);
}

#[test]
fn whoever_drops_the_server_cuts_everything_off() {
    let world = World::new(|_| {});
    let (mut silent, mut held, mut socket) = (world.dial(PIPE), world.dial(PIPE), world.dial(PIPE));
    socket.upgrade();
    socket.session();
    held.write(b"POST /cometd HTTP/1.1\r\nhost: x\r\n");
    let World { sim, served, bayeux, .. } = world;
    served.abort();
    sim.settle();
    assert!([&mut silent, &mut held, &mut socket].into_iter().all(Peer::has_ended));
    assert_eq!((sim.tasks(), bayeux.stats().sockets), (1, 0), "the driver is left");
}

/// A service that is never ready.
#[derive(Clone)]
struct NeverReady;

impl Service<http::Request<RequestBody>> for NeverReady {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: http::Request<RequestBody>) -> Self::Future {
        unreachable!("it is not ready")
    }
}

#[test]
fn bayeux_does_not_wait_for_the_other_service() {
    let sim = Sim::new(1);
    let bayeux = sim.start(Bayeux::builder()).unwrap();
    let (client, server) = duplex(PIPE);
    let one = One(Some(server));
    let options = ServeOptions::default();
    let serving = serve(one, TokioIo::new, bayeux, NeverReady, options, pending());
    let _served = sim.spawn(serving);
    let mut peer = Peer::over(&sim, client);
    assert_eq!(peer.send(&json!([{ "channel": "/meta/handshake" }]))[0]["successful"], true);
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[test]
fn a_panic_while_a_connection_is_cut_off_is_contained() {
    let sim = Sim::new(1);
    let bayeux = sim.start(Bayeux::builder()).unwrap();
    let (client, server) = duplex(PIPE);
    let others = service_fn(|_: http::Request<RequestBody>| async {
        let _bomb = Bomb;
        pending::<()>().await;
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let one = One(Some(server));
    let options = ServeOptions::default();
    let served = sim.spawn(serve(one, TokioIo::new, bayeux, others, options, pending()));
    let mut peer = Peer::over(&sim, client);
    peer.write(b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n");
    served.abort();
    assert!(peer.has_ended());
    assert_eq!(sim.tasks(), 0);
}

/// A listener with one connection.
struct One(Option<tokio::io::DuplexStream>);

impl bayeux_core::adapter::Listener<InMemory> for One {
    type Stream = tokio::io::DuplexStream;
    type Opening = Ready<io::Result<Self::Stream>>;

    async fn accept(&mut self) -> io::Result<(Self::Opening, Option<std::net::SocketAddr>)> {
        match self.0.take() {
            Some(stream) => Ok((std::future::ready(Ok(stream)), None)),
            None => pending().await,
        }
    }
}

#[test]
fn a_panic_in_a_service_ends_its_connection_alone() {
    let sim = Sim::new(1);
    let bayeux = sim.start(Bayeux::builder()).unwrap();
    let (client, server) = duplex(PIPE);
    let others = service_fn(|request: http::Request<_>| async move {
        let _: http::Request<RequestBody> = request;
        assert_eq!(1, 2, "on purpose");
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let one = One(Some(server));
    let options = ServeOptions::default();
    let served = sim.spawn(serve(one, TokioIo::new, bayeux, others, options, pending()));
    let mut peer = Peer::over(&sim, client);
    peer.write(b"GET /elsewhere HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(peer.has_ended());
    assert!(!served.is_over());
}
