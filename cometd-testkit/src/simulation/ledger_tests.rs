//! Each invariant of the books is broken once.

use std::sync::Arc;
use std::time::Duration;

use bayeux_core::{
    Config, Event, LinkId, Message, Parcel, Pattern, Refusal, RemovedReason, ResumeCause, Server,
    SessionId, Time,
};

use super::host::Violation;
use super::ledger::Ledger;
use super::machine::message;
use super::seed::Seed;

const LINK: LinkId = LinkId(1);

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn session() -> SessionId {
    SessionId::parse(&"0".repeat(36)).expect("an id")
}

/// Books with a session that is there since the beginning, and an open link.
fn ledger() -> Ledger {
    let mut ledger = Ledger::new(Config::default(), true);
    tell(&mut ledger, Event::SessionAdded { session: session(), link: LINK }, 0).unwrap();
    ledger.opened(LINK, false, false, at(0));
    ledger
}

fn tell(ledger: &mut Ledger, event: Event, millis: u64) -> Result<(), Violation> {
    ledger.tells(&event, at(millis), at(millis))
}

fn owe(ledger: &mut Ledger, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|number| ledger.delivers(session(), number));
}

fn send(ledger: &mut Ledger, link: LinkId, numbers: &[u64]) -> Result<(), Violation> {
    let event = |number: &u64| Arc::<Message>::new(message("/direct", *number).expect("a message"));
    let mut parcel = Parcel::default();
    parcel.events = numbers.iter().map(event).collect();
    parcel.session = Some(session());
    ledger.sends(link, &parcel, at(0), at(0))
}

fn hold(ledger: &mut Ledger, link: LinkId, millis: u64) -> Result<(), Violation> {
    let timeout = Duration::from_secs(1);
    tell(ledger, Event::Suspended { session: session(), link, timeout }, millis)
}

fn remove(ledger: &mut Ledger, reason: RemovedReason, millis: u64) -> Result<(), Violation> {
    tell(ledger, Event::SessionRemoved { session: session(), reason }, millis)
}

fn broken(verdict: Result<(), Violation>) -> &'static str {
    verdict.expect_err("nobody has seen it").invariant
}

#[test]
fn a_link_is_answered_once() {
    let mut ledger = ledger();
    send(&mut ledger, LINK, &[]).unwrap();
    assert_eq!(broken(send(&mut ledger, LINK, &[])), "one-answer");
    assert_eq!(broken(send(&mut ledger, LinkId(9), &[])), "one-answer");
    assert_eq!(broken(ledger.refuses(LINK, Refusal::Superseded, at(0))), "one-answer");
    ledger.opened(LinkId(2), false, false, at(0));
    remove(&mut ledger, RemovedReason::Disconnected, 0).unwrap();
    ledger.forgets(session(), at(0)).unwrap();
    assert_eq!(broken(ledger.check_over()), "one-answer");
}

#[test]
fn what_is_owed_leaves_whole_and_in_order() {
    let mut books = ledger();
    owe(&mut books, [1, 2, 3]);
    assert_eq!(broken(send(&mut books, LINK, &[2])), "exact");
    let mut books = ledger();
    owe(&mut books, [1, 2, 3]);
    assert_eq!(broken(send(&mut books, LINK, &[1, 2])), "exact");
    let mut books = ledger();
    owe(&mut books, [1, 2, 3]);
    send(&mut books, LINK, &[1, 2, 3]).unwrap();
}

#[test]
fn what_is_not_owed_does_not_leave() {
    let mut books = ledger();
    assert_eq!(broken(send(&mut books, LINK, &[1])), "only-subscribed");
    // It has left already.
    let mut books = ledger();
    owe(&mut books, [1]);
    books.opened(LinkId(2), false, false, at(0));
    send(&mut books, LINK, &[1]).unwrap();
    assert_eq!(broken(send(&mut books, LinkId(2), &[1])), "only-subscribed");
    // It did not get out, and comes again.
    books.closed(LINK, at(0));
    books.opened(LinkId(3), false, false, at(0));
    send(&mut books, LinkId(3), &[1]).unwrap();
}

#[test]
fn only_subscribers_are_owed_what_is_published() {
    let mut books = ledger();
    let channel = Pattern::parse("/a/*").expect("a pattern");
    tell(&mut books, Event::Subscribed { session: session(), channel: channel.clone() }, 0)
        .unwrap();
    books.relays(&message("/a/b", 1).expect("a message"), at(0));
    books.relays(&message("/a/b/c", 2).expect("a message"), at(0));
    send(&mut books, LINK, &[1]).unwrap();
    tell(&mut books, Event::Unsubscribed { session: session(), channel }, 0).unwrap();
    books.relays(&message("/a/b", 3).expect("a message"), at(0));
    books.opened(LinkId(2), false, false, at(0));
    assert_eq!(broken(send(&mut books, LinkId(2), &[3])), "only-subscribed");
}

#[test]
fn what_was_dropped_may_be_missing_and_nothing_else() {
    let mut books = ledger();
    owe(&mut books, [1, 2, 3]);
    tell(&mut books, Event::EventsDropped { session: session(), count: 1 }, 0).unwrap();
    send(&mut books, LINK, &[2, 3]).unwrap();
    books.landed(LINK, true, at(0));
    books.check_settled().unwrap();
    owe(&mut books, [4]);
    assert_eq!(broken(books.check_settled()), "no-loss");
}

#[test]
fn a_session_that_is_gone_stays_gone() {
    let mut books = ledger();
    owe(&mut books, [1]);
    remove(&mut books, RemovedReason::Overflowed, 0).unwrap();
    assert_eq!(broken(send(&mut books, LINK, &[1])), "no-resurrection");
    let mut books = ledger();
    owe(&mut books, [1]);
    remove(&mut books, RemovedReason::DisconnectedByServer, 0).unwrap();
    assert_eq!(broken(books.forgets(session(), at(0))), "farewell");
    books.forgets(session(), at(99_000)).unwrap();
    assert_eq!(broken(send(&mut books, LINK, &[1])), "no-resurrection");
    assert_eq!(broken(books.forgets(session(), at(0))), "no-resurrection");
    assert_eq!(broken(remove(&mut books, RemovedReason::Expired, 99_000)), "no-resurrection");
    let mut books = ledger();
    assert_eq!(broken(books.forgets(session(), at(0))), "no-resurrection");
    assert_eq!(broken(books.check_over()), "one-answer");
}

#[test]
fn nothing_follows_the_answer_to_a_goodbye() {
    let mut books = ledger();
    owe(&mut books, [2]);
    remove(&mut books, RemovedReason::Disconnected, 0).unwrap();
    // Replies to a goodbye are not made outside of the machine.
    books.accounts.values_mut().for_each(|it| it.parted = true);
    assert_eq!(broken(send(&mut books, LINK, &[2])), "no-resurrection");
}

#[test]
fn one_connect_is_held_on_a_link_that_waits() {
    let mut books = ledger();
    hold(&mut books, LINK, 0).unwrap();
    books.opened(LinkId(2), false, false, at(0));
    assert_eq!(broken(hold(&mut books, LinkId(2), 0)), "one-held");
    let mut books = ledger();
    send(&mut books, LINK, &[]).unwrap();
    assert_eq!(broken(hold(&mut books, LINK, 0)), "one-held");
    let mut books = ledger();
    let (session, link, cause) = (session(), LINK, ResumeCause::Events);
    assert_eq!(broken(tell(&mut books, Event::Resumed { session, link, cause }, 0)), "one-held");
    hold(&mut books, LINK, 0).unwrap();
    assert_eq!(broken(remove(&mut books, RemovedReason::Disconnected, 0)), "one-held");
}

#[test]
fn a_connect_is_not_held_for_ever() {
    let mut books = ledger();
    hold(&mut books, LINK, 0).unwrap();
    let (session, link, cause) = (session(), LINK, ResumeCause::Timeout);
    let late = Event::Resumed { session, link, cause };
    assert_eq!(broken(tell(&mut books, late.clone(), 1_100)), "held-bound");
    let mut books = ledger();
    hold(&mut books, LINK, 0).unwrap();
    tell(&mut books, late, 1_030).unwrap();
}

#[test]
fn a_session_expires_when_its_time_is_over() {
    // The default gives it ten seconds.
    let mut books = ledger();
    assert_eq!(broken(remove(&mut books, RemovedReason::Expired, 9_999)), "expiry-window");
    let mut books = ledger();
    remove(&mut books, RemovedReason::Expired, 10_000).unwrap();
}

#[test]
fn subscriptions_begin_and_end_once() {
    let channel = Pattern::parse("/a").expect("a pattern");
    let (begin, end) = (
        Event::Subscribed { session: session(), channel: channel.clone() },
        Event::Unsubscribed { session: session(), channel },
    );
    let mut books = ledger();
    assert_eq!(broken(tell(&mut books, end, 0)), "subscriptions");
    tell(&mut books, begin.clone(), 0).unwrap();
    assert_eq!(broken(tell(&mut books, begin, 0)), "subscriptions");
}

#[test]
fn the_machine_agrees_with_the_books() {
    let server = Server::new(Config::default(), Seed(1).entropy(), at(0)).expect("a server");
    assert_eq!(broken(ledger().check(&server, at(0))), "census");
    Ledger::new(Config::default(), true).check(&server, at(0)).unwrap();
}

#[test]
fn a_server_that_drains_holds_nothing_and_makes_no_session() {
    let mut books = ledger();
    books.drains(at(0));
    assert_eq!(broken(tell(&mut books, added(SessionId::parse(&"1".repeat(36))), 0)), "drain");
    let server = Server::new(Config::default(), Seed(1).entropy(), at(0)).expect("a server");
    hold(&mut books, LINK, 0).unwrap();
    assert_eq!(broken(books.check_bounds(&server, at(0))), "drain");
}

fn added(session: Option<SessionId>) -> Event {
    Event::SessionAdded { session: session.expect("an id"), link: LinkId(7) }
}

#[test]
fn a_socket_is_given_up_when_it_is_silent_and_was_pinged() {
    // The default pings after 45 seconds and gives up after 75.
    let mut books = ledger();
    books.opened(LinkId(2), true, false, at(0));
    assert_eq!(
        broken(books.gives_up(LinkId(2), Refusal::Idle, (at(74_999), at(74_999)))),
        "pinged"
    );
    hold(&mut books, LinkId(2), 0).unwrap();
    let (session, link, cause) = (session(), LinkId(2), ResumeCause::ConnectionLost);
    let lost = Event::Resumed { session, link, cause };
    assert_eq!(broken(tell(&mut books, lost, 75_000)), "held-bound");
    assert_eq!(
        broken(books.gives_up(LinkId(2), Refusal::Idle, (at(75_000), at(75_000)))),
        "pinged"
    );
    books.pings(LinkId(2));
    books.gives_up(LinkId(2), Refusal::Idle, (at(75_000), at(75_000))).unwrap();
}

#[test]
fn a_session_that_is_used_does_not_end_for_want_of_use() {
    let mut books = ledger();
    books.watches(session(), Some(Duration::from_secs(5)), at(0));
    assert_eq!(broken(remove(&mut books, RemovedReason::Inactive, 4_999)), "activity");
    let mut books = ledger();
    assert_eq!(broken(remove(&mut books, RemovedReason::Inactive, 4_999)), "activity");
}

#[test]
fn no_more_questions_are_open_than_may_be() {
    let mut config = Config::default();
    config.limits.session_questions = 1;
    let mut books = Ledger::new(config, true);
    tell(&mut books, added(Some(session())), 0).unwrap();
    books.asked(session(), true, at(0)).unwrap();
    assert_eq!(broken(books.asked(session(), true, at(0))), "bounded");
}
