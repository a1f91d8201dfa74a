//! Drives cometd-client; see remote.mjs for what it reads and writes. `subscribe` takes several
//! channels, too.

use std::collections::HashMap;
use std::io::stdin;
use std::sync::Arc;
use std::time::Duration;

use cometd_client::types::{CometdClientEvent, CometdError, CometdEventReceiver, CometdResult};
use cometd_client::{CometdClient, CometdClientBuilder};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

/// Until another client is made.
const PAUSE: Duration = Duration::from_millis(100);

fn say(line: &Value) {
    println!("{line}");
}

/// One client after another, as an application has them: each gives up with its first error.
struct Session {
    number: u64,
    url: String,
    /// What to subscribe to; it ends when the session shall.
    wishes: UnboundedReceiver<Vec<String>>,
    /// What the next client has to subscribe to again.
    channels: Vec<String>,
}

impl Session {
    async fn run(mut self) -> CometdResult<()> {
        while !self.wishes.is_closed() {
            let client = CometdClientBuilder::new(&self.url.parse()?).build()?;
            let mut events = client.rx();
            if !self.channels.is_empty() {
                client.subscribe(&self.channels).await;
            }
            let error = self.hear(&client, &mut events).await;
            // Nobody has the client any more: it sends its disconnect, and then there are no more
            // events.
            drop(client);
            while events.recv().await.is_some() {}
            match error {
                Some(error) if is_final(&error) => {
                    say(&json!({ "client": self.number, "over": error.to_string() }));
                    break;
                }
                Some(_) => tokio::time::sleep(PAUSE).await,
                None => break,
            }
        }
        Ok(())
    }

    /// Tells what the client hears; its error if it gives up before it shall.
    async fn hear(
        &mut self,
        client: &CometdClient<Value>,
        events: &mut CometdEventReceiver<Value>,
    ) -> Option<Arc<CometdError>> {
        loop {
            tokio::select! {
                wish = self.wishes.recv() => {
                    let channels = wish?;
                    client.subscribe(&channels).await;
                    self.channels.extend(channels);
                }
                event = events.recv() => match event? {
                    CometdClientEvent::Message(messages) => {
                        for message in &*messages {
                            let (channel, data) = (&message.channel, &message.message);
                            say(&json!({
                                "client": self.number, "channel": channel, "data": data,
                            }));
                        }
                    }
                    CometdClientEvent::Error(error) => return Some(error),
                },
            }
        }
    }
}

/// Whether the server has denied something, which it would deny another client as well. That it
/// does not know a session is final for the client where no advice comes along: with subscribe.
fn is_final(error: &CometdError) -> bool {
    matches!(error, CometdError::WrongResponse(_, _, said) if !said.starts_with("402:"))
}

type Running = JoinHandle<CometdResult<()>>;

#[derive(Default)]
struct Program {
    sessions: HashMap<u64, (UnboundedSender<Vec<String>>, Running)>,
}

impl Program {
    /// Does what it is told; what is still to be waited for, if anything.
    fn perform(&mut self, request: &Value) -> Result<Option<Running>, String> {
        let number = request["client"].as_u64().ok_or("whose?")?;
        match request["do"].as_str() {
            Some("open") => {
                let (wish, wishes) = mpsc::unbounded_channel();
                let url = request["url"].as_str().ok_or("where?")?;
                // Without the slash the names of requests would replace the last part of the path.
                let url = format!("{url}/");
                let session = Session { number, url, wishes, channels: Vec::new() };
                self.sessions.insert(number, (wish, tokio::spawn(session.run())));
                Ok(None)
            }
            Some("subscribe") => {
                let channels = match &request["channel"] {
                    Value::Array(channels) => channels.iter().collect(),
                    channel => vec![channel],
                };
                let names = channels.into_iter().filter_map(Value::as_str).map(str::to_owned);
                let (wish, _) = self.sessions.get(&number).ok_or("there is no such client")?;
                wish.send(names.collect()).map_err(|_| "it has given up")?;
                Ok(None)
            }
            Some("close") => Ok(self.sessions.remove(&number).map(|(_, running)| running)),
            _ => Err("it cannot do that".to_owned()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (line, mut lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for read in stdin().lines().map_while(Result::ok) {
            if line.send(read).is_err() {
                break;
            }
        }
    });
    let mut program = Program::default();
    while let Some(line) = lines.recv().await {
        let request: Value = serde_json::from_str(&line)?;
        let waiting = program.perform(&request);
        // The end of one client does not keep others waiting.
        tokio::spawn(async move {
            let result = match waiting {
                Ok(None) => Ok(()),
                Ok(Some(running)) => match running.await {
                    Ok(ended) => ended.map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                },
                Err(error) => Err(error),
            };
            let call = &request["call"];
            say(&match result {
                Ok(()) => json!({ "call": call, "result": null }),
                Err(error) => json!({ "call": call, "error": error }),
            });
        });
    }
    Ok(())
}
