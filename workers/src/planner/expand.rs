//! From a notification to its deliveries, in pages of users: the most urgent notification goes first at every page.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use domain::{Channel, DeliveryId, Lane, NotificationKind, Timestamp, UserId, VenueId};
use store::audience::{self, Recipient, Target};
use store::deliveries::{self, NewDelivery};
use store::notifications::{self, Notification, Planned, Progress};
use store::recipients::NewRecipient;
use streams::{NewItem, QueueName, StreamsError};
use tracing::warn;

use super::PlanError;
use super::wishes::Wishes;
use crate::app::App;
use crate::backoff::Backoff;
use crate::config::Config;
use crate::failure::chain;
use crate::leader::Leader;
use crate::{Gateways, metrics};

/// Plans pages until the process drains.
pub(crate) async fn run(app: App) {
    let mut leader = Leader::new(&app, "expander");
    let mut backoff = Backoff::new(
        Duration::from_millis(app.config.relay.backoff_min_ms),
        Duration::from_millis(app.config.relay.backoff_max_ms),
    );
    while leader.holds().await {
        match page(&app).await {
            Ok(true) => backoff.reset(),
            Ok(false) => {
                backoff.reset();
                tokio::select! {
                    () = app.to_plan.notified() => {}
                    () = app.pause(Duration::from_millis(app.config.planner.poll_ms)) => {}
                }
            }
            Err(cause) => {
                let wait = backoff.after_failure(rand::random());
                warn!(
                    cause = chain(&cause),
                    wait_ms = wait.as_millis(),
                    "planning was interrupted; it goes on with the same page"
                );
                app.pause(wait).await;
            }
        }
    }
}

/// Plans one page of the most urgent notification. Whether there was one.
async fn page(app: &App) -> Result<bool, PlanError> {
    let Some(progress) = notifications::unplanned(&app.store, 1).await?.pop() else { return Ok(false) };
    let Progress { notification, planned_after, .. } = progress;
    let rules = &app.config.planner;
    let users_max = u64::try_from(rules.page_users).unwrap_or(u64::MAX);
    let recipients = audience::page(&app.store, &notification.audience, planned_after, users_max).await?;
    let now = app.now();
    let venues = venues(app, &notification, &recipients, now).await?;
    let wishes = Wishes::load(app, &notification, &recipients, now).await?;
    let concerned: Vec<&Recipient> = recipients.iter().filter(|one| wishes.concerns(one.user_id)).collect();
    let people: Vec<NewRecipient> =
        concerned.iter().map(|one| person(&notification, one, venues.get(&one.user_id).copied())).collect();
    let plan = Plan { notification: &notification, config: &app.config, gateways: &app.gateways, now };
    let mut planned: Vec<NewDelivery> = concerned.iter().flat_map(|one| plan.deliveries_of(one)).collect();
    planned.retain(|one| wishes.comes_by(one.channel));
    for one in &mut planned {
        wishes.apply(one);
    }
    let mut tx = app.store.begin().await?;
    metrics::moved(&deliveries::insert(&mut tx, &people, &planned).await?);
    tx.commit().await?;
    // pushed before the page is noted as done: a crash in between plans and pushes the same page again
    let name = format!("{}:{planned_after}", notification.id);
    let queued = planned.iter().filter(|one| one.suppressed.is_none()).map(|one| Due {
        id: one.id,
        channel: one.channel,
        not_before: (one.due_at > now).then_some(one.due_at),
    });
    push_page(app, notification.lane, &name, queued).await?;
    let finished = recipients.len() < rules.page_users;
    let page = Planned {
        id: notification.id,
        after: planned_after,
        through: recipients.last().map_or(planned_after, |last| last.user_id),
        recipients: u64::try_from(concerned.len()).unwrap_or(u64::MAX),
        finished_at: finished.then_some(now),
    };
    let mut tx = app.store.begin().await?;
    notifications::advance(&mut tx, page).await?;
    tx.commit().await?;
    Ok(true)
}

/// Where the people of an announcement are expected: at the venue itself when it is for one, else where the event is that they
/// starred and that is on, or comes next.
async fn venues(
    app: &App,
    notification: &Notification,
    recipients: &[Recipient],
    now: Timestamp,
) -> Result<HashMap<UserId, VenueId>, PlanError> {
    if notification.kind != NotificationKind::Announcement {
        return Ok(HashMap::new());
    }
    let users: Vec<UserId> = recipients.iter().map(|one| one.user_id).collect();
    Ok(audience::expected_at(&app.store, &notification.audience, &users, now).await?)
}

fn person(notification: &Notification, recipient: &Recipient, venue_id: Option<VenueId>) -> NewRecipient {
    NewRecipient {
        notification_id: notification.id,
        user_id: recipient.user_id,
        language: recipient.language,
        venue_id,
        notified_at: notification.created_at,
    }
}

/// A delivery that has to be queued.
pub(crate) struct Due {
    /// Which.
    pub(crate) id: DeliveryId,
    /// Its channel.
    pub(crate) channel: Channel,
    /// Not to be claimed before; `None`: at once.
    pub(crate) not_before: Option<Timestamp>,
}

/// Pushes a page of deliveries: work items of one channel and due time each, named after the page so that pushing again
/// while they wait changes nothing. What is due later waits in the queue, where a crash does not lose it.
pub(crate) async fn push_page(
    app: &App,
    lane: Lane,
    name: &str,
    page: impl Iterator<Item = Due>,
) -> Result<(), StreamsError> {
    let mut by_channel: BTreeMap<Channel, BTreeMap<Option<Timestamp>, Vec<DeliveryId>>> = BTreeMap::new();
    for due in page {
        by_channel.entry(due.channel).or_default().entry(due.not_before).or_default().push(due.id);
    }
    for (channel, steps) in by_channel {
        let mut items = Vec::new();
        for (step, (not_before, ids)) in steps.into_iter().enumerate() {
            let chunks = ids.chunks(app.config.planner.page_users).enumerate();
            items.extend(chunks.map(|(index, ids)| NewItem {
                id: format!("{name}:{step}:{index}").into(),
                body: Bytes::from(serde_json::to_vec(ids).expect("ids are texts")),
                not_before,
            }));
        }
        app.queue.push(&delivery_queue(channel, lane), &items).await?;
    }
    Ok(())
}

/// The queue of a channel's lane.
pub(crate) fn delivery_queue(channel: Channel, lane: Lane) -> QueueName {
    QueueName(format!("deliver.{channel}.{lane}").into())
}

/// One target for each installation: a phone that is reachable through Apple and through Firebase shows a message once.
/// Firebase is the way round, so the other one is preferred where it is configured.
fn preferred<'a>(targets: &'a [Target], gateways: &'a Gateways) -> impl Iterator<Item = &'a Target> {
    targets.iter().filter(move |one| {
        let has_better = |other: &Target| {
            other.installation_id == one.installation_id
                && other.channel != Channel::Fcm
                && gateways.reach(other.channel)
        };
        one.channel != Channel::Fcm || !targets.iter().any(has_better)
    })
}

/// What the deliveries of a page are made with.
struct Plan<'a> {
    notification: &'a Notification,
    config: &'a Config,
    gateways: &'a Gateways,
    now: Timestamp,
}

impl Plan<'_> {
    /// Every delivery to one recipient: a socket always, each active device, and mail where the lane asks for it. Each has
    /// its turn when the lane's escalation says so.
    fn deliveries_of(&self, recipient: &Recipient) -> Vec<NewDelivery> {
        let mut all = vec![self.delivery(recipient, Channel::Socket, None, 0)];
        for (place, device) in (0_u64..).zip(preferred(&recipient.targets, self.gateways)) {
            all.push(self.delivery(recipient, device.channel, Some(device), place));
        }
        if self.mails() {
            all.push(self.delivery(recipient, Channel::Email, None, 0));
        }
        for one in &mut all {
            if !self.gateways.reach(one.channel) {
                one.suppressed = Some("channel_not_configured");
            } else if one.target.is_empty() {
                one.suppressed = Some("no_target");
            } else if one.channel == Channel::Email && recipient.email_quarantined {
                one.suppressed = Some("address_quarantined");
            }
        }
        all
    }

    fn mails(&self) -> bool {
        let Notification { lane, kind, .. } = self.notification;
        let rules = &self.config.planner;
        rules.email_lanes.contains(lane)
            || *kind == NotificationKind::Digest
            || (*kind == NotificationKind::Announcement && rules.email_announcement_lanes.contains(lane))
    }

    /// A delivery through `channel`, for push to `device`, which is at `place` among the person's devices.
    fn delivery(
        &self,
        recipient: &Recipient,
        channel: Channel,
        device: Option<&Target>,
        place: u64,
    ) -> NewDelivery {
        let notification = self.notification;
        let target = match device {
            Some(device) => device.token.clone(),
            None if channel == Channel::Email => recipient.email.clone(),
            None => recipient.user_id.to_string(),
        };
        let key = device.map_or_else(|| target.clone(), |device| device.device_id.to_string());
        let steps = self.config.escalation.of(notification.lane);
        NewDelivery {
            id: DeliveryId::of(notification.id, recipient.user_id, channel, &key),
            notification_id: notification.id,
            user_id: recipient.user_id,
            channel,
            device_id: device.map(|device| device.device_id),
            target,
            lane: notification.lane,
            language: device.and_then(|device| device.language).unwrap_or(recipient.language),
            suppressed: None,
            queued_at: self.now,
            due_at: steps.due(channel, place, self.now, notification.expires_at),
            expires_at: notification.expires_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use domain::DeviceId;

    use super::*;
    use crate::gateway::{Gateway, Outcome, Outgoing};

    struct Nobody;

    #[async_trait]
    impl Gateway for Nobody {
        async fn send(&self, _: &Outgoing) -> Outcome {
            unreachable!("nothing is sent")
        }
    }

    #[test]
    fn a_phone_that_registered_twice_is_reached_once() {
        let target = |id, installation: &str, channel| Target {
            device_id: DeviceId(id),
            installation_id: installation.to_owned(),
            channel,
            token: id.to_string(),
            language: None,
        };
        let targets = [
            target(1, "iphone", Channel::Fcm),
            target(2, "iphone", Channel::Apns),
            target(3, "android", Channel::Fcm),
            target(4, "browser", Channel::Webpush),
        ];
        let ids = |gateways: &Gateways| {
            preferred(&targets, gateways).map(|one| one.device_id.0).collect::<Vec<_>>()
        };
        let both = Gateways { apns: Some(Arc::new(Nobody)), ..Gateways::default() };
        assert_eq!(ids(&both), [2, 3, 4]);
        assert_eq!(
            ids(&Gateways::default()),
            [1, 2, 3, 4],
            "where Apple is not configured, Firebase is the only way"
        );
    }
}
