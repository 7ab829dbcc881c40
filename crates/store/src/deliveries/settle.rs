//! The end of attempts: outcomes and their evidence, written in batches.

use std::collections::HashMap;

use domain::{Action, DeliveryId, DeliveryState, EvidenceKind, Timestamp};
use sea_orm::ConnectionTrait;

use super::Move;
use super::row::{Row, lock, write};
use crate::binds::Binds;
use crate::evidence::{self, NewEvidence};
use crate::sql::{at, statement};
use crate::{StoreError, Tx};

/// What became of an attempt, and what follows from it.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Of which delivery.
    pub id: DeliveryId,
    /// As `begin` gave it.
    pub attempt: u32,
    /// As `begin` gave it.
    pub fence: i64,
    /// What follows.
    pub settled: Settled,
    /// The provider's id of the message.
    pub provider_id: Option<String>,
    /// HTTP status or SMTP reply code.
    pub status_code: Option<u16>,
    /// From a bounded vocabulary.
    pub reason: String,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The provider took responsibility.
    Accepted,
    /// Another attempt at the instant.
    Again(Timestamp),
    /// No verdict: another attempt at the instant, or none.
    Unknown(Option<Timestamp>),
    /// Refused for good, by this action.
    Failed(Action),
    /// Every permitted attempt is spent, the last of them by this action.
    Dead(Action),
    /// The next attempt would come after the deadline.
    TooLate,
    /// It never was an attempt: nothing left, or our own configuration is to blame. Again at the instant.
    Released(Timestamp),
}

/// Writes outcomes, their evidence and the states that follow. An outcome with a stale fence changes no state,
/// unless it is an acceptance, which is a fact whoever brought it.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn settle(
    tx: &mut Tx,
    settlements: &[Settlement],
    now: Timestamp,
) -> Result<Vec<Move>, StoreError> {
    let ids: Vec<DeliveryId> = settlements.iter().map(|one| one.id).collect();
    let by_id: HashMap<DeliveryId, &Settlement> = settlements.iter().map(|one| (one.id, one)).collect();
    let mut rows = lock(tx, &ids).await?;
    let (mut closed, mut released, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    for row in &mut rows {
        let one = by_id[&row.id];
        facts.extend(evidence_of(one, row, now));
        match one.settled {
            Settled::Released(_) => released.push((one.id, i64::from(one.attempt))),
            _ => closed.push(close(one)),
        }
        if row.fence == one.fence || one.settled == Settled::Accepted {
            apply(row, one, now);
        }
    }
    delete_attempts(tx, &released).await?;
    close_attempts(tx, &closed, now).await?;
    evidence::insert(tx, &facts, now).await?;
    write(tx, &rows, now).await
}

fn apply(row: &mut Row, one: &Settlement, now: Timestamp) {
    if one.provider_id.is_some() {
        row.provider_id.clone_from(&one.provider_id);
    }
    match one.settled {
        Settled::Accepted => row.learn(EvidenceKind::Accepted, now, now),
        Settled::Again(at) => again(row, at, one, now),
        Settled::Unknown(next) => {
            row.learn(EvidenceKind::NoVerdict, now, now);
            match next {
                Some(at) => again(row, at, one, now),
                None if row.ended_at.is_none() && row.state == DeliveryState::Unknown => {
                    row.reason = Some(one.reason.clone());
                    row.next_attempt_at = None;
                }
                None => {}
            }
        }
        Settled::Failed(_) => row.end(DeliveryState::Failed, &one.reason, now),
        Settled::Dead(_) => row.end(DeliveryState::Dead, &one.reason, now),
        Settled::TooLate => row.end(DeliveryState::Expired, "deadline", now),
        Settled::Released(at) => {
            row.attempts -= 1;
            again(row, at, one, now);
            if row.attempts == 0 && row.state == DeliveryState::Waiting {
                row.state = DeliveryState::Queued;
            }
        }
    }
}

/// Waits for another attempt, unless it was withdrawn, has ended, or was proved meanwhile.
fn again(row: &mut Row, at: Timestamp, one: &Settlement, now: Timestamp) {
    if row.ended_at.is_some() || row.state.rank() >= DeliveryState::Accepted.rank() {
        return;
    }
    if row.cancelled {
        return row.end(DeliveryState::Cancelled, "", now);
    }
    if row.state == DeliveryState::Sending {
        row.state = DeliveryState::Waiting;
    }
    row.reason = Some(one.reason.clone());
    row.next_attempt_at = Some(at);
}

fn evidence_of(one: &Settlement, row: &Row, now: Timestamp) -> Option<NewEvidence> {
    let kind = match one.settled {
        Settled::Accepted => EvidenceKind::Accepted,
        Settled::Unknown(_) | Settled::Dead(Action::Unknown) => EvidenceKind::NoVerdict,
        Settled::Failed(_) => EvidenceKind::Refused,
        Settled::Again(_) | Settled::Dead(_) | Settled::TooLate | Settled::Released(_) => return None,
    };
    Some(NewEvidence {
        delivery_id: one.id,
        kind,
        source: row.channel.as_str().to_owned(),
        code: format!("attempt {}: {}", one.attempt, one.reason),
        at: now,
    })
}

/// An attempt that is over.
pub(super) struct Closed {
    pub(super) id: DeliveryId,
    pub(super) number: i64,
    pub(super) action: &'static str,
    pub(super) status_code: Option<u16>,
    pub(super) reason: String,
}

fn close(one: &Settlement) -> Closed {
    let action = match one.settled {
        Settled::Accepted => "accepted",
        Settled::Again(_) | Settled::TooLate => Action::Retry.as_str(),
        Settled::Unknown(_) => Action::Unknown.as_str(),
        Settled::Failed(action) | Settled::Dead(action) => action.as_str(),
        Settled::Released(_) => Action::FixConfig.as_str(),
    };
    Closed {
        id: one.id,
        number: i64::from(one.attempt),
        action,
        status_code: one.status_code,
        reason: one.reason.clone(),
    }
}

/// Writes the end of attempts that were still open.
pub(super) async fn close_attempts(tx: &mut Tx, closed: &[Closed], now: Timestamp) -> Result<(), StoreError> {
    if closed.is_empty() {
        return Ok(());
    }
    let mut values = Binds::default();
    let finished_at = values.one(at(now));
    let rows = closed
        .iter()
        .map(|one| {
            values.row([
                one.id.0.into(),
                one.number.into(),
                one.action.into(),
                one.status_code.map(i64::from).into(),
                one.reason.clone().into(),
            ])
        })
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "UPDATE attempts SET finished_at = {finished_at}, action = v.column3, status_code = v.column4, \
         reason = v.column5 FROM (VALUES {rows}) AS v \
         WHERE attempts.delivery_id = v.column1 AND attempts.number = v.column2 AND attempts.finished_at IS NULL"
    );
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok(())
}

async fn delete_attempts(tx: &mut Tx, attempts: &[(DeliveryId, i64)]) -> Result<(), StoreError> {
    if attempts.is_empty() {
        return Ok(());
    }
    let mut values = Binds::default();
    let rows = attempts
        .iter()
        .map(|(id, number)| values.row([id.0.into(), (*number).into()]))
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!("DELETE FROM attempts WHERE (delivery_id, number) IN (VALUES {rows})");
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok(())
}
