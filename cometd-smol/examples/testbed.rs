//! Hosts the testbed application on smol, with an executor of its own: a thread for each processor.

use std::error::Error;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::thread;

use async_signal::{Signal, Signals};
use clap::Parser;
use cometd_smol::{ServeOptions, serve, start_on};
use cometd_testkit::testbed::{self, Options};
use smol::net::TcpListener;
use smol::stream::StreamExt;
use smol::{Executor, Timer};
use tracing_subscriber::EnvFilter;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(&options.log)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let executor = Arc::new(Executor::new());
    let sleep = Arc::new(|duration| {
        Box::pin(async move {
            Timer::after(duration).await;
        }) as _
    });
    let bayeux = testbed::build(&options, sleep, |builder| start_on(&executor, builder))?;
    let mut signals = Signals::new([Signal::Term, Signal::Int])?;
    let shutdown = async move { drop(signals.next().await) };
    let listener = smol::block_on(TcpListener::bind(options.listen))?;
    println!("listening on http://{}{}", listener.local_addr()?, options.path);
    std::io::stdout().flush()?;
    let mut serve_options = ServeOptions::default();
    serve_options.path = options.path;
    // A task like all others. What is given to `run` is polled whenever its thread is woken.
    let server = executor.spawn(serve(listener, bayeux, serve_options, shutdown));

    let threads = thread::available_parallelism()?.get();
    let (ended, wait) = smol::channel::bounded::<()>(1);
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| smol::block_on(executor.run(wait.recv())));
        }
        let served = smol::block_on(executor.run(server));
        drop(ended);
        Ok(served?)
    })
}
