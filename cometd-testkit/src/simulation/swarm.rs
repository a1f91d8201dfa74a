//! [`swarm`]: from a seed to a script.
//!
//! First it is drawn which features and faults there are at all, then how often. Most runs lack most
//! of them: what shows only without something else would drown in runs that have everything.

use super::action::{Action, Deed, Via, Work};
use super::application::{CHANNELS, PATTERNS};
use super::script::{Fault, Plan, Script};
use super::seed::{Draw, Seed};

/// What clients publish on, and subscribe to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Universe {
    pub(super) channels: Vec<String>,
    pub(super) patterns: Vec<String>,
    /// Whether the application is the one that is described in `application`, so that everything
    /// may be done in its name.
    pub(super) usual: bool,
}

impl Universe {
    /// The channels of the usual application.
    pub(super) fn usual() -> Self {
        let all = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        Self { channels: all(&CHANNELS), patterns: all(&PATTERNS), usual: true }
    }
}

/// Makes a script up.
pub fn swarm(seed: Seed) -> Script {
    let mut script = Script::new(seed);
    settings(&mut script);
    swarm_over(script, &Universe::usual())
}

/// Makes the rest of a script up whose seed and options are there.
pub(super) fn swarm_over(mut script: Script, universe: &Universe) -> Script {
    let seed = script.seed;
    let about = |what: &str| seed.about(what);
    for fault in Fault::ALL {
        let draw = about(fault.name());
        if draw.per_mille(400) {
            script.faults.set(fault, rate(fault, draw.then(1)));
        }
    }
    if about("network").per_mille(850) {
        script.faults.set(Fault::Delay, about("network").then(1).one_of([1, 5, 40, 200]));
    }
    let clients = 1 + about("clients").below(6) as usize;
    let browsers = 1 + about("browsers").below(clients as u64);
    let vias = about("vias").one_of([7, 7, 1, 4, 5]) & if universe.usual { 7 } else { 5 };
    for number in 0..clients {
        script.clients.insert(number, plan(seed, number, browsers, vias));
    }
    script.heal = about("heal").one_of([1_500, 4_000, 9_000]);
    let steps = about("steps").one_of([6, 20, 60]);
    let wishes = about("wishes").below(1 << 16);
    let deeds = about("deeds").below(1 << 20);
    for number in 0..steps {
        let draw = seed.about(format_args!("step {number}"));
        let at = draw.below(script.heal);
        if let Some(action) = action(draw.then(1), universe, clients, wishes, deeds) {
            script.steps.push((at, action));
        }
    }
    if universe.usual && about("drain").per_mille(60) {
        let at = about("drain").then(1).below(script.heal);
        script.steps.push((at, Action::App(Work::Drain(about("drain").then(2).below(500)))));
    }
    if about("jump").per_mille(150) {
        let at = about("jump").then(1).below(script.heal);
        let millis = about("jump").then(2).one_of([300, 2_000, 100_000]);
        script.steps.push((at, Action::Jump(millis)));
    }
    script.steps.sort_by_key(|step| step.0);
    script
}

fn rate(fault: Fault, draw: Draw) -> u64 {
    match fault {
        Fault::Delay => draw.one_of([1, 10, 100]),
        Fault::Think => draw.one_of([1, 50, 1_000, 3_000]),
        Fault::LatePoll => draw.one_of([100, 500]),
        Fault::LateTick => draw.one_of([100, 700]),
        Fault::LoseRequest
        | Fault::LoseResponse
        | Fault::SwallowResponse
        | Fault::Duplicate
        | Fault::Slow
        | Fault::Cut => draw.one_of([10, 50, 200]),
    }
}

pub(super) fn plan(seed: Seed, number: usize, browsers: u64, vias: u64) -> Plan {
    let draw = seed.about(format_args!("client {number}"));
    let all = [Via::LongPolling, Via::CallbackPolling, Via::WebSocket];
    let allowed: Vec<_> =
        all.into_iter().enumerate().filter(|(at, _)| vias >> at & 1 == 1).map(|it| it.1).collect();
    Plan {
        via: draw.pick(&allowed).unwrap_or(Via::LongPolling),
        ack: draw.then(2).per_mille(400),
        http2: draw.then(3).per_mille(250),
        asks: draw.then(6).per_mille(200),
        greeted: draw.then(7).per_mille(300),
        browser: draw.then(4).below(browsers) as usize,
        start: draw.then(5).below(400),
    }
}

pub(super) fn settings(script: &mut Script) {
    let seed = script.seed;
    let about = |what: &str| seed.about(what);
    let timeout = about("timeout").one_of([150, 700, 3_000]);
    script.set("timeout", timeout);
    script.set("max_interval", about("max_interval").one_of([400, 1_500, 6_000]));
    script.set("sweep_period", about("sweep_period").one_of([50, 400]));
    script.set("max_lazy_timeout", about("max_lazy_timeout").one_of([0, 80, 900]));
    script.set("question_timeout", about("question_timeout").one_of([200, 2_000]));
    let mut sometimes = |option: &str, rate: u64, values: [u64; 3]| {
        let draw = about(option);
        if draw.per_mille(rate) {
            script.set(option, draw.then(1).one_of(values));
        }
    };
    sometimes("interval", 200, [5, 100, 400]);
    sometimes("max_processing", 100, [timeout + 1, timeout + 200, timeout + 5_000]);
    sometimes("multi_session_interval", 400, [0, 60, 500]);
    sometimes("max_sessions_per_browser", 300, [1, 2, 3]);
    sometimes("http2_max_sessions_per_browser", 200, [1, 2, 3]);
    sometimes("limits.queue_messages", 400, [2, 3, 10]);
    sometimes("limits.queue_bytes", 150, [300, 1_000, 4_000]);
    sometimes("limits.socket_bytes", 300, [1, 200, 500]);
    sometimes("limits.burst_events", 200, [1, 2, 5]);
    sometimes("limits.session_subscriptions", 100, [1, 3, 5]);
    sometimes("limits.channels", 100, [8, 12, 20]);
    sometimes("limits.sessions", 100, [2, 3, 5]);
    sometimes("limits.questions", 100, [1, 3, 8]);
    sometimes("limits.handshake_questions", 100, [1, 2, 3]);
    sometimes("limits.session_questions", 100, [1, 2, 3]);
    if about("pings").per_mille(500) {
        let (ping, idle) = about("pings").then(1).one_of([(60, 500), (300, 1_200), (900, 2_000)]);
        script.set("ws_ping_interval", ping);
        script.set("ws_idle_timeout", idle);
    }
    for (option, rate) in [
        ("meta_connect_deliver_only", 200),
        ("allow_message_delivery_during_handshake", 300),
        ("trust_client_session", 500),
        ("handshake_reconnect", 200),
        ("ws_require_handshake_per_connection", 150),
    ] {
        if about(option).per_mille(rate) {
            script.set(option, true);
        }
    }
    if about("to publisher").per_mille(200) {
        script.set("broadcast_to_publisher", false);
    }
    if about("overflow").per_mille(600) {
        let policies = ["drop_oldest", "drop_newest", "keep_latest"];
        script.set("overflow", about("overflow").then(1).one_of(policies));
    }
}

fn name(names: &[String], draw: Draw) -> String {
    names.get(draw.below(names.len() as u64) as usize).cloned().unwrap_or_default()
}

/// One thing that is done; `None` if this run has none of the kind.
pub(super) fn action(
    draw: Draw,
    universe: &Universe,
    clients: usize,
    wishes: u64,
    deeds: u64,
) -> Option<Action> {
    let who = draw.then(1).below(clients as u64) as usize;
    let channel = || name(&universe.channels, draw.then(2));
    let pattern = || name(&universe.patterns, draw.then(3));
    let millis = draw.then(4).one_of([50, 400, 2_500]);
    let yes = draw.then(5).per_mille(500);
    let kind = draw.then(6).below(100);
    let rare = draw.then(7).below(18);
    let deed = match kind {
        0..=15 if !universe.patterns.is_empty() => {
            let mut patterns = vec![pattern()];
            if yes {
                patterns.push(name(&universe.patterns, draw.then(8)));
            }
            Deed::Subscribe(patterns)
        }
        16..=19 => Deed::Unsubscribe(vec![pattern()]),
        20..=44 => Deed::Publish(channel(), draw.then(9).one_of([1, 1, 1, 2, 5])),
        45..=69 if universe.usual => return wish(draw, universe, who, wishes),
        45..=69 => Deed::Publish(channel(), 1),
        _ if deeds >> rare & 1 == 0 => return None,
        _ => match rare {
            0 => Deed::Disconnect,
            1 => Deed::Crash(millis),
            2 => Deed::Forget(millis),
            3 => Deed::Vanish,
            4 | 5 => Deed::Break,
            6 => Deed::HalfOpen,
            7 | 8 => Deed::Stall(millis),
            9 if universe.usual => Deed::Switch(draw.then(10).one_of(Via::ALL)),
            9 => Deed::Switch(draw.then(10).one_of([Via::LongPolling, Via::WebSocket])),
            10 => Deed::Again,
            11 => Deed::Steal(channel()),
            12 => Deed::Garbage,
            13 => Deed::Mix(channel()),
            14 => Deed::Crowd,
            15 if universe.usual => Deed::Stale,
            15 => Deed::Break,
            16 => Deed::Nonsense,
            _ => Deed::Switch(Via::LongPolling),
        },
    };
    Some(Action::Client(who, deed))
}

fn wish(draw: Draw, universe: &Universe, who: usize, wishes: u64) -> Option<Action> {
    let pattern = || name(&universe.patterns, draw.then(3));
    let millis = draw.then(4).one_of([50, 400, 2_500]);
    let yes = draw.then(5).per_mille(500);
    let kind = draw.then(11).below(16);
    if kind > 5 && wishes >> kind & 1 == 0 {
        return None;
    }
    Some(Action::App(match kind {
        0..=3 => Work::Publish(name(&universe.channels, draw.then(2))),
        4..=5 => Work::Deliver(who),
        6 => Work::Disconnect(who),
        7 => Work::Batch(who, yes),
        8 => Work::Subscribe(who, pattern(), yes),
        9 => Work::Activity(who, yes.then_some(millis)),
        10 => Work::Timeout(who, millis),
        11 => Work::Extend(yes),
        12 => Work::Listen(pattern(), yes),
        13 => Work::Listen("/meta/connect".to_owned(), yes),
        14 => Work::Authorize(pattern(), yes),
        _ => Work::Remove(pattern()),
    }))
}
