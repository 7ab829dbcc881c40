//! Confirmations from sockets: from the queue `receipts` to evidence.
//!
//! The hub has verified the receipt code before it pushed the item; the API writes its own evidence.

use std::time::Duration;

use domain::{DeliveryId, EvidenceKind, Timestamp};
use serde::Deserialize;
use store::StoreError;
use store::deliveries;
use store::evidence::{self, NewEvidence, RecordOutcome};
use streams::{Claimed, QueueName, StreamsError};
use tracing::warn;

use crate::app::App;
use crate::backoff::Backoff;
use crate::failure::chain;
use crate::metrics;

/// The body of a work item.
#[derive(Debug, Deserialize)]
struct Receipt {
    delivery_id: DeliveryId,
    state: ReceiptState,
    #[serde(default)]
    at: Option<Timestamp>,
    source: Source,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReceiptState {
    Delivered,
    Opened,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Socket,
    App,
    /// A client came back to its own topic with a position after it.
    Position,
}

/// Why a turn ended early.
#[derive(Debug, thiserror::Error)]
enum ReceiptsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
}

/// Takes confirmations until the process drains.
pub(crate) async fn run(app: App) {
    let queue = QueueName("receipts".into());
    let mut backoff = Backoff::new(
        Duration::from_millis(app.config.relay.backoff_min_ms),
        Duration::from_millis(app.config.relay.backoff_max_ms),
    );
    while !app.draining() {
        match turn(&app, &queue).await {
            Ok(()) => backoff.reset(),
            Err(cause) => {
                let wait = backoff.after_failure(rand::random());
                warn!(
                    cause = chain(&cause),
                    wait_ms = wait.as_millis(),
                    "confirmations were interrupted; their lease brings them back"
                );
                app.pause(wait).await;
            }
        }
    }
}

async fn turn(app: &App, queue: &QueueName) -> Result<(), ReceiptsError> {
    let rules = &app.config.receipts;
    let lease = Duration::from_millis(rules.lease_ms);
    let wait = Duration::from_millis(app.config.deliver.claim_wait_ms);
    let items = app.queue.claim(queue, rules.batch, lease, wait).await?;
    if items.is_empty() {
        return Ok(());
    }
    let now = app.now();
    let evidence: Vec<NewEvidence> = items.iter().filter_map(|item| read(item, now)).collect();
    let mut tx = app.store.begin().await?;
    let recorded = evidence::record_all(&mut tx, &evidence, now).await?;
    tx.commit().await?;
    metrics::moved(&recorded.moves);
    if !recorded.proven.is_empty() {
        let mut tx = app.store.begin().await?;
        let moves = deliveries::supersede(&mut tx, &recorded.proven, now).await?;
        tx.commit().await?;
        metrics::moved(&moves);
    }
    metrics::receipts(items.len() - evidence.len(), &recorded.outcomes);
    let unknown = recorded.outcomes.iter().filter(|one| **one == RecordOutcome::UnknownDelivery).count();
    if unknown > 0 {
        warn!(receipts = unknown, "{unknown} confirmations name deliveries that do not exist");
    }
    let ids: Vec<Box<str>> = items.into_iter().map(|item| item.id).collect();
    Ok(app.queue.acknowledge(queue, &ids).await?)
}

/// A confirmation as evidence; `None` when it cannot be read, which is a bug of ours and not of a client.
fn read(item: &Claimed, now: Timestamp) -> Option<NewEvidence> {
    let receipt: Receipt = match serde_json::from_slice(&item.body) {
        Ok(receipt) => receipt,
        Err(cause) => {
            warn!(cause = chain(&cause), item.id = &*item.id, "a confirmation cannot be read and is dropped");
            return None;
        }
    };
    let kind = match receipt.state {
        ReceiptState::Delivered => EvidenceKind::Delivered,
        ReceiptState::Opened => EvidenceKind::Opened,
    };
    let source = match receipt.source {
        Source::Socket => "socket",
        Source::App => "app",
        Source::Position => "position",
    };
    Some(NewEvidence {
        delivery_id: receipt.delivery_id,
        kind,
        source: source.to_owned(),
        code: kind.as_str().to_owned(),
        at: receipt.at.unwrap_or(now),
    })
}
