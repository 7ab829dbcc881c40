//! `connect`: credentials, server-side subscriptions, and what the client has to know.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::{Timestamp, Topic};
use protocol::centrifuge::command::ConnectRequest;
use protocol::centrifuge::reply::{Answer, ConnectResult, SubscribeResult};
use protocol::codes::{DisconnectCode, ErrorCode};
use tracing::debug;

use super::subscribe::{Plan, plan};
use super::{Fault, Out, Phase, Pings, Session, Subscription, VERSION, World};
use crate::authority::{Identity, TokenRefused};

/// Longest time to live that SDKs' timers can hold: a year.
const TTL_SECONDS_MAX: u64 = 365 * 24 * 3600;
/// Characters of a client's name and version that are kept for the log.
const NAME_CHARS_MAX: usize = 16;
const VERSION_CHARS_MAX: usize = 64;

impl Session {
    pub(super) fn connect(
        &mut self,
        id: u32,
        request: &ConnectRequest<'_>,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let result = self.try_connect(id, request, world, out);
        if let Err(Fault::Refused(_)) = result {
            self.phase = Phase::Refused;
        }
        result
    }

    fn try_connect(
        &mut self,
        id: u32,
        request: &ConnectRequest<'_>,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let identity = identify(&request.token, world)?;
        let topics = identity.as_ref().map(server_side_topics).unwrap_or_default();
        if topics.len() > usize::from(world.config.limits.topics_per_connection_max) {
            return Err(DisconnectCode::ChannelLimit.into());
        }
        let mut plans = Vec::with_capacity(topics.len());
        for topic in topics {
            let wish = request.subs.get(topic.as_str());
            let plan = plan(&topic, wish, world)?;
            plans.push((topic, plan));
        }
        if identity.as_ref().is_some_and(|identity| !world.census.enter(identity.principal.user_id)) {
            return Err(DisconnectCode::ConnectionLimit.into());
        }
        debug!(
            client.name = %clip(&request.name, NAME_CHARS_MAX),
            client.version = %clip(&request.version, VERSION_CHARS_MAX),
            subscriptions = plans.len(),
            "a client has connected"
        );
        self.phase = Phase::Connected;
        self.identity = identity.map(Box::new);
        for (topic, plan) in &plans {
            let id = world.topics.join(topic, plan.partition, (world.connection, plan.from), None);
            self.subscriptions.push(Subscription { id, server_side: true });
            world.metrics.recovery(plan.outcome);
        }
        self.say_connected(id, &plans, world, out);
        Ok(())
    }

    fn say_connected(&self, id: u32, plans: &[(Topic, Plan)], world: &World<'_>, out: &mut Out) {
        let subs: BTreeMap<Cow<'_, str>, SubscribeResult<'_>> =
            plans.iter().map(|(topic, plan)| (topic.as_str().into(), plan.result())).collect();
        let ping = match self.pings {
            Pings::Native => 0,
            Pings::Protocol | Pings::OneWay => world.config.ping_interval_ms.div_ceil(1000),
        };
        let door = self.door.map(|door| door.to_string()).unwrap_or_default();
        let node = if door.is_empty() { "" } else { world.node };
        out.answer(
            id,
            Answer::Connect(Box::new(ConnectResult {
                client: self.client.to_string().into(),
                version: VERSION.into(),
                expires: self.identity.is_some(),
                ttl: self.ttl(world.now),
                subs,
                ping: u32::try_from(ping).unwrap_or(u32::MAX),
                pong: self.pings == Pings::Protocol,
                session: door.into(),
                node: node.into(),
                time: world.now.as_microsecond() / 1000,
                ..ConnectResult::default()
            })),
        );
    }

    /// Seconds until the credentials run out; at least one, because zero would mean never.
    pub(super) fn ttl(&self, now: Timestamp) -> u32 {
        let left =
            self.expires_at().map(|expires_at| expires_at.since(now).as_secs().clamp(1, TTL_SECONDS_MAX));
        left.map_or(0, |seconds| u32::try_from(seconds).expect("a year has fewer than 2^32 seconds"))
    }
}

/// Who connects; `None` for somebody without a token, where that is allowed.
fn identify(token: &str, world: &World<'_>) -> Result<Option<Identity>, Fault> {
    if token.is_empty() {
        return if world.config.anonymous { Ok(None) } else { Err(DisconnectCode::BadRequest.into()) };
    }
    match world.authority.identify(token, world.now) {
        Ok(identity) => Ok(Some(identity)),
        Err(TokenRefused::Expired) => Err(ErrorCode::TokenExpired.into()),
        Err(TokenRefused::Invalid) => Err(DisconnectCode::InvalidToken.into()),
    }
}

/// The user's own topic and those that the token names.
pub(super) fn server_side_topics(identity: &Identity) -> Vec<Topic> {
    let mut topics = vec![Topic::user(identity.principal.user_id)];
    for topic in &identity.topics {
        if !topics.contains(topic) {
            topics.push(topic.clone());
        }
    }
    topics
}

fn clip(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(end, _)| &text[..end])
}
