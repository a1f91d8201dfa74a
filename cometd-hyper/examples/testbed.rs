//! Hosts the testbed application on tokio and hyper.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use clap::Parser;
use cometd_hyper::{ServeOptions, serve, start};
use cometd_testkit::testbed::{self, Options};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&options.log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let sleep = Arc::new(|duration| Box::pin(tokio::time::sleep(duration)) as _);
    let bayeux = testbed::build(&options, sleep, start)?;
    let listener = TcpListener::bind(options.listen).await?;
    let mut serve_options = ServeOptions::default();
    serve_options.path.clone_from(&options.path);
    println!("listening on http://{}{}", listener.local_addr()?, options.path);
    std::io::stdout().flush()?;
    serve(listener, bayeux, serve_options, shutdown).await?;
    Ok(())
}
