//! [`Script`]: one run as a plain text that people read, edit and keep.
//!
//! ```text
//! seed 42
//! set timeout 1000
//! fault lose-response 40
//! client c0 websocket ack browser 0 start 120
//! at 340 c0 subscribe /open/*
//! at 900 app publish /open/a
//! heal 5000
//! ```
//!
//! A script says everything about a run: the same text gives the same trace to the byte. Scripts
//! outlive the code that made them up, which seeds do not.

use std::collections::BTreeMap;
use std::fmt;

use bayeux_core::{Config, Transport};
use serde_json::Value;

use super::action::{Action, Via};
use super::seed::Seed;

/// Clients may talk in all ways, unless a script says otherwise.
const ALL_TRANSPORTS: [Transport; 3] =
    [Transport::WebSocket, Transport::LongPolling, Transport::CallbackPolling];

/// One run.
///
/// As a text it has a line for each thing that it says, in any order; `#` begins a comment. Times are
/// in milliseconds.
///
/// | line | |
/// | --- | --- |
/// | `seed N` | what chance decides with; once, like `heal` |
/// | `set OPTION JSON` | an option of the server, such as `timeout 500`, `limits.queue_messages 5`, `overflow "keep_latest"` |
/// | `fault KIND N` | a [`Fault`] by its name: so many in a thousand, or for `delay` and `think` the longest time |
/// | `client cN TRANSPORT …` | `long-polling`, `callback-polling` or `websocket`, and any of `ack`, `http2`, `asks`, `greeted`, `browser N`, `start TIME` |
/// | `at TIME cN DEED` | a [`Deed`](super::Deed) of a client: `subscribe A B…`, `unsubscribe A B…`, `publish A COUNT`, `disconnect`, `crash TIME`, `forget TIME`, `vanish`, `break`, `half-open`, `stall TIME`, `switch TRANSPORT`, `again`, `steal A`, `garbage`, `mix A`, `crowd`, `stale`, `nonsense` |
/// | `at TIME app WORK` | [`Work`](super::Work) of the application: `publish A`, `deliver cN`, `disconnect cN`, `batch cN on/off`, `subscribe cN A on/off`, `activity cN TIME/off`, `timeout cN TIME`, `extend on/off`, `listen A on/off`, `authorize A on/off`, `remove A`, `drain TIME` |
/// | `at TIME jump TIME` | the server's clock jumps ahead |
/// | `heal TIME` | when the faults stop; if it is not said, behind the last action |
///
/// The application of generated scripts decides by the channel's name: everybody may use `/open/…`
/// and `/lazy/…` (lazy); it is asked about `/ask/…` and says yes after a while, about `/deny/…` and
/// says no, about `/never/…` and never answers; a listener stops what is published on `/veto/…`,
/// never comes back on `/hang/…`, replaces the data on `/swap/…`; `/service/echo` is answered.
#[derive(Clone, PartialEq, Debug)]
pub struct Script {
    /// Decides whatever the script does not say: delays, which response is lost, the ids.
    pub seed: Seed,
    /// The server's options that are not the default, under their names; those of the limits are
    /// called `limits.queue_messages` and so on. All transports are on unless this says otherwise.
    pub settings: BTreeMap<String, Value>,
    /// What may go wrong, and how often.
    pub faults: Faults,
    /// The clients, by number.
    pub clients: BTreeMap<usize, Plan>,
    /// What is done when (in milliseconds), in order.
    pub steps: Vec<(u64, Action)>,
    /// When everything that goes wrong stops to, in milliseconds.
    pub heal: u64,
}

/// What a client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// How it begins to talk.
    pub via: Via,
    /// Whether it acknowledges its events.
    pub ack: bool,
    /// Whether it speaks HTTP/2.
    pub http2: bool,
    /// Whether it asks for other times than the server's now and then.
    pub asks: bool,
    /// Whether it wants to be greeted: its sessions begin with a message, if the application is asked
    /// about handshakes.
    pub greeted: bool,
    /// Whose cookies it has: clients of one browser are tabs.
    pub browser: usize,
    /// When it begins, in milliseconds.
    pub start: u64,
}

/// What may go wrong, and how often: so many times in a thousand, or so many milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    rates: [u64; Fault::ALL.len()],
}

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// The longest way through the network, in milliseconds.
    Delay,
    /// Requests that never arrive.
    LoseRequest,
    /// Responses that are lost, and the server is told.
    LoseResponse,
    /// Responses that are lost without a word.
    SwallowResponse,
    /// Requests that arrive twice.
    Duplicate,
    /// Parcels that take long to be written.
    Slow,
    /// Connections that break while a request is out.
    Cut,
    /// The longest time that the application thinks, in milliseconds.
    Think,
    /// Ticks that come late.
    LateTick,
    /// Inputs that come while outputs wait.
    LatePoll,
}

impl Fault {
    /// All there are.
    pub const ALL: [Self; 10] = [
        Self::Delay,
        Self::LoseRequest,
        Self::LoseResponse,
        Self::SwallowResponse,
        Self::Duplicate,
        Self::Slow,
        Self::Cut,
        Self::Think,
        Self::LateTick,
        Self::LatePoll,
    ];

    /// Whether it is given in milliseconds, and not as so many in a thousand.
    pub(super) fn is_a_time(self) -> bool {
        matches!(self, Self::Delay | Self::Think)
    }

    /// Its name in a script.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::LoseRequest => "lose-request",
            Self::LoseResponse => "lose-response",
            Self::SwallowResponse => "swallow-response",
            Self::Duplicate => "duplicate",
            Self::Slow => "slow",
            Self::Cut => "cut",
            Self::Think => "think",
            Self::LateTick => "late-tick",
            Self::LatePoll => "late-poll",
        }
    }
}

impl Faults {
    /// The rate or time of a fault.
    pub fn get(&self, fault: Fault) -> u64 {
        self.rates[fault as usize]
    }

    /// Sets the rate or time of a fault.
    pub fn set(&mut self, fault: Fault, rate: u64) {
        self.rates[fault as usize] = rate;
    }
}

/// What is wrong with a script: with its text, or with what it says.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ScriptError {
    what: &'static str,
    about: String,
    /// The line of the text, from one, if it is about one.
    line: Option<usize>,
}

/// How much of what is wrong is shown.
const SHOWN: usize = 120;

impl ScriptError {
    pub(super) fn new(what: &'static str, about: impl Into<String>) -> Self {
        Self { what, about: about.into(), line: None }
    }

    /// The same about this line.
    pub(super) fn in_line(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(self.what)?;
        match self.about.char_indices().nth(SHOWN) {
            _ if self.about.is_empty() => Ok(()),
            Some((end, _)) => write!(f, ": {}…", &self.about[..end]),
            None => write!(f, ": {}", self.about),
        }
    }
}

impl Script {
    /// A script in which nothing happens.
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            settings: BTreeMap::new(),
            faults: Faults::default(),
            clients: BTreeMap::new(),
            steps: Vec::new(),
            heal: 1_000,
        }
    }

    /// Sets an option of the server.
    pub fn set(&mut self, option: &str, value: impl Into<Value>) {
        self.settings.insert(option.to_owned(), value.into());
    }

    /// The server's options.
    ///
    /// # Errors
    ///
    /// When an option does not exist, or they make no sense together.
    pub fn config(&self) -> Result<Config, ScriptError> {
        let senseless = |error: &dyn fmt::Display| {
            ScriptError::new("the options make no sense", error.to_string())
        };
        let mut defaults = Config::default();
        defaults.allowed_transports = ALL_TRANSPORTS.to_vec();
        let mut all = serde_json::to_value(defaults).map_err(|error| senseless(&error))?;
        for (name, value) in &self.settings {
            let mut at = &mut all;
            for part in name.split('.') {
                let unknown = || ScriptError::new("there is no such option", name);
                at = at.get_mut(part).ok_or_else(unknown)?;
            }
            *at = value.clone();
        }
        let config: Config = serde_json::from_value(all).map_err(|error| senseless(&error))?;
        config.validate().map_err(|error| senseless(&error))?;
        Ok(config)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.via.name())?;
        let words = [
            (" ack", self.ack),
            (" http2", self.http2),
            (" asks", self.asks),
            (" greeted", self.greeted),
        ];
        for (name, on) in words {
            f.write_str(if on { name } else { "" })?;
        }
        write!(f, " browser {} start {}", self.browser, self.start)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        self.settings.iter().try_for_each(|(name, value)| writeln!(f, "set {name} {value}"))?;
        for fault in Fault::ALL.into_iter().filter(|&it| self.faults.get(it) > 0) {
            writeln!(f, "fault {} {}", fault.name(), self.faults.get(fault))?;
        }
        self.clients
            .iter()
            .try_for_each(|(number, plan)| writeln!(f, "client c{number} {plan}"))?;
        self.steps.iter().try_for_each(|(at, action)| writeln!(f, "at {at} {action}"))?;
        writeln!(f, "heal {}", self.heal)
    }
}
