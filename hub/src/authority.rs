//! Who somebody is and what they were given, by what they show: access tokens of our own, connection and subscription
//! tokens of a foreign issuer, receipt codes for deliveries. Computation only.

mod claims;

use std::sync::Arc;

use bytes::Bytes;
use domain::{Claims, DeliveryId, Principal, ReceiptKey, Standing, Timestamp, Topic, UserId};
use serde::{Deserialize, Serialize};
use service::token::{ForeignVerifier, TokenError, TokenVerifier};

pub(crate) use claims::OverrideClaims;
use claims::{ConnectionClaims, SubscriptionClaims};

use crate::revocations::Revocations;

/// What tokens and codes are checked with.
#[derive(Debug, Clone)]
pub(crate) struct Authority {
    pub(crate) tokens: TokenVerifier,
    pub(crate) issuer: String,
    pub(crate) audience: String,
    /// Believes what an application's own back end has signed.
    pub(crate) foreign: ForeignVerifier,
    /// Whether users of foreign tokens follow their own topic without asking.
    pub(crate) personal_topic: bool,
    /// Whether everybody may do everything and nothing expires.
    pub(crate) insecure: bool,
    pub(crate) receipt_key: ReceiptKey,
    /// What has ended before its time.
    pub(crate) revocations: Revocations,
}

/// Somebody whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Who; empty: nobody in particular.
    pub(crate) user: Arc<str>,
    /// Who it is by a token of our own.
    pub(crate) principal: Option<Principal>,
    /// What others may know of them: one JSON document on one line.
    pub(crate) info: Option<Bytes>,
    /// Topics that the connection follows without asking; each once.
    pub(crate) grants: Vec<Grant>,
    /// When the connection ends unless it is refreshed.
    pub(crate) expires_at: Option<Timestamp>,
}

/// A topic that the server subscribes a connection to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) topic: Topic,
    /// Whether the topic may be of no class: our own tokens name what they like.
    pub(crate) unclassed: bool,
    /// What few topics have; only needed to begin with.
    pub(crate) extra: Option<Box<GrantExtra>>,
}

/// What a token says of a topic that it grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GrantExtra {
    /// What others may know of the subscriber in this topic: one JSON document on one line.
    pub(crate) info: Option<Bytes>,
    /// For the subscriber: one JSON document on one line.
    pub(crate) data: Option<Bytes>,
    pub(crate) overrides: Overrides,
}

/// What a subscription token gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) topic: Topic,
    /// Whom it is for; empty: for those who are nobody in particular.
    pub(crate) user: Arc<str>,
    /// The only connection that it is for.
    pub(crate) client: Option<String>,
    /// As in [`GrantExtra`].
    pub(crate) info: Option<Bytes>,
    /// As in [`GrantExtra`].
    pub(crate) data: Option<Bytes>,
    pub(crate) overrides: Overrides,
    /// When the subscription ends unless it is refreshed.
    pub(crate) expires_at: Option<Timestamp>,
}

/// What a token decides otherwise than the topic's class; `None`: as the class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Overrides {
    pub(crate) presence: Option<bool>,
    pub(crate) join_leave: Option<bool>,
    pub(crate) force_push_join_leave: Option<bool>,
    pub(crate) force_recovery: Option<bool>,
    pub(crate) force_positioning: Option<bool>,
}

/// Why a token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenRefused {
    /// It was genuine once, or its holder has other rights now; they fetch another.
    Expired,
    /// It is good, but what it gives has ended already.
    Ended,
    /// It is not genuine, not meant for us, of nobody, or of a session that has ended.
    Invalid,
}

impl Grant {
    /// Of a topic, with nothing special about it.
    pub(crate) fn of(topic: Topic, unclassed: bool) -> Self {
        Self { topic, unclassed, extra: None }
    }
}

impl Identity {
    /// What is needed of it while a connection lasts.
    pub(crate) fn slim(mut self) -> Self {
        for grant in &mut self.grants {
            grant.extra = None;
        }
        self.grants.shrink_to_fit();
        self
    }
}

impl Authority {
    /// Who shows `token`: one of our own, or one of the foreign issuer.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub(crate) fn identify(&self, token: &str, now: Timestamp) -> Result<Identity, TokenRefused> {
        let mut identity = match self.tokens.verify(token, &self.issuer, &self.audience, now) {
            Ok(claims) => self.own(claims)?,
            // no key of ours has anything to do with it
            Err(TokenError::Malformed | TokenError::UnknownKey) => self.identify_foreign(token, now)?,
            Err(error) => return Err(refused(error)),
        };
        if self.insecure {
            identity.expires_at = None;
        }
        Ok(identity)
    }

    /// Somebody with a token of our own, unless what it says has ended.
    fn own(&self, claims: Claims) -> Result<Identity, TokenRefused> {
        let identity = own(claims)?;
        let standing =
            identity.principal.as_ref().map(|principal| self.revocations.standing(principal.bearer()));
        match standing {
            Some(Standing::Good) | None => Ok(identity),
            Some(Standing::Renew) => Err(TokenRefused::Expired),
            Some(Standing::Ended) => Err(TokenRefused::Invalid),
        }
    }

    fn identify_foreign(&self, token: &str, now: Timestamp) -> Result<Identity, TokenRefused> {
        let claims: ConnectionClaims = self.foreign.verify(token, now).map_err(refused)?;
        let mut identity = claims.into_identity().ok_or(TokenRefused::Invalid)?;
        if identity.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(TokenRefused::Ended);
        }
        let own = format!("user:{}", identity.user);
        if self.personal_topic
            && !identity.user.is_empty()
            && let Ok(topic) = Topic::new(own)
            && !identity.grants.iter().any(|grant| grant.topic == topic)
        {
            identity.grants.insert(0, Grant::of(topic, false));
        }
        Ok(identity)
    }

    /// What the subscription token `token` gives.
    ///
    /// # Errors
    /// [`TokenRefused`].
    pub(crate) fn pass(&self, token: &str, now: Timestamp) -> Result<Pass, TokenRefused> {
        let claims: SubscriptionClaims = self.foreign.verify(token, now).map_err(refused)?;
        let mut pass = claims.into_pass().ok_or(TokenRefused::Invalid)?;
        if pass.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(TokenRefused::Ended);
        }
        if self.insecure {
            pass.expires_at = None;
        }
        Ok(pass)
    }

    /// Whether `code` allows to confirm `delivery`.
    pub(crate) fn confirms(&self, delivery: DeliveryId, code: &str) -> bool {
        self.receipt_key.verifies(delivery, code)
    }
}

/// Somebody with a token of our own: their topic, and those that the token names.
fn own(claims: Claims) -> Result<Identity, TokenRefused> {
    let principal = claims.principal().ok_or(TokenRefused::Invalid)?;
    let expires_at = instant(claims.exp).ok_or(TokenRefused::Invalid)?;
    let mut grants = vec![Grant::of(Topic::user(principal.user_id), true)];
    for topic in claims.topics {
        if !grants.iter().any(|grant| grant.topic == topic) {
            grants.push(Grant::of(topic, true));
        }
    }
    let UserId(id) = principal.user_id;
    Ok(Identity {
        user: id.to_string().into(),
        principal: Some(principal),
        info: None,
        grants,
        expires_at: Some(expires_at),
    })
}

/// The instant so many seconds after 1970.
fn instant(seconds: i64) -> Option<Timestamp> {
    seconds.checked_mul(1_000_000).and_then(|micros| Timestamp::from_microsecond(micros).ok())
}

fn refused(error: TokenError) -> TokenRefused {
    match error {
        TokenError::Expired => TokenRefused::Expired,
        TokenError::Malformed
        | TokenError::UnknownKey
        | TokenError::Signature
        | TokenError::NotYetValid
        | TokenError::Issuer
        | TokenError::Audience => TokenRefused::Invalid,
    }
}

#[cfg(test)]
mod tests;
