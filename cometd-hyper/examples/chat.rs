//! The chat on tokio and hyper: a page at `/`, Bayeux at `/cometd`, figures for Prometheus at
//! `/metrics`.
//!
//! What the chat does is in `cometd_testkit::chat`; here is what hosting it takes.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::io::IsTerminal;
use std::sync::Arc;

use clap::Parser;
use cometd_hyper::bayeux_core::front::Metrics;
use cometd_hyper::{Bayeux, ServeOptions, serve_with, start};
use cometd_testkit::chat::{self, Options};
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower::service_fn;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&options.log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let bayeux = chat::build(Bayeux::builder().config(options.config()), start)?;

    let prometheus = PrometheusBuilder::new().install_recorder()?;
    let metrics = Arc::new(Metrics::new(bayeux.clone()));
    let page = service_fn(move |request: Request<Incoming>| {
        let figures = || {
            metrics.update();
            prometheus.render()
        };
        let response = chat::respond(request.method(), request.uri().path(), figures);
        ready(Ok::<_, Infallible>(response.map(Full::new)))
    });

    let listener = TcpListener::bind(options.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}; try --listen", options.listen))?;
    println!("the chat is at http://{}/ (Ctrl-C ends it)", listener.local_addr()?);
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve_with(listener, bayeux, page, ServeOptions::default(), shutdown).await?;
    Ok(())
}
