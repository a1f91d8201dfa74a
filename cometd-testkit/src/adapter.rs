//! [`Adapter`]: a runtime with a server on it, as the tests of adapters need it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use bayeux_core::ConfigError;
use bayeux_core::adapter::ServeOptions;
use bayeux_core::front::{Bayeux, Builder, Task};

/// What serving came to, when it has ended.
pub type Ended = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// An adapter, for its tests: a runtime, and how the server is hosted on it.
///
/// Its methods are called from threads that are none of the runtime's and may be blocked.
pub trait Adapter {
    /// Makes a server on the runtime.
    ///
    /// # Errors
    ///
    /// When the options make no sense.
    fn start(&self, builder: Builder) -> Result<Bayeux, ConfigError>;

    /// Serves on a port of its choice, until `shutdown` is ready or the adapter is dropped: where,
    /// and what comes of it. It goes on without anybody waiting for that.
    ///
    /// # Errors
    ///
    /// When it cannot.
    fn serve(
        &self,
        bayeux: Bayeux,
        options: ServeOptions,
        shutdown: Task,
    ) -> io::Result<(SocketAddr, Ended)>;

    /// How many tasks the runtime has, if it can tell: none may be left when everybody is gone.
    fn tasks(&self) -> Option<usize> {
        None
    }
}
