//! What the machine puts out: into the books, and on its way. Part of [`Machine`].

use std::collections::VecDeque;

use bayeux_core::{Encoding, Event, Output, Refusal, WallTime, encode};

use super::host::{Down, Violation};
use super::ledger;
use super::machine::{Machine, removal};

impl Machine {
    /// Does what the machine wants, until it wants nothing more.
    pub(super) fn drain(&mut self) -> Result<(), Violation> {
        self.polls_at = None;
        // What goes in because of an output waits until everything is out that was caused before.
        let mut later = VecDeque::new();
        loop {
            let outputs: Vec<_> = std::iter::from_fn(|| self.server.poll_output()).collect();
            // An event joins an answer that stands in front of it when the answer is taken.
            for output in &outputs {
                match output {
                    Output::Tell(event) => {
                        self.note(event);
                        self.ledger.tells(event, self.since, self.now)?;
                    }
                    Output::Relay(message) => self.ledger.relays(message, self.now),
                    _ => {}
                }
            }
            for output in outputs {
                match output {
                    Output::Ask(_) | Output::Resume { .. } => later.push_back(output),
                    _ => self.output(output)?,
                }
            }
            let Some(output) = later.pop_front() else { break };
            self.output(output)?;
        }
        self.ledger.check(&self.server, self.now)?;
        if self.inputs % 8 == 0 {
            self.ledger.check_subscriptions(&self.server)?;
        }
        Ok(())
    }

    fn note(&mut self, event: &Event) {
        let note = match event {
            Event::SessionAdded { link, .. } => format!("session added, link {}", link.0),
            Event::SessionRemoved { reason, .. } => format!("session removed, {reason:?}"),
            Event::Suspended { link, timeout, .. } => format!("link {} held {timeout:?}", link.0),
            Event::Resumed { link, cause, .. } => format!("link {} resumed, {cause:?}", link.0),
            Event::Subscribed { channel, .. } => format!("subscribed {channel}"),
            Event::Unsubscribed { channel, .. } => format!("unsubscribed {channel}"),
            Event::EventsDropped { count, .. } => format!("{count} events dropped"),
            _ => return,
        };
        self.notes.push(note);
    }

    fn output(&mut self, output: Output) -> Result<(), Violation> {
        match output {
            Output::Send { link, parcel } => {
                let numbers: Vec<_> =
                    parcel.events.iter().filter_map(|it| ledger::number(it)).collect();
                self.notes.push(format!("link {} answered {numbers:?}", link.0));
                self.ledger.sends(link, &parcel, self.since, self.now)?;
                let mut text = Vec::new();
                let offered = &self.config.allowed_transports;
                let wall = WallTime::from_millis(self.now.as_micros() / 1_000);
                encode(&parcel, Encoding { offered, wall }, &mut text);
                let body = String::from_utf8_lossy(&text).into_owned();
                let Some(open) = self.links.get_mut(&link) else {
                    return Err(Violation::new("one-answer", format!("{link:?} is not open")));
                };
                open.sent = true;
                self.downs.push_back(if open.is_socket {
                    Down::Text { link, text: body }
                } else {
                    let cookie = parcel.browser.map(|it| it.to_string());
                    Down::Response { link, status: 200, cookie, body }
                });
            }
            Output::Refuse { link, refusal } => {
                // It may have been closed since.
                let Some(open) = self.links.remove(&link) else { return Ok(()) };
                self.ledger.gives_up(link, refusal, (self.since, self.now))?;
                self.ledger.refuses(link, refusal, self.now)?;
                let mut sessions = self.server.sessions();
                if refusal == Refusal::Moved && sessions.any(|it| it.socket() == Some(link)) {
                    let what = format!("{link:?} is closed, and a session is on it");
                    return Err(Violation::new("steady", what));
                }
                self.downs.push_back(if open.is_socket {
                    let code = match refusal {
                        Refusal::Idle | Refusal::Draining => 1001,
                        Refusal::Moved => 1000,
                        _ => 1002,
                    };
                    Down::Closed { link, code }
                } else {
                    let status = if refusal == Refusal::Superseded { 500 } else { 400 };
                    let (cookie, body) = (None, refusal.what().to_owned());
                    Down::Response { link, status, cookie, body }
                });
            }
            Output::Resume { link } => {
                let Some(open) = self.links.get_mut(&link) else { return Ok(()) };
                self.ledger.resumes(link);
                if !std::mem::take(&mut open.busy) {
                    let what = format!("{link:?} gave no payload");
                    return Err(Violation::new("progress", what));
                }
                if let Some(payload) = open.waiting.pop_front() {
                    open.busy = true;
                    self.receive(link, payload);
                }
            }
            Output::Ping { link } => {
                self.ledger.pings(link);
                self.downs.push_back(Down::Ping { link });
            }
            Output::Ask(question) => self.ask(question)?,
            Output::Withdraw(question) => self.settled(question)?,
            Output::Forget { session } => self.ledger.forgets(session, self.now)?,
            Output::Tell(Event::SessionRemoved { session, reason }) => {
                let (session, reason) = (session.to_string(), removal(reason));
                self.downs.push_back(Down::Removed { session, reason });
            }
            Output::Tell(Event::EventsDropped { session, count }) => {
                self.downs.push_back(Down::Dropped { session: session.to_string(), count });
            }
            Output::Tell(Event::Published { receipt, published }) => {
                self.downs.push_back(Down::Published { number: receipt.0, done: published });
            }
            Output::Tell(_) | Output::Relay(_) => {}
        }
        Ok(())
    }
}
