//! Draining: the server's end, without a stampede to the next one.

use alloc::vec::Vec;
use core::time::Duration;

use super::{ResumeCause, Server};
use crate::entropy::draw_u64;

/// No connect is held any more, so a client that was told to come back at once would do so again and
/// again for as long as this server answers.
const SOONEST: Duration = Duration::from_millis(100);

impl Server {
    /// Answers every held connect with the advice to come back after a random time below
    /// `spread`, and then closes the WebSockets; from here on no connect is held and no session is
    /// made.
    pub(super) fn drain(&mut self, spread: Duration) {
        self.draining = Some(spread);
        // The one place where all sessions and links are visited: it happens once in the server's life.
        let held: Vec<_> =
            self.sessions.iter().filter(|(_, it)| it.held.is_some()).map(|(key, _)| key).collect();
        for key in held {
            self.resume(key, ResumeCause::Draining);
        }
        self.end_sockets();
    }

    /// A random time below `spread`, in whole milliseconds, but not less than [`SOONEST`].
    pub(super) fn scatter(&mut self, spread: Duration) -> Duration {
        let millis = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        let drawn = draw_u64(&mut *self.entropy).checked_rem(millis).unwrap_or(0);
        Duration::from_millis(drawn).max(SOONEST)
    }
}
