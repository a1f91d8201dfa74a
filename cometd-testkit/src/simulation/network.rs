//! The network: what it does to requests, responses and sockets on their way.
//!
//! What one socket carries stays in order; everything else may overtake. A response is *taken* when
//! the server's side of the connection has swallowed it, and only then is it on its way to the
//! client, which may still never see it.

use std::time::Duration;

use bayeux_core::{LinkId, Time};
use serde_json::Value;

use super::host::Violation;
use super::host::{Down, Request, Up};
use super::line::Line;
use super::script::Fault;
use super::seed::Draw;
use super::world::{Due, World};

impl World {
    fn open_line(&mut self, client: usize, key: String, is_socket: bool) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        let line = Line {
            client,
            opened: self.now,
            key,
            is_socket,
            session: self.clients.get(&client).and_then(|client| client.session.clone()),
            expected: None,
            is_twin: false,
            server_open: false,
            client_open: true,
            dead: false,
            told_gone: false,
            last_up: self.now,
            last_down: self.now,
            last_taken: self.now,
            texts: 0,
            taken: 0,
            piece: (0, self.now),
            breaks: None,
        };
        self.lines.insert(link, line);
        link
    }

    fn delay(&self, draw: Draw) -> Duration {
        draw.up_to_millis(self.rate(Fault::Delay))
    }

    /// Whether a fault happens to something. That it does is noted.
    fn strikes(&mut self, fault: Fault, draw: Draw) -> bool {
        let strikes = draw.then(fault as u64 + 10).per_mille(self.rate(fault));
        if strikes {
            self.coverage.hit(fault.name());
        }
        strikes
    }

    /// Sends a request; its link. `numbers` are those of the messages that it publishes.
    pub(super) fn post(
        &mut self,
        client: usize,
        key: String,
        expected: Option<Vec<String>>,
        request: Request,
        numbers: &[u64],
    ) -> (LinkId, bool) {
        let draw = self.seed.about(&key);
        let link = self.open_line(client, key.clone(), false);
        let arrival = self.now + self.delay(draw.then(1));
        if let Some(line) = self.lines.get_mut(&link) {
            line.expected = expected;
            line.last_up = arrival;
        }
        if self.strikes(Fault::LoseRequest, draw) {
            self.trace.note(self.now, format_args!("net c{client} request is lost"));
            if draw.then(2).per_mille(500) {
                self.at(arrival, Due::Noticed(link));
            }
            return (link, false);
        }
        let twice = self.strikes(Fault::Duplicate, draw);
        if twice {
            let twin = self.open_line(client, format!("{key} twin"), false);
            let at = self.now + self.delay(draw.then(3)) + draw.then(4).up_to_millis(300);
            if let Some(line) = self.lines.get_mut(&twin) {
                (line.is_twin, line.client_open, line.last_up) = (true, false, at);
            }
            self.at(at, Due::Up(Up::Request { link: twin, request: request.clone() }));
            let end = at + Duration::from_secs(1) + draw.then(5).up_to_millis(4_000);
            self.at(end, Due::Up(Up::Gone { link: twin }));
            numbers.iter().for_each(|number| self.record.copy(*number));
        }
        self.at(arrival, Due::Up(Up::Request { link, request }));
        if self.strikes(Fault::Cut, draw) {
            let at = arrival + draw.then(6).up_to_millis(500);
            self.at(at, Due::Up(Up::Gone { link }));
            self.at(at, Due::Noticed(link));
        }
        (link, twice)
    }

    /// Opens a socket.
    pub(super) fn dial(&mut self, client: usize, key: String, cookie: Option<String>) -> LinkId {
        let draw = self.seed.about(&key);
        let link = self.open_line(client, key, true);
        let arrival = self.now + self.delay(draw);
        if let Some(line) = self.lines.get_mut(&link) {
            line.last_up = arrival;
        }
        self.at(arrival, Due::Up(Up::Dial { link, cookie }));
        link
    }

    /// Sends something on a socket, behind what was sent before.
    pub(super) fn push(&mut self, link: LinkId, key: &str, up: Up) {
        let delay = self.delay(self.seed.about(key));
        let Some(line) = self.lines.get_mut(&link).filter(|line| !line.dead) else { return };
        line.last_up = line.last_up.max(self.now + delay);
        let at = line.last_up;
        self.at(at, Due::Up(up));
    }

    /// Whether what was sent arrives: if its connection has died meanwhile, it may.
    fn gets_through(&self, line: &Line) -> bool {
        !line.dead || self.seed.about(&line.key).then(8).per_mille(500)
    }

    /// Something has come through the network.
    pub(super) fn arrive(&mut self, up: Up) {
        let (link, ends) = match &up {
            Up::Request { link, .. } | Up::Dial { link, .. } => {
                let arrives = self.lines.get(link).is_some_and(|line| self.gets_through(line));
                let Some(line) = self.lines.get_mut(link).filter(|_| arrives) else { return };
                line.server_open = true;
                return self.up(up);
            }
            Up::Taken { link } => (*link, false),
            Up::Gone { link } => (*link, true),
            Up::Text { link, .. } | Up::Pong { link } => {
                let open = |line: &Line| line.server_open && self.gets_through(line);
                if self.lines.get(link).is_some_and(open) {
                    self.up(up);
                }
                return;
            }
            Up::Received { .. } | Up::Wish(_) | Up::Jump(_) => return self.up(up),
        };
        let Some(line) = self.lines.get_mut(&link).filter(|line| line.server_open) else { return };
        if ends {
            (line.server_open, line.told_gone) = (false, true);
            line.breaks = None;
            let unknown = self.is_real && line.is_socket;
            if unknown || (self.pieces && line.is_torn(self.now)) {
                // The rest may be more than was sent: the server may wait for room.
                self.record.may_lose(line.client);
            }
        } else {
            line.taken += 1;
            line.piece.1 = self.now;
            line.server_open = line.is_socket;
        }
        self.up(up);
    }

    /// The server hears now, or never, that the network has taken what it sent.
    fn take_now(&mut self, link: LinkId) {
        self.arrive(Up::Taken { link });
    }

    pub(super) fn carry_down(&mut self, down: Down) -> Result<(), Violation> {
        match down {
            Down::Removed { session, reason } => {
                self.coverage.hit_removal(reason);
                self.record.removed(&session, reason);
            }
            Down::Published { number, done } => {
                let answered = self.record.answered(number, done, self.now);
                self.blame(answered);
            }
            Down::Subscribed { session, pattern } => {
                let begun = self.record.begin_own(&session, &pattern, self.now);
                self.blame(begun);
            }
            Down::Heard { session, number, channel } => {
                self.coverage.hit("events received inside");
                let received = self.record.receive(&session, &[(number, channel)]);
                self.blame(received);
            }
            Down::Dropped { session, count } => {
                self.coverage.hit("events dropped");
                self.record.dropped(&session, count);
            }
            Down::Response { link, status, cookie, body } => {
                self.carry_response(link, status, cookie, body);
            }
            Down::Text { link, text } => self.carry_text(link, text),
            Down::Ping { link } => {
                self.coverage.hit("ping");
                let Some(line) = self.lines.get(&link) else { return Ok(()) };
                let key = format!("{} ping {}", line.key, line.texts);
                if line.client_open && !line.dead {
                    self.push(link, &key, Up::Pong { link });
                }
            }
            Down::Closed { link, code } => {
                self.trace.note(self.now, format_args!("srv link {} closed {code}", link.0));
                self.coverage.hit_close(code);
                let kept = self.check_steady(link, code);
                self.blame(kept);
                let Some(line) = self.lines.get_mut(&link) else { return Ok(()) };
                line.server_open = false;
                let (dead, at) = (line.dead, line.last_down);
                // What the server says before it closes counts as said.
                let (client, rest) = (line.client, line.breaks.take().unwrap_or_default());
                rest.iter().for_each(|text| self.lose(client, text));
                if !dead {
                    self.at(at, Due::Noticed(link));
                }
            }
        }
        Ok(())
    }

    /// A socket that was opened when the faults had stopped stays open, if its peer is pinged in time.
    fn check_steady(&self, link: LinkId, code: u16) -> Result<(), Violation> {
        let pinged = self.config.ws_ping_interval < self.config.ws_idle_timeout;
        let line = self.lines.get(&link).filter(|line| line.is_socket && pinged);
        let Some(line) = line else { return Ok(()) };
        let client = self.clients.get(&line.client).filter(|client| {
            let calm = line.opened >= self.heal.max(client.stalled) && !self.draining;
            let session = client.session.as_ref().filter(|_| line.client_open && !line.dead);
            calm && session.is_some_and(|session| self.record.is_there(session))
        });
        match client {
            Some(client) => {
                let what = format!("c{}: link {} was closed, {code}", client.number, link.0);
                Err(Violation::new("steady", what))
            }
            None => Ok(()),
        }
    }

    fn carry_response(&mut self, link: LinkId, status: u16, cookie: Option<String>, body: String) {
        let Some(line) = self.lines.get(&link) else { return };
        let draw = self.seed.about(&line.key).then(7);
        let (client, listens) = (line.client, line.listens(self.is_real));
        if !listens {
            self.lose(client, &body);
            return self.take_now(link);
        }
        if self.strikes(Fault::LoseResponse, draw) {
            // A server may go on for a while before it sees that nobody is there.
            let longest = draw.then(4).one_of([30, 30, 500]);
            let at = self.now + draw.then(1).up_to_millis(longest);
            self.trace.note(self.now, format_args!("net c{client} response is lost, server told"));
            self.at(at, Due::Up(Up::Gone { link }));
            return self.at(at, Due::Noticed(link));
        }
        if self.strikes(Fault::SwallowResponse, draw) {
            self.trace.note(self.now, format_args!("net c{client} response is lost"));
            self.lose(client, &body);
            return self.take_now(link);
        }
        let taken = self.writing(client, draw);
        let arrival = taken + self.delay(draw.then(2));
        if taken == self.now {
            self.take_now(link);
        } else {
            self.at(taken, Due::Up(Up::Taken { link }));
        }
        self.at(arrival, Due::Response { link, status, cookie, body });
    }

    /// When the network will have taken something that the server sends now.
    fn writing(&mut self, client: usize, draw: Draw) -> Time {
        let stalled = self.clients.get(&client).filter(|_| !self.is_real);
        let stalled = stalled.map_or(Time::ZERO, |client| client.stalled);
        let slow = self.strikes(Fault::Slow, draw);
        let write = if slow { draw.then(3).up_to_millis(1_500) } else { Duration::ZERO };
        (self.now + write).max(stalled)
    }

    fn carry_text(&mut self, link: LinkId, text: String) {
        let Some(line) = self.lines.get_mut(&link) else { return };
        let number = line.send(self.now);
        if let Some(rest) = &mut line.breaks {
            return rest.push(text);
        }
        let (client, listens) = (line.client, line.listens(self.is_real));
        let draw = self.seed.about(&line.key).then(100 + number);
        if listens && self.strikes(Fault::SwallowResponse, draw) {
            self.trace.note(self.now, format_args!("net c{client} socket is dead"));
            if let Some(line) = self.lines.get_mut(&link) {
                line.dead = true;
            }
        } else if listens && self.strikes(Fault::LoseResponse, draw) {
            self.trace.note(self.now, format_args!("net c{client} socket breaks"));
            if let Some(line) = self.lines.get_mut(&link) {
                line.breaks = Some(vec![text]);
            }
            let at = self.now + draw.then(1).up_to_millis(30);
            self.at(at, Due::Up(Up::Gone { link }));
            return self.at(at, Due::Noticed(link));
        } else if listens {
            let taken = self.writing(client, draw);
            let delay = self.delay(draw.then(2));
            let Some(line) = self.lines.get_mut(&link) else { return };
            line.last_taken = line.last_taken.max(taken);
            line.last_down = line.last_down.max(line.last_taken + delay);
            let (taken, arrival) = (line.last_taken, line.last_down);
            if taken == self.now {
                self.take_now(link);
            } else {
                self.at(taken, Due::Up(Up::Taken { link }));
            }
            return self.at(arrival, Due::Text { link, text, number });
        }
        self.lose(client, &text);
        self.take_now(link);
    }

    /// What was in a response will never be seen, and the server thinks that it was.
    fn lose(&mut self, client: usize, body: &str) {
        let numbers: Vec<_> = match serde_json::from_str(body) {
            Ok(Value::Array(messages)) => messages.iter().filter_map(number_of).collect(),
            _ => return,
        };
        self.record.lost(client, &numbers);
    }

    /// A response has come to its client, who may listen no longer.
    pub(super) fn respond(
        &mut self,
        link: LinkId,
        status: u16,
        cookie: Option<String>,
        body: &str,
    ) {
        let Some(line) = self.lines.get_mut(&link) else { return };
        if line.told_gone && line.taken == 0 {
            return;
        }
        let client = line.client;
        if !line.client_open || line.dead {
            return self.lose(client, body);
        }
        line.client_open = false;
        self.up(Up::Received { link, number: 0 });
        self.received_response(client, link, status, cookie, body);
    }

    /// A text has come to its client, who may listen no longer.
    pub(super) fn hear(&mut self, link: LinkId, text: &str, number: u64) {
        let Some(line) = self.lines.get(&link) else { return };
        if line.told_gone && number >= line.taken {
            return;
        }
        let client = line.client;
        if !line.client_open || line.dead {
            return self.lose(client, text);
        }
        self.up(Up::Received { link, number });
        self.received(client, link, text);
    }

    /// A client's connection is gone, and the client notices.
    pub(super) fn notice(&mut self, link: LinkId) {
        let Some(line) = self.lines.get_mut(&link).filter(|line| line.client_open) else { return };
        line.client_open = false;
        let client = line.client;
        self.trace.note(self.now, format_args!("c{client} link {} is gone", link.0));
        self.disconnected(client, link);
    }

    /// A client gives a connection up; the server notices, unless the connection is dead.
    pub(super) fn abandon(&mut self, link: LinkId, silently: bool) {
        let Some(line) = self.lines.get_mut(&link) else { return };
        if !std::mem::take(&mut line.client_open) {
            return;
        }
        line.dead |= silently;
        let key = format!("{} abandoned", line.key);
        if !line.dead {
            self.push(link, &key, Up::Gone { link });
        }
    }

    /// A client's connections, by their links.
    pub(super) fn links_of(&self, client: usize) -> Vec<LinkId> {
        let lines = self.lines.iter().filter(|(_, line)| line.client == client && line.client_open);
        lines.map(|(link, _)| *link).collect()
    }

    /// A client's connections break; both sides notice.
    pub(super) fn break_lines(&mut self, client: usize) {
        for link in self.links_of(client) {
            let Some(line) = self.lines.get(&link) else { continue };
            let key = format!("{} broken", line.key);
            self.push(link, &key, Up::Gone { link });
            self.after(self.delay(self.seed.about(&key)), Due::Noticed(link));
        }
    }

    /// A client's connections are dead; neither side notices.
    pub(super) fn kill_lines(&mut self, client: usize) {
        for link in self.links_of(client) {
            if let Some(line) = self.lines.get_mut(&link) {
                line.dead = true;
            }
        }
    }
}

/// The number of a published message.
pub(super) fn number_of(message: &Value) -> Option<u64> {
    message.get("data")?;
    message.get("ext")?.get("sim")?.as_u64()
}
