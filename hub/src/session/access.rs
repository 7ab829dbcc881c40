//! What a client may do, and until when.

use domain::{Timestamp, Topic};
use protocol::codes::{DisconnectCode, ErrorCode, UnsubscribeCode};

use super::{Fault, Out, Session, World, read_topic};
use crate::authority::{Identity, TokenRefused};
use crate::classes::Caller;
use crate::config::{Class, Config, Who};
use crate::topics::Topics;

/// Longest time to live that SDKs' timers can hold: a year.
const TTL_SECONDS_MAX: u64 = 365 * 24 * 3600;

impl Session {
    /// The class of a topic. What our own tokens subscribe to may be of none; it is then as public topics are.
    pub(super) fn class_of<'w>(&self, topic: &Topic, config: &'w Config) -> Option<&'w Class> {
        let granted = || self.identity.as_ref().is_some_and(|identity| identity.grants_unclassed(topic));
        config.classes.of(topic).or_else(|| granted().then_some(&Class::DEFAULT))
    }

    /// Reads a topic's name and checks that the client has the permission `who` of its class.
    pub(super) fn may<'w>(
        &self,
        name: &str,
        who: fn(&Class) -> Who,
        world: &World<'w>,
    ) -> Result<(Topic, &'w Class), Fault> {
        let (topic, class) = self.known(name, world)?;
        self.check_may(who(class), (&topic, class), world)?;
        Ok((topic, class))
    }

    /// Reads the name of a topic that there can be.
    pub(super) fn known<'w>(&self, name: &str, world: &World<'w>) -> Result<(Topic, &'w Class), Fault> {
        let topic = read_topic(name)?;
        let class = self.class_of(&topic, world.config).ok_or(ErrorCode::UnknownChannel)?;
        Ok((topic, class))
    }

    /// Checks that the client has `who`, a permission of the topic's class.
    pub(super) fn check_may(
        &self,
        who: Who,
        (topic, class): (&Topic, &Class),
        world: &World<'_>,
    ) -> Result<(), Fault> {
        let subscribed = self.subscription_to(topic, world.topics).is_some();
        let may = self.has(who, class, (topic, subscribed), world.authority.insecure);
        if may { Ok(()) } else { Err(ErrorCode::PermissionDenied.into()) }
    }

    /// Whether `who`, a permission of `class`, includes this client; `insecure` includes everybody.
    pub(super) fn has(
        &self,
        who: Who,
        class: &Class,
        (topic, subscribed): (&Topic, bool),
        insecure: bool,
    ) -> bool {
        insecure || class.allows(who, Caller { identity: self.identity.as_deref(), subscribed, topic })
    }

    /// Who this is; empty for nobody in particular.
    pub(super) fn user(&self) -> &str {
        self.identity.as_ref().map_or("", |identity| &identity.user)
    }

    /// When the credentials of the connection or of one of its subscriptions run out first.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at.at()
    }

    /// Has [`Session::expires_at`] follow a change of credentials or subscriptions.
    pub(super) fn note_expiry(&mut self) {
        let own = self.identity.as_ref().and_then(|identity| identity.expires_at);
        let leases = self.subscriptions.iter().filter_map(|one| one.extra.as_ref()?.expires_at);
        self.expires_at = own.into_iter().chain(leases).min().into();
    }

    /// Ends what has run out before `limit`.
    ///
    /// # Errors
    /// When the connection ends with it: [`DisconnectCode::Expired`] for its own credentials,
    /// [`DisconnectCode::SubExpired`] for a subscription of the server's, which clients cannot renew.
    pub(crate) fn expire(
        &mut self,
        limit: Timestamp,
        topics: &mut Topics,
        out: &mut Out,
    ) -> Result<(), DisconnectCode> {
        let own = self.identity.as_ref().and_then(|identity| identity.expires_at);
        if own.is_some_and(|expires_at| expires_at <= limit) {
            return Err(DisconnectCode::Expired);
        }
        for at in (0..self.subscriptions.len()).rev() {
            let one = &self.subscriptions[at];
            let expires_at = one.extra.as_ref().and_then(|extra| extra.expires_at);
            if expires_at.is_none_or(|expires_at| expires_at > limit) {
                continue;
            }
            if one.server_side {
                return Err(DisconnectCode::SubExpired);
            }
            self.say_unsubscribed(at, UnsubscribeCode::Expired, topics, out);
        }
        self.note_expiry();
        Ok(())
    }

    /// Ends the subscriptions that the client made without a token and may not make any more.
    pub(super) fn end_what_is_no_longer_allowed(&mut self, world: &mut World<'_>, out: &mut Out) {
        for at in (0..self.subscriptions.len()).rev() {
            let one = &self.subscriptions[at];
            if one.server_side || one.by_token {
                continue;
            }
            let topic = world.topics.topic_of(one.id);
            let kept = self.class_of(topic, world.config).is_some_and(|class| {
                self.has(class.subscribe, class, (topic, false), world.authority.insecure)
            });
            if !kept {
                self.say_unsubscribed(at, UnsubscribeCode::Server, world.topics, out);
            }
        }
    }
}

impl Identity {
    /// Whether a token of our own subscribes to this topic, whatever its class.
    fn grants_unclassed(&self, topic: &Topic) -> bool {
        self.grants.iter().any(|grant| grant.unclassed && grant.topic == *topic)
    }
}

/// Seconds from `now` on; at least one, because zero would mean never.
pub(super) fn ttl(expires_at: Option<Timestamp>, now: Timestamp) -> u32 {
    let left = expires_at.map(|expires_at| expires_at.since(now).as_secs().clamp(1, TTL_SECONDS_MAX));
    left.map_or(0, |seconds| u32::try_from(seconds).expect("a year has fewer than 2^32 seconds"))
}

/// Who connects with `token`; `None` for somebody without one, where that is allowed.
pub(super) fn identify(token: &str, world: &World<'_>) -> Result<Option<Identity>, Fault> {
    let open = world.config.anonymous || world.authority.insecure;
    if token.is_empty() {
        return if open { Ok(None) } else { Err(DisconnectCode::BadRequest.into()) };
    }
    let identity = world.authority.identify(token, world.now).map_err(|refused| match refused {
        TokenRefused::Expired => Fault::from(ErrorCode::TokenExpired),
        TokenRefused::Ended => ErrorCode::Expired.into(),
        TokenRefused::Invalid => DisconnectCode::InvalidToken.into(),
    })?;
    if identity.user.is_empty() && !open {
        return Err(DisconnectCode::PermissionDenied.into());
    }
    Ok(Some(identity))
}
