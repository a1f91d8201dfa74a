//! The books are compared with what the machine says of itself, in between and in the end. Part of
//! [`Ledger`].

use std::collections::BTreeSet;

use bayeux_core::{Server, Time};

use super::ledger::{Checked, Ledger, violation};

impl Ledger {
    /// Compares the books with what the machine says of itself.
    pub(super) fn check(&mut self, server: &Server, now: Time) -> Checked {
        self.check_bounds(server, now)?;
        let stats = server.stats();
        let limits = &self.config.limits;
        if stats.sessions > limits.sessions || stats.held > stats.sessions {
            return violation("bounded", format!("{stats:?}"));
        }
        let live = self.accounts.iter().filter(|(_, account)| account.ended.is_none());
        let mut held = 0;
        for (session, account) in live {
            let Some(view) = server.session(*session) else {
                return violation("census", format!("{session:?} is not there"));
            };
            held += usize::from(account.held.is_some());
            if view.queue_messages() > limits.queue_messages {
                return violation("bounded", format!("{} in a queue", view.queue_messages()));
            }
            let owed = account.owed.len() - account.dropped.min(account.owed.len());
            if !account.acknowledged && view.queue_messages() != owed {
                let what = format!("{} are queued, {owed} are owed", view.queue_messages());
                return violation("census", what);
            }
            if account.overflow.0 != account.overflow.1 {
                let what = format!("{:?} were and had to be dropped", account.overflow);
                return violation("bounded", what);
            }
            let pushes = !self.config.meta_connect_deliver_only && !account.acknowledged;
            let socket = view.socket().filter(|_| pushes).and_then(|link| self.links.get(&link));
            if socket.map_or(account.held.is_some(), |it| !it.waits) {
                account.check_prompt(*session, now)?;
            }
            if view.is_held() != account.held.is_some() {
                return violation("one-held", format!("{session:?} is held, or is not"));
            }
            account.check_time(*session, &self.config, self.steady, now)?;
        }
        if server.sessions().count()
            != self.accounts.values().filter(|it| it.ended.is_none()).count()
            || held != stats.held
        {
            return violation("census", format!("{stats:?}"));
        }
        Ok(())
    }

    /// Compares the subscriptions, which costs more.
    pub(super) fn check_subscriptions(&self, server: &Server) -> Checked {
        for (session, account) in self.accounts.iter().filter(|(_, it)| it.ended.is_none()) {
            let Some(view) = server.session(*session) else { continue };
            let seen: BTreeSet<_> = view.subscriptions().iter().map(ToString::to_string).collect();
            if seen != account.subscriptions {
                let what = format!("{seen:?}, not {:?}", account.subscriptions);
                return violation("subscriptions", what);
            }
        }
        Ok(())
    }

    /// All is quiet, and everybody has had time to get what is owed.
    pub(super) fn check_settled(&self) -> Checked {
        for (session, account) in self.accounts.iter().filter(|(_, it)| it.ended.is_none()) {
            let waiting: Vec<_> = account.owed.iter().filter(|it| !it.received).collect();
            if waiting.len() > account.dropped {
                let what = format!(
                    "{session:?} waits for {waiting:?}, and {} were dropped",
                    account.dropped
                );
                return violation("no-loss", what);
            }
        }
        Ok(())
    }

    /// All is over: each request was answered, and each session has ended.
    pub(super) fn check_over(&self) -> Checked {
        if let Some((link, _)) = self.links.iter().find(|(_, it)| !it.answered && !it.closed) {
            return violation("one-answer", format!("{link:?} was never answered"));
        }
        if self.forgotten != self.accounts.len() as u64 {
            let what = format!("{} sessions, {} forgotten", self.accounts.len(), self.forgotten);
            return violation("no-leak", what);
        }
        Ok(())
    }
}
