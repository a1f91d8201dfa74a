//! The adapter, as the conformance suite takes it.

use std::io;
use std::net::SocketAddr;

use cometd_hyper::bayeux_core::ConfigError;
use cometd_hyper::bayeux_core::front::{Builder, Task};
use cometd_hyper::{Bayeux, ServeOptions, serve, start};
use cometd_testkit::adapter::{Adapter, Ended};
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};

pub(crate) struct Hyper {
    runtime: Runtime,
}

impl Hyper {
    pub(crate) fn new() -> Self {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self { runtime: runtime.unwrap() }
    }
}

impl Adapter for Hyper {
    fn start(&self, builder: Builder) -> Result<Bayeux, ConfigError> {
        let _inside = self.runtime.enter();
        start(builder)
    }

    fn serve(
        &self,
        bayeux: Bayeux,
        options: ServeOptions,
        shutdown: Task,
    ) -> io::Result<(SocketAddr, Ended)> {
        let listener = self.runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let ended = self.runtime.spawn(serve(listener, bayeux, options, shutdown));
        Ok((address, Box::pin(async move { ended.await? })))
    }

    fn tasks(&self) -> Option<usize> {
        Some(self.runtime.metrics().num_alive_tasks())
    }
}
