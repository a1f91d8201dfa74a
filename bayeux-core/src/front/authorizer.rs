//! [`Authorizer`]: who may do what with which channels, decided channel by channel.
//!
//! Where the [`Policy`](super::Policy) is one for the whole server, authorizers belong to channels
//! and wildcards. For an operation on a channel all of them are asked that its name matches, from
//! the root to the leaf, each granting, denying or ignoring it (`BayeuxServerImpl` of the Java
//! server):
//!
//! - one denial denies;
//! - with no authorizers at all the operation is granted;
//! - otherwise somebody has to grant it.
//!
//! So a usual beginning is an authorizer on `/**` that grants what is harmless, and others further
//! down that grant more. Whoever subscribes to a wildcard hears what is said below it, so there the
//! authorizers below are asked, too, and their denials count. The policy is asked first, and what it denies is denied.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, ready};

use super::context::Context;
use super::guard::Handling;
use super::registered::ByPattern;
use super::session::Session;
use crate::channel::Pattern;
use crate::json::Json;
use crate::message::Message;
use crate::server::{Denial, Verdict};

/// What a session wants to do with a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Permission {
    /// Have it made, by subscribing to it or publishing on it. Since it does not exist, only
    /// wildcards can have authorizers for it.
    Create,
    /// Subscribe to it.
    Subscribe,
    /// Publish on it.
    Publish,
}

/// What an authorizer says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Authorization {
    /// As far as this authorizer is concerned, it may.
    Grant,
    /// It may not, whatever others say, and this is what the client is told.
    Deny(Denial),
    /// That is for others to say.
    Ignore,
}

impl Authorization {
    /// It may not, for this reason, the middle field of the error: `403:<reason>:publish_denied`.
    pub fn deny(reason: impl Into<Box<str>>) -> Self {
        Self::Deny(Denial::because(reason))
    }
}

/// A session wants to do something with a channel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthorizeRequest {
    /// What it wants to do.
    pub permission: Permission,
    /// The channel or wildcard.
    pub channel: Pattern,
    /// The session.
    pub session: Session,
    /// The message that it wants to publish.
    pub message: Option<Arc<Message>>,
    /// The extension data of its message, if it wants to subscribe or publish.
    pub ext: Option<Json>,
    /// The request that carries the message; `None` if its client is gone.
    pub context: Option<Arc<Context>>,
}

/// Decides about operations on the channels that it is registered for with
/// [`Channel::add_authorizer`](super::Channel::add_authorizer).
///
/// Closures from [`AuthorizeRequest`] to [`Authorization`] are authorizers, and so is [`Grants`].
/// One that panics, or takes longer than `question_timeout`, denies.
pub trait Authorizer: Send + Sync + 'static {
    /// Decides.
    fn authorize(&self, request: AuthorizeRequest) -> impl Future<Output = Authorization> + Send;
}

impl<F> Authorizer for F
where
    F: Fn(AuthorizeRequest) -> Authorization + Send + Sync + 'static,
{
    fn authorize(&self, request: AuthorizeRequest) -> impl Future<Output = Authorization> + Send {
        ready(self(request))
    }
}

/// An authorizer that grants these permissions to everybody, and ignores all else. With none it
/// makes a channel one that somebody has to grant things on.
#[derive(Clone, Debug, Default)]
pub struct Grants(Vec<Permission>);

impl Grants {
    /// Grants these.
    pub fn new(permissions: impl IntoIterator<Item = Permission>) -> Self {
        Self(permissions.into_iter().collect())
    }

    /// Grants everything.
    pub fn all() -> Self {
        Self::new([Permission::Create, Permission::Subscribe, Permission::Publish])
    }

    /// Grants nothing.
    pub fn none() -> Self {
        Self::default()
    }
}

impl Authorizer for Grants {
    fn authorize(&self, request: AuthorizeRequest) -> impl Future<Output = Authorization> + Send {
        let granted = self.0.contains(&request.permission);
        ready(if granted { Authorization::Grant } else { Authorization::Ignore })
    }
}

/// Which authorizer; for removing it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthorizerId {
    pub(super) pattern: Pattern,
    pub(super) number: u64,
}

/// An authorizer behind a pointer.
pub(super) trait AnyAuthorizer: Send + Sync {
    fn decide(self: Arc<Self>, request: AuthorizeRequest) -> Handling<Authorization>;
}

impl<A: Authorizer> AnyAuthorizer for A {
    fn decide(self: Arc<Self>, request: AuthorizeRequest) -> Handling<Authorization> {
        Box::pin(async move { self.authorize(request).await })
    }
}

/// The authorizers by channel or wildcard.
pub(super) type Authorizers = ByPattern<Arc<dyn AnyAuthorizer>>;

/// The reason when somebody would have had to grant it and nobody did.
pub(super) const NOT_GRANTED: &str = "denied_by_not_granting";

/// What the authorizers of all the channels come to.
#[derive(Default)]
pub(super) struct Tally {
    asked: bool,
    granted: bool,
}

impl Tally {
    /// Takes what one authorizer says; a denial is the end, and all else counts only if it `counts`.
    pub(super) fn count(
        &mut self,
        authorization: Authorization,
        counts: bool,
    ) -> Result<(), Verdict> {
        self.asked |= counts;
        match authorization {
            Authorization::Grant => self.granted |= counts,
            Authorization::Ignore => {}
            Authorization::Deny(denial) => return Err(denial.into()),
        }
        Ok(())
    }

    pub(super) fn verdict(self) -> Verdict {
        if !self.asked || self.granted {
            Verdict::Allow
        } else {
            Denial::because(NOT_GRANTED).into()
        }
    }
}
