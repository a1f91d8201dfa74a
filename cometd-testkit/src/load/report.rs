//! [`Report`]: what a run has shown.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a run has shown. As JSON it is what other tools read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The scenario.
    pub scenario: String,
    /// The transport.
    pub transport: String,
    /// Whether clients asked for acknowledged messages.
    pub ack: bool,
    /// Clients without those that only publish.
    pub clients: usize,
    /// Clients that only publish.
    pub publishers: usize,
    /// Channels.
    pub channels: u16,
    /// Channels of each client.
    pub subscriptions: u16,
    /// Bytes of each message's data.
    pub payload: usize,
    /// Messages that leave at once.
    pub batch: u32,
    /// Deliveries per second that were asked for; nothing if it was as many as possible.
    pub rate: Option<f64>,
    /// Messages on their way, if it was as many as possible.
    pub window: Option<u32>,
    /// How the sessions came about.
    pub ready: Ready,
    /// What was delivered.
    pub traffic: Traffic,
    /// From when a message was due until it arrived, in microseconds.
    pub latency_us: Latency,
    /// The whole distribution: parts of all deliveries, and the latency in microseconds that they did not
    /// exceed.
    pub percentiles: Vec<(f64, f64)>,
    /// What must not happen.
    pub checks: Checks,
    /// What the server cost.
    pub server: Server,
    /// What this program cost.
    pub generator: Generator,
}

/// How the sessions came about, before anything was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Sessions.
    pub sessions: usize,
    /// How long it took until all of them were there, in seconds.
    pub seconds: f64,
    /// Connecting, handshake, subscription and connects, in microseconds of the server's processors.
    pub server_cpu_us_per_session: Option<f64>,
}

/// What was delivered while it was measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Traffic {
    /// How long that was.
    pub seconds: f64,
    /// Messages published in the whole run, warm-up included.
    pub published: u64,
    /// Deliveries that arrived.
    pub deliveries: u64,
    /// As many per second.
    pub deliveries_per_second: f64,
    /// Deliveries in one text or response, on average.
    pub deliveries_per_text: Option<f64>,
}

/// Latencies, in microseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the deliveries were not later.
    pub p50: f64,
    /// 90 % were not later.
    pub p90: f64,
    /// 99 % were not later.
    pub p99: f64,
    /// 99.9 % were not later.
    pub p99_9: f64,
    /// The latest.
    pub max: f64,
}

/// What must not happen, counted over the whole run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Checks {
    /// Deliveries that never came.
    pub lost: u64,
    /// Deliveries that came again.
    pub duplicated: u64,
    /// Deliveries that something later of the same publisher on the same channel had overtaken.
    pub out_of_order: u64,
    /// The same on a client's two connections, which is no fault: over HTTP, nothing keeps these in
    /// order.
    pub crossed: u64,
    /// Sessions that ended, or whose connection did.
    pub sessions_lost: u64,
    /// Publishes that were answered with an error.
    pub failed_publishes: u64,
    /// What was wrong, in words, and how often.
    pub troubles: BTreeMap<String, u64>,
}

impl Checks {
    /// Whether nothing happened that must not.
    pub fn well(&self) -> bool {
        self.lost + self.duplicated + self.out_of_order + self.sessions_lost + self.failed_publishes
            == 0
    }
}

/// What the server cost, if its process is known.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Server {
    /// Processor time while it was measured, in seconds.
    pub cpu_seconds: Option<f64>,
    /// The same as a part of that time: 100 is one core.
    pub cpu_percent: Option<f64>,
    /// The same for each delivery, in microseconds.
    pub cpu_us_per_delivery: Option<f64>,
    /// Resident memory when a few sessions were there, in KiB.
    pub rss_kib_before: Option<u64>,
    /// Resident memory when all were there, in KiB.
    pub rss_kib_after: Option<u64>,
    /// Resident memory at the end, in KiB.
    pub rss_kib_end: Option<u64>,
    /// What each of the others has added, in KiB.
    pub rss_kib_per_session: Option<f64>,
}

/// What this program cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Generator {
    /// Processor time while it was measured, as a part of that time.
    pub cpu_percent: Option<f64>,
    /// 99 % of what was due was begun no later than so many microseconds. (What has to wait for an answer
    /// before it may leave counts as begun; its latency counts from when it was due all the same.)
    pub late_us_p99: Option<f64>,
    /// The server could have done more than this program asked of it.
    pub bottleneck: bool,
}

/// A figure that may not be known.
struct Known(Option<f64>, &'static str);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value:.1} {}", self.1),
            None => f.write_str("unknown"),
        }
    }
}

/// Latencies in the unit that suits them.
struct Micros(f64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            micros if micros < 1_000.0 => write!(f, "{micros:.0} µs"),
            micros if micros < 1_000_000.0 => write!(f, "{:.1} ms", micros / 1e3),
            micros => write!(f, "{:.2} s", micros / 1e6),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ready, traffic, latency_us: latency, checks, server, generator, .. } = self;
        let mut row = |name: &str, value: &dyn fmt::Display| writeln!(f, "{name:<22}{value}");
        let ack = if self.ack { ", acknowledged" } else { "" };
        row("load", &format_args!("{} over {}{ack}", self.scenario, self.transport))?;
        row(
            "sessions",
            &format_args!(
                "{} in {:.1} s, {} of server each",
                ready.sessions,
                ready.seconds,
                Known(ready.server_cpu_us_per_session, "µs")
            ),
        )?;
        let per_text = traffic.deliveries_per_text.map(|it| format!(", {it:.1} in a text"));
        row(
            "deliveries",
            &format_args!(
                "{} in {:.1} s, {:.0} per second{}",
                traffic.deliveries,
                traffic.seconds,
                traffic.deliveries_per_second,
                per_text.unwrap_or_default()
            ),
        )?;
        if traffic.deliveries > 0 {
            let (p50, p90, p99) = (Micros(latency.p50), Micros(latency.p90), Micros(latency.p99));
            let (p99_9, max) = (Micros(latency.p99_9), Micros(latency.max));
            row(
                "latency",
                &format_args!("p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p99_9}, most {max}"),
            )?;
        }
        row(
            "server",
            &format_args!(
                "{} of a core, {} per delivery",
                Known(server.cpu_percent, "%"),
                Known(server.cpu_us_per_delivery, "µs")
            ),
        )?;
        row(
            "memory",
            &format_args!(
                "{} per session, {} in all",
                Known(server.rss_kib_per_session, "KiB"),
                Known(server.rss_kib_end.map(|it| it as f64 / 1_024.0), "MiB")
            ),
        )?;
        row(
            "generator",
            &format_args!(
                "{} of a core, late by {}",
                Known(generator.cpu_percent, "%"),
                Known(generator.late_us_p99, "µs at p99")
            ),
        )?;
        row(
            "checks",
            &format_args!(
                "{} lost, {} twice, {} out of order, {} sessions lost, {} publishes refused",
                checks.lost,
                checks.duplicated,
                checks.out_of_order,
                checks.sessions_lost,
                checks.failed_publishes
            ),
        )?;
        for (trouble, times) in &checks.troubles {
            row("", &format_args!("{times} × {trouble}"))?;
        }
        if generator.bottleneck {
            row("warning", &"the generator was busy all the time: the server can do more")?;
        }
        Ok(())
    }
}
