//! Connections and their times.

use std::convert::Infallible;
use std::future::{Ready, pending};
use std::io;
use std::time::Duration;

use bayeux_core::adapter::{ServeOptions, serve};
use bayeux_core::front::Bayeux;
use bytes::Bytes;
use cometd_testkit::sim::Sim;
use http::Response;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::duplex;
use tower::service_fn;

use crate::network::{InMemory, Met, Peer, World};

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
    let world = World::new(|options| {
        options.head_timeout = Duration::MAX;
        options.body_timeout = Duration::MAX;
        options.write_timeout = Duration::MAX;
        options.shutdown_timeout = Duration::MAX;
    });
    is_well(&world);
    let mut peer = world.dial(PIPE);
    peer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(peer.read(4)[3], 4);
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
        let _: http::Request<hyper::body::Incoming> = request;
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
