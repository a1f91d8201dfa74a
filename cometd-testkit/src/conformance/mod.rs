//! What every adapter has to show over real sockets, written once.
//!
//! What the server answers is tested in virtual time; here are connections that are slow, broken,
//! many, or gone, the server's own end, and answers that have to be the same to the byte whatever
//! they are served by. An adapter's tests are an [`Adapter`](crate::adapter::Adapter) and one line,
//! which makes each of the cases a test:
//!
//! ```ignore
//! cometd_testkit::conformance!(MyAdapter::new);
//! ```
//!
//! The clients run on smol, in the test's own thread, whatever the server runs on.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on should stop")]

// What they show is their cases' names, and those are for the macro.
#[doc(hidden)]
pub mod answers;
#[doc(hidden)]
pub mod connections;
#[doc(hidden)]
pub mod floods;
#[doc(hidden)]
pub mod http2;
mod peer;
#[doc(hidden)]
pub mod shutdown;
#[doc(hidden)]
pub mod simulation;
mod socket;
#[doc(hidden)]
pub mod websocket;

use std::future::Future;
use std::time::Duration;

use bayeux_core::front::Bayeux;
use smol::Timer;
use smol::future::or;

/// Runs a case.
pub fn run(case: impl Future<Output = ()>) {
    smol::block_on(case);
}

/// Makes a test of each case: `conformance!(make)`, where `make` is a function that makes an
/// [`Adapter`](crate::adapter::Adapter) for one test.
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        mod simulation {
            #[allow(unused_imports, reason = "what makes the adapter may be named by a path")]
            use super::*;

            #[test]
            fn real_sockets_carry_what_the_simulated_ones_do() {
                $crate::conformance::simulation::real_sockets_carry_what_the_simulated_ones_do($make);
            }
        }

        $crate::conformance! { $make =>
            answers {
                are_the_same_to_the_byte
            }
            floods {
                of_parts_of_a_text_keep_nobody_waiting
                of_unknown_frames_keep_nobody_waiting
            }
            connections {
                a_lost_connection_is_noticed_and_its_events_come_with_the_next_connect
                a_request_behind_a_held_connect_is_answered_in_its_turn
                a_head_that_does_not_come_ends_the_connection
                a_body_that_does_not_come_gets_408
                a_body_that_is_too_large_gets_413_whether_it_says_so_or_not
                a_refused_body_is_read_so_that_its_sender_learns_why
                a_body_that_breaks_off_hurts_nobody
                a_peer_that_does_not_read_loses_its_connection
                one_connection_more_than_allowed_waits_for_a_place
                the_peers_address_and_headers_reach_the_handlers
            }
            http2 {
                all_tabs_of_a_browser_are_held_on_one_connection
                a_reset_stream_and_a_lost_connection_are_noticed
            }
            shutdown {
                held_connects_are_answered_and_then_the_server_ends
                connections_that_ask_for_nothing_are_not_waited_for
                what_does_not_end_is_cut_off
            }
            websocket {
                messages_go_both_ways
                the_servers_end_answers_held_connects_and_closes
                a_socket_that_does_not_end_is_cut_off
                a_socket_keeps_its_connections_place
                a_silent_peer_is_pinged_and_closed_unless_it_answers
                a_peer_that_reads_nothing_is_bounded_and_holds_up_nobody
                a_peer_that_does_not_take_its_pongs_is_not_read_and_gets_its_texts_whole
                a_socket_over_http2_that_was_just_accepted_does_not_stall_the_servers_end
                over_http2_each_stream_can_be_a_websocket
            }
        }
    };
    ($make:expr => $($module:ident { $($case:ident)* })*) => {
        $(mod $module {
            #[allow(unused_imports, reason = "what makes the adapter may be named by a path")]
            use super::*;

            $(#[test]
            fn $case() {
                $crate::conformance::run($crate::conformance::$module::$case(&$make()));
            })*
        })*
    };
}

/// Waits until something is so, for at most ten seconds.
async fn until(is_so: impl Fn() -> bool) {
    let is_so = async {
        while !is_so() {
            // The server may need all processors for it.
            Timer::after(Duration::from_millis(1)).await;
        }
        true
    };
    assert!(within(Duration::from_secs(10), is_so).await.is_some(), "it does not come about");
}

/// Waits until that many connects are held.
async fn held(bayeux: &Bayeux, count: usize) {
    until(|| bayeux.stats().held == count).await;
}

/// What `future` comes to, if it does in time.
async fn within<T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    let late = async {
        Timer::after(time).await;
        None
    };
    or(async { Some(future.await) }, late).await
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn no_case_is_left_out() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
        let list = include_str!("mod.rs");
        let mut cases = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let named = |line: &str| {
                Some(line.strip_prefix("pub async fn ")?.split_once('(')?.0.to_owned())
            };
            for case in text.lines().filter_map(named) {
                assert!(list.lines().any(|line| line.trim() == case), "{case}");
                cases += 1;
            }
        }
        assert!(cases > 20, "{cases}");
    }
}
