//! `subscribe` and `unsubscribe`, and the answer to a position.

use domain::Topic;
use protocol::centrifuge::Dialect;
use protocol::centrifuge::command::{SubRefreshRequest, SubscribeRequest};
use protocol::centrifuge::reply::{Answer, SubscribeResult};
use protocol::codes::ErrorCode;
use streams::{Epoch, Partition};

use super::{Fault, Out, Patience, Session, Stop, Subscription, World, read_topic};
use crate::history::{Page, Recovery};
use crate::metrics::RecoveryOutcome;
use crate::publication::publications;
use crate::topics::{self, Terms};

/// How a subscription will begin.
pub(super) struct Plan {
    pub(super) partition: Partition,
    /// The turn of the partition's history that `page` and `offset` belong to.
    pub(super) from: u64,
    pub(super) outcome: RecoveryOutcome,
    epoch: Epoch,
    offset: u64,
    page: Page,
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
        if let Some(at) = self.subscription_to(&topic, world.topics) {
            if !world.topics.is_void(self.subscriptions[at].id) || self.subscriptions[at].server_side {
                return Err(ErrorCode::AlreadySubscribed.into());
            }
            let void = self.subscriptions.swap_remove(at);
            world.topics.leave(void.id);
        }
        if self.subscriptions.len() >= usize::from(world.config.limits.topics_per_connection_max) {
            return Err(ErrorCode::LimitExceeded.into());
        }
        if !matches!(&*request.delta, "" | "fossil") {
            return Err(protocol::codes::DisconnectCode::BadRequest.into());
        }
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable.into());
        }
        self.may_follow(&request.channel, world)?;
        let mut terms = terms(request)?;
        let mut plan = plan(&topic, Some(request), world)?;
        plan.agree(&mut terms, out.wire.dialect());
        world.metrics.recovery(plan.outcome);
        if plan.outcome == RecoveryOutcome::Unrecovered && request.rejects_unrecovered() {
            return Err(ErrorCode::UnrecoverablePosition.into());
        }
        let subscription =
            world.topics.join(&topic, plan.partition, (world.connection, plan.from), terms.boxed());
        self.subscriptions.push(Subscription { id: subscription, server_side: false });
        out.answer(id, Answer::Subscribe(plan.result()));
        Ok(())
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
                }
            }
            Err(Fault::Refused(_)) => {} // nothing has such a name, so it is not subscribed
            Err(stop) => return Err(stop),
        }
        out.answer(id, Answer::Unsubscribe);
        Ok(())
    }

    /// Subscription tokens do not exist here, so there is nothing to refresh.
    pub(super) fn sub_refresh(
        &self,
        request: &SubRefreshRequest<'_>,
        world: &World<'_>,
    ) -> Result<(), Fault> {
        let subscribed = Topic::new(&*request.channel)
            .is_ok_and(|topic| self.subscription_to(&topic, world.topics).is_some());
        Err(match (subscribed, request.token.is_empty()) {
            (false, _) => ErrorCode::PermissionDenied.into(),
            (true, true) => ErrorCode::BadRequest.into(),
            (true, false) => ErrorCode::NotAvailable.into(),
        })
    }
}

/// What a subscription to `topic` begins with, as the node's history stands.
pub(super) fn plan(
    topic: &Topic,
    wish: Option<&SubscribeRequest<'_>>,
    world: &World<'_>,
) -> Result<Plan, Fault> {
    let partition = world.histories.partition_of(topic);
    let history = world.histories.read(partition);
    let publications_max = world.config.limits.recovery_publications_max as usize;
    let (outcome, page) = match wish.filter(|wish| wish.recover) {
        None => (RecoveryOutcome::NotAsked, Page::new()),
        Some(wish) => match history.recover(topic, (&wish.epoch, wish.offset), publications_max, world.now) {
            Recovery::Recovered(page) => (RecoveryOutcome::Recovered, page),
            Recovery::Unrecovered => (RecoveryOutcome::Unrecovered, Page::new()),
            Recovery::Ahead => match world.patience {
                Patience::Lost { partition: lost, last } if lost == partition && wish.offset > last => {
                    (RecoveryOutcome::Unrecovered, Page::new())
                }
                Patience::Wait | Patience::Lost { .. } => {
                    return Err(Fault::Stop(Stop::Hold { partition, offset: wish.offset }));
                }
                Patience::Over => {
                    world.metrics.recovery(RecoveryOutcome::Ahead);
                    return Err(ErrorCode::Internal.into());
                }
            },
        },
    };
    // with publications clients take the offset of the last one; without, this one
    let offset = page.last().map_or(history.applied, |item| item.offset);
    let epoch = history.epoch.clone();
    Ok(Plan { partition, from: history.turn, outcome, epoch, offset, page, deltas: None })
}

impl Plan {
    pub(super) fn result(&self) -> SubscribeResult<'_> {
        SubscribeResult {
            recoverable: true,
            positioned: true,
            epoch: (&*self.epoch.0).into(),
            offset: self.offset,
            publications: publications(&self.page, self.deltas),
            delta: self.deltas.is_some(),
            recovered: self.outcome == RecoveryOutcome::Recovered,
            was_recovering: self.outcome != RecoveryOutcome::NotAsked,
            ..SubscribeResult::default()
        }
    }

    /// Has what is missed follow the terms, and the terms follow what is missed.
    fn agree(&mut self, terms: &mut Terms, dialect: Dialect) {
        if let Some(filter) = &terms.filter {
            self.page.retain(|item| topics::passes(filter, item.attributes.as_deref()));
        }
        if let Some(has) = &mut terms.has {
            *has = self.page.last().map_or(0, |item| item.offset);
            self.deltas = Some(dialect);
        }
    }
}

/// What a client asks for besides every publication as it is.
fn terms(request: &SubscribeRequest<'_>) -> Result<Terms, Fault> {
    let filter = request.filter.as_ref().map(|filter| filter.check()).transpose();
    Ok(Terms {
        has: (request.delta == "fossil").then_some(0),
        filter: filter.map_err(|_| ErrorCode::BadRequest)?,
        signals: false,
    })
}
