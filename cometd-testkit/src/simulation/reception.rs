//! What may be received, and what must have been. Part of [`Record`].

use bayeux_core::Time;

use super::application::{ANSWER, is_denied, is_stopped};
use super::host::Violation;
use super::record::{OWN, Published, Record, Source, Visit, matches};

impl Record {
    /// What a client has received at once, on the channels that were named.
    pub(super) fn receive(
        &mut self,
        session: &str,
        events: &[(u64, String)],
    ) -> Result<(), Violation> {
        let usual = self.usual;
        let Some(visit) = self.visits.get_mut(session) else {
            let what = "events have come for a session that its client does not know";
            return Err(Violation::new("only-subscribed", what));
        };
        if !visit.ordered && !visit.ack {
            visit.latest = Time::ZERO;
            visit.latest_of.clear();
        }
        for (number, channel) in events {
            let is_answer = number & ANSWER != 0;
            let Some(published) = self.published.get(&(number & !ANSWER)) else {
                let what = format!("{number} was never published");
                return Err(Violation::new("only-subscribed", what));
            };
            let who = format!("{}: {number} on {channel}", visit.name());
            let source = &published.source;
            let expected = if is_answer || matches!(source, Source::Delivery(_)) {
                matches!(source, Source::Session(it) | Source::Delivery(it) if it == session)
            } else {
                visit.may_hear(&published.channel, published.sent)
            };
            // Messages on service channels are for the application alone.
            let service = !is_answer && channel.starts_with("/service/");
            if !expected || service || (!is_answer && *channel != published.channel) {
                return Err(Violation::new("only-subscribed", who));
            }
            let own = *source == Source::Session(session.to_owned());
            if own && !is_answer && !self.to_publisher {
                return Err(Violation::new("only-subscribed", format!("{who}, its own")));
            }
            let direct = is_answer || matches!(source, Source::Delivery(_));
            let refused = published.outcome.is_some_and(|(_, done)| !done);
            let silent = usual && published.is_silent();
            if !direct && (silent || (refused && published.copies == 1)) {
                return Err(Violation::new("no-effect-if-denied", who));
            }
            let count = visit.received.entry(*number).or_default();
            *count += 1;
            if *count > published.copies && !visit.again {
                return Err(Violation::new("no-duplicates", who));
            }
            let mut late = published.outcome.is_some_and(|(at, _)| at < visit.latest);
            if let Some(link) = published.link.filter(|_| !is_answer) {
                let latest = visit.latest_of.entry(link).or_default();
                late |= *latest > *number;
                *latest = (*latest).max(*number);
            }
            if late && *count == 1 && published.copies == 1 && !visit.again {
                return Err(Violation::new("fifo", format!("{who} came late")));
            }
            visit.latest = visit.latest.max(published.sent);
        }
        Ok(())
    }

    /// Everything that the application's own sessions must have received by now they have received.
    pub(super) fn check_own(&self) -> Result<(), Violation> {
        self.own.iter().try_for_each(|session| self.check_owed(session))
    }

    /// Everything that a session must have received by now it has received.
    pub(super) fn check_owed(&self, session: &str) -> Result<(), Violation> {
        let Some(visit) = self.visits.get(session).filter(|it| it.removed.is_none()) else {
            return Ok(());
        };
        let missing = self.published.iter().filter(|(number, it)| {
            self.must_hear(session, visit, it) && !visit.received.contains_key(number)
        });
        let missing: Vec<_> = missing
            .map(|(number, _)| *number)
            .filter(|number| visit.ack || !visit.lost.contains(number))
            .collect();
        if missing.len() > visit.dropped {
            let invariant = if visit.ack { "ack-no-loss" } else { "no-loss" };
            let what = format!(
                "{} has not received {missing:?}, and {} were dropped",
                visit.name(),
                visit.dropped
            );
            return Err(Violation::new(invariant, what));
        }
        Ok(())
    }

    fn must_hear(&self, session: &str, visit: &Visit, it: &Published) -> bool {
        let settled = match (&it.source, it.outcome) {
            (_, Some((_, false))) => return false,
            (Source::Delivery(to), _) => return to == session,
            (Source::Session(from), _) if from == session && !self.to_publisher => return false,
            (_, None) => return false,
            (_, Some((at, true))) => at,
        };
        if self.usual && it.is_silent() || it.channel.starts_with("/service/") {
            return false;
        }
        visit.subscriptions.iter().any(|subscription| {
            let may_have_ended = visit.ends.iter().any(|end| {
                end.pattern == subscription.pattern
                    && end.asked <= settled
                    && end.confirmed.is_none_or(|at| at >= subscription.asked)
            });
            subscription.confirmed.is_some_and(|at| at < it.sent)
                && !may_have_ended
                && matches(&subscription.pattern, &it.channel)
        })
    }
}

impl Published {
    /// Whether nobody may receive it.
    pub(super) fn is_silent(&self) -> bool {
        match self.source {
            Source::Session(_) => is_denied(&self.channel),
            Source::Application => is_stopped(&self.channel),
            Source::Delivery(_) => false,
        }
    }
}

impl Visit {
    fn name(&self) -> String {
        if self.client == OWN {
            return "the application".to_owned();
        }
        format!("c{}", self.client)
    }

    /// Whether something that was published at `sent` may be received.
    fn may_hear(&self, channel: &str, sent: Time) -> bool {
        self.subscriptions
            .iter()
            .any(|it| it.over.is_none_or(|over| over >= sent) && matches(&it.pattern, channel))
    }
}
