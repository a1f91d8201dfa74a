//! [`shrink`]: from a script that fails to a few lines that fail in the same way.
//!
//! A script is a list of lines, and what chance decides does not depend on lines that are not
//! there. So lines are left out, many at first, then one by one, as long as the same invariant is
//! broken (delta debugging); then what is left is made simpler.

use super::action::Action;
use super::run::{Failure, Level, run};
use super::script::{Fault, Script};

/// Leaves out of a script whatever its failure does not need. A script that does not fail comes
/// back as it is.
pub fn shrink(script: &Script, level: Level) -> Script {
    shrink_with(script, &|script| run(script, level, false).ok()?.failure)
}

/// The same for whatever way there is to run a script.
pub(super) fn shrink_with(script: &Script, run: &dyn Fn(&Script) -> Option<Failure>) -> Script {
    let Some(failure) = run(script) else { return script.clone() };
    let fails = |script: &Script| run(script).is_some_and(|it| is_same(&it, &failure));
    let mut best = script.clone();
    loop {
        let before = best.to_string();
        best = fewer(best, &fails);
        best = simpler(best, &fails);
        if best.to_string() == before {
            return best;
        }
    }
}

/// Panics have no name but what they say.
fn is_same(one: &Failure, other: &Failure) -> bool {
    match (one, other) {
        (Failure::Panic(one), Failure::Panic(other)) => one == other,
        _ => one.name() == other.name(),
    }
}

/// Leaves lines out.
fn fewer(script: Script, fails: &dyn Fn(&Script) -> bool) -> Script {
    let mut lines: Vec<String> = script.to_string().lines().map(str::to_owned).collect();
    let mut best = script;
    let mut size = lines.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < lines.len() {
            let mut fewer = lines.clone();
            fewer.drain(at..(at + size).min(lines.len()));
            match fewer.join("\n").parse::<Script>() {
                Ok(script) if keeps(&lines, &fewer) && fails(&script) => {
                    (lines, best) = (fewer, script);
                }
                _ => at += size,
            }
        }
        size /= 2;
    }
    best
}

/// The seed and the end of the faults are no lines that can be left out.
fn keeps(lines: &[String], fewer: &[String]) -> bool {
    let head = |lines: &[String]| {
        lines.iter().filter(|it| it.starts_with("seed ") || it.starts_with("heal ")).count()
    };
    head(lines) == head(fewer)
}

/// Makes what is left simpler.
fn simpler(script: Script, fails: &dyn Fn(&Script) -> bool) -> Script {
    let mut best = script;
    let accept = |best: &mut Script, change: &dyn Fn(&mut Script)| {
        let mut changed = best.clone();
        change(&mut changed);
        if changed != *best && changed.config().is_ok() && fails(&changed) {
            *best = changed;
        }
    };
    for client in best.clients.keys().copied().collect::<Vec<_>>() {
        accept(&mut best, &|script| {
            script.clients.remove(&client);
            script.steps.retain(|(_, action)| action.client() != Some(client));
        });
        accept(&mut best, &|script| plan(script, client, |plan| plan.ack = false));
        accept(&mut best, &|script| plan(script, client, |plan| plan.http2 = false));
        accept(&mut best, &|script| plan(script, client, |plan| plan.asks = false));
        accept(&mut best, &|script| plan(script, client, |plan| plan.greeted = false));
        accept(&mut best, &|script| plan(script, client, |plan| plan.browser = client));
        accept(&mut best, &|script| plan(script, client, |plan| plan.start = 0));
    }
    for fault in Fault::ALL {
        accept(&mut best, &|script| script.faults.set(fault, script.faults.get(fault) / 2));
    }
    for at in 0..best.steps.len() {
        accept(&mut best, &|script| {
            if let Some((_, Action::Client(_, deed))) = script.steps.get_mut(at) {
                deed.simplify();
            }
        });
    }
    let last = best.steps.last().map_or(0, |(at, _)| at + 1);
    accept(&mut best, &|script| script.heal = script.heal.min(last.max(500)));
    best
}

fn plan(script: &mut Script, client: usize, change: impl Fn(&mut super::script::Plan)) {
    if let Some(plan) = script.clients.get_mut(&client) {
        change(plan);
    }
}
