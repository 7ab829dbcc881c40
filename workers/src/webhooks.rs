//! Tells other systems: the planner queues what happened for each endpoint, a job for each endpoint takes it from there.
//!
//! At least once, in no order: an endpoint knows a repetition by its id. What an endpoint does not take waits in its own
//! queue, so that one which is down delays nobody else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Audience, Change, ChangeKind, RetryPolicy, Times};
use futures_util::future::join_all;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use streams::{Claimed, NewItem, QueueName, StreamsError};
use tracing::{error, info, warn};

use crate::app::App;
use crate::backoff::Backoff;
use crate::channels::webhook::{Told, Webhooks};
use crate::failure::chain;
use crate::metrics;

/// What endpoints can hear of.
pub(crate) const KINDS: [&str; 3] = ["announcement.published", "announcement.withdrawn", "event.changed"];
/// For how long something is worth telling; the number of tries ends it long before.
const WORTH: Duration = Duration::from_hours(7 * 24);

/// What waits for an endpoint.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    /// The same for every try.
    id: String,
    /// The request's body, as it is signed.
    body: String,
    /// Tries that have failed.
    failures: u32,
}

/// Queues what `change` means to other systems. Queueing it again while it waits changes nothing.
pub(crate) async fn announce(app: &App, change: &Change) -> Result<(), StreamsError> {
    let Some((kind, data)) = told(change) else { return Ok(()) };
    let body = json!({ "type": kind, "timestamp": change.at, "data": data }).to_string();
    for name in app.webhooks.interested(kind) {
        let waiting = Waiting { id: format!("msg_{}", change.id), body: body.clone(), failures: 0 };
        let item = NewItem { id: waiting.id.clone().into(), body: encode(&waiting), not_before: None };
        app.queue.push(&queue(name), &[item]).await?;
    }
    Ok(())
}

/// What a change is called outside, and its ids. What the public does not know is not told.
fn told(change: &Change) -> Option<(&'static str, serde_json::Value)> {
    match &change.kind {
        ChangeKind::Announcement(announced)
            if announced.audience == Audience::Staff
                || announced.alert.as_ref().is_some_and(|one| one.drill) =>
        {
            None // a drill is for the staff alone
        }
        ChangeKind::AnnouncementCancelled { audience: Audience::Staff, .. } => None,
        ChangeKind::Announcement(announced) => Some((
            "announcement.published",
            json!({ "announcement_id": announced.announcement_id, "lane": announced.lane }),
        )),
        ChangeKind::AnnouncementCancelled { announcement_id, .. } => {
            Some(("announcement.withdrawn", json!({ "announcement_id": announcement_id })))
        }
        ChangeKind::Event { event, previous, .. } => {
            let known = event.is_public() || previous.as_ref().is_some_and(|before| before.is_public());
            known.then(|| ("event.changed", json!({ "event_id": event.id, "version": event.version })))
        }
        _ => None,
    }
}

fn queue(name: &str) -> QueueName {
    QueueName(format!("webhook.{name}").into())
}

fn encode(waiting: &Waiting) -> Bytes {
    Bytes::from(serde_json::to_vec(waiting).expect("texts and numbers always serialise"))
}

/// Tells the endpoint `name` until the process drains.
pub(crate) async fn run(app: App, name: String) {
    let mut backoff = Backoff::new(
        Duration::from_millis(app.config.relay.backoff_min_ms),
        Duration::from_millis(app.config.relay.backoff_max_ms),
    );
    while !app.draining() {
        match turn(&app, &name).await {
            Ok(()) => backoff.reset(),
            Err(cause) => {
                let wait = backoff.after_failure(rand::random());
                warn!(
                    cause = chain(&cause),
                    webhook = name,
                    "the queue of a webhook does not answer; its lease brings back what was taken"
                );
                app.pause(wait).await;
            }
        }
    }
}

async fn turn(app: &App, name: &str) -> Result<(), StreamsError> {
    let rules = &app.config.webhooks;
    // no request goes on for longer, so nobody else takes what is under way
    let lease = Duration::from_millis(2 * u64::from(rules.connect_timeout_ms + rules.request_timeout_ms));
    let wait = Duration::from_millis(app.config.deliver.claim_wait_ms);
    let items = app.queue.claim(&queue(name), rules.concurrency, lease, wait).await?;
    let told = join_all(items.into_iter().map(|item| tell(app, &app.webhooks, name, item))).await;
    told.into_iter().collect()
}

async fn tell(app: &App, webhooks: &Arc<Webhooks>, name: &str, item: Claimed) -> Result<(), StreamsError> {
    let queue = queue(name);
    let Ok(mut waiting) = serde_json::from_slice::<Waiting>(&item.body) else {
        error!(item.id = &*item.id, webhook = name, "what waits for a webhook cannot be read and is dropped");
        return app.queue.acknowledge(&queue, &[item.id]).await;
    };
    let told = webhooks.tell(name, &waiting.id, &waiting.body).await;
    metrics::webhook(name, &told);
    let (cause, retry_after) = match told {
        Told::Taken => return app.queue.acknowledge(&queue, &[item.id]).await,
        Told::Gone => {
            info!(webhook = name, "the endpoint wants to hear no more of this");
            return app.queue.acknowledge(&queue, &[item.id]).await;
        }
        Told::Failed(cause, retry_after) => (cause, retry_after),
    };
    waiting.failures += 1;
    let rules = &app.config.webhooks;
    let policy = RetryPolicy {
        floor: Duration::from_millis(rules.retry_floor_ms),
        factor: 4.0,
        ceiling: Duration::from_millis(rules.retry_ceiling_ms),
        attempts_max: rules.attempts_max,
    };
    let times = Times { now: app.now(), expires_at: app.now() + WORTH };
    let jitter = rand::rng().random_range(0.0..=1.0);
    match policy.next(waiting.failures, retry_after, jitter, times) {
        domain::Next::At(at) => {
            warn!(
                cause,
                webhook = name,
                failures = waiting.failures,
                "the endpoint {name} did not take it; it is told again"
            );
            app.queue.retry(&queue, &item.id, encode(&waiting), at).await
        }
        domain::Next::Spent | domain::Next::TooLate => {
            error!(
                cause,
                webhook = name,
                webhook.id = waiting.id,
                "the endpoint {name} was told in vain, for the last time"
            );
            app.queue.acknowledge(&queue, &[item.id]).await
        }
    }
}
