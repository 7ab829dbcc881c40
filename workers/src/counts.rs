//! Live counts: once a second, for each notification whose counts changed, one publication for the organizers.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use domain::{Lane, NotificationId, PublicationId, Timestamp, Topic};
use serde_json::{Map, Value, json};
use store::StoreError;
use store::notifications::{self, Count, Progress};
use streams::{NewPublication, StreamsError};
use tracing::warn;

use crate::app::App;
use crate::failure::chain;
use crate::leader::Leader;

/// How far back changes are looked for again: clocks of processes differ, and commits come late.
const LOOK_BACK: Duration = Duration::from_secs(5);

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum CountsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// What was published last.
struct Published {
    /// Changes before this were seen.
    seen: Timestamp,
    /// The last message of each notification that changed lately.
    messages: HashMap<NotificationId, (Timestamp, Bytes)>,
}

/// Publishes until the process drains.
pub(crate) async fn run(app: App) {
    let topic = Topic::staff("notifications").expect("the name is valid");
    let mut leader = Leader::new(&app, "counts");
    let mut published = Published { seen: app.now(), messages: HashMap::new() };
    while leader.holds().await {
        if let Err(cause) = round(&app, &topic, &mut published).await {
            warn!(cause = chain(&cause), "live counts could not be published; the next round has them");
        }
        app.pause(Duration::from_millis(app.config.counts_ms)).await;
    }
}

async fn round(app: &App, topic: &Topic, published: &mut Published) -> Result<(), CountsError> {
    let since = published.seen - LOOK_BACK;
    let changed = notifications::counted_since(&app.store, since).await?;
    let mut messages = Vec::new();
    for (id, changed_at) in &changed {
        let Some(progress) = notifications::find(&app.store, *id).await? else { continue };
        let counts = notifications::counts(&app.store, *id).await?;
        let data = Bytes::from(message(&progress, &counts).to_string());
        if published.messages.get(id).is_none_or(|(_, last)| *last != data) {
            messages.push((*id, *changed_at, data));
        }
    }
    let now = app.now();
    let publications: Vec<NewPublication> = messages
        .iter()
        .map(|(_, _, data)| NewPublication {
            id: PublicationId(uuid::Uuid::from_u128(rand::random())),
            topic: topic.clone(),
            data: data.clone(),
            lane: Lane::Standard,
            change: None,
            attributes: None,
            at: now,
        })
        .collect();
    if !publications.is_empty() {
        app.log.append(&publications).await?;
    }
    if let Some(newest) = changed.iter().map(|(_, changed_at)| *changed_at).max() {
        published.seen = published.seen.max(newest);
    }
    published.messages.extend(messages.into_iter().map(|(id, changed_at, data)| (id, (changed_at, data))));
    let forget = published.seen - LOOK_BACK - LOOK_BACK;
    published.messages.retain(|_, (changed_at, _)| *changed_at >= forget);
    Ok(())
}

fn message(progress: &Progress, counts: &[Count]) -> Value {
    let mut by_state: BTreeMap<&str, u64> = BTreeMap::new();
    let mut by_channel: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for count in counts {
        let state = count.state.as_str();
        *by_state.entry(state).or_default() += count.deliveries;
        let channel = by_channel.entry(count.channel.as_str()).or_default();
        channel.insert(state.to_owned(), json!(count.deliveries));
    }
    json!({
        "type": "notification.counts",
        "notification_id": progress.notification.id,
        "announcement_id": progress.notification.announcement_id,
        "recipients": progress.recipients,
        "deliveries": counts.iter().map(|count| count.deliveries).sum::<u64>(),
        "by_state": by_state,
        "by_channel": by_channel,
    })
}
