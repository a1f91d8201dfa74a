//! What the books say about bounds: places, tables, times. The other half of [`Ledger`].

use std::time::Duration;

use bayeux_core::{LinkId, Parcel, Refusal, Server, SessionId, Time};

use super::account::LinkAccount;
use super::ledger::{Checked, Ledger, SLACK, violation};

/// How long a socket that owes nothing may be kept from its next payload, or (while the server
/// drains) be kept at all.
const FAREWELL: Duration = Duration::from_secs(1);

impl Ledger {
    /// The application wishes for something, which is not bounded.
    pub(super) fn wishes(&mut self) {
        self.wished = true;
    }

    /// The application holds a session's events back, or not any more.
    pub(super) fn batches(&mut self, session: SessionId, begin: bool) {
        if let Some(account) = self.accounts.get_mut(&session) {
            let batches = account.batches;
            account.stray |= !begin && batches == 0;
            account.batches = if begin { batches + 1 } else { batches.saturating_sub(1) };
        }
    }

    /// The application says when a session ends for want of use.
    pub(super) fn watches(&mut self, session: SessionId, period: Option<Duration>, now: Time) {
        if let Some(account) = self.accounts.get_mut(&session) {
            (account.activity, account.used) = (period, (now, now));
        }
    }

    /// The server drains.
    pub(super) fn drains(&mut self, now: Time) {
        self.draining.get_or_insert(now);
    }

    /// The peer of a socket gives a sign of life.
    pub(super) fn alive(&mut self, link: LinkId) {
        if let Some(open) = self.links.get_mut(&link) {
            open.pinged = false;
        }
    }

    /// A socket may give its next payload.
    pub(super) fn resumes(&mut self, link: LinkId) {
        if let Some(open) = self.links.get_mut(&link) {
            open.busy = false;
        }
    }

    /// A payload that is dealt with makes room for the next one.
    fn check_gates(&self, server: &Server, now: Time) -> Checked {
        let shut = |open: &LinkAccount| {
            let quiet = now > open.stirred.max(self.asked) + FAREWELL;
            open.busy && !open.closed && !open.waits && quiet
        };
        match self.links.iter().find(|(_, open)| shut(open)) {
            Some((link, _)) if server.stats().questions == 0 => {
                violation("progress", format!("{link:?} may give nothing"))
            }
            _ => Ok(()),
        }
    }

    /// The peer of a socket is pinged.
    pub(super) fn pings(&mut self, link: LinkId) {
        if let Some(open) = self.links.get_mut(&link) {
            open.pinged = true;
        }
    }

    /// A socket is given up for this reason.
    pub(super) fn gives_up(
        &self,
        link: LinkId,
        refusal: Refusal,
        (since, now): (Time, Time),
    ) -> Checked {
        let Some(open) = self.links.get(&link).filter(|_| refusal == Refusal::Idle) else {
            return Ok(());
        };
        let (ping, idle) = (self.config.ws_ping_interval, self.config.ws_idle_timeout);
        if open.heard >= since {
            // What has come since the machine decided has come too late.
            return Ok(());
        }
        if now < open.heard + idle {
            return violation("pinged", format!("{link:?} was heard at {}", open.heard));
        }
        // A peer whose connect was held was there; one without a session need not be pinged.
        let engaged = open.lost == Some(now) && open.heard >= self.steady;
        if engaged && ping + SLACK < idle && !open.pinged {
            return violation("pinged", format!("{link:?} was not pinged before it was given up"));
        }
        Ok(())
    }

    /// No more questions are open than may be.
    pub(super) fn check_questions(&self, session: SessionId) -> Checked {
        let limits = &self.config.limits;
        let of_session = self.accounts.get(&session).map_or(0, |it| it.questions);
        let all: usize = self.accounts.values().map(|it| it.questions).sum();
        if of_session > limits.session_questions || all > limits.questions {
            return violation("bounded", format!("{of_session} questions of {all} are open"));
        }
        Ok(())
    }

    /// Connects of a browser that are held over HTTP, and those that were at or after `since`.
    fn held_places(&self, session: SessionId, since: Time) -> Option<usize> {
        let browser = self.accounts.get(&session)?.browser?;
        let takes_place = |link: &LinkId| self.links.get(link).is_some_and(|it| !it.is_socket);
        let its = self.accounts.values().filter(|it| it.browser == Some(browser));
        Some(
            its.filter(|it| {
                let held = it.held.is_some_and(|(link, ..)| takes_place(&link));
                held || it.released >= since
            })
            .count(),
        )
    }

    /// How many connects of one browser may be held over links such as this.
    fn most_places(&self, link: LinkId) -> Option<u32> {
        match self.links.get(&link).is_some_and(|it| it.http2) {
            true => self.config.http2_max_sessions_per_browser,
            false => self.config.max_sessions_per_browser,
        }
    }

    /// A session is told to poll only if its browser has no place left.
    pub(super) fn check_places(
        &self,
        session: SessionId,
        (link, parcel): (LinkId, &Parcel),
        since: Time,
    ) -> Checked {
        let told =
            |it: &bayeux_core::Reply| it.details().advice.is_some_and(|it| it.multiple_clients);
        if !parcel.replies.iter().any(told) {
            return Ok(());
        }
        let most = self.most_places(link).map_or(usize::MAX, |most| most as usize);
        match self.held_places(session, since) {
            Some(held) if held < most => {
                violation("places", format!("{session:?} has to poll, and {held} are held"))
            }
            _ => Ok(()),
        }
    }

    /// No limit is exceeded, and a server that drains has let go of everything.
    pub(super) fn check_bounds(&mut self, server: &Server, now: Time) -> Checked {
        for (session, account) in &mut self.accounts {
            if account.browser.is_none() && account.ended.is_none() {
                account.browser = server.session(*session).and_then(|it| it.browser());
            }
        }
        let limits = &self.config.limits;
        let (grew, wished) =
            (std::mem::take(&mut self.channels_grew), std::mem::take(&mut self.wished));
        if grew && !wished && server.stats().channels > limits.channels {
            return violation("bounded", format!("{} channels", server.stats().channels));
        }
        if let Some(session) = self.latest_held.take() {
            self.check_held(session)?;
        }
        let Some(since) = self.draining else { return self.check_gates(server, now) };
        if let Some((id, _)) = self.accounts.iter().find(|(_, it)| it.held.is_some()) {
            return violation("drain", format!("a connect of {id:?} is held"));
        }
        let stays = |open: &LinkAccount| {
            let quiet = now > since.max(open.stirred).max(self.asked) + FAREWELL;
            open.is_socket && !open.closed && !open.waits && quiet
        };
        match self.links.iter().find(|(_, open)| stays(open)) {
            Some((link, _)) if server.stats().questions == 0 => {
                violation("drain", format!("{link:?} is open"))
            }
            _ => Ok(()),
        }
    }

    /// The connect that was held last had a place.
    fn check_held(&self, session: SessionId) -> Checked {
        let held = self.accounts.get(&session).and_then(|it| it.held);
        let link = held.and_then(|(link, ..)| self.links.get(&link)).filter(|it| !it.is_socket);
        let most = held.filter(|_| link.is_some()).and_then(|(link, ..)| self.most_places(link));
        let places = self.held_places(session, Time::FAR_FUTURE);
        match most.zip(places) {
            Some((most, held)) if held > most as usize => {
                violation("places", format!("{session:?} is held beside {} others", held - 1))
            }
            _ => Ok(()),
        }
    }
}
