//! What apps say about deliveries.

use domain::{DeliveryId, EvidenceKind, NotificationId, Timestamp, UserId};
use store::StoreError;
use store::deliveries;
use store::evidence::{self, NewEvidence, RecordOutcome};

use crate::app::App;

/// One app's word about one delivery.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    /// Which.
    pub(crate) delivery_id: DeliveryId,
    /// The code that came with it.
    pub(crate) code: String,
    /// What happened: delivered or opened.
    pub(crate) kind: EvidenceKind,
    /// When, as the app says.
    pub(crate) at: Option<Timestamp>,
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// It was new.
    Recorded,
    /// It was known.
    Repeated,
    /// The code is not the delivery's.
    CodeWrong,
    /// The code is good, and the delivery is not known (any more).
    DeliveryUnknown,
}

/// Records what is proved by its code; the answers are in the order of the receipts.
///
/// # Errors
/// [`StoreError::Database`].
pub(crate) async fn record(app: &App, receipts: &[Receipt]) -> Result<Vec<Received>, StoreError> {
    let now = app.clock.now();
    let good: Vec<bool> =
        receipts.iter().map(|one| app.receipt_key.verifies(one.delivery_id, &one.code)).collect();
    let facts: Vec<NewEvidence> = receipts
        .iter()
        .zip(&good)
        .filter(|(_, good)| **good)
        .map(|(one, _)| NewEvidence {
            delivery_id: one.delivery_id,
            kind: one.kind,
            source: "app".to_owned(),
            code: "receipt".to_owned(),
            at: one.at.unwrap_or(now),
        })
        .collect();
    let mut outcomes = Vec::new();
    if !facts.is_empty() {
        let mut tx = app.store.begin().await?;
        let recorded = evidence::record_all(&mut tx, &facts, now).await?;
        tx.commit().await?;
        supersede(app, &recorded.proven, now).await?;
        outcomes = recorded.outcomes;
    }
    let mut outcomes = outcomes.into_iter();
    let answer = |good: bool| {
        if !good {
            return Received::CodeWrong;
        }
        match outcomes.next() {
            Some(RecordOutcome::Applied { .. }) => Received::Recorded,
            Some(RecordOutcome::Repeated) => Received::Repeated,
            Some(RecordOutcome::UnknownDelivery) | None => Received::DeliveryUnknown,
        }
    };
    Ok(good.into_iter().map(answer).collect())
}

/// Ends what waits for these people on other channels.
async fn supersede(app: &App, proven: &[(NotificationId, UserId)], now: Timestamp) -> Result<(), StoreError> {
    if proven.is_empty() {
        return Ok(());
    }
    let mut tx = app.store.begin().await?;
    deliveries::supersede(&mut tx, proven, now).await?;
    tx.commit().await
}
