//! What a run has come to, as a [`Report`].

use super::report::{Checks, Generator, Latency, Report, Server, Traffic};
use super::{BUSY, Connected, Rate, Run};

/// What was read while it was measured.
pub(super) struct Measured {
    /// Seconds.
    pub(super) took: f64,
    /// Seconds.
    pub(super) server_cpu: Option<f64>,
    /// Seconds.
    pub(super) own_cpu: Option<f64>,
    /// KiB.
    pub(super) resident: Option<u64>,
}

/// As it is written in JSON.
fn name(of: impl serde::Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Run<'_> {
    pub(super) fn report(&self, connected: Connected, measured: &Measured) -> Report {
        let (plan, tally) = (self.plan, &self.drive.tally);
        let latency = |quantile: f64| tally.latencies.value_at_quantile(quantile) as f64 / 1e3;
        let percentiles = tally
            .latencies
            .iter_quantiles(5)
            .map(|it| (it.quantile_iterated_to(), it.value_iterated_to() as f64 / 1e3));
        let deliveries = tally.deliveries;
        let per_second = deliveries as f64 / measured.took;
        let percent = |cpu: Option<f64>| cpu.map(|cpu| cpu / measured.took * 100.0);
        let own = percent(measured.own_cpu);
        let late = &self.traffic.late;
        Report {
            scenario: name(plan.scenario),
            transport: name(plan.transport),
            ack: plan.ack,
            clients: plan.clients,
            publishers: plan.sessions() - plan.clients,
            channels: plan.channels,
            subscriptions: plan.subscriptions,
            payload: plan.payload,
            batch: plan.batch,
            rate: match plan.rate {
                Rate::Paced(rate) => Some(rate),
                Rate::Max => None,
            },
            window: (plan.rate == Rate::Max && plan.subscribes()).then_some(plan.window),
            traffic: Traffic {
                seconds: measured.took,
                published: self.traffic.begun,
                deliveries,
                deliveries_per_second: per_second,
                deliveries_per_text: (tally.texts > 0)
                    .then(|| deliveries as f64 / tally.texts as f64),
            },
            latency_us: Latency {
                p50: latency(0.5),
                p90: latency(0.9),
                p99: latency(0.99),
                p99_9: latency(0.999),
                max: tally.latencies.max() as f64 / 1e3,
            },
            percentiles: percentiles.collect(),
            checks: Checks {
                lost: self.traffic.lost(&self.drive),
                duplicated: tally.duplicated,
                out_of_order: tally.overtaken,
                crossed: tally.crossed,
                sessions_lost: tally.sessions_lost,
                failed_publishes: tally.refused,
                troubles: tally.troubles.clone(),
            },
            server: Server {
                cpu_seconds: measured.server_cpu,
                cpu_percent: percent(measured.server_cpu),
                cpu_us_per_delivery: (measured.server_cpu.filter(|_| deliveries > 0))
                    .map(|cpu| cpu * 1e6 / deliveries as f64),
                rss_kib_before: connected.few.as_ref().map(|it| it.resident),
                rss_kib_after: connected.all.as_ref().map(|it| it.resident),
                rss_kib_end: measured.resident,
                rss_kib_per_session: (connected.few.as_ref().zip(connected.all.as_ref()))
                    .filter(|_| connected.others > 0)
                    .map(|(few, all)| {
                        (all.resident as f64 - few.resident as f64) / connected.others as f64
                    }),
            },
            generator: Generator {
                cpu_percent: own,
                late_us_p99: (!late.is_empty()).then(|| late.value_at_quantile(0.99) as f64 / 1e3),
                bottleneck: own.is_some_and(|own| own > BUSY),
            },
            ready: connected.ready,
        }
    }
}
