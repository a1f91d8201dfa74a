//! The server's figures, as a recorder of the `metrics` facade gets them.

use std::time::Duration;

use bayeux_core::front::{Bayeux, Metrics};
use cometd_testkit::sim::Sim;
use cometd_testkit::wire::{Client, connect, subscribe};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use serde_json::json;

use crate::peer::world;

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().build_recorder()
}

struct Dashboard {
    metrics: Metrics,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Dashboard {
    fn new(bayeux: &Bayeux) -> Self {
        let recorder = recorder();
        let metrics = Metrics::new(bayeux.clone()).label("server", "one");
        Self { metrics, handle: recorder.handle(), recorder }
    }

    /// The samples whose names and labels begin like this.
    fn read(&self, beginning: &str) -> Vec<String> {
        metrics::with_local_recorder(&self.recorder, || self.metrics.update());
        let text = self.handle.render();
        let lines = text.lines().filter(|line| line.starts_with(beginning));
        lines.map(str::to_owned).collect()
    }

    fn value(&self, sample: &str) -> f64 {
        let found = self.read(sample);
        assert_eq!(found.len(), 1, "{sample}: {found:?}");
        found[0].rsplit(' ').next().unwrap().parse().unwrap()
    }
}

fn publish(sim: &Sim, bayeux: &Bayeux, channel: &'static str) {
    let bayeux = bayeux.clone();
    sim.block_on(async move { bayeux.publish(channel, &1).await }).unwrap();
}

#[test]
fn a_recorder_is_told_everything_with_names_labels_and_help() {
    let (sim, bayeux) = world();
    let dashboard = Dashboard::new(&bayeux);
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.send(&json!([subscribe(&id, "/a")]));
    let state = |state: &str| {
        let labels = format!(r#"server="one",transport="long-polling",state="{state}""#);
        dashboard.value(&format!("bayeux_sessions{{{labels}}}"))
    };
    assert_eq!((state("waiting"), state("held")), (1.0, 0.0));
    let held = client.post(&json!([connect(&id)]));
    sim.settle();
    assert_eq!((state("waiting"), state("held")), (0.0, 1.0));
    client.send(&json!([{ "channel": "/a//b", "clientId": id, "data": 1 }]));
    held.lose();
    publish(&sim, &bayeux, "/a");
    assert_eq!(dashboard.value(r#"bayeux_queue_events{server="one"}"#), 1.0);
    let invalid = r#"bayeux_replies_total{server="one",error="channel_invalid"}"#;
    assert_eq!(dashboard.value(invalid), 1.0);
    sim.advance(Duration::from_secs(3_600));
    let lost = r#"bayeux_events_dropped_total{server="one",reason="session_ended"}"#;
    let expired = r#"bayeux_sessions_removed_total{server="one",reason="expired"}"#;
    assert_eq!((dashboard.value(lost), dashboard.value(expired)), (1.0, 1.0));
    assert_eq!(
        dashboard.read("bayeux_calls"),
        [r#"bayeux_calls_refused_total{server="one"} 0"#, r#"bayeux_calls{server="one"} 0"#,]
    );
    for figure in bayeux.figures() {
        let told = dashboard.read(&format!("{}{{", figure.name));
        assert!(!told.is_empty(), "{figure:?}");
        assert_eq!(dashboard.read(&format!("# HELP {} ", figure.name)).len(), 1, "{figure:?}");
    }
}

#[test]
fn waiting_times_are_told_once() {
    let (sim, bayeux) = world();
    let dashboard = Dashboard::new(&bayeux);
    let client = Client::new(&sim, &bayeux);
    let id = client.open();
    client.send(&json!([subscribe(&id, "/a")]));
    publish(&sim, &bayeux, "/a");
    sim.advance(Duration::from_millis(3));
    client.send(&json!([connect(&id)]));
    let at_most = |seconds: &str| {
        let bucket = format!(r#"bayeux_delivery_seconds_bucket{{server="one",le="{seconds}"}}"#);
        dashboard.value(&bucket)
    };
    for _ in 0..2 {
        assert_eq!((at_most("0.002"), at_most("0.004"), at_most("+Inf")), (0.0, 1.0, 1.0));
    }
    let _held = client.post(&json!([connect(&id)]));
    sim.settle();
    publish(&sim, &bayeux, "/a");
    assert_eq!((at_most("0.000125"), at_most("+Inf")), (1.0, 2.0));
    publish(&sim, &bayeux, "/a");
    sim.advance(Duration::from_secs(2));
    client.send(&json!([connect(&id)]));
    assert_eq!((at_most("1.024"), at_most("2.048"), at_most("+Inf")), (2.0, 3.0, 3.0));
    assert_eq!(dashboard.value(r#"bayeux_delivery_seconds_count{server="one"}"#), 3.0);
    let sum = dashboard.value(r#"bayeux_delivery_seconds_sum{server="one"}"#);
    assert!((2.003..2.004).contains(&sum), "{sum}");
}
