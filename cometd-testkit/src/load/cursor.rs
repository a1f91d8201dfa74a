//! [`Cursor`]: what one subscriber has had of one channel, and what it has not.

use std::collections::BTreeMap;

use super::stamp::Stamp;

/// How a message arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// Nothing is wrong with it.
    Well,
    /// It was here before.
    Again,
    /// Something that its publisher published later on the same channel came before on the same
    /// connection.
    Overtaken,
    /// The same, but on the client's other connection: over HTTP, nothing keeps responses on two
    /// connections in order.
    Crossed,
    /// It is so far ahead that it must be of another run.
    Foreign,
}

/// No server loses as many messages of one channel in a row, and lives.
const FARTHEST: u32 = 10_000_000;

/// A channel's messages are numbered as they are published, so what is not there yet are the numbers
/// from `next` on and a few holes before.
///
/// Messages of different publishers may change places on their way to the server; a hole only says that
/// something is late. Only what overtakes a message of its own publisher is out of order (Bayeux §5:
/// messages are delivered in the order in which a session published them).
#[derive(Default)]
pub(super) struct Cursor {
    next: u32,
    /// What is missing before `next`, and the connection on which something later of its publisher came.
    holes: BTreeMap<u32, Option<usize>>,
}

impl Cursor {
    /// A message has come on a connection.
    pub(super) fn arrived(&mut self, stamp: Stamp, lane: usize) -> Arrival {
        let number = stamp.number;
        if number.saturating_sub(self.next) > FARTHEST {
            return Arrival::Foreign;
        }
        let arrival = if number >= self.next {
            self.holes.extend((self.next..number).map(|missing| (missing, None)));
            self.next = number + 1;
            Arrival::Well
        } else {
            match self.holes.remove(&number) {
                None => return Arrival::Again,
                Some(None) => Arrival::Well,
                Some(Some(passing)) if passing == lane => Arrival::Overtaken,
                Some(Some(_)) => Arrival::Crossed,
            }
        };
        if !self.holes.is_empty() {
            if let Some(before) = stamp.after.checked_sub(1) {
                if let Some(passed) = self.holes.get_mut(&before) {
                    *passed = Some(lane);
                }
            }
        }
        arrival
    }

    /// How many of the `published` messages never came.
    pub(super) fn missing(&self, published: u32) -> u64 {
        self.holes.len() as u64 + u64::from(published.saturating_sub(self.next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(cursor: &mut Cursor, number: u32, after: u32) -> Arrival {
        cursor.arrived(Stamp { channel: 0, number, after, due: 0 }, 0)
    }

    #[test]
    fn what_comes_in_order_leaves_nothing_behind() {
        let mut cursor = Cursor::default();
        for number in 0..100 {
            assert_eq!(arrive(&mut cursor, number, number), Arrival::Well);
        }
        assert_eq!((cursor.missing(100), cursor.missing(103)), (0, 3));
    }

    #[test]
    fn twice_is_once_too_often() {
        let mut cursor = Cursor::default();
        arrive(&mut cursor, 0, 0);
        assert_eq!(arrive(&mut cursor, 0, 0), Arrival::Again);
        arrive(&mut cursor, 2, 0);
        assert_eq!(arrive(&mut cursor, 1, 0), Arrival::Well);
        assert_eq!(arrive(&mut cursor, 1, 0), Arrival::Again);
    }

    #[test]
    fn messages_of_two_publishers_may_change_places() {
        let mut cursor = Cursor::default();
        assert_eq!(arrive(&mut cursor, 1, 0), Arrival::Well);
        assert_eq!(cursor.missing(2), 1);
        assert_eq!(arrive(&mut cursor, 0, 0), Arrival::Well);
        assert_eq!(cursor.missing(2), 0);
    }

    #[test]
    fn messages_of_one_publisher_may_not() {
        let mut cursor = Cursor::default();
        assert_eq!(arrive(&mut cursor, 1, 1), Arrival::Well);
        assert_eq!(arrive(&mut cursor, 0, 0), Arrival::Overtaken);
        // Not by its direct successor either, when something of somebody else's came between.
        assert_eq!(arrive(&mut cursor, 4, 3), Arrival::Well);
        assert_eq!(arrive(&mut cursor, 3, 0), Arrival::Well);
        assert_eq!(arrive(&mut cursor, 2, 2), Arrival::Overtaken);
    }

    #[test]
    fn on_two_connections_they_may() {
        let mut cursor = Cursor::default();
        cursor.arrived(Stamp { channel: 0, number: 1, after: 1, due: 0 }, 1);
        let late = cursor.arrived(Stamp { channel: 0, number: 0, after: 0, due: 0 }, 0);
        assert_eq!(late, Arrival::Crossed);
    }

    #[test]
    fn what_is_of_another_run_is_left_alone() {
        let mut cursor = Cursor::default();
        assert_eq!(arrive(&mut cursor, u32::MAX, 0), Arrival::Foreign);
        assert_eq!(cursor.missing(1), 1);
    }

    #[test]
    fn what_never_comes_is_missing() {
        let mut cursor = Cursor::default();
        arrive(&mut cursor, 5, 0);
        arrive(&mut cursor, 3, 0);
        assert_eq!(cursor.missing(6), 4);
    }
}
