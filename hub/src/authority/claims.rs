//! What the tokens of a foreign issuer say: the claims of Centrifugo's connection and subscription tokens.
//!
//! Source: `centrifugal.dev/docs/server/authentication` and `…/channel_token_auth`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Timestamp, Topic};
use protocol::centrifuge::minify;
use serde::Deserialize;
use serde_json::{Number, Value};

use super::{Grant, GrantExtra, Identity, Overrides, Pass, instant};

/// Claims of a connection token. `meta`, for hooks that do not exist here, is not looked at.
#[derive(Deserialize)]
pub(super) struct ConnectionClaims {
    #[serde(default)]
    sub: String,
    exp: Option<Number>,
    expire_at: Option<Number>,
    info: Option<Value>,
    b64info: Option<String>,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    subs: BTreeMap<String, Sub>,
    /// A subscription token has it, a connection token must not.
    channel: Option<Value>,
}

/// One of `subs`.
#[derive(Deserialize)]
struct Sub {
    info: Option<Value>,
    b64info: Option<String>,
    data: Option<Value>,
    b64data: Option<String>,
    #[serde(default, rename = "override")]
    overrides: Option<OverrideClaims>,
}

/// Claims of a subscription token.
#[derive(Deserialize)]
pub(super) struct SubscriptionClaims {
    #[serde(default)]
    sub: String,
    channel: String,
    client: Option<String>,
    exp: Option<Number>,
    expire_at: Option<Number>,
    info: Option<Value>,
    b64info: Option<String>,
    data: Option<Value>,
    b64data: Option<String>,
    #[serde(default, rename = "override")]
    overrides: Option<OverrideClaims>,
}

/// What is decided otherwise than by the topic's class.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OverrideClaims {
    presence: Option<Decision>,
    join_leave: Option<Decision>,
    force_push_join_leave: Option<Decision>,
    force_recovery: Option<Decision>,
    force_positioning: Option<Decision>,
}

#[derive(Debug, Deserialize)]
struct Decision {
    value: bool,
}

impl ConnectionClaims {
    /// Who that is; `None` when the claims make no sense.
    pub(super) fn into_identity(self) -> Option<Identity> {
        if self.channel.is_some() {
            return None;
        }
        let mut grants: Vec<Grant> = Vec::with_capacity(self.subs.len() + self.channels.len());
        for (name, sub) in self.subs {
            let extra = GrantExtra {
                info: document(sub.info, sub.b64info)?,
                data: document(sub.data, sub.b64data)?,
                overrides: sub.overrides.unwrap_or_default().into(),
            };
            let extra = (extra != GrantExtra::default()).then(|| Box::new(extra));
            grants.push(Grant { topic: Topic::new(name).ok()?, unclassed: false, extra });
        }
        for name in self.channels {
            let topic = Topic::new(name).ok()?;
            if !grants.iter().any(|grant| grant.topic == topic) {
                grants.push(Grant::of(topic, false));
            }
        }
        Some(Identity {
            user: self.sub.into(),
            principal: None,
            info: document(self.info, self.b64info)?,
            grants,
            expires_at: expiry(self.exp.as_ref(), self.expire_at.as_ref())?,
        })
    }
}

impl SubscriptionClaims {
    /// What it gives; `None` when the claims make no sense.
    pub(super) fn into_pass(self) -> Option<Pass> {
        Some(Pass {
            topic: Topic::new(self.channel).ok()?,
            user: self.sub.into(),
            client: self.client.filter(|client| !client.is_empty()),
            info: document(self.info, self.b64info)?,
            data: document(self.data, self.b64data)?,
            overrides: self.overrides.unwrap_or_default().into(),
            expires_at: expiry(self.exp.as_ref(), self.expire_at.as_ref())?,
        })
    }
}

impl From<OverrideClaims> for Overrides {
    fn from(claims: OverrideClaims) -> Self {
        let read = |decision: Option<Decision>| decision.map(|decision| decision.value);
        Self {
            presence: read(claims.presence),
            join_leave: read(claims.join_leave),
            force_push_join_leave: read(claims.force_push_join_leave),
            force_recovery: read(claims.force_recovery),
            force_positioning: read(claims.force_positioning),
        }
    }
}

/// When it ends: with the token, unless `expire_at` says otherwise; 0 there is never. The outer `None`: no such time.
#[expect(clippy::option_option, reason = "a time that makes no sense is something else than no time")]
fn expiry(exp: Option<&Number>, expire_at: Option<&Number>) -> Option<Option<Timestamp>> {
    let seconds = match (expire_at.map(seconds), exp) {
        (Some(0), _) | (None, None) => return Some(None),
        (Some(seconds), _) => seconds,
        (None, Some(exp)) => seconds(exp),
    };
    instant(seconds).map(Some)
}

#[expect(clippy::cast_possible_truncation, reason = "fractions of seconds are dropped, excesses saturate")]
fn seconds(date: &Number) -> i64 {
    date.as_i64().unwrap_or_else(|| date.as_f64().map_or(i64::MAX, |seconds| seconds as i64))
}

/// A document given as JSON or as base64 of JSON: on one line, as sockets carry it. The outer `None`: it is no JSON.
#[expect(clippy::option_option, reason = "a document that makes no sense is something else than none")]
fn document(plain: Option<Value>, base64: Option<String>) -> Option<Option<Bytes>> {
    match (base64.filter(|text| !text.is_empty()), plain) {
        (Some(text), _) => {
            let bytes = STANDARD.decode(text).ok()?;
            minify(&bytes).ok().map(|line| Some(Bytes::from(line.into_owned())))
        }
        (None, Some(value)) => Some(Some(Bytes::from(value.to_string()))),
        (None, None) => Some(None),
    }
}
