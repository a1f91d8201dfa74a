//! The load generator against a server: that all its loads run, and that it sees what goes wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cometd_hyper::bayeux_core::front::{Flow, Task};
use cometd_hyper::bayeux_core::{Config, Overflow};
use cometd_hyper::{Bayeux, ServeOptions};
use cometd_testkit::adapter::{Adapter, Ended};
use cometd_testkit::load::{LoadError, Phase, Plan, Rate, Report, Scenario, Transport, run};

use super::adapter::Hyper;

const BOTH: [Transport; 2] = [Transport::WebSocket, Transport::LongPolling];

/// A server, for as long as it is kept.
struct Loaded {
    _adapter: Hyper,
    _ended: Ended,
    bayeux: Bayeux,
    address: std::net::SocketAddr,
}

fn server(configure: impl FnOnce(&mut Config)) -> Loaded {
    let mut config = Config::default();
    configure(&mut config);
    let adapter = Hyper::new();
    let bayeux = adapter.start(Bayeux::builder().config(config)).unwrap();
    let never: Task = Box::pin(std::future::pending());
    let (address, ended) = adapter.serve(bayeux.clone(), ServeOptions::default(), never).unwrap();
    Loaded { _adapter: adapter, _ended: ended, bayeux, address }
}

/// A short run with few clients.
fn plan(server: &Loaded, scenario: Scenario, transport: Transport) -> Plan {
    let mut plan = Plan::new(scenario, transport, server.address);
    plan.clients = 20;
    plan.channels = plan.channels.min(10);
    plan.subscriptions = plan.subscriptions.min(3);
    (plan.settle, plan.warmup) = (Duration::ZERO, Duration::from_millis(50));
    plan.duration = Duration::from_millis(200);
    if let Rate::Paced(rate) = &mut plan.rate {
        *rate = rate.min(2_000.0);
    }
    plan
}

fn loaded(plan: &Plan) -> Report {
    run(plan, &mut |_| {}).unwrap()
}

#[test]
fn every_load_runs_on_every_transport() {
    let server = server(|_| {});
    use Scenario::*;
    for transport in BOTH {
        for scenario in [Fanout, Rooms, Cometd, Echo, Hold, Churn] {
            for max in [false, true] {
                let mut plan = plan(&server, scenario, transport);
                plan.rate = if max { Rate::Max } else { Rate::Paced(2_000.0) };
                let report = loaded(&plan);
                assert!(report.checks.well(), "{plan:?}: {report}");
                let delivers = scenario != Hold;
                assert_eq!(report.traffic.deliveries > 0, delivers, "{plan:?}: {report}");
                assert_eq!(report.latency_us.max > 0.0, delivers, "{plan:?}: {report}");
                assert!(report.latency_us.p50 <= report.latency_us.p99, "{plan:?}: {report}");
            }
        }
    }
}

#[test]
fn a_paced_load_keeps_its_pace() {
    let server = server(|_| {});
    let mut plan = plan(&server, Scenario::Rooms, Transport::WebSocket);
    plan.duration = Duration::from_secs(1);
    let report = loaded(&plan);
    // Half as much would be another pace; the machine may be busy with other things.
    let rate = report.traffic.deliveries_per_second;
    assert!((1_000.0..3_000.0).contains(&rate), "{report}");
}

#[test]
fn acknowledged_messages_are_delivered_as_well() {
    let server = server(|_| {});
    for transport in BOTH {
        let mut plan = plan(&server, Scenario::Fanout, transport);
        plan.ack = true;
        let report = loaded(&plan);
        assert!(report.checks.well() && report.traffic.deliveries > 0, "{report}");
    }
}

#[test]
fn what_is_dropped_is_missed() {
    // A queue of one message: of each batch of ten, nine are dropped.
    let server = server(|config| {
        config.limits.queue_messages = 1;
        config.overflow = Overflow::DropNewest;
    });
    let mut plan = plan(&server, Scenario::Fanout, Transport::LongPolling);
    plan.batch = 10;
    // It is waited for.
    let report = loaded(&plan);
    assert!(report.checks.lost > 0 && !report.checks.well(), "{report}");
    assert_eq!((report.checks.duplicated, report.checks.sessions_lost), (0, 0), "{report}");
}

#[test]
fn what_is_refused_is_said() {
    let server = server(|_| {});
    let seen = AtomicUsize::new(0);
    server.bayeux.channel("/load/**").unwrap().on_message(move |_| {
        let vetoed = seen.fetch_add(1, Ordering::Relaxed) % 2 == 0;
        async move { if vetoed { Flow::Veto } else { Flow::Continue } }
    });
    let report = loaded(&plan(&server, Scenario::Echo, Transport::WebSocket));
    assert!(report.checks.failed_publishes > 0, "{report}");
    let trouble = report.checks.troubles.keys().next().unwrap();
    assert_eq!(trouble, "publish: 404::message_deleted");
}

#[test]
fn sessions_that_end_are_counted() {
    let server = server(|_| {});
    let bayeux = server.bayeux.clone();
    let mut ended = false;
    let plan = plan(&server, Scenario::Fanout, Transport::WebSocket);
    let report = run(&plan, &mut |progress| {
        if progress.phase == Phase::Measuring && !ended {
            ended = true;
            let one = bayeux.sessions().into_iter().next();
            one.unwrap().disconnect().unwrap();
        }
    });
    let report = report.unwrap();
    assert_eq!(report.checks.sessions_lost, 1, "{report}");
}

#[test]
fn a_server_that_dies_does_not_keep_the_load() {
    for transport in BOTH {
        for rate in [Rate::Max, Rate::Paced(2_000.0)] {
            let mut server = Some(server(|_| {}));
            let mut plan = plan(server.as_ref().unwrap(), Scenario::Fanout, transport);
            plan.rate = rate;
            let report = run(&plan, &mut |progress| {
                if progress.phase == Phase::Measuring {
                    drop(server.take());
                }
            });
            let report = report.unwrap();
            assert_eq!(report.checks.sessions_lost, 21, "{report}");
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let address = server(|_| {}).address;
    let plan = Plan::new(Scenario::Fanout, Transport::WebSocket, address);
    let error = run(&plan, &mut |_| {}).unwrap_err();
    assert!(matches!(error, LoadError::NotReady { ready: 0, .. }), "{error}");
}

#[test]
fn a_plan_that_makes_no_sense_is_an_error() {
    let server = server(|_| {});
    let mut plan = plan(&server, Scenario::Fanout, Transport::WebSocket);
    plan.clients = 0;
    assert!(matches!(run(&plan, &mut |_| {}), Err(LoadError::Plan(_))));
}

#[test]
fn latencies_are_drawn() {
    let server = server(|_| {});
    let report = loaded(&plan(&server, Scenario::Echo, Transport::WebSocket));
    let file = std::env::temp_dir().join(format!("cometd-load-{}.svg", std::process::id()));
    let runs = [("one".to_owned(), report.clone()), ("other".to_owned(), report)];
    cometd_testkit::load::plot(&runs, "Latency", &file).unwrap();
    let picture = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(picture.contains("<svg") && picture.matches("<polyline").count() >= 2);
}
