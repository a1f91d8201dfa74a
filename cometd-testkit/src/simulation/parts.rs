//! The parts of a run: what begins when, and what must have come until then.

use std::time::Duration;

use super::action::{Action, Deed, Work};
use super::application;
use super::host::{Gauges, Up, Violation, Wish};
use super::record::{Source, matches};
use super::world::{Due, Part, World};

/// How often it is looked whether all is well.
const LOOK: Duration = Duration::from_millis(700);

/// The time between the messages of the probe.
const PROBE: Duration = Duration::from_millis(1_500);

impl World {
    /// The longest time after which, without faults, a client has got over whatever happened to it.
    pub(super) fn patience(&self) -> Duration {
        let config = &self.config;
        let steps = self.steps.iter().map(|(_, action)| match action {
            Action::App(Work::Timeout(_, millis)) => Duration::from_millis(*millis),
            _ => Duration::ZERO,
        });
        let timeout = steps.max().unwrap_or_default().max(config.timeout);
        let interval = config.interval.max(config.multi_session_interval);
        2 * (timeout + interval + config.max_interval + config.question_timeout)
            + Duration::from_secs(30)
    }

    pub(super) fn begin(&mut self, part: Part) -> Result<(), Violation> {
        self.part = part;
        match part {
            Part::Storm => {}
            Part::Calm => {
                self.trace.note(self.now, "==== Calm");
                for wish in std::mem::take(&mut self.undo).into_iter().rev() {
                    self.up(Up::Wish(wish));
                }
                self.deadline = self.now + self.patience();
                let next = if self.draining { Part::Leave } else { Part::Probe };
                self.after(self.unless_real(LOOK), Due::Part(next));
            }
            Part::Probe => {
                if self.waits_for(Part::Calm, self.check_well())? {
                    return Ok(());
                }
                self.after(Duration::from_millis(1), Due::Probe(0));
            }
            Part::Settled => {
                if self.waits_for(Part::Probe, self.check_owed())? {
                    return Ok(());
                }
                self.after(Duration::from_millis(1), Due::Part(Part::Leave));
            }
            Part::Leave => self.leave(),
            Part::Over => {}
        }
        Ok(())
    }

    /// A time that costs nothing if it is virtual.
    fn unless_real(&self, time: Duration) -> Duration {
        if self.is_real { time / 7 } else { time }
    }

    /// Whether the run stays in an earlier part, since something is not yet as it must become.
    fn waits_for(&mut self, part: Part, checked: Result<(), Violation>) -> Result<bool, Violation> {
        let next = self.part;
        if checked.is_ok() || self.now >= self.deadline {
            self.trace.note(self.now, format_args!("==== {next:?}"));
            return checked.map(|()| false);
        }
        self.part = part;
        self.after(self.unless_real(LOOK), Due::Part(next));
        Ok(true)
    }

    /// What the host has seen of what must be by now; it is asked again until the time is over.
    ///
    /// # Errors
    ///
    /// What has not come, when there was time enough.
    pub fn settled(&mut self, checked: Result<(), Violation>) -> Result<bool, Violation> {
        if checked.is_ok() {
            return Ok(true);
        }
        self.waits_for(Part::Probe, checked).map(|waits| !waits)
    }

    /// All clients that are there have a session by now.
    fn check_well(&self) -> Result<(), Violation> {
        let stuck = self.clients.values().filter(|client| client.is_here());
        let stuck: Vec<_> = stuck.filter_map(|client| client.stuck(self.heal)).collect();
        if stuck.is_empty() {
            return Ok(());
        }
        Err(Violation::new("convergence", stuck.join("; ")))
    }

    /// Publishes for one of the channels that clients subscribe to; behind the last one, looks
    /// whether everything has been received.
    pub(super) fn probe(&mut self, number: usize) {
        let wanted = |channel: &&String| {
            let clients = self.clients.values().filter(|client| client.is_here());
            let mut patterns = clients.flat_map(|client| &client.subscribed);
            patterns.any(|pattern| matches(pattern, channel))
        };
        let usual = self.universe.usual;
        let channels = self.universe.channels.iter();
        let channels = channels.filter(|it| !usual || !application::is_denied(it));
        let mut channels = channels.filter(|it| !it.starts_with("/service/")).filter(wanted);
        let channel = channels.nth(number).cloned();
        if let Some(channel) = channel {
            if usual {
                let published = self.record.publish(&channel, Source::Application, self.now);
                self.up(Up::Wish(Wish::Publish { channel, number: published }));
            } else {
                self.probe_as_client(channel);
            }
            self.after(self.unless_real(PROBE), Due::Probe(number + 1));
        } else {
            self.deadline = self.now + self.patience();
            self.after(self.unless_real(LOOK), Due::Part(Part::Settled));
        }
    }

    /// Nothing is published in the name of an application that is not ours.
    fn probe_as_client(&mut self, channel: String) {
        let mut here = self.clients.values().filter(|client| client.is_here());
        if let Some(client) = here.find(|client| client.session.is_some()) {
            let (number, key) = (client.number, format!("probe {channel}"));
            self.deed(number, Deed::Publish(channel, 1), key);
        }
    }

    /// What had to be received was.
    fn check_owed(&self) -> Result<(), Violation> {
        let here = self.clients.values().filter(|client| client.is_here());
        let mut sessions = here.filter_map(|client| client.session.as_ref());
        sessions.try_for_each(|session| self.record.check_owed(session))?;
        self.record.check_own()
    }

    /// All clients go.
    fn leave(&mut self) {
        let clients: Vec<_> = self.clients.keys().copied().collect();
        for client in clients {
            let silently = self.seed.about(format_args!("c{client} leaves")).per_mille(500);
            self.vanish(client, silently);
        }
        let idle = self.config.ws_idle_timeout + self.config.ws_ping_interval;
        let rest = 2 * self.patience() + 2 * idle + Duration::from_secs(400);
        self.after(rest, Due::Part(Part::Over));
    }

    /// Compares what the server holds in the end with what it held in the beginning.
    ///
    /// # Errors
    ///
    /// When something is left.
    pub fn check_gone(&self, before: Gauges, after: Gauges) -> Result<(), Violation> {
        if before == after {
            return Ok(());
        }
        let what = format!("before anybody came {before:?}, after everybody left {after:?}");
        Err(Violation::new("no-leak", what))
    }
}
