//! [`Plan`]: what a run does, and [`Scenario`]: the plans that have a name.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::stamp::Stamp;

/// The kinds of load that there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// One channel to which everybody is subscribed.
    Fanout,
    /// Many channels, each client subscribed to one of them.
    Rooms,
    /// The load that CometD's own benchmark has: rooms that overlap, subscribers that publish, bursts.
    Cometd,
    /// Publishes that nobody is subscribed to: what is delivered are their replies.
    Echo,
    /// Connects that are held, and nothing else.
    Hold,
    /// Sessions that come, connect once, and go: what is delivered are whole lives.
    Churn,
}

/// How clients are connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// One connection for each client.
    #[serde(rename = "websocket")]
    WebSocket,
    /// One connection with the held connect, and for who publishes another one, as browsers do it.
    LongPolling,
}

impl Transport {
    /// Its name in Bayeux.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::LongPolling => "long-polling",
        }
    }
}

/// How much is published.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Rate {
    /// So many deliveries per second, whatever the server does: a message's time counts from when it
    /// should have left, so that a server that stalls cannot hide it (coordinated omission).
    Paced(f64),
    /// As much as the server takes: the next message leaves when all but `window` messages were
    /// delivered. Latencies then say how long the queues were, and no more.
    Max,
}

/// What a run does.
///
/// [`Plan::new`] gives each scenario its usual numbers; all fields may be changed before the run.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// What kind of load it is.
    pub scenario: Scenario,
    /// Where the server is.
    pub address: SocketAddr,
    /// The value of the header `host`.
    pub host: String,
    /// Where on the server Bayeux is.
    pub path: String,
    /// How clients are connected.
    pub transport: Transport,
    /// The server's process, to read what it costs.
    pub pid: Option<u32>,
    /// Clients that subscribe; in a scenario without subscriptions, all of them.
    pub clients: usize,
    /// Channels.
    pub channels: u16,
    /// Different channels that each client is subscribed to, drawn at random if not all or one.
    pub subscriptions: u16,
    /// Clients beside the others that only publish; with 0 the others publish.
    pub publishers: usize,
    /// Bytes of each message's data, which is a string.
    pub payload: usize,
    /// Messages that leave at once, in one payload.
    pub batch: u32,
    /// How much is published.
    pub rate: Rate,
    /// Messages that may be on their way at [`Rate::Max`].
    pub window: u32,
    /// Whether clients ask for acknowledged messages.
    pub ack: bool,
    /// What channels' names begin with.
    pub prefix: String,
    /// How long things settle when all sessions are there, before memory is measured.
    pub settle: Duration,
    /// The load runs for so long before anything is measured.
    pub warmup: Duration,
    /// What is measured takes so long.
    pub duration: Duration,
    /// Who is in which room, and what is published where.
    pub seed: u64,
}

impl Plan {
    /// The scenario's usual numbers, against a server's address, at `/cometd`.
    pub fn new(scenario: Scenario, transport: Transport, address: SocketAddr) -> Self {
        let mut plan = Self {
            scenario,
            address,
            host: address.to_string(),
            path: "/cometd".to_owned(),
            transport,
            pid: None,
            clients: 1_000,
            channels: 1,
            subscriptions: 1,
            publishers: 1,
            payload: 128,
            batch: 1,
            rate: Rate::Paced(10_000.0),
            window: 256,
            ack: false,
            prefix: "/load".to_owned(),
            settle: Duration::from_secs(1),
            warmup: Duration::from_secs(2),
            duration: Duration::from_secs(10),
            seed: 1,
        };
        match scenario {
            Scenario::Fanout => {}
            Scenario::Rooms => plan.channels = 100,
            Scenario::Cometd => {
                plan.channels = 100;
                plan.subscriptions = 10;
                plan.publishers = 0;
                plan.payload = 50;
                plan.batch = 10;
                plan.rate = Rate::Paced(100_000.0);
            }
            Scenario::Echo | Scenario::Churn => {
                plan.clients = 100;
                plan.subscriptions = 0;
                plan.publishers = 0;
                plan.rate = Rate::Max;
            }
            Scenario::Hold => {
                plan.clients = 10_000;
                plan.subscriptions = 0;
                plan.publishers = 0;
            }
        }
        plan
    }

    /// What does not fit together in the plan.
    pub(super) fn mistake(&self) -> Option<String> {
        let subscribes = self.subscribes();
        let says = |wrong: bool, what: &str| wrong.then(|| what.to_owned());
        says(self.clients == 0, "there must be a client")
            .or_else(|| says(self.channels == 0, "there must be a channel"))
            .or_else(|| says(self.batch == 0, "a batch has at least one message"))
            .or_else(|| says(self.window < self.batch, "the window must hold a batch"))
            .or_else(|| says(self.duration.is_zero(), "the duration must not be 0"))
            .or_else(|| {
                let most = u32::MAX as usize / 4;
                says(self.clients.saturating_add(self.publishers) > most, "too many clients")
            })
            .or_else(|| {
                let wrong = subscribes && !(1..=self.channels).contains(&self.subscriptions);
                says(
                    wrong,
                    "a client subscribes to at least one channel, and to no more than there are",
                )
            })
            .or_else(|| {
                let wrong = self.payload < Stamp::LENGTH;
                wrong.then(|| format!("a payload has at least {} bytes", Stamp::LENGTH))
            })
            .or_else(|| match self.rate {
                Rate::Paced(rate) if !(rate > 0.0 && rate.is_finite()) => {
                    Some("the rate must be above 0".to_owned())
                }
                _ => None,
            })
    }

    /// Whether what is delivered are messages to subscribers.
    pub(super) fn subscribes(&self) -> bool {
        matches!(self.scenario, Scenario::Fanout | Scenario::Rooms | Scenario::Cometd)
    }

    /// How many clients there are in all.
    pub(super) fn sessions(&self) -> usize {
        self.clients + if self.subscribes() { self.publishers } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_plans_fit_and_mistakes_are_named() {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        use Scenario::*;
        for scenario in [Fanout, Rooms, Cometd, Echo, Hold, Churn] {
            let plan = Plan::new(scenario, Transport::WebSocket, address);
            assert_eq!(plan.mistake(), None, "{scenario:?}");
        }
        let plan = Plan::new(Fanout, Transport::WebSocket, address);
        let wrong = [
            Plan { clients: 0, ..plan.clone() },
            Plan { channels: 0, ..plan.clone() },
            Plan { subscriptions: 2, ..plan.clone() },
            Plan { subscriptions: 0, ..plan.clone() },
            Plan { payload: 10, ..plan.clone() },
            Plan { batch: 0, ..plan.clone() },
            Plan { batch: 1_000, ..plan.clone() },
            Plan { rate: Rate::Paced(0.0), ..plan.clone() },
            Plan { rate: Rate::Paced(f64::NAN), ..plan.clone() },
            Plan { duration: Duration::ZERO, ..plan },
        ];
        for plan in wrong {
            assert!(plan.mistake().is_some(), "{plan:?}");
        }
    }
}
