//! One page of deliveries under lease: begun in batches, sent, recorded, and put back with what is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::{Action, Channel, DeliveryId, Times, Timestamp};
use futures_util::stream::{self, StreamExt};
use store::audience::{self, RefusedTarget, TargetFate};
use store::deliveries::{self, Begin, Sending, Settled, Settlement};
use store::mail_addresses::{self, Bounce};
use store::notifications::Notification;
use store::{StoreError, Tx};
use streams::{Claimed, StreamsError};
use tokio::time::Instant;
use tracing::{error, warn};

use super::send::{self, Notifications};
use super::verdict::{self, Rules};
use super::{Worker, pauses};
use crate::failure::chain;
use crate::gateway::{Outcome, Verdict};
use crate::metrics;

/// Why the work on a page was interrupted. The page comes back when its lease runs out.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// Attempts that are begun together, in windows.
const WINDOWS_MAX: usize = 4;

/// A page under work.
pub(super) struct Page<'a> {
    worker: &'a Worker,
    /// Whether it is a single delivery's task to see whether the configuration was mended.
    probing: bool,
    /// Whether it was.
    probed: bool,
    /// Nothing is begun after this.
    begin_until: Instant,
    /// The page is another worker's after this.
    lease_until: Instant,
    rules: Rules,
    notifications: Notifications,
    /// What has to be tried again, and when.
    later: Vec<(DeliveryId, Timestamp)>,
}

/// An attempt and what became of it.
struct Done {
    sending: Sending,
    /// `None`: nothing left, because the lane had stopped meanwhile.
    outcome: Option<Outcome>,
}

impl<'a> Page<'a> {
    /// A page that was just claimed.
    pub(super) fn new(worker: &'a Worker, probing: bool) -> Self {
        let rules = &worker.rules;
        let lease = Duration::from_millis(rules.lease_ms);
        Self {
            worker,
            probing,
            probed: probing,
            begin_until: Instant::now() + lease / 2,
            lease_until: Instant::now() + lease,
            rules: Rules {
                policy: rules.policy(worker.lane),
                resend_unknown: rules.resend_unknown.contains(&worker.lane),
                jitter: rand::random(),
            },
            notifications: Notifications::default(),
            later: Vec::new(),
        }
    }

    /// Works through the page and acknowledges it, or puts back what is left.
    pub(super) async fn work(mut self, item: Claimed) -> Result<(), PageError> {
        let Worker { app, queue, .. } = self.worker;
        let Ok(ids) = serde_json::from_slice::<Vec<DeliveryId>>(&item.body) else {
            error!(
                item.id = &*item.id,
                "a work item holds no page of deliveries; the sweeper queues them again"
            );
            return Ok(app.queue.acknowledge(queue, &[item.id]).await?);
        };
        let mut left = &ids[..];
        while !left.is_empty() {
            if let Some(at) = self.stop() {
                self.later.extend(left.iter().map(|id| (*id, at)));
                break;
            }
            // what is begun has to leave soon, also through a window that has become small
            let soon = self.worker.window.limit().saturating_mul(WINDOWS_MAX);
            let size = if self.probing { 1 } else { self.worker.rules.batch.min(soon) };
            metrics::window(self.worker.channel, self.worker.lane, self.worker.window.limit());
            let (batch, rest) = left.split_at(size.min(left.len()));
            left = rest;
            self.batch(batch).await?;
        }
        if Instant::now() >= self.lease_until {
            return Ok(()); // whoever has the page now finds in the database what became of it here
        }
        if self.probed && !self.later.is_empty() {
            // another one tries next: what was refused may have been about this one alone
            self.later.rotate_left(1);
        }
        match self.later.iter().map(|(_, at)| *at).min() {
            None => app.queue.acknowledge(queue, &[item.id]).await?,
            Some(at) => {
                let ids: Vec<DeliveryId> = self.later.iter().map(|(id, _)| *id).collect();
                let body = Bytes::from(serde_json::to_vec(&ids).expect("ids are texts"));
                app.queue.retry(queue, &item.id, body, at).await?;
            }
        }
        Ok(())
    }

    /// Why nothing more may be begun now: until when.
    fn stop(&self) -> Option<Timestamp> {
        let Worker { app, channel, lane, .. } = self.worker;
        if !self.probing && app.pauses.until(*channel, *lane).is_some() {
            return Some(app.now()); // nobody claims it before the lane may try
        }
        if self.worker.held() {
            return Some(app.now() + Duration::from_millis(app.config.deliver.claim_wait_ms));
        }
        (app.draining() || Instant::now() >= self.begin_until).then(|| app.now())
    }

    async fn batch(&mut self, ids: &[DeliveryId]) -> Result<(), PageError> {
        let app = &self.worker.app;
        let begin = Begin {
            ids,
            now: app.now(),
            busy_until: app.now() + Duration::from_millis(self.worker.rules.send_ms_max),
            resend_unknown: self.rules.resend_unknown,
            attempts_max: self.rules.policy.attempts_max,
        };
        let mut tx = app.store.begin().await?;
        let recorded = deliveries::begin(&mut tx, begin).await?;
        tx.commit().await?; // recorded before bytes leave
        metrics::moved(&recorded.moves);
        metrics::lost(self.worker.channel, recorded.lost);
        self.later.extend(recorded.later);
        if recorded.sending.is_empty() {
            return Ok(());
        }
        self.notifications.load(app, &recorded.sending).await?;
        let sending: Vec<(Sending, Arc<Notification>)> = recorded
            .sending
            .into_iter()
            .map(|one| {
                let about = self.notifications.of(&one);
                (one, about)
            })
            .collect();
        if self.worker.channel == Channel::Socket {
            let outcome = send::publish(app, &sending).await;
            let done = sending
                .into_iter()
                .map(|(sending, _)| Done { sending, outcome: Some(outcome.clone()) })
                .collect();
            return self.record(done).await;
        }
        self.send(sending).await
    }

    /// Sends a batch, several at a time, and records outcomes as they come.
    async fn send(&mut self, batch: Vec<(Sending, Arc<Notification>)>) -> Result<(), PageError> {
        let worker = self.worker;
        let rules = &worker.app.config.deliver;
        let stopped = AtomicBool::new(false);
        let mut sends = stream::iter(batch)
            .map(|(sending, about)| {
                let stopped = &stopped;
                async move {
                    if stopped.load(Ordering::Relaxed) {
                        return Done { sending, outcome: None };
                    }
                    let turn = worker.window.enter().await;
                    if stopped.load(Ordering::Relaxed) {
                        return Done { sending, outcome: None };
                    }
                    let _counted = metrics::Inflight::new(worker.channel);
                    let outcome = worker.send_one(&sending, &about).await;
                    turn.ended(&outcome);
                    if outcome.verdict == Verdict::Refused(Action::FixConfig) {
                        stopped.store(true, Ordering::Relaxed);
                    }
                    Done { sending, outcome: Some(outcome) }
                }
            })
            .buffer_unordered(worker.rules.concurrency);
        let mut done = Vec::new();
        let mut flush_at = Instant::now();
        loop {
            // both branches are cancel-safe: the stream keeps what is under way, the deadline keeps nothing
            let next = if done.is_empty() {
                sends.next().await
            } else {
                tokio::select! {
                    next = sends.next() => next,
                    () = tokio::time::sleep_until(flush_at) => {
                        self.record(std::mem::take(&mut done)).await?;
                        continue;
                    }
                }
            };
            let Some(one) = next else { break };
            if done.is_empty() {
                flush_at = Instant::now() + Duration::from_millis(rules.record_ms);
            }
            done.push(one);
            if done.len() >= rules.record_rows {
                self.record(std::mem::take(&mut done)).await?;
            }
        }
        self.record(done).await
    }

    /// Writes outcomes and what follows from them. A database that fails is asked again until the lease is near its end:
    /// what is lost here would be repeated as unknown.
    async fn record(&mut self, done: Vec<Done>) -> Result<(), PageError> {
        if done.is_empty() {
            return Ok(());
        }
        let paused_until = self.react(&done).await?;
        let now = self.worker.app.now();
        let settlements: Vec<Settlement> =
            done.iter().map(|one| self.settlement(one, now, paused_until)).collect();
        let moves = loop {
            match self.settle(&done, &settlements, now).await {
                Ok(moves) => break moves,
                Err(cause) if Instant::now() < self.lease_until => {
                    warn!(
                        cause = chain(&cause),
                        outcomes = done.len(),
                        "outcomes could not be recorded; trying again"
                    );
                    tokio::time::sleep(Duration::from_millis(self.worker.app.config.relay.backoff_max_ms))
                        .await;
                }
                Err(cause) => return Err(cause.into()),
            }
        };
        metrics::moved(&moves);
        for (one, settlement) in done.iter().zip(&settlements) {
            metrics::attempted(self.worker.channel, one.outcome.as_ref(), &settlement.settled);
            self.later.extend(due(settlement.settled).map(|at| (settlement.id, at)));
        }
        Ok(())
    }

    /// Stops the lane when an outcome blames our configuration; lets it go on when a probe found it mended. When what
    /// was not sent is due again.
    async fn react(&mut self, done: &[Done]) -> Result<Timestamp, StoreError> {
        let Worker { app, channel, lane, .. } = self.worker;
        let blamed = done.iter().find_map(|one| {
            one.outcome.as_ref().filter(|outcome| outcome.verdict == Verdict::Refused(Action::FixConfig))
        });
        if let Some(outcome) = blamed {
            self.probing = false;
            pauses::pause(app, *channel, *lane, &outcome.reason).await?;
            return Ok(app.now()); // due, and claimed as soon as the lane may try
        }
        if self.probing && done.iter().any(|one| one.outcome.is_some()) {
            self.probing = false;
            pauses::resume(app, *channel, *lane).await?;
        }
        Ok(app.now())
    }

    fn settlement(&self, done: &Done, now: Timestamp, paused_until: Timestamp) -> Settlement {
        let Done { sending, outcome } = done;
        let times = Times { now, expires_at: sending.expires_at };
        let settled = outcome.as_ref().map_or(Settled::Released(paused_until), |outcome| {
            verdict::settle(outcome, sending.attempt, self.rules, times, paused_until)
        });
        Settlement {
            id: sending.id,
            attempt: sending.attempt,
            fence: sending.fence,
            settled,
            provider_id: outcome.as_ref().and_then(|one| one.provider_id.clone()),
            status_code: outcome.as_ref().and_then(|one| one.status_code),
            reason: outcome.as_ref().map_or_else(|| "lane_paused".to_owned(), |one| one.reason.clone()),
        }
    }

    async fn settle(
        &self,
        done: &[Done],
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<Vec<deliveries::Move>, StoreError> {
        let mut tx = self.worker.app.store.begin().await?;
        let moves = deliveries::settle(&mut tx, settlements, now).await?;
        for one in done {
            self.stop_target(&mut tx, one).await?;
        }
        tx.commit().await?;
        Ok(moves)
    }

    /// Stops the use of a device's token that the provider refused.
    async fn stop_target(&self, tx: &mut Tx, done: &Done) -> Result<(), StoreError> {
        let Some(outcome) = &done.outcome else { return Ok(()) };
        let fate = match outcome.verdict {
            Verdict::Refused(Action::DropTarget) => TargetFate::Retired,
            Verdict::Refused(Action::Quarantine) => TargetFate::Quarantined,
            _ => return Ok(()),
        };
        let Some(device) = done.sending.device_id else {
            return self.note_address(tx, &done.sending.target, outcome, fate).await;
        };
        let token = &done.sending.target;
        let refused = RefusedTarget { device, token, registered_at: done.sending.registered_at };
        if audience::stop_target(tx, refused, fate, &outcome.reason, self.worker.app.now()).await? {
            metrics::target_stopped(self.worker.channel, fate);
        }
        Ok(())
    }

    /// Notes that a mailbox was refused. Only what is certainly gone is set aside at once.
    async fn note_address(
        &self,
        tx: &mut Tx,
        address: &str,
        outcome: &Outcome,
        fate: TargetFate,
    ) -> Result<(), StoreError> {
        if self.worker.channel != Channel::Email {
            return Ok(());
        }
        let bounce = match fate {
            TargetFate::Retired => Bounce::Hard,
            TargetFate::Quarantined => Bounce::Soft,
        };
        if mail_addresses::note(tx, address, bounce, &outcome.reason, self.worker.app.now()).await? {
            metrics::target_stopped(self.worker.channel, TargetFate::Quarantined);
        }
        Ok(())
    }
}

impl Worker {
    async fn send_one(&self, sending: &Sending, about: &Notification) -> Outcome {
        let gateway = self.app.gateways.of(self.channel).expect("workers exist for configured channels only");
        gateway.send(&send::outgoing(&self.app, sending, about)).await
    }
}

/// When the delivery has to be tried again.
fn due(settled: Settled) -> Option<Timestamp> {
    match settled {
        Settled::Again(at) | Settled::Unknown(Some(at)) | Settled::Released(at) => Some(at),
        Settled::Accepted
        | Settled::Unknown(None)
        | Settled::Failed(_)
        | Settled::Dead(_)
        | Settled::TooLate => None,
    }
}
