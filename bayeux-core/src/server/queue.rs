//! [`Queue`]: what a session is still owed.
//!
//! One sequence with a cursor in it. In front of the cursor are the *sent* events, handed over with
//! a response whose fate is not known yet; behind it the *unsent* ones. Each sent event knows the
//! flight (the response) that took it. When the flight is confirmed its events leave; when it
//! failed they go back to the head of the unsent part, in their old order. Keeping both in one
//! place means that the bounds count both, and that nothing can be in neither or in two.
//!
//! With the acknowledgement extension it is the client who confirms. Then each sent event keeps the
//! number of the flight that took it *first*, whatever becomes of the flights: a connect that has
//! received number *n* has seen every event whose number is at most *n*, also if it was sent again
//! since. So what is acknowledged is always a prefix of the sequence, and what is not is unsent
//! again. (A second queue beside this one, as on the Java server, would have to agree with it.)
//!
//! ```text
//!   sent                unsent
//! ┌────┬────┬────┐   ┌────┬────┐
//! │ 7  │ 7  │ 8  │ ▲ │    │    │      confirm(7): the first two leave
//! └────┴────┴────┘ │ └────┴────┘      fail(8):    the third becomes the first unsent one
//!                  cursor
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::channel::{ChannelName, Overflow};
use crate::limits::Limits;
use crate::message::{Events, Message};
use crate::time::Time;

/// The number of a response that carried events of one session; zero is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flight(u32);

impl Flight {
    const NONE: Self = Self(0);

    /// The number on the wire.
    pub(super) fn number(self) -> u32 {
        self.0
    }

    /// The next one; after four billions the numbers begin again.
    fn next(self) -> Self {
        Self(self.0.wrapping_add(1).max(1))
    }

    fn is_at_most(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0) < u32::MAX / 2
    }
}

struct Slot {
    message: Arc<Message>,
    /// The order of queueing; wraps around, which only a queue of 2³¹ events would notice.
    number: u32,
    /// The response that took the event: the latest one, and meaningful in the sent part only; with
    /// acknowledgements the first one.
    flight: Flight,
    /// When the event was queued.
    queued: Time,
}

impl Slot {
    fn is_before(&self, other: &Self) -> bool {
        other.number.wrapping_sub(self.number) < u32::MAX / 2
    }
}

/// The numbers of the unsent events of each channel, in their order.
#[derive(Default)]
struct Latest(BTreeMap<ChannelName, VecDeque<u32>>);

impl Latest {
    fn push(&mut self, slot: &Slot) {
        let numbers = self.0.entry(slot.message.channel().clone()).or_default();
        numbers.push_back(slot.number);
    }

    /// Takes the oldest one of this channel.
    fn pop(&mut self, channel: &ChannelName) -> Option<u32> {
        let numbers = self.0.get_mut(channel)?;
        let number = numbers.pop_front();
        if numbers.is_empty() {
            self.0.remove(channel);
        }
        number
    }
}

/// The events of one session, bounded in number and bytes.
#[derive(Default)]
pub(super) struct Queue {
    slots: VecDeque<Slot>,
    /// How many slots, from the front, are sent.
    sent: usize,
    /// The cost of all slots, and of the sent ones among them.
    bytes: usize,
    sent_bytes: usize,
    pushed: u32,
    /// The latest flight.
    flight: Flight,
    /// Whether events stay until the client has acknowledged them.
    acknowledged: bool,
    /// Where the unsent events of each channel are, while the queue is full and nothing but
    /// [`Queue::offer`] happens to it: a channel that floods a client who is away need not search the
    /// queue for each event (but moves half of it, 24 bytes an event).
    latest: Option<Box<Latest>>,
    /// Whether an unsent event must not wait: one that is not lazy, a lazy one that is overdue, or
    /// one that came back.
    urgent: bool,
}

/// What became of a message offered to a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Offered {
    /// It is queued.
    Queued,
    /// It is queued; this many older ones made room.
    Displaced(usize),
    /// It was dropped.
    Dropped,
    /// The queue is full and its session is to be removed.
    Overflowed,
}

impl Queue {
    /// From here on events stay until the client has acknowledged them.
    pub(super) fn keep_until_acknowledged(&mut self) {
        self.acknowledged = true;
    }

    /// Whether events stay until the client has acknowledged them.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// Queues `message` unless the bounds forbid it.
    ///
    /// An empty queue takes any message: a single event of the application that is larger than
    /// `queue_bytes` is delivered rather than fatal.
    pub(super) fn offer(
        &mut self,
        message: Arc<Message>,
        lazy: bool,
        policy: Overflow,
        limits: &Limits,
        now: Time,
    ) -> Offered {
        let cost = message.cost();
        let mut displaced = 0;
        // What is on its way to the client cannot be displaced. If there is no room beside it, nobody
        // is displaced in vain.
        let too_many = self.sent >= limits.queue_messages
            || (self.sent > 0 && self.sent_bytes + cost > limits.queue_bytes);
        if too_many && policy != Overflow::Remove {
            return Offered::Dropped;
        }
        while !self.slots.is_empty()
            && (self.slots.len() >= limits.queue_messages || self.bytes + cost > limits.queue_bytes)
        {
            let victim = match policy {
                Overflow::Remove => return Offered::Overflowed,
                Overflow::DropNewest => None,
                Overflow::DropOldest => {
                    self.latest = None;
                    self.has_unsent().then_some(self.sent)
                }
                Overflow::KeepLatest => self.latest_victim(&message),
            };
            let Some(victim) = victim else { return Offered::Dropped };
            self.remove(victim);
            displaced += 1;
        }
        self.push(message, lazy, now);
        if displaced == 0 { Offered::Queued } else { Offered::Displaced(displaced) }
    }

    /// Queues `message` whatever the bounds say.
    pub(super) fn push(&mut self, message: Arc<Message>, lazy: bool, now: Time) {
        self.bytes += message.cost();
        self.urgent |= !lazy;
        self.pushed = self.pushed.wrapping_add(1);
        let slot = Slot { message, number: self.pushed, flight: Flight::NONE, queued: now };
        if let Some(latest) = &mut self.latest {
            latest.push(&slot);
        }
        self.slots.push_back(slot);
    }

    /// The oldest unsent event of the same channel, else the oldest unsent event.
    fn latest_victim(&mut self, message: &Message) -> Option<usize> {
        let oldest = self.slots.get(self.sent)?.message.channel().clone();
        let latest = self.latest.get_or_insert_with(|| {
            let mut latest = Latest::default();
            self.slots.range(self.sent..).for_each(|slot| latest.push(slot));
            latest.into()
        });
        let number = latest.pop(message.channel()).or_else(|| latest.pop(&oldest))?;
        // Unsent events stand in the order of their numbers.
        let before = |slot: &Slot| slot.number.wrapping_sub(number) > u32::MAX / 2;
        let unsent = self.slots.range(self.sent..);
        let at = self.sent
            + partition_point(unsent.len(), |at| {
                self.slots.get(self.sent + at).is_some_and(before)
            });
        self.slots.get(at).filter(|slot| slot.number == number).map(|_| at)
    }

    /// Removes an unsent event.
    fn remove(&mut self, at: usize) -> Option<Slot> {
        let slot = self.slots.remove(at)?;
        self.bytes -= slot.message.cost();
        Some(slot)
    }

    /// Takes unsent events for a response: the first, and those behind it that fit into `bytes`
    /// together with it. What does not fit is urgent, lazy or not: it would have left by now.
    /// `first` is told when the events were queued that are taken for the first time.
    pub(super) fn take(&mut self, bytes: usize, mut first: impl FnMut(Time)) -> (Events, Flight) {
        self.latest = None;
        self.flight = self.flight.next();
        let (flight, keep_first) = (self.flight, self.acknowledged);
        let (mut events, mut taken) = (Events::new(), 0_usize);
        for slot in self.slots.range_mut(self.sent..) {
            // A batch that comes again comes as a whole: its number acknowledges all of it.
            let again = keep_first && slot.flight != Flight::NONE;
            let cost = slot.message.cost();
            if taken > 0 && !again && taken + cost > bytes {
                break;
            }
            taken = taken.saturating_add(cost);
            if slot.flight == Flight::NONE && slot.message.is_published() {
                first(slot.queued);
            }
            if !keep_first || slot.flight == Flight::NONE {
                slot.flight = flight;
            }
            events.push(Arc::clone(&slot.message));
        }
        self.sent += events.len();
        self.sent_bytes += taken;
        self.urgent = self.has_unsent();
        (events, flight)
    }

    /// The response is out: its events leave, unless it is the client who says so.
    pub(super) fn confirm(&mut self, flight: Flight) {
        if self.acknowledged {
            return;
        }
        if self.is_alone(flight) {
            // Nearly always, and then without an allocation.
            for _ in 0..self.sent {
                self.slots.pop_front();
            }
            self.bytes -= self.sent_bytes;
            (self.sent, self.sent_bytes) = (0, 0);
        } else {
            let taken = self.split_off_flight(flight);
            self.bytes -= cost_of(&taken);
        }
        self.give_room_back();
    }

    /// The client has received the flight of number `received` and those before it: their events
    /// leave. All others are unsent again; how many there were. A number that was never given says
    /// nothing.
    pub(super) fn acknowledge(&mut self, received: u64) -> usize {
        self.latest = None;
        let received = u32::try_from(received).map_or(Flight::NONE, Flight);
        if received != Flight::NONE && received.is_at_most(self.flight) {
            let is_received =
                |slot: &&Slot| slot.flight != Flight::NONE && slot.flight.is_at_most(received);
            let count = self.slots.iter().take_while(is_received).count();
            self.bytes -= self.slots.drain(..count).map(|it| it.message.cost()).sum::<usize>();
            self.sent = self.sent.saturating_sub(count);
            self.give_room_back();
        }
        let again = core::mem::take(&mut self.sent);
        self.sent_bytes = 0;
        // They would have left by now, lazy or not.
        self.urgent = again > 0 || (self.urgent && self.has_unsent());
        again
    }

    /// Forgets all events, sent and unsent.
    pub(super) fn clear(&mut self) {
        self.slots = VecDeque::new();
        (self.sent, self.bytes, self.sent_bytes) = (0, 0, 0);
        (self.urgent, self.latest) = (false, None);
    }

    fn give_room_back(&mut self) {
        if self.slots.is_empty() && self.slots.capacity() > 16 {
            self.slots = VecDeque::new();
        }
    }

    /// The response did not get out: its events go back to the head of the unsent part. How many
    /// there were. (With acknowledgements the next connect will say what is missing.)
    pub(super) fn fail(&mut self, flight: Flight) -> usize {
        if self.acknowledged {
            return 0;
        }
        self.latest = None;
        let returned = self.split_off_flight(flight);
        let count = returned.len();
        self.urgent |= count > 0;
        // Flights fail in any order, so what came back earlier may belong in front. One merge
        // restores the order, however many events there are.
        let mut unsent = self.slots.split_off(self.sent);
        for slot in returned {
            while unsent.front().is_some_and(|it| it.is_before(&slot)) {
                self.slots.extend(unsent.pop_front());
            }
            self.slots.push_back(slot);
        }
        self.slots.append(&mut unsent);
        count
    }

    /// Whether all of the sent part belongs to one flight.
    fn is_alone(&self, flight: Flight) -> bool {
        self.slots.range(..self.sent).all(|slot| slot.flight == flight)
    }

    /// Takes the events of a flight out of the sent part, in their order.
    fn split_off_flight(&mut self, flight: Flight) -> Vec<Slot> {
        let of_flight = |slot: &Slot| slot.flight == flight;
        let (taken, others): (Vec<_>, Vec<_>) = self.slots.drain(..self.sent).partition(of_flight);
        self.sent = others.len();
        self.sent_bytes -= cost_of(&taken);
        for slot in others.into_iter().rev() {
            self.slots.push_front(slot);
        }
        taken
    }

    /// Marks lazy events as overdue. Whether there are any unsent events.
    pub(super) fn hurry(&mut self) -> bool {
        self.urgent = self.has_unsent();
        self.urgent
    }

    /// Whether an unsent event must not wait.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Whether there are unsent events, urgent or lazy.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.slots.len()
    }

    /// Unsent events, without the server's own `/meta/disconnect`.
    pub(super) fn unsent_published(&self) -> usize {
        self.slots.range(self.sent..).filter(|it| it.message.is_published()).count()
    }

    /// Events in the queue, sent ones included.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// What the events cost, sent ones included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost_of(slots: &[Slot]) -> usize {
    slots.iter().map(|it| it.message.cost()).sum()
}

/// The first of `0..length` for which `before` does not hold, given that it holds for none behind it.
fn partition_point(length: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut to) = (0, length);
    while from < to {
        let middle = from + (to - from) / 2;
        if before(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;
    use alloc::string::{String, ToString};

    fn message(channel: &str, data: u32) -> Arc<Message> {
        let channel = ChannelName::parse(channel).unwrap();
        Arc::new(Message::new(channel, Json::new(&data).unwrap()))
    }

    fn queue(data: impl IntoIterator<Item = u32>) -> Queue {
        let mut queue = Queue::default();
        data.into_iter().for_each(|data| queue.push(message("/a", data), false, Time::ZERO));
        queue
    }

    fn data(events: &Events) -> Vec<String> {
        events.iter().map(|event| event.data().to_string()).collect()
    }

    #[test]
    fn confirmed_events_leave_and_failed_ones_come_back_in_order() {
        let mut queue = queue([1, 2]);
        let (_, first) = queue.take(usize::MAX, |_| ());
        queue.push(message("/a", 3), false, Time::ZERO);
        let (_, second) = queue.take(usize::MAX, |_| ());
        queue.push(message("/a", 4), false, Time::ZERO);
        assert_eq!(queue.fail(first), 2);
        queue.confirm(second);
        assert_eq!(queue.len(), 3);
        let (events, third) = queue.take(usize::MAX, |_| ());
        assert_eq!(data(&events), ["1", "2", "4"]);
        queue.confirm(third);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }

    #[test]
    fn flights_fail_in_any_order() {
        for swapped in [false, true] {
            let mut queue = queue([1, 2]);
            let (_, first) = queue.take(usize::MAX, |_| ());
            queue.push(message("/a", 3), false, Time::ZERO);
            let (_, second) = queue.take(usize::MAX, |_| ());
            queue.push(message("/a", 4), false, Time::ZERO);
            let (one, other) = if swapped { (second, first) } else { (first, second) };
            assert_eq!(queue.fail(one) + queue.fail(other), 3);
            assert_eq!(data(&queue.take(usize::MAX, |_| ()).0), ["1", "2", "3", "4"]);
            assert_eq!(queue.fail(one), 0, "a flight fails only once");
        }
    }

    #[test]
    fn only_lazy_events_are_not_urgent_until_they_are_overdue() {
        let mut queue = Queue::default();
        queue.push(message("/a", 1), true, Time::ZERO);
        assert!(!queue.is_urgent());
        assert!(queue.hurry());
        assert!(queue.is_urgent());
        queue.take(usize::MAX, |_| ());
        assert!(!queue.is_urgent());
        assert!(!queue.hurry(), "nothing is left to hurry");
    }

    #[test]
    fn each_policy_keeps_the_bound_in_its_own_way() {
        let limits = Limits { queue_messages: 3, ..Limits::default() };
        let table = [
            (Overflow::Remove, Offered::Overflowed, ["1", "2", "3"]),
            (Overflow::DropNewest, Offered::Dropped, ["1", "2", "3"]),
            (Overflow::DropOldest, Offered::Displaced(1), ["2", "3", "9"]),
            (Overflow::KeepLatest, Offered::Displaced(1), ["1", "3", "9"]),
        ];
        for (policy, offered, left) in table {
            let mut queue = queue([1]);
            queue.push(message("/b", 2), false, Time::ZERO);
            queue.push(message("/a", 3), false, Time::ZERO);
            assert_eq!(queue.offer(message("/b", 9), false, policy, &limits, Time::ZERO), offered);
            assert_eq!(data(&queue.take(usize::MAX, |_| ()).0), left, "{policy:?}");
        }
    }

    #[test]
    fn the_latest_of_each_channel_are_kept_whatever_happens_in_between() {
        // A naive queue, to compare with.
        let limits = Limits { queue_messages: 20, ..Limits::default() };
        let (mut queue, mut naive) = (Queue::default(), Vec::<(String, u32)>::new());
        let mut seed = 1_u32;
        for data in 0..3_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let channel = ["/a", "/b", "/c", "/d/e"][(seed >> 28) as usize % 4];
            if naive.len() == 20 {
                naive.remove(naive.iter().position(|(it, _)| it == channel).unwrap_or(0));
            }
            naive.push((channel.to_string(), data));
            queue.offer(message(channel, data), false, Overflow::KeepLatest, &limits, Time::ZERO);
            if seed >> 16 & 0x7f == 0 {
                // What is sent and comes back is where it was.
                let (_, flight) = queue.take((seed >> 8 & 0x7ff) as usize, |_| ());
                queue.fail(flight);
            }
            let queued: Vec<_> = queue
                .slots
                .iter()
                .map(|slot| {
                    (slot.message.channel().to_string(), slot.message.data().read().unwrap())
                })
                .collect();
            assert_eq!(queued, naive);
        }
    }

    #[test]
    fn bytes_are_bounded_too_but_a_single_event_always_fits() {
        let limits = Limits { queue_bytes: 1, ..Limits::default() };
        let mut queue = Queue::default();
        let policy = Overflow::Remove;
        assert_eq!(
            queue.offer(message("/a", 1), false, policy, &limits, Time::ZERO),
            Offered::Queued
        );
        assert_eq!(
            queue.offer(message("/a", 2), false, policy, &limits, Time::ZERO),
            Offered::Overflowed
        );
    }

    #[test]
    fn what_is_on_its_way_is_not_displaced() {
        let limits = Limits { queue_messages: 1, ..Limits::default() };
        let mut queue = queue([1]);
        let (_, flight) = queue.take(usize::MAX, |_| ());
        let offered =
            queue.offer(message("/a", 2), false, Overflow::DropOldest, &limits, Time::ZERO);
        assert_eq!(offered, Offered::Dropped);
        assert_eq!(queue.fail(flight), 1);
        assert_eq!(data(&queue.take(usize::MAX, |_| ()).0), ["1"]);
    }

    #[test]
    fn a_part_is_taken_up_to_so_many_bytes_and_at_least_one_event() {
        let mut queue = queue([1, 2]);
        queue.push(message("/a", 3), true, Time::ZERO);
        let cost = queue.bytes() / 3;
        let (events, first) = queue.take(2 * cost, |_| ());
        assert_eq!(data(&events), ["1", "2"]);
        assert!(queue.is_urgent(), "what stayed behind would have left, too");
        let (events, second) = queue.take(1, |_| ());
        assert_eq!(data(&events), ["3"]);
        assert!(!queue.is_urgent());
        assert_eq!(queue.fail(first), 2);
        queue.confirm(second);
        assert_eq!(data(&queue.take(usize::MAX, |_| ()).0), ["1", "2"]);
    }
}
