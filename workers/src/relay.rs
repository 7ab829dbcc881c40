//! The relay: from the outbox to the change log, in order, one process at a time.
//!
//! Rows are deleted only after their publications are durable in the log: a crash in between repeats them, and the log
//! drops what it has already, by publication id.

use std::time::Duration;

use bytes::Bytes;
use domain::{Change, ChangeKind, Lane, PublicationId};
use serde_json::json;
use store::StoreError;
use store::outbox::{self, Waiting, Wakeups};
use streams::{NewPublication, StreamsError};
use tracing::{error, warn};

use crate::app::App;
use crate::backoff::Backoff;
use crate::failure::chain;
use crate::leader::Leader;
use crate::metrics;

/// Why a pass of the relay ended early.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// Relays until the process drains.
pub(crate) async fn run(app: App) {
    let rules = app.config.relay.clone();
    let mut wakeups = Wakeups::new(app.store.clone()).await;
    let mut backoff = Backoff::new(
        Duration::from_millis(rules.backoff_min_ms),
        Duration::from_millis(rules.backoff_max_ms),
    );
    let mut leader = Leader::new(&app, "relay");
    while leader.holds().await {
        match pass(&app, rules.batch_rows).await {
            Ok(0) => {
                backoff.reset();
                tokio::select! {
                    () = wakeups.wait(Duration::from_millis(rules.poll_ms)) => {}
                    () = app.life.drain().cancelled() => {}
                }
            }
            Ok(_) => backoff.reset(),
            Err(cause) => {
                metrics::relay_failed();
                let wait = backoff.after_failure(rand::random());
                warn!(
                    cause = chain(&cause),
                    wait_ms = wait.as_millis(),
                    "the relay could not publish; it tries again"
                );
                app.pause(wait).await;
            }
        }
    }
}

/// Publishes the oldest rows and removes them; how many there were.
async fn pass(app: &App, rows_max: u64) -> Result<usize, RelayError> {
    let waiting = outbox::read(&app.store, rows_max).await?;
    if waiting.is_empty() {
        metrics::relay_idle();
        return Ok(0);
    }
    let publications: Vec<NewPublication> =
        waiting.iter().flat_map(|row| publications(&row.change)).collect();
    match app.log.append(&publications).await {
        Err(StreamsError::TooLarge { .. }) => append_singly(app, &waiting).await?,
        result => drop(result?),
    }
    metrics::relayed(publications.len(), age(app, &waiting));
    let ids: Vec<i64> = waiting.iter().map(|row| row.id).collect();
    let mut tx = app.store.begin().await?;
    outbox::delete(&mut tx, &ids).await?;
    tx.commit().await?;
    Ok(waiting.len())
}

/// Appends change by change. One that the log cannot take is replaced by its bare type and id, so that subscribers know to
/// reload and the changes behind it are not held up; it notifies nobody.
async fn append_singly(app: &App, waiting: &[Waiting]) -> Result<(), StreamsError> {
    for row in waiting {
        let publications = publications(&row.change);
        match app.log.append(&publications).await {
            Err(cause @ StreamsError::TooLarge { .. }) => {
                metrics::relay_truncated();
                error!(cause = chain(&cause), change.id = %row.change.id, "a change is too large for the log");
                let bare: Vec<NewPublication> =
                    publications.into_iter().map(|one| truncated(&row.change, one)).collect();
                app.log.append(&bare).await?;
            }
            result => drop(result?),
        }
    }
    Ok(())
}

fn truncated(change: &Change, publication: NewPublication) -> NewPublication {
    let (kind, id, at) = (change.message_type(), change.id, change.at);
    let data = json!({ "type": kind, "id": id, "at": at, "truncated": true });
    NewPublication { data: Bytes::from(data.to_string()), change: None, ..publication }
}

fn age(app: &App, waiting: &[Waiting]) -> Duration {
    waiting.first().map_or(Duration::ZERO, |row| app.now().since(row.change.at))
}

/// One publication for each topic that hears of `change`; the whole change rides on the first, unless it is for the nodes
/// alone.
pub(crate) fn publications(change: &Change) -> Vec<NewPublication> {
    let data = Bytes::from(change.message().to_string());
    let whole =
        Bytes::from(serde_json::to_vec(change).expect("a change has string keys and no failing parts"));
    let lane = match &change.kind {
        ChangeKind::Announcement(announced) => announced.lane,
        ChangeKind::Revocation { .. } => Lane::Emergency,
        ChangeKind::AnnouncementAwaits { .. } => Lane::Transactional,
        ChangeKind::Event { .. } | ChangeKind::Venue { .. } | ChangeKind::AnnouncementCancelled { .. } => {
            Lane::Standard
        }
    };
    let for_nodes = matches!(change.kind, ChangeKind::Revocation { .. });
    let mut whole = (!for_nodes).then_some(whole);
    change
        .topics()
        .into_iter()
        .map(|topic| NewPublication {
            id: PublicationId::of(change.id, topic.as_str()),
            topic,
            data: data.clone(),
            lane,
            change: whole.take(),
            attributes: None,
            at: change.at,
        })
        .collect()
}
