//! [`Builder`]: how a server is put together.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use std::sync::Mutex;

use super::drive::Driver;
use super::policy::{self, Policy};
use super::runtime::Runtime;
use super::state::State;
use super::{Bayeux, Shared};
use crate::codec::Decoder;
use crate::config::Config;
use crate::http::{HttpConfig, Mapper};
use crate::options::ConfigError;
use crate::server::{Command, Input, Rules, Server};

/// Makes a [`Bayeux`].
#[derive(Default)]
pub struct Builder {
    config: Config,
    http: HttpConfig,
    rules: Option<Rules>,
    policy: Option<Arc<dyn policy::AnyPolicy>>,
}

impl Builder {
    /// A server with the default options, which allows what Bayeux allows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the server's options.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the HTTP options.
    #[must_use]
    pub fn http(mut self, http: HttpConfig) -> Self {
        self.http = http;
        self
    }

    /// Sets the policy that is asked where the rules say so. Without rules it is asked about
    /// everything.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Sets static rules, which are decided without asking anybody.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = Some(rules);
        self
    }

    /// Makes the server on `runtime`, which from here on has a task of it: the one that sleeps until
    /// something is due, and ends when the last handle on the server is gone.
    ///
    /// # Errors
    ///
    /// When the options do not make sense.
    pub fn build(self, runtime: Arc<dyn Runtime>) -> Result<Bayeux, ConfigError> {
        let Self { config, http, rules, policy } = self;
        if config.relay {
            let reason = "needs a driver of its own: the front has no peers to relay to";
            return Err(ConfigError::Invalid { option: "relay", reason });
        }
        let mapper = Mapper::new(http, &config.allowed_transports)?;
        let decoder = Decoder::new(&config);
        let now = runtime.now();
        let mut server = Server::new(config.clone(), runtime.entropy(), now)?;
        let rules = rules.or_else(|| policy.is_some().then(Rules::ask));
        if let Some(rules) = rules {
            server.handle(now, Input::Command(Command::SetRules(rules.into())));
        }
        let mut state = State::new(server);
        state.policy = policy;
        let shared = Shared { state: Mutex::new(state), runtime, mapper, decoder, config };
        let shared = Arc::new(shared);
        shared.runtime.spawn(Box::pin(Driver::new(&shared)));
        Ok(Bayeux { shared })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}
