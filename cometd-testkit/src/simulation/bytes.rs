//! [`script_of`]: from any bytes to a script, so that a fuzzer can look for runs that fail.
//!
//! The first bytes say what the server and its clients are like; each further group of bytes is one
//! action. So a fuzzer that changes, copies or leaves out a group does so with one action, and the
//! others stay what they are.

use super::action::Action;
use super::script::{Fault, Script};
use super::seed::{Seed, hash};
use super::swarm::{self, Universe};

/// The bytes that are not about a single action.
const HEAD: usize = 16;

/// The bytes of one action: its time (two of them), and what it is.
const GROUP: usize = 6;

/// How many actions there are at most: a fuzzer is to try many runs rather than long ones.
const MOST: usize = 60;

/// When the faults stop, in milliseconds.
const HEAL: u64 = 4_000;

/// Makes a script of bytes. The same bytes make the same script; all bytes make one.
pub fn script_of(bytes: &[u8]) -> Script {
    let (head, rest) = bytes.split_at(bytes.len().min(HEAD));
    let byte = |at: usize| u64::from(head.get(at).copied().unwrap_or(0));
    let seed = Seed(byte(0) | byte(1) << 8);
    let mut script = Script::new(seed);
    swarm::settings(&mut script);
    for (at, fault) in Fault::ALL.into_iter().enumerate() {
        let rate = byte(3 + at);
        script.faults.set(fault, if rate < 128 { 0 } else { rate - 127 });
    }
    let clients = 1 + (byte(2) & 3) as usize;
    for number in 0..clients {
        let plan = swarm::plan(seed, number, clients as u64, byte(2) >> 4 & 7);
        script.clients.insert(number, plan);
    }
    script.heal = HEAL;
    let universe = Universe::usual();
    for group in rest.chunks_exact(GROUP).take(MOST) {
        let at = (u64::from(group[0]) | u64::from(group[1]) << 8) % HEAL;
        let draw = Seed(hash(&group[2..])).about("action");
        if let Some(action) = swarm::action(draw, &universe, clients, u64::MAX, u64::MAX) {
            script.steps.push((at, action));
        }
        if group[2] == 0xff {
            script.steps.push((at, Action::Jump(u64::from(group[3]) * 20)));
        }
    }
    script.steps.sort_by_key(|step| step.0);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_make_a_script_and_a_group_is_an_action() {
        let bytes: Vec<u8> = (0..100).map(|at| (at * 37 % 251) as u8).collect();
        for end in 0..bytes.len() {
            script_of(&bytes[..end]).config().expect("its options make sense");
        }
        let (whole, less) = (script_of(&bytes), script_of(&bytes[..bytes.len() - GROUP]));
        assert_eq!((&whole.settings, &whole.clients), (&less.settings, &less.clients));
        assert!(less.steps.iter().all(|step| whole.steps.contains(step)));
        assert!(whole.steps.len() > 5);
    }
}
