//! Deterministic simulation: clients, their network and its worst days, from a seed.
//!
//! A *script* says who the clients are, what they and the application do when, how the server is
//! configured, and what may go wrong. [`swarm`] makes one up from a seed. The [`World`] plays it:
//! clients that behave as Bayeux clients do and keep a naive model of their own session, a network
//! that delays, reorders, loses, doubles and forgets to say so, an application that thinks for as
//! long as it likes. Time is virtual and chance is keyed, so a script gives the same run to the
//! byte, on any machine, as often as it is played.
//!
//! ```
//! use cometd_testkit::simulation::{Level, Seed, run, swarm};
//!
//! for seed in 0..20 {
//!     let outcome = run(&swarm(Seed(seed)), Level::Machine, false)?;
//!     assert_eq!(outcome.failure, None, "seed {seed}");
//! }
//! # Ok::<(), cometd_testkit::simulation::ScriptError>(())
//! ```
//!
//! A run has these parts, which its trace names:
//!
//! 1. *Storm*: the script is played, and the network does its worst.
//! 2. *Calm*: all faults stop, and the application takes back what it set up. After a while everybody
//!    must be well, and what is stuck is named.
//! 3. *Probe*: something is published on each channel that somebody subscribes to (by a client, if the
//!    application is not the simulator's own), and must be received: then the run is *settled*.
//! 4. *Leave*: all clients are gone, some of them without a word. In the end nothing may be left.
//!
//! # Levels
//!
//! The world knows a server as a [`Host`]: requests, sockets and wishes go [`Up`], responses and
//! texts come [`Down`].
//!
//! | level | host | what is real | what it is good for |
//! | --- | --- | --- | --- |
//! | 0 | [`Machine`] | the state machine and the codec | hundreds of runs a second; each output is looked at in its order |
//! | 1 | [`Front`] | besides, the application's API, the mapping to HTTP and WebSocket, on an executor that polls only what was woken | whole applications; a wake-up that is lost shows as a client that gets stuck |
//! | 2 | `run_over`, with the feature `remote` | everything: an adapter, its runtime, sockets and time | what an adapter makes of connections; not the same twice |
//!
//! # What is watched
//!
//! Two kinds of oracle, which share no code with the server. From *outside*, at all levels, with
//! what clients can know:
//!
//! | invariant | statement |
//! | --- | --- |
//! | `echo` | the replies in a response are those to its request's messages, in their order, each with its id and channel; on a socket no message is passed over; what was missed stands in front of a reply |
//! | `only-subscribed` | an event reaches a session only if it may have been subscribed when the event was published, or was meant for it alone |
//! | `no-duplicates` | an event is received as often as it was published |
//! | `fifo` | what was certainly published earlier is not received later on one connection, in one response, or by a session that acknowledges |
//! | `no-loss` | what was published while a session was certainly subscribed is received, unless the network lost what was handed over, or the session was told that its queue was full |
//! | `ack-no-loss` | the same for a session that acknowledges, whatever the network does |
//! | `no-effect-if-denied` | what was refused is received by nobody, and what must be refused is |
//! | `private` | nobody learns the id of somebody else's session, or can use it |
//! | `steady` | a socket that was opened after the faults had stopped is not closed |
//! | `convergence` | when the faults have stopped, every client that is there gets a session and stays connected |
//! | `no-leak` | when all clients are gone, the server holds what it held before they came, and waits for nothing |
//! | `no-panic` | no handler panics (at level 1, where that is reported) |
//! | `no-report` | no handler fails or takes too long (with [`Simulation`], unless it is told to bear that) |
//! | `progress` | the machine does what is due, and no run goes on for ever without time passing |
//!
//! From *inside*, at level 0, by keeping books of all that the machine puts out:
//!
//! | invariant | statement |
//! | --- | --- |
//! | `one-answer` | a request gets one answer or refusal, and is not forgotten |
//! | `exact` | a parcel carries exactly what its session is owed at that moment, in its order |
//! | `no-resurrection` | nothing is sent or told about a session of which nothing is left, and each is forgotten once |
//! | `batch` | nothing wakes a session whose events the application holds back |
//! | `one-held` | a session has at most one connect held, on a link that waits |
//! | `held-bound` | a connect is held for its time, and not longer |
//! | `prompt` | nothing that is owed stays behind while its session can be reached |
//! | `expiry-window` | a session expires neither before nor after its time |
//! | `activity` | nor does one that is not used |
//! | `farewell` | a client learns that the server has ended its session, if it comes in time |
//! | `places` | a browser has no more connects held than it may; who was told to poll is told when it need not any more |
//! | `pinged` | a socket is given up only if its peer is silent, and was pinged |
//! | `drain` | a server that drains holds nothing and makes no session |
//! | `subscriptions` | subscriptions begin and end once, and are those that were told |
//! | `bounded` | no queue and no table exceeds its limit, and what has to go is what the policy says |
//! | `census` | the machine's own figures agree with what it has said |
//!
//! That each of them can fail is shown by tests that spoil what a server says, and by planting
//! mistakes in the server: see below.
//!
//! # When a run fails
//!
//! The seed is what is printed first. `cometd-sim --seed 17 --trace` shows the run line by line,
//! [`shrink`] (`--shrink`) leaves out of its script whatever the failure does not need; what is left
//! is nearly always a handful of lines. Kept in `regressions/`, it is played by every `cargo test`
//! from then on, at each level. Scripts are text, and outlive the code that made them up.
//!
//! # What it finds
//!
//! Small mistakes, of the kind that a tired engineer makes, were planted in the server one by one: in
//! the machine, where level 0 looks for them, and in the front, where level 1 does. For each this is
//! the invariant that was broken, and the first seed, from zero, whose run has shown it. The mistakes
//! are in `mutations/faults.txt`; `mutations/check.py` plants them again, in three quarters of an hour.
//!
#![doc = include_str!("../../mutations/caught.md")]
//!
//! # A run, line by line
//!
//! `>` is what a client sends, `<` what it receives, `srv` what the server says about itself, `net`
//! what the network does, `----` an action of the script; `#5` is the message of that number.
//!
//! ```text
#![doc = include_str!("../../traces/lost_response.trace")]
//! ```

mod account;
mod action;
mod answers;
mod app;
mod application;
mod audit;
mod bounds;
mod bytes;
mod client;
mod coverage;
mod deeds;
mod front;
mod front_http;
mod front_socket;
mod ground;
mod host;
mod ledger;
#[cfg(test)]
mod ledger_tests;
mod line;
mod machine;
mod machine_application;
mod machine_outputs;
mod network;
mod outbox;
mod parts;
mod reading;
mod reception;
mod record;
#[cfg(feature = "remote")]
mod remote;
mod run;
mod script;
mod seed;
mod shrink;
mod swarm;
mod told;
mod trace;
mod users;
mod usual;
mod wishes;
mod works;
mod world;

pub use action::{Action, Deed, Via, Work};
pub use app::Application;
pub use bytes::script_of;
pub use coverage::Coverage;
pub use front::Front;
pub use host::{Down, Gauges, Host, Removal, Request, Up, Violation, Wish};
pub use machine::Machine;
#[cfg(feature = "remote")]
pub use remote::run_over;
pub use run::{Failure, Level, Outcome, drive, run, run_application};
pub use script::{Fault, Faults, Plan, Script, ScriptError};
pub use seed::{Draw, Seed};
pub use shrink::shrink;
pub use swarm::swarm;
pub use trace::Trace;
pub use users::{Seen, Simulation};
pub use world::{Part, Received, World};
