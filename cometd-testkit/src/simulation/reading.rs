//! Scripts are read: from a text to what it says, or what is wrong with it and where.

use std::str::{FromStr, SplitWhitespace};

use super::action::{Action, Deed, Via, Work};
use super::script::{Fault, Plan, Script, ScriptError};
use super::seed::Seed;

/// The longest time in a script, in milliseconds: a day. Nothing takes longer in a server, and time
/// has to end somewhere.
const LONGEST: u64 = 86_400_000;

/// The most of anything.
const MOST: u64 = 1_000;

/// The words of a line.
struct Words<'l> {
    line: &'l str,
    words: SplitWhitespace<'l>,
}

impl<'l> Words<'l> {
    fn of(line: &'l str) -> Self {
        Self { line, words: line.split_whitespace() }
    }

    fn next(&mut self) -> Result<&'l str, ScriptError> {
        self.words.next().ok_or_else(|| ScriptError::new("something is missing", self.line))
    }

    fn text(&mut self) -> Result<String, ScriptError> {
        self.next().map(str::to_owned)
    }

    fn number(&mut self, most: u64) -> Result<u64, ScriptError> {
        number(self.next()?, most)
    }

    /// So many milliseconds.
    fn time(&mut self) -> Result<u64, ScriptError> {
        self.number(LONGEST)
    }

    fn count(&mut self) -> Result<u64, ScriptError> {
        self.number(MOST)
    }

    fn on(&mut self) -> Result<bool, ScriptError> {
        match self.next()? {
            "on" => Ok(true),
            "off" => Ok(false),
            word => Err(ScriptError::new("neither on nor off", word)),
        }
    }

    fn time_or_off(&mut self) -> Result<Option<u64>, ScriptError> {
        match self.next()? {
            "off" => Ok(None),
            word if word.parse::<u64>().is_err() => {
                Err(ScriptError::new("neither a number nor off", word))
            }
            word => number(word, LONGEST).map(Some),
        }
    }

    fn client(&mut self) -> Result<usize, ScriptError> {
        client(self.next()?)
    }

    fn rest(&mut self) -> Vec<String> {
        self.words.by_ref().map(str::to_owned).collect()
    }

    /// There is no word more.
    fn end(&mut self) -> Result<(), ScriptError> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(ScriptError::new("one word too many", word)),
        }
    }
}

fn number(word: &str, most: u64) -> Result<u64, ScriptError> {
    let what = match most {
        LONGEST => "more than 86400000",
        _ => "more than 1000",
    };
    match word.parse() {
        Ok(number) if number <= most => Ok(number),
        Ok(_) => Err(ScriptError::new(what, word)),
        Err(_) => Err(ScriptError::new("no number", word)),
    }
}

/// `c7` is client 7.
fn client(word: &str) -> Result<usize, ScriptError> {
    let number = word.strip_prefix('c').and_then(|it| number(it, MOST).ok());
    number.map(|it| it as usize).ok_or_else(|| ScriptError::new("no client", word))
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::new(Seed(0));
        let mut said = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                read(&mut script, &mut said, line).map_err(|error| error.in_line(at + 1))?;
            }
        }
        script.steps.sort_by_key(|step| step.0);
        if !said.contains(&("heal", "")) {
            // The faults last as long as there is something to do.
            let last = script.steps.last().map_or(0, |(at, _)| at + 1);
            script.heal = script.heal.max(last);
        }
        check(&script)?;
        Ok(script)
    }
}

/// What is said is about clients that there are, and happens while faults do.
fn check(script: &Script) -> Result<(), ScriptError> {
    script.config()?;
    for (at, action) in &script.steps {
        let wrong = |what| ScriptError::new(what, format!("at {at} {action}"));
        if *at > script.heal {
            return Err(wrong("after the faults have stopped"));
        }
        if action.client().is_some_and(|it| !script.clients.contains_key(&it)) {
            return Err(wrong("there is no such client"));
        }
    }
    let starts = script.clients.iter().find(|(_, plan)| plan.start > script.heal);
    match starts {
        Some((number, plan)) => {
            let about = format!("client c{number} {plan}");
            Err(ScriptError::new("begins after the faults have stopped", about))
        }
        None => Ok(()),
    }
}

/// Reads a line; `said` are the beginnings of those that there may be once.
fn read<'l>(
    script: &mut Script,
    said: &mut Vec<(&'l str, &'l str)>,
    line: &'l str,
) -> Result<(), ScriptError> {
    let mut words = Words::of(line);
    let kind = words.next()?;
    if ["seed", "heal", "client", "set", "fault"].contains(&kind) {
        let name = if ["seed", "heal"].contains(&kind) {
            ""
        } else {
            words.words.clone().next().unwrap_or_default()
        };
        if said.contains(&(kind, name)) {
            return Err(ScriptError::new("twice", line));
        }
        said.push((kind, name));
    }
    match kind {
        "seed" => script.seed = Seed::parse(words.next()?),
        "set" => {
            let name = words.text()?;
            let value = line.split_once(&name).map_or("", |(_, value)| value.trim());
            let value = serde_json::from_str(value);
            let value = value.map_err(|_| ScriptError::new("no JSON", line))?;
            script.settings.insert(name, value);
            return Ok(());
        }
        "fault" => {
            let name = words.next()?;
            let fault = Fault::ALL.into_iter().find(|it| it.name() == name);
            let fault = fault.ok_or_else(|| ScriptError::new("no such fault", name))?;
            let rate = if fault.is_a_time() { words.time()? } else { words.count()? };
            script.faults.set(fault, rate);
        }
        "client" => {
            let number = words.client()?;
            script.clients.insert(number, plan(&mut words)?);
        }
        "at" => script.steps.push((words.time()?, action(&mut words)?)),
        "heal" => script.heal = words.time()?,
        _ => return Err(ScriptError::new("no such line", line.escape_debug().to_string())),
    }
    words.end()
}

fn plan(words: &mut Words<'_>) -> Result<Plan, ScriptError> {
    let via = words.next()?.parse()?;
    let (ack, http2, asks, greeted) = (false, false, false, false);
    let mut plan = Plan { via, ack, http2, asks, greeted, browser: 0, start: 0 };
    while let Some(word) = words.words.next() {
        match word {
            "ack" => plan.ack = true,
            "http2" => plan.http2 = true,
            "asks" => plan.asks = true,
            "greeted" => plan.greeted = true,
            "browser" => plan.browser = words.count()? as usize,
            "start" => plan.start = words.time()?,
            _ => return Err(ScriptError::new("no property of a client", word)),
        }
    }
    Ok(plan)
}

impl FromStr for Via {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let found = Self::ALL.into_iter().find(|via| via.name() == text);
        found.ok_or_else(|| ScriptError::new("no transport", text))
    }
}

fn action(words: &mut Words<'_>) -> Result<Action, ScriptError> {
    Ok(match words.next()? {
        "app" => Action::App(work(words)?),
        "jump" => Action::Jump(words.time()?),
        who => Action::Client(client(who)?, deed(words)?),
    })
}

fn deed(words: &mut Words<'_>) -> Result<Deed, ScriptError> {
    Ok(match words.next()? {
        "subscribe" => Deed::Subscribe(words.rest()),
        "unsubscribe" => Deed::Unsubscribe(words.rest()),
        "publish" => Deed::Publish(words.text()?, words.count()?),
        "disconnect" => Deed::Disconnect,
        "crash" => Deed::Crash(words.time()?),
        "forget" => Deed::Forget(words.time()?),
        "vanish" => Deed::Vanish,
        "break" => Deed::Break,
        "half-open" => Deed::HalfOpen,
        "stall" => Deed::Stall(words.time()?),
        "switch" => Deed::Switch(words.next()?.parse()?),
        "again" => Deed::Again,
        "steal" => Deed::Steal(words.text()?),
        "garbage" => Deed::Garbage,
        "mix" => Deed::Mix(words.text()?),
        "crowd" => Deed::Crowd,
        "stale" => Deed::Stale,
        "nonsense" => Deed::Nonsense,
        word => return Err(ScriptError::new("no such deed", word)),
    })
}

fn work(words: &mut Words<'_>) -> Result<Work, ScriptError> {
    Ok(match words.next()? {
        "publish" => Work::Publish(words.text()?),
        "deliver" => Work::Deliver(words.client()?),
        "disconnect" => Work::Disconnect(words.client()?),
        "batch" => Work::Batch(words.client()?, words.on()?),
        "subscribe" => Work::Subscribe(words.client()?, words.text()?, words.on()?),
        "activity" => Work::Activity(words.client()?, words.time_or_off()?),
        "timeout" => Work::Timeout(words.client()?, words.time()?),
        "extend" => Work::Extend(words.on()?),
        "listen" => Work::Listen(words.text()?, words.on()?),
        "authorize" => Work::Authorize(words.text()?, words.on()?),
        "remove" => Work::Remove(words.text()?),
        "drain" => Work::Drain(words.time()?),
        word => return Err(ScriptError::new("no such work", word)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::swarm::swarm;

    #[test]
    fn what_is_written_is_read() {
        for seed in (0..200).map(Seed) {
            let script = swarm(seed);
            let text = script.to_string();
            assert_eq!(text.parse::<Script>().expect("it was written"), script, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (text, expected) in [
            ("seed 1\nat 5 c0 dance", "line 2: no such deed: dance"),
            ("set tiemout 4", "there is no such option: tiemout"),
            ("set timeout.most 4", "there is no such option: timeout.most"),
            ("fault hail 4", "line 1: no such fault: hail"),
            ("at 5 app listen /a maybe", "line 1: neither on nor off: maybe"),
            ("at 5 app activity c0 banana", "line 1: neither a number nor off: banana"),
            ("client 4 websocket", "line 1: no client: 4"),
            ("client c4 pigeon", "line 1: no transport: pigeon"),
            ("client c4 websocket fast", "line 1: no property of a client: fast"),
            ("at 5 c0 disconnect now", "line 1: one word too many: now"),
            ("at 5 c0 publish /a 4000", "line 1: more than 1000: 4000"),
            ("at 5 c0 stall 86400001", "line 1: more than 86400000: 86400001"),
            ("at 5 c0 stall -1", "line 1: no number: -1"),
            ("at 5 jump", "line 1: something is missing: at 5 jump"),
            ("heal 4\n\nheal 5", "line 3: twice: heal 5"),
            ("seed", "line 1: something is missing: seed"),
            ("at 5 c0 break", "there is no such client: at 5 c0 break"),
            (
                "client c0 websocket\nat 9 c0 break\nheal 5",
                "after the faults have stopped: at 9 c0 break",
            ),
            ("fault cut 1001", "line 1: more than 1000: 1001"),
            ("\u{feff}seed 3", "line 1: no such line: \\u{feff}seed 3"),
        ] {
            assert_eq!(text.parse::<Script>().expect_err(text).to_string(), expected);
        }
    }
}
