//! Those who have nothing to do with what is measured, and must not be felt.

use bayeux_core::Transport;

use super::rig::{Rig, pattern};

/// Sessions with channels of their own; every tenth has a wildcard, of both kinds in turn.
pub(crate) fn join(rig: &mut Rig, count: usize) {
    for number in 0..count {
        let session = rig.handshake(Transport::LongPolling).session;
        rig.subscribe(session, &pattern(&format!("/crowd/{number}")));
        if number % 10 == 0 {
            let reach = if number % 20 == 0 { "*" } else { "**" };
            rig.subscribe(session, &pattern(&format!("/crowd/{number}/{reach}")));
        }
    }
}
