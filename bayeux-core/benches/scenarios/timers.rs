//! Deadlines: what a tick costs, and what is due in it.

use bayeux_core::{Input, Transport};

use super::Scenario;
use super::publish::Audience;
use super::rig::{Rig, connect};

/// Sessions whose deadlines are two microseconds apart, so that another one can come in between.
fn waiting(count: usize) -> Rig {
    let mut rig = Rig::new();
    for _ in 0..count {
        rig.moment();
        rig.handshake(Transport::LongPolling);
    }
    rig
}

/// A tick in which nothing is due.
pub(crate) fn idle_tick(sessions: usize) -> Scenario {
    let mut rig = waiting(sessions);
    Scenario::new(1, move || {
        assert!(rig.server.poll_timeout().is_some());
        rig.input(Input::Tick);
        rig.settle();
    })
}

/// A tick in which one session expires; another one comes in its place.
pub(crate) fn expiry(sessions: usize) -> Scenario {
    let mut rig = waiting(sessions);
    Scenario::new(1, move || {
        rig.ring();
        rig.settle();
        rig.handshake(Transport::LongPolling);
        assert_eq!(rig.server.stats().sessions, sessions);
    })
}

/// A held connect comes to the end of its time, and its client connects again.
pub(crate) fn heartbeat(sessions: usize) -> Scenario {
    let audience = Audience::new(Rig::new(), Transport::LongPolling, sessions);
    let Audience { mut rig, mut clients, .. } = audience;
    let mut next = 0;
    Scenario::new(1, move || {
        // Their times are in the order of their coming.
        let client = &mut clients[next];
        next = (next + 1) % sessions;
        rig.ring_out(client);
        let payload = connect(client);
        rig.send(client, payload);
        rig.settle();
    })
}
