//! The adapter, as the conformance suite takes it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use cometd_smol::bayeux_core::ConfigError;
use cometd_smol::bayeux_core::front::{Builder, Task};
use cometd_smol::{Bayeux, ServeOptions, serve, start_with};
use cometd_testkit::adapter::{Adapter, Ended};
use smol::Executor;
use smol::channel::Sender;
use smol::net::TcpListener;

/// An executor with two threads; what it has left to do is dropped with it.
pub(crate) struct Smol {
    executor: Option<Arc<Executor<'static>>>,
    tasks: Tasks,
    stop: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Smol {
    pub(crate) fn new() -> Self {
        let executor = Arc::new(Executor::new());
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let run = || {
            let (executor, stopped) = (Arc::clone(&executor), stopped.clone());
            thread::spawn(move || {
                let _ = smol::block_on(executor.run(stopped.recv()));
            })
        };
        let threads = vec![run(), run()];
        let tasks = Tasks { executor: Arc::downgrade(&executor), alive: Arc::default() };
        Self { executor: Some(executor), tasks, stop: Some(stop), threads }
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        self.stop = None;
        for thread in self.threads.drain(..) {
            // If it panicked, a test has failed already.
            let _ = thread.join();
        }
        self.executor = None;
    }
}

impl Adapter for Smol {
    fn start(&self, builder: Builder) -> Result<Bayeux, ConfigError> {
        let tasks = self.tasks.clone();
        start_with(move |task| tasks.spawn(task), builder)
    }

    fn serve(
        &self,
        bayeux: Bayeux,
        options: ServeOptions,
        shutdown: Task,
    ) -> io::Result<(SocketAddr, Ended)> {
        let listener = smol::block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let (tell, told) = smol::channel::bounded(1);
        self.tasks.spawn(Box::pin(async move {
            let _ = tell.send(serve(listener, bayeux, options, shutdown).await).await;
        }));
        Ok((address, Box::pin(async move { told.recv().await.map_err(io::Error::other)? })))
    }

    fn tasks(&self) -> Option<usize> {
        Some(self.tasks.alive.load(Ordering::SeqCst))
    }
}

#[derive(Clone)]
struct Tasks {
    executor: Weak<Executor<'static>>,
    alive: Arc<AtomicUsize>,
}

/// Counts a task for as long as it is there.
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Tasks {
    fn spawn(&self, task: Task) {
        let Some(executor) = self.executor.upgrade() else { return };
        self.alive.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(Arc::clone(&self.alive));
        let counted = async move {
            let _alive = alive;
            task.await;
        };
        executor.spawn(counted).detach();
    }
}
