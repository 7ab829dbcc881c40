//! Evidence: append-only facts about deliveries, from which their states are derived.
//!
//! A fact is unique by delivery, kind, source and code: whoever tells it again changes nothing.

use std::collections::HashSet;

use domain::{DeliveryId, DeliveryState, EvidenceKind, NotificationId, Timestamp, UserId};
use sea_orm::ConnectionTrait;

use crate::binds::Binds;
use crate::deliveries::{Move, lock, write};
use crate::sql::{at, get, statement};
use crate::{StoreError, Tx};

/// A fact to be recorded.
#[derive(Debug, Clone)]
pub struct NewEvidence {
    /// About which delivery.
    pub delivery_id: DeliveryId,
    /// What it says.
    pub kind: EvidenceKind,
    /// Who says so: `apns`, `fcm`, `email`, `app`, `socket`.
    pub source: String,
    /// The raw code or word of the source, from a bounded vocabulary; never chosen freely by a client.
    pub code: String,
    /// When it happened, as the source says. Taken as now when it lies in the future, and as the time of queueing when it
    /// lies before.
    pub at: Timestamp,
}

/// What recording a fact did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOutcome {
    /// It was new.
    Applied {
        /// The state of the delivery now.
        state: DeliveryState,
    },
    /// It was known already.
    Repeated,
    /// There is no such delivery.
    UnknownDelivery,
}

/// Records one fact and raises the delivery's state by it.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn record(
    tx: &mut Tx,
    evidence: &NewEvidence,
    now: Timestamp,
) -> Result<RecordOutcome, StoreError> {
    let recorded = record_all(tx, std::slice::from_ref(evidence), now).await?;
    Ok(recorded.outcomes[0])
}

/// What recording several facts did.
#[derive(Debug)]
pub struct Recorded {
    /// One for each fact, in the order given.
    pub outcomes: Vec<RecordOutcome>,
    /// Deliveries that went to another state.
    pub moves: Vec<Move>,
    /// People of whom something was proved: what waits for them on other channels is to be ended by
    /// `deliveries::supersede`, in a transaction of its own, so that nobody waits for locks in a circle.
    pub proven: Vec<(NotificationId, UserId)>,
}

/// Records facts and raises the deliveries' states by them. At most 1,000 at once. The order of facts, their repetition, and
/// how they come together in calls make no difference to the state and its times.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn record_all(
    tx: &mut Tx,
    evidence: &[NewEvidence],
    now: Timestamp,
) -> Result<Recorded, StoreError> {
    let ids: HashSet<DeliveryId> = evidence.iter().map(|one| one.delivery_id).collect();
    let mut rows = lock(tx, &ids.into_iter().collect::<Vec<_>>()).await?;
    let states: Vec<DeliveryState> = rows.iter().map(|row| row.state).collect();
    let mut outcomes = vec![RecordOutcome::UnknownDelivery; evidence.len()];
    let mut known = Vec::new();
    for (index, one) in evidence.iter().enumerate() {
        if let Ok(place) = rows.binary_search_by_key(&one.delivery_id, |row| row.id) {
            let happened_at = one.at.clamp(rows[place].queued_at.min(now), now);
            known.push((index, place, NewEvidence { at: happened_at, ..one.clone() }));
        }
    }
    let facts: Vec<NewEvidence> = known.iter().map(|(_, _, one)| one.clone()).collect();
    let mut new = insert(tx, &facts, now).await?;
    for (index, place, one) in known {
        outcomes[index] = if new.remove(&key(&one)) {
            rows[place].learn(one.kind, one.at, now);
            RecordOutcome::Applied { state: rows[place].state }
        } else {
            RecordOutcome::Repeated
        };
    }
    let was_proven: Vec<bool> = states.into_iter().map(DeliveryState::is_proof).collect();
    let newly = rows.iter().zip(was_proven).filter(|(row, was)| row.state.is_proof() && !was);
    let proven = newly.map(|(row, _)| (row.notification_id, row.user_id)).collect();
    let moves = write(tx, &rows, now).await?;
    Ok(Recorded { outcomes, moves, proven })
}

type Key = (DeliveryId, EvidenceKind, String, String);

fn key(one: &NewEvidence) -> Key {
    (one.delivery_id, one.kind, one.source.clone(), one.code.clone())
}

/// Appends facts about deliveries that are under lock; gives those that were new.
pub(crate) async fn insert(
    tx: &mut Tx,
    evidence: &[NewEvidence],
    now: Timestamp,
) -> Result<HashSet<Key>, StoreError> {
    let mut new = HashSet::new();
    if evidence.is_empty() {
        return Ok(new);
    }
    let mut values = Binds::default();
    let rows = evidence
        .iter()
        .map(|one| {
            values.row([
                one.delivery_id.0.into(),
                one.kind.as_str().into(),
                one.source.clone().into(),
                one.code.clone().into(),
                at(one.at),
                at(now),
            ])
        })
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "INSERT INTO evidence (delivery_id, kind, source, code, at, recorded_at) VALUES {rows} \
         ON CONFLICT (delivery_id, kind, source, code) DO NOTHING RETURNING delivery_id, kind, source, code"
    );
    let engine = tx.engine();
    let inserted = tx.connection().query_all_raw(statement(engine, sql, values.take())).await?;
    for row in &inserted {
        let kind: String = get(row, "kind")?;
        let kind = EvidenceKind::ALL.into_iter().find(|one| one.as_str() == kind);
        let kind = kind.expect("it was just written from an evidence kind");
        new.insert((DeliveryId(get(row, "delivery_id")?), kind, get(row, "source")?, get(row, "code")?));
    }
    Ok(new)
}
