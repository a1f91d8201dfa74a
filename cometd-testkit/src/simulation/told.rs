//! What the machine tells the application goes into the books. Part of [`Ledger`].

use bayeux_core::{Event, RemovedReason, ResumeCause, SessionId, Time};

use super::account::{Account, Owed, gone};
use super::host::Violation;
use super::ledger::{Checked, Ledger, SLACK, violation};

impl Ledger {
    pub(super) fn tells(&mut self, event: &Event, since: Time, now: Time) -> Checked {
        match event {
            Event::SessionAdded { session, link } => {
                if self.draining.is_some() {
                    return violation("drain", format!("{session:?} is made"));
                }
                let mut account = Account::new(since, now);
                let (policy, most) = self.overflow();
                if let Some(number) = self.greetings.remove(link) {
                    account.offer(Owed::new(number, "/direct", None), policy, most);
                }
                if self.accounts.insert(*session, account).is_some() {
                    return violation("no-resurrection", format!("{session:?} was made twice"));
                }
            }
            Event::SessionRemoved { session, reason } => {
                return self.removed(*session, *reason, now);
            }
            Event::ChannelAdded { .. } => self.channels_grew = true,
            Event::Subscribed { session, channel } => {
                let most = self.config.limits.session_subscriptions;
                let most = if self.wished { usize::MAX } else { most };
                let account = self.live(*session)?;
                if !account.subscriptions.insert(channel.to_string()) {
                    return violation("subscriptions", format!("twice to {channel}"));
                }
                if account.subscriptions.len() > most {
                    return violation("bounded", format!("{session:?} subscribes to {channel}"));
                }
            }
            Event::Unsubscribed { session, channel } => {
                let Some(account) = self.accounts.get_mut(session) else { return Ok(()) };
                if !account.subscriptions.remove(channel.as_str()) {
                    return violation("subscriptions", format!("no end without {channel}"));
                }
            }
            Event::Suspended { session, link, timeout } => {
                self.latest_held = Some(*session);
                let account = self.live(*session)?;
                account.advise |= std::mem::take(&mut account.polls);
                let before = account.held.replace((*link, now, *timeout));
                if let Some((other, ..)) = before {
                    return violation("one-held", format!("{link:?} beside {other:?}"));
                }
                if self.links.get(link).is_none_or(|it| it.answered && !it.is_socket) {
                    return violation("one-held", format!("{link:?} does not wait"));
                }
            }
            Event::Resumed { session, link, cause } => {
                let steady = self.steady;
                if let Some(open) = self.links.get_mut(link) {
                    open.superseded |= *cause == ResumeCause::Superseded && !open.is_socket;
                    if *cause == ResumeCause::ConnectionLost {
                        open.lost = Some(now);
                    }
                }
                let Some(account) = self.accounts.get_mut(session) else {
                    return violation("no-resurrection", format!("{session:?} is resumed"));
                };
                (account.quiet, account.stirred, account.released) = (since, now, now);
                account.dismissed = *cause == ResumeCause::Removed;
                if *cause == ResumeCause::Events && account.is_batched() {
                    return violation("batch", format!("{link:?} is answered in a batch"));
                }
                let Some((held, since, timeout)) = account.held.take() else {
                    return violation("one-held", format!("{link:?} was not held"));
                };
                if held != *link {
                    return violation("one-held", format!("{held:?} was held, not {link:?}"));
                }
                if now > since + timeout + SLACK && since >= steady {
                    return violation("held-bound", format!("{link:?} was held since {since}"));
                }
            }
            Event::EventsDropped { session, count } => {
                let strict = self.strict;
                if let Some(account) = self.accounts.get_mut(session) {
                    if strict && !account.acknowledged {
                        account.overflow.0 += count;
                    } else {
                        account.dropped += count;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn live(&mut self, session: SessionId) -> Result<&mut Account, Violation> {
        let account = self.accounts.get_mut(&session).filter(|it| it.ended.is_none());
        account.ok_or_else(|| gone(session))
    }

    fn removed(&mut self, session: SessionId, reason: RemovedReason, now: Time) -> Checked {
        let (strict, config) = (self.strict, self.config.clone());
        let account = self.live(session)?;
        account.ended = Some(reason);
        // If a connect was held, its answer is the goodbye, whatever becomes of it.
        let said = account.dismissed;
        let by_server = [RemovedReason::DisconnectedByServer, RemovedReason::Inactive];
        account.farewell = by_server.contains(&reason) && !said;
        let too_early = account.owed.len() < config.limits.queue_messages;
        if reason == RemovedReason::Overflowed && strict && too_early {
            return violation("bounded", format!("{session:?} ends with {}", account.owed.len()));
        }
        account.check_end(session, reason, &config, now)
    }
}
