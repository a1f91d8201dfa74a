//! The chat on tokio and hyper: a page at `/`, Bayeux at `/cometd`, figures for Prometheus at
//! `/metrics`.
//!
//! What the chat does is in `cometd_testkit::chat`; here is what hosting it takes.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, ready};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::Parser;
use cometd_hyper::bayeux_core::Config;
use cometd_hyper::bayeux_core::front::Metrics;
use cometd_hyper::{Bayeux, ServeOptions, serve_with, start};
use cometd_testkit::chat::{self, SECURITY_POLICY};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tower_service::Service;
use tracing_subscriber::EnvFilter;

/// A chat server with its web page
#[derive(Parser)]
struct Options {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// How long a /meta/connect is held, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    timeout: u64,
    /// Time without a connect after which a session expires, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    max_interval: u64,
    /// Connects of one browser that are held at the same time; further tabs poll. Browsers open six
    /// connections to a server, and the page needs one to send with
    #[arg(long, value_name = "N", default_value_t = 4)]
    max_sessions_per_browser: u32,
    /// Tracing filter for standard error
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&options.log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();

    let mut config = Config::default();
    config.timeout = Duration::from_millis(options.timeout);
    config.max_interval = Duration::from_millis(options.max_interval);
    config.max_sessions_per_browser = Some(options.max_sessions_per_browser);
    let clock = || {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX)
    };
    let bayeux = chat::build(Bayeux::builder().config(config), Arc::new(clock), start)?;

    let figures = Figures {
        prometheus: PrometheusBuilder::new().install_recorder()?,
        metrics: Metrics::new(bayeux.clone()),
    };

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
    let page = Page { figures: Arc::new(figures) };
    serve_with(listener, bayeux, page, ServeOptions::default(), shutdown).await?;
    Ok(())
}

/// What a dashboard needs.
struct Figures {
    metrics: Metrics,
    prometheus: PrometheusHandle,
}

impl Figures {
    fn render(&self) -> String {
        self.metrics.update();
        self.prometheus.render()
    }
}

/// Serves the page's files, and the figures to everybody: where the chat is not for friends only,
/// these belong on an address that only Prometheus can reach.
#[derive(Clone)]
struct Page {
    figures: Arc<Figures>,
}

impl<B> Service<Request<B>> for Page {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (path, response) = (request.uri().path(), Response::builder());
        let response = match chat::asset(path) {
            None if path == "/metrics"
                && !matches!(*request.method(), Method::GET | Method::HEAD) =>
            {
                response
                    .status(StatusCode::METHOD_NOT_ALLOWED)
                    .header(header::ALLOW, "GET, HEAD")
                    .body(Full::default())
            }
            None if path == "/metrics" => response
                .header(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")
                .header(header::CACHE_CONTROL, "no-store")
                .body(Full::from(self.figures.render())),
            Some(asset) => response
                .header(header::CONTENT_TYPE, asset.content_type)
                .header(header::CONTENT_SECURITY_POLICY, SECURITY_POLICY)
                .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
                .header(header::CACHE_CONTROL, "no-cache")
                .body(Full::from(asset.content)),
            None => response.status(StatusCode::NOT_FOUND).body(Full::default()),
        };
        ready(Ok(response.unwrap_or_default()))
    }
}
