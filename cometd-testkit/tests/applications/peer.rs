//! What the tests have in common: servers, local sessions, a session on either transport.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bayeux_core::front::{Bayeux, Call, ListenerId, LocalSession};
use bayeux_core::{Config, Message};
use cometd_testkit::sim::Sim;
use cometd_testkit::socket::Socket;
use cometd_testkit::wire::{Client, connect, publish};
use serde_json::{Value, json};

pub(crate) fn world() -> (Sim, Bayeux) {
    world_with(|_| ())
}

pub(crate) fn world_with(change: impl FnOnce(&mut Config)) -> (Sim, Bayeux) {
    let sim = Sim::new(13);
    let mut config = Config::default();
    change(&mut config);
    let bayeux = sim.start(Bayeux::builder().config(config)).unwrap();
    (sim, bayeux)
}

pub(crate) fn local(sim: &Sim, bayeux: &Bayeux) -> LocalSession {
    let bayeux = bayeux.clone();
    sim.block_on(async move { bayeux.local_session().await }).unwrap()
}

/// What was seen, in order.
pub(crate) type Log = Arc<Mutex<Vec<Value>>>;

/// A handler that notes channels and data.
pub(crate) fn noting(
    log: &Log,
) -> impl Fn(Arc<Message>) -> std::future::Ready<()> + Send + Sync + 'static {
    let log = Arc::clone(log);
    move |message| {
        let note = json!([message.channel().as_str(), message.data().read::<Value>().unwrap()]);
        log.lock().unwrap().push(note);
        std::future::ready(())
    }
}

/// A value whose end asks the server something: under its lock this would not come back.
pub(crate) struct CallsBack(pub(crate) Bayeux);

impl Drop for CallsBack {
    fn drop(&mut self) {
        let _ = self.0.stats();
    }
}

/// A session on either transport.
pub(crate) struct Peer {
    pub(crate) line: Line,
    pub(crate) id: String,
}

pub(crate) enum Line {
    Polling(Client),
    Socket(Socket),
}

impl Peer {
    pub(crate) fn polling(sim: &Sim, bayeux: &Bayeux) -> Self {
        let client = Client::new(sim, bayeux);
        let id = client.open();
        Self { line: Line::Polling(client), id }
    }

    pub(crate) fn socket(sim: &Sim, bayeux: &Bayeux) -> Self {
        let socket = Client::new(sim, bayeux).socket();
        let id = socket.handshake();
        socket.ask(&json!([connect(&id)]));
        Self { line: Line::Socket(socket), id }
    }

    /// One of each kind, at the same time.
    pub(crate) fn both(sim: &Sim, bayeux: &Bayeux) -> [Self; 2] {
        [Self::polling(sim, bayeux), Self::socket(sim, bayeux)]
    }

    /// One of each kind, the second when the first is gone.
    pub(crate) fn each(sim: &Sim, bayeux: &Bayeux) -> impl Iterator<Item = Self> {
        [Self::polling, Self::socket].into_iter().map(|open| open(sim, bayeux))
    }

    /// Sends messages; all that comes back at once.
    pub(crate) fn send(&self, messages: &Value) -> Vec<Value> {
        match &self.line {
            Line::Polling(client) => {
                let mut request = client.post(messages);
                request.take().expect("nothing waits for a call").messages()
            }
            Line::Socket(socket) => {
                socket.send(messages);
                socket.receive_all().concat()
            }
        }
    }

    /// Calls, and sees that the publish is acknowledged at once; the answer if it came with that.
    pub(crate) fn call(&self, number: u32, target: &str, data: impl Into<Value>) -> Option<Value> {
        let id = number.to_string();
        let channel = format!("/service/{target}");
        let mut message = publish(&self.id, &channel, data);
        message["id"] = json!(id);
        let mut came = self.send(&json!([message]));
        let reply = json!({ "id": id, "channel": channel, "successful": true });
        let at = came.iter().position(|it| *it == reply);
        came.remove(at.unwrap_or_else(|| panic!("no reply in {came:?}")));
        assert!(came.len() <= 1, "{came:?}");
        came.pop()
    }

    /// The answers that have come meanwhile.
    pub(crate) fn answers(&self) -> Vec<Value> {
        let came = match &self.line {
            Line::Polling(client) => {
                let mut connect = connect(&self.id);
                connect["advice"] = json!({ "timeout": 0 });
                client.send(&json!([connect])).messages()
            }
            Line::Socket(socket) => socket.receive_all().concat(),
        };
        came.into_iter().filter(|it| it.get("data").is_some()).collect()
    }
}

pub(crate) fn answer(number: u32, target: &str, successful: bool, data: impl Into<Value>) -> Value {
    json!({
        "id": number.to_string(),
        "channel": format!("/service/{target}"),
        "successful": successful,
        "data": data.into(),
    })
}

pub(crate) fn failure(number: u32, target: &str, message: &str) -> Value {
    answer(number, target, false, json!({ "message": message }))
}

/// Answers after as many seconds as it is asked to.
pub(crate) fn install_sleep(sim: &Sim, bayeux: &Bayeux, target: &str) -> ListenerId {
    let sim = sim.clone();
    let called = bayeux.remote_call(target, move |call: Call<u64>| {
        let sleep = sim.sleep(Duration::from_secs(call.data));
        async move {
            sleep.await;
            Ok::<_, ()>(format!("slept {} s", call.data))
        }
    });
    called.unwrap()
}
