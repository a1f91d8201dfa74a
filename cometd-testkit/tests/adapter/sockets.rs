//! WebSockets on narrow networks.

use serde_json::Value;

use crate::network::{Frame, World};

fn publish(world: &World, data: &str) {
    let (bayeux, data) = (world.bayeux.clone(), data.to_owned());
    world.sim.block_on(async move { bayeux.publish("/a", &data).await }).unwrap();
}

#[test]
fn over_the_narrowest_network_frames_stay_whole() {
    let world = World::new(|_| {});
    let mut socket = world.dial(64);
    socket.upgrade();
    socket.session();
    socket.frame_of(9, &[7; 125]);
    publish(&world, &"x".repeat(300));
    let mut frames = [socket.frame().unwrap(), socket.frame().unwrap()];
    frames.sort_by_key(|frame| *frame != Frame::Pong);
    assert_eq!(frames[0], Frame::Pong);
    assert!(matches!(&frames[1], Frame::Text(text) if text[0]["channel"] == "/a"));
}

#[test]
fn nothing_follows_the_answer_to_a_closing_and_what_would_have_stays_queued() {
    let world = World::new(|_| {});
    let mut socket = world.dial(16 * 1024);
    socket.upgrade();
    socket.session();
    for _ in 0..300 {
        publish(&world, &"x".repeat(2_000));
    }
    socket.frame_of(8, &1_000_u16.to_be_bytes());
    let (mut texts, mut closed) = (0, false);
    while let Some(frame) = socket.frame() {
        match frame {
            Frame::Close(code) => closed = code == 1_000,
            Frame::Text(_) => {
                assert!(!closed, "a text behind the closing");
                texts += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(closed && texts > 0);
    // What was begun counts as delivered: at most one parcel more than what was read.
    let parcel = world.bayeux.config().limits.socket_bytes / 2_000;
    let queued = world.bayeux.sessions()[0].queue_messages();
    assert!(queued + texts <= 300 && queued + texts + parcel >= 300, "{texts}, {queued}");
}

#[test]
fn a_peer_that_does_not_end_its_side_has_five_seconds() {
    let mut world = World::new(|_| {});
    let mut socket = world.dial(64 * 1024);
    socket.upgrade();
    socket.session();
    world.stop();
    assert!(matches!(socket.frame(), Some(Frame::Text(Value::Array(_)))));
    assert_eq!(socket.frame(), Some(Frame::Close(1_001)));
    world.sim.advance(std::time::Duration::from_millis(4_999));
    assert!(world.served.take().is_none());
    world.sim.advance(std::time::Duration::from_millis(1));
    world.served.take().unwrap().unwrap();
}
