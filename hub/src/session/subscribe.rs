//! `subscribe` and `unsubscribe`, and the answer to a position.

use bytes::Bytes;
use domain::{Timestamp, Topic};
use protocol::centrifuge::command::{SubRefreshRequest, SubscribeRequest};
use protocol::centrifuge::filter::Filter;
use protocol::centrifuge::reply::{Answer, SubRefreshResult, SubscribeResult};
use protocol::centrifuge::{Dialect, Payload};
use protocol::codes::{DisconnectCode, ErrorCode};
use streams::{Epoch, Partition};

use super::access::ttl;
use super::{Extra, Fault, Out, Patience, Session, Stop, Subscription, World, read_topic};
use crate::authority::{Overrides, Pass, TokenRefused};
use crate::classes::Rights;
use crate::config::{Class, Who};
use crate::history::{Page, PartitionHistory, Recovery};
use crate::metrics::RecoveryOutcome;
use crate::publication::{Item, publications};
use crate::topics::{self, Terms};

/// How a subscription will begin.
pub(super) struct Plan {
    pub(super) partition: Partition,
    /// The turn of the partition's history that `page` and `offset` belong to.
    pub(super) from: u64,
    pub(super) outcome: RecoveryOutcome,
    /// The offset that the client has recovered from.
    since: u64,
    /// For the subscriber, from its token.
    pub(super) data: Option<Bytes>,
    /// When it ends unless it is refreshed.
    pub(super) expires_at: Option<Timestamp>,
    pub(super) rights: Rights,
    epoch: Epoch,
    offset: u64,
    page: Page,
    filter: Option<Filter>,
    /// The dialect of the deltas, where payloads come as such.
    deltas: Option<Dialect>,
}

impl Session {
    pub(super) fn subscribe(
        &mut self,
        id: u32,
        request: &SubscribeRequest<'_>,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let topic = read_topic(&request.channel)?;
        let class = self.class_of(&topic, world.config).ok_or(ErrorCode::UnknownChannel)?;
        self.make_room(&topic, world)?;
        let filter = read_wishes(request, class)?;
        let pass = self.admit(&topic, class, &request.token, world)?;
        let overrides = pass.as_ref().map(|pass| pass.overrides).unwrap_or_default();
        let mut plan = plan(&topic, (class, overrides), Some(request), world)?;
        plan.agree(filter, out.wire.dialect());
        world.metrics.recovery(plan.outcome);
        if plan.outcome == RecoveryOutcome::Unrecovered && request.rejects_unrecovered() {
            return Err(ErrorCode::UnrecoverablePosition.into());
        }
        let place = (world.connection, plan.from);
        let subscription = world.topics.join(&topic, plan.partition, place, plan.terms().boxed());
        let by_token = pass.is_some();
        let extra = pass.and_then(|pass| {
            plan.data = pass.data;
            plan.expires_at = pass.expires_at;
            Extra { expires_at: pass.expires_at, info: pass.info, seat: None }.boxed()
        });
        self.add(Subscription { id: subscription, server_side: false, by_token, extra });
        self.take_seat(&topic, plan.rights, world);
        if plan.expires_at.is_some() {
            self.note_expiry();
        }
        self.confirm_received(&topic, Some(request), world, out);
        out.answer(id, Answer::Subscribe(plan.result(world.now)));
        Ok(())
    }

    /// Checks that one more subscription, to `topic`, is possible.
    fn make_room(&mut self, topic: &Topic, world: &mut World<'_>) -> Result<(), Fault> {
        if let Some(at) = self.subscription_to(topic, world.topics) {
            if !world.topics.is_void(self.subscriptions[at].id) || self.subscriptions[at].server_side {
                return Err(ErrorCode::AlreadySubscribed.into());
            }
            let void = self.subscriptions.swap_remove(at);
            world.topics.leave(void.id);
        }
        if self.subscriptions.len() >= usize::from(world.config.limits.topics_per_connection_max) {
            return Err(ErrorCode::LimitExceeded.into());
        }
        Ok(())
    }

    /// Checks that the client may subscribe: by a token, or because the class allows it.
    fn admit(
        &self,
        topic: &Topic,
        class: &Class,
        token: &str,
        world: &World<'_>,
    ) -> Result<Option<Pass>, Fault> {
        if token.is_empty() {
            let allowed = self.has(class.subscribe, class, (topic, false), world.authority.insecure);
            return if allowed { Ok(None) } else { Err(ErrorCode::PermissionDenied.into()) };
        }
        let pass = world.authority.pass(token, world.now).map_err(|refused| match refused {
            TokenRefused::Expired => ErrorCode::TokenExpired,
            TokenRefused::Ended => ErrorCode::Expired,
            TokenRefused::Invalid => ErrorCode::PermissionDenied,
        })?;
        self.check_pass(&pass, topic)?;
        if class.subscribe == Who::Nobody {
            return Err(ErrorCode::PermissionDenied.into());
        }
        Ok(Some(pass))
    }

    /// Checks that a subscription token is for this client and topic.
    fn check_pass(&self, pass: &Pass, topic: &Topic) -> Result<(), Fault> {
        let client = pass.client.as_ref().is_none_or(|client| *client == self.client.to_string());
        if pass.topic == *topic && *pass.user == *self.user() && client {
            Ok(())
        } else {
            Err(DisconnectCode::InvalidToken.into())
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        id: u32,
        name: &str,
        world: &mut World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        match read_topic(name) {
            Ok(topic) => {
                if let Some(at) = self.subscription_to(&topic, world.topics) {
                    let subscription = self.subscriptions.swap_remove(at);
                    world.topics.leave(subscription.id);
                    if subscription.extra.is_some() {
                        self.note_expiry();
                    }
                }
            }
            Err(Fault::Refused(_)) => {} // nothing has such a name, so it is not subscribed
            Err(stop) => return Err(stop),
        }
        out.answer(id, Answer::Unsubscribe);
        Ok(())
    }

    /// Prolongs a subscription with a new token. Who leaves the topic out has it from the token.
    pub(super) fn sub_refresh(
        &mut self,
        id: u32,
        request: &SubRefreshRequest<'_>,
        world: &World<'_>,
        out: &mut Out,
    ) -> Result<(), Fault> {
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable.into());
        }
        let named = if request.channel.is_empty() { None } else { Some(read_topic(&request.channel)?) };
        if named.as_ref().is_some_and(|topic| self.subscription_to(topic, world.topics).is_none()) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        if request.token.is_empty() {
            return Err(ErrorCode::BadRequest.into());
        }
        let pass = world.authority.pass(&request.token, world.now).map_err(|refused| match refused {
            TokenRefused::Expired => Fault::from(ErrorCode::TokenExpired),
            TokenRefused::Ended => ErrorCode::Expired.into(),
            TokenRefused::Invalid => DisconnectCode::InvalidToken.into(),
        })?;
        self.check_pass(&pass, named.as_ref().unwrap_or(&pass.topic))?;
        let at = self.subscription_to(&pass.topic, world.topics).ok_or(ErrorCode::PermissionDenied)?;
        let expires_at = pass.expires_at;
        let extra = self.subscriptions[at].extra.get_or_insert_default();
        (extra.expires_at, extra.info) = (expires_at, pass.info);
        self.note_expiry();
        let expires = expires_at.is_some();
        out.answer(id, Answer::SubRefresh(SubRefreshResult { expires, ttl: ttl(expires_at, world.now) }));
        Ok(())
    }
}

/// What a subscription to `topic` begins with, as the node's history stands.
pub(super) fn plan(
    topic: &Topic,
    (class, overrides): (&Class, Overrides),
    wish: Option<&SubscribeRequest<'_>>,
    world: &World<'_>,
) -> Result<Plan, Fault> {
    let rights = class.rights(wish, overrides);
    let partition = world.histories.partition_of(topic);
    let history = world.histories.read(partition);
    let asked = wish.filter(|wish| wish.recover);
    let (outcome, page) = match asked {
        None => (RecoveryOutcome::NotAsked, Page::new()),
        Some(_) if !rights.recoverable => (RecoveryOutcome::Unrecovered, Page::new()),
        Some(wish) => recover(topic, class, wish, (&history, partition), world)?,
    };
    let offset = page.last().map_or(history.applied, |item| item.offset);
    Ok(Plan {
        partition,
        from: history.turn,
        outcome,
        since: wish.map_or(0, |wish| wish.offset),
        data: None,
        expires_at: None,
        rights,
        epoch: history.epoch.clone(),
        offset,
        page,
        filter: None,
        deltas: None,
    })
}

/// Bytes of the payloads.
fn bytes(page: &[Item]) -> usize {
    page.iter().map(|item| item.data.len()).sum()
}

/// What the client has missed.
fn recover(
    topic: &Topic,
    class: &Class,
    wish: &SubscribeRequest<'_>,
    (history, partition): (&PartitionHistory, Partition),
    world: &World<'_>,
) -> Result<(RecoveryOutcome, Page), Fault> {
    let publications_max = world.config.limits.recovery_publications_max.min(class.history_size) as usize;
    let position = (&*wish.epoch, wish.offset);
    let recovery = if class.cache {
        history.recover_latest(topic, position, world.now)
    } else {
        history.recover(topic, position, publications_max, world.now)
    };
    match recovery {
        Recovery::Recovered(page) if bytes(&page) > world.config.limits.page_bytes_max() => {
            Ok((RecoveryOutcome::Unrecovered, Page::new()))
        }
        Recovery::Recovered(page) => Ok((RecoveryOutcome::Recovered, page)),
        Recovery::Unrecovered => Ok((RecoveryOutcome::Unrecovered, Page::new())),
        Recovery::Ahead => match world.patience {
            Patience::Lost { partition: lost, last } if lost == partition && wish.offset > last => {
                Ok((RecoveryOutcome::Unrecovered, Page::new()))
            }
            Patience::Wait | Patience::Lost { .. } => {
                Err(Fault::Stop(Stop::Hold { partition, offset: wish.offset }))
            }
            Patience::Over => {
                world.metrics.recovery(RecoveryOutcome::Ahead);
                Err(ErrorCode::Internal.into())
            }
        },
    }
}

impl Plan {
    pub(super) fn result(&self, now: Timestamp) -> SubscribeResult<'_> {
        let told = self.rights.positioned;
        // each publication of the page moves the client on from where it was; without any, it is where the node is. A
        // client that leaves before it has taken all of them keeps its place that way
        let offset = if self.page.is_empty() { self.offset } else { self.since };
        SubscribeResult {
            recoverable: self.rights.recoverable,
            positioned: told,
            epoch: if told { (&*self.epoch.0).into() } else { "".into() },
            offset: if told { offset } else { 0 },
            publications: publications(&self.page, self.deltas),
            delta: self.deltas.is_some(),
            recovered: self.outcome == RecoveryOutcome::Recovered,
            was_recovering: self.outcome != RecoveryOutcome::NotAsked,
            expires: self.expires_at.is_some(),
            ttl: ttl(self.expires_at, now),
            data: self.data.as_ref().map(|data| Payload::trusted(data)),
            ..SubscribeResult::default()
        }
    }

    /// What the subscriber gets besides every publication as it is.
    pub(super) fn terms(&self) -> Terms {
        let known = self.page.last().map_or(0, |item| item.offset);
        Terms {
            has: self.deltas.map(|_| known),
            filter: self.filter.clone().map(Box::new),
            signals: self.rights.join_leave,
            channel: None,
        }
    }

    /// Has what was missed follow what the subscriber filters by, and come in the form that it takes.
    pub(super) fn agree(&mut self, filter: Option<Filter>, dialect: Dialect) {
        if let Some(filter) = &filter {
            self.page.retain(|item| topics::passes(filter, item.attributes.as_deref()));
        }
        self.filter = filter;
        self.deltas = self.rights.delta.then_some(dialect);
    }
}

/// Checks what a client asks for besides every publication as it is.
fn read_wishes(request: &SubscribeRequest<'_>, class: &Class) -> Result<Option<Filter>, Fault> {
    if !matches!(&*request.delta, "" | "fossil") {
        return Err(DisconnectCode::BadRequest.into());
    }
    if request.kind != 0 {
        return Err(ErrorCode::NotAvailable.into());
    }
    match &request.filter {
        Some(filter) if class.filter => filter.check().map(Some).map_err(|_| ErrorCode::BadRequest.into()),
        Some(_) => Err(ErrorCode::BadRequest.into()),
        None => Ok(None),
    }
}
