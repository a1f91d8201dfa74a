//! Deterministic simulation.

mod account;
mod action;
mod application;
mod audit;
mod bounds;
mod client;
mod coverage;
mod deeds;
mod host;
mod ledger;
mod machine;
mod network;
mod record;
mod run;
mod script;
mod seed;
mod shrink;
mod swarm;
mod told;
mod trace;
mod world;

pub use action::{Action, Deed, Via, Work};
pub use coverage::Coverage;
pub use host::{Down, Gauges, Host, Removal, Request, Up, Violation, Wish};
pub use machine::Machine;
pub use run::{Failure, Level, Outcome, drive, run};
pub use script::{Fault, Faults, Plan, Script, ScriptError};
pub use seed::{Draw, Seed};
pub use shrink::shrink;
pub use swarm::swarm;
pub use trace::Trace;
pub use world::{Part, World};
