//! The chat on smol: a page at `/`, Bayeux at `/cometd`, figures for Prometheus at `/metrics`.
//!
//! What the chat does is in `cometd_testkit::chat`; here is what hosting it takes.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::io::IsTerminal;
use std::sync::Arc;

use async_signal::{Signal, Signals};
use clap::Parser;
use cometd_smol::bayeux_core::front::Metrics;
use cometd_smol::{Bayeux, ServeOptions, serve_with, start};
use cometd_testkit::chat::{self, Options};
use http::Request;
use http_body_util::Full;
use hyper::body::Incoming;
use metrics_exporter_prometheus::PrometheusBuilder;
use smol::net::TcpListener;
use smol::stream::StreamExt;
use tower::service_fn;
use tracing_subscriber::EnvFilter;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&options.log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    smol::block_on(run(options))
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
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
    let mut signals = Signals::new([Signal::Term, Signal::Int])?;
    let shutdown = async move { drop(signals.next().await) };
    serve_with(listener, bayeux, page, ServeOptions::default(), shutdown).await?;
    Ok(())
}
