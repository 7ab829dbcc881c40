//! `connect`: credentials, server-side subscriptions, and what the client has to know.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::Topic;
use protocol::centrifuge::Dialect;
use protocol::centrifuge::command::ConnectRequest;
use protocol::centrifuge::reply::{Answer, ConnectResult, SubscribeResult};
use protocol::codes::{DisconnectCode, ErrorCode};
use tracing::debug;

use super::access::{identify, ttl};
use super::listen::wished;
use super::shedding::stays_unsubscribed;
use super::subscribe::{Plan, plan};
use super::{Extra, Fault, Out, Phase, Pings, Session, Subscription, VERSION, World};
use crate::authority::{Grant, Identity};
use crate::config::{Class, Config};

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
        let mut grants = identity.as_ref().map_or_else(Vec::new, |identity| identity.grants.clone());
        if out.wire.is_one_way() {
            grants.extend(wished(request, identity.as_ref(), world));
        }
        if grants.len() > usize::from(world.config.limits.topics_per_connection_max) {
            return Err(DisconnectCode::ChannelLimit.into());
        }
        check_wishes(request, &grants, world.config)?;
        let mut plans = Vec::with_capacity(grants.len());
        for grant in &grants {
            plans.push(plan_grant(grant, request, (world, out.wire.dialect()))?);
        }
        if identity.as_ref().is_some_and(|identity| !world.census.enter(&identity.user)) {
            return Err(DisconnectCode::ConnectionLimit.into());
        }
        debug!(
            client.name = %clip(&request.name, NAME_CHARS_MAX),
            client.version = %clip(&request.version, VERSION_CHARS_MAX),
            subscriptions = plans.len(),
            "a client has connected"
        );
        self.stays_unsubscribed = stays_unsubscribed(&request.name, &request.version);
        self.phase = Phase::Connected;
        self.identity = identity.map(Identity::slim).map(Box::new);
        self.begin(&grants, &plans, world);
        self.note_expiry();
        for grant in &grants {
            self.confirm_received(&grant.topic, request.subs.get(grant.topic.as_str()), world, out);
        }
        self.say_connected(id, grants.iter().zip(&plans), world, out);
        Ok(())
    }

    /// Begins the subscriptions that the client is granted.
    fn begin(&mut self, grants: &[Grant], plans: &[Plan], world: &mut World<'_>) {
        for (grant, plan) in grants.iter().zip(plans) {
            let info = grant.extra.as_ref().and_then(|extra| extra.info.clone());
            let extra = Extra { info, ..Extra::default() }.boxed();
            let place = (world.connection, plan.from);
            let id = world.topics.join(&grant.topic, plan.partition, place, plan.terms().boxed());
            self.add(Subscription { id, server_side: true, by_token: false, extra });
            self.take_seat(&grant.topic, plan.rights, world);
            world.metrics.recovery(plan.outcome);
        }
    }

    fn say_connected<'p>(
        &self,
        id: u32,
        plans: impl Iterator<Item = (&'p Grant, &'p Plan)>,
        world: &World<'_>,
        out: &mut Out,
    ) {
        let expires_at = self.identity.as_ref().and_then(|identity| identity.expires_at);
        let subs: BTreeMap<Cow<'_, str>, SubscribeResult<'_>> =
            plans.map(|(grant, plan)| (grant.topic.as_str().into(), plan.result(world.now))).collect();
        let ping = match self.pings {
            Pings::Native => 0,
            Pings::Protocol | Pings::OneWay => world.config.ping_interval_ms.div_ceil(1000),
        };
        let door = self.door().map(|door| door.to_string()).unwrap_or_default();
        let node = if door.is_empty() { "" } else { world.node };
        out.answer(
            id,
            Answer::Connect(Box::new(ConnectResult {
                client: self.client.to_string().into(),
                version: VERSION.into(),
                expires: expires_at.is_some(),
                ttl: ttl(expires_at, world.now),
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
}

/// What the client wishes to recover has to be of a class that exists. That it has no right to it is no fault: its
/// credentials may have changed since.
fn check_wishes(request: &ConnectRequest<'_>, grants: &[Grant], config: &Config) -> Result<(), Fault> {
    for name in request.subs.keys() {
        let topic = Topic::new(&**name).map_err(|_| DisconnectCode::BadRequest)?;
        let known = config.classes.of(&topic).is_some() || grants.iter().any(|grant| grant.topic == topic);
        if !known {
            return Err(DisconnectCode::BadRequest.into());
        }
    }
    Ok(())
}

fn plan_grant(
    grant: &Grant,
    request: &ConnectRequest<'_>,
    (world, dialect): (&World<'_>, Dialect),
) -> Result<Plan, Fault> {
    let class = world.config.classes.of(&grant.topic).or(grant.unclassed.then_some(&Class::DEFAULT));
    let class = class.ok_or(ErrorCode::UnknownChannel)?;
    let wish = request.subs.get(grant.topic.as_str());
    let extra = grant.extra.as_deref();
    let overrides = extra.map(|extra| extra.overrides).unwrap_or_default();
    let mut plan = plan(&grant.topic, (class, overrides), wish, world)?;
    plan.data = extra.and_then(|extra| extra.data.clone());
    plan.agree(None, dialect);
    Ok(plan)
}

fn clip(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(end, _)| &text[..end])
}
