//! Who may do what in the testbed: static rules, and one asynchronous decision.

use std::time::Duration;

use bayeux_core::front::{HandshakeRequest, Policy, SubscribeRequest};
use bayeux_core::{Activity, Denial, NameError, Pattern, RuleList, Rules, Ruling, Verdict};
use serde::Deserialize;

use super::Sleep;

pub(super) fn rules() -> Result<Rules, NameError> {
    let deny = |list: RuleList, pattern: &str| -> Result<RuleList, NameError> {
        Ok(list.rule(Pattern::parse(pattern)?, Ruling::Deny(Denial::default())))
    };
    let mut rules = Rules::new();
    rules.handshake = Ruling::Ask;
    rules.create = deny(rules.create, "/denied/**")?;
    rules.publish = deny(rules.publish, "/readonly/**")?;
    rules.subscribe = deny(rules.subscribe, "/writeonly/**")?;
    // `/**` itself is denied, but not what is narrower: that is for the policy to tell apart.
    rules.subscribe = rules.subscribe.otherwise(Ruling::Ask);
    Ok(rules)
}

/// `ext.testbed` of a handshake.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wishes {
    deny: bool,
    delay: u64,
    /// Milliseconds without activity after which the session is disconnected.
    activity: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ext {
    testbed: Wishes,
}

/// Denies handshakes on request, takes its time on request, watches the session's activity on
/// request, and denies subscribing to everything.
pub(super) struct TestbedPolicy {
    pub(super) sleep: Sleep,
}

impl Policy for TestbedPolicy {
    async fn can_handshake(&self, request: HandshakeRequest) -> Verdict {
        let wishes = request.ext::<Option<Ext>>().ok().flatten().unwrap_or_default().testbed;
        if wishes.delay > 0 {
            (self.sleep)(Duration::from_millis(wishes.delay)).await;
        }
        if let Some(millis) = wishes.activity {
            request.session.set_activity(Activity::of_client(Duration::from_millis(millis)));
        }
        Verdict::from(!wishes.deny)
    }

    async fn can_subscribe(&self, request: SubscribeRequest) -> Verdict {
        Verdict::from(request.channel.as_str() != "/**")
    }
}
