//! Deliveries that nobody would end otherwise: past their deadline, withdrawn, proved elsewhere, or forgotten by a crash.

use std::collections::BTreeMap;

use domain::{Channel, DeliveryId, DeliveryState, Lane, NotificationId, Timestamp, UserId};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use super::Move;
use super::row::{lock, write};
use crate::binds::Binds;
use crate::sql::{at, count, get, get_word, statement};
use crate::{Store, StoreError, Tx};

pub(super) const OVERDUE: &str =
    "SELECT id FROM deliveries WHERE ended_at IS NULL AND expires_at < $1 ORDER BY expires_at LIMIT $2";

pub(super) const CANCELLABLE: &str = "SELECT id FROM deliveries WHERE notification_id = $1 AND ended_at IS NULL \
     AND state IN ('queued', 'waiting', 'unknown') LIMIT $2";

pub(super) const ORPHANS: &str = "SELECT id, channel, lane FROM deliveries WHERE next_attempt_at < $1 \
     ORDER BY next_attempt_at LIMIT $2";

/// A delivery that is due and in no queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    /// Which.
    pub id: DeliveryId,
    /// Its channel.
    pub channel: Channel,
    /// Its lane.
    pub lane: Lane,
}

/// Open deliveries whose deadline was before `before`, the earliest first.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn overdue(store: &Store, before: Timestamp, rows_max: u64) -> Result<Vec<DeliveryId>, StoreError> {
    ids(store, OVERDUE, [at(before), count(rows_max)]).await
}

/// Ends deliveries whose deadline has passed, as `DeliveryState::at_deadline` says.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn end_overdue(tx: &mut Tx, ids: &[DeliveryId], now: Timestamp) -> Result<Vec<Move>, StoreError> {
    let mut rows = lock(tx, ids).await?;
    for row in rows.iter_mut().filter(|row| row.expires_at <= now) {
        if let Some((state, reason)) = row.state.at_deadline(row.channel) {
            row.end(state, reason, now);
        }
    }
    write(tx, &rows, now).await
}

/// Deliveries of a notification that can still be withdrawn.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn cancellable(
    store: &Store,
    notification: NotificationId,
    rows_max: u64,
) -> Result<Vec<DeliveryId>, StoreError> {
    ids(store, CANCELLABLE, [notification.0.into(), count(rows_max)]).await
}

/// Withdraws deliveries that did not leave. One that is being sent at this moment is withdrawn when its attempt
/// fails; one that was accepted cannot be withdrawn.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn cancel(tx: &mut Tx, ids: &[DeliveryId], now: Timestamp) -> Result<Vec<Move>, StoreError> {
    let mut rows = lock(tx, ids).await?;
    for row in &mut rows {
        match row.state {
            DeliveryState::Queued | DeliveryState::Waiting | DeliveryState::Unknown => {
                row.end(DeliveryState::Cancelled, "", now);
            }
            _ => {}
        }
    }
    write(tx, &rows, now).await
}

/// Ends what waits for people who proved the notification on another channel. What is being sent at this moment goes on; what
/// a crash leaves here is ended when its attempt would begin. At most 1,000 people at once.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn supersede(
    tx: &mut Tx,
    proven: &[(NotificationId, UserId)],
    now: Timestamp,
) -> Result<Vec<Move>, StoreError> {
    let mut people: BTreeMap<NotificationId, Vec<i64>> = BTreeMap::new();
    for (notification, user) in proven {
        people.entry(*notification).or_default().push(user.0);
    }
    let engine = tx.engine();
    let mut waiting = Vec::new();
    for (notification, users) in people {
        let mut values = Binds::default();
        let notification = values.one(notification.0);
        let users = values.all(users);
        let sql = format!(
            "SELECT id FROM deliveries WHERE notification_id = {notification} AND user_id IN ({users}) \
             AND state IN ('queued', 'waiting')"
        );
        let rows = tx.connection().query_all_raw(statement(engine, sql, values.take())).await?;
        for row in &rows {
            waiting.push(id(row)?);
        }
    }
    let mut rows = lock(tx, &waiting).await?;
    rows.retain(|row| matches!(row.state, DeliveryState::Queued | DeliveryState::Waiting));
    for row in &mut rows {
        row.end(DeliveryState::Superseded, "", now);
    }
    write(tx, &rows, now).await
}

/// Deliveries that have been due since before `due_before`.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn orphans(store: &Store, due_before: Timestamp, rows_max: u64) -> Result<Vec<Orphan>, StoreError> {
    let values = [at(due_before), count(rows_max)];
    let rows = store.reader().query_all_raw(statement(store.engine(), ORPHANS, values)).await?;
    rows.iter()
        .map(|row| {
            Ok(Orphan { id: id(row)?, channel: get_word(row, "channel")?, lane: get_word(row, "lane")? })
        })
        .collect()
}

async fn ids(store: &Store, sql: &str, values: [Value; 2]) -> Result<Vec<DeliveryId>, StoreError> {
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values)).await?;
    rows.iter().map(id).collect()
}

fn id(row: &QueryResult) -> Result<DeliveryId, StoreError> {
    Ok(DeliveryId(get(row, "id")?))
}
