//! Lanes of channels that stand still until their configuration is mended.

use domain::{Channel, Lane, Timestamp};
use sea_orm::ConnectionTrait;

use crate::sql::{at, get, get_at, get_word, statement};
use crate::{Store, StoreError, Tx};

/// A lane of a channel that stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePause {
    /// The channel.
    pub channel: Channel,
    /// The lane.
    pub lane: Lane,
    /// What the provider refused, from a bounded vocabulary.
    pub reason: String,
    /// Since when.
    pub paused_at: Timestamp,
    /// When one delivery will try whether it was mended.
    pub retry_at: Timestamp,
    /// The operator who paused it: nothing tries by itself then. `None`: a provider's refusal did.
    pub held_by: Option<String>,
}

/// Every pause.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn list(store: &Store) -> Result<Vec<LanePause>, StoreError> {
    let sql =
        "SELECT channel, lane, reason, paused_at, retry_at, held_by FROM lane_pauses ORDER BY channel, lane";
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, [])).await?;
    rows.iter()
        .map(|row| {
            Ok(LanePause {
                channel: get_word(row, "channel")?,
                lane: get_word(row, "lane")?,
                reason: get(row, "reason")?,
                paused_at: get_at(row, "paused_at")?,
                retry_at: get_at(row, "retry_at")?,
                held_by: get(row, "held_by")?,
            })
        })
        .collect()
}

/// Pauses a lane of a channel, or prolongs its pause; the first time stays. An operator's pause stays theirs, whatever
/// providers refuse meanwhile.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn set(tx: &mut Tx, pause: &LanePause) -> Result<(), StoreError> {
    let sql = "INSERT INTO lane_pauses (channel, lane, reason, paused_at, retry_at, held_by) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (channel, lane) DO UPDATE SET reason = excluded.reason, retry_at = excluded.retry_at, \
               held_by = excluded.held_by WHERE lane_pauses.held_by IS NULL OR excluded.held_by IS NOT NULL";
    let values = [
        pause.channel.as_str().into(),
        pause.lane.as_str().into(),
        pause.reason.clone().into(),
        at(pause.paused_at),
        at(pause.retry_at),
        pause.held_by.clone().into(),
    ];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// Ends a pause that a provider's refusal caused; an operator's stays.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn clear(tx: &mut Tx, channel: Channel, lane: Lane) -> Result<(), StoreError> {
    end(tx, "DELETE FROM lane_pauses WHERE channel = $1 AND lane = $2 AND held_by IS NULL", channel, lane)
        .await
}

/// Ends a pause, whoever caused it.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn release(tx: &mut Tx, channel: Channel, lane: Lane) -> Result<(), StoreError> {
    end(tx, "DELETE FROM lane_pauses WHERE channel = $1 AND lane = $2", channel, lane).await
}

async fn end(tx: &mut Tx, sql: &'static str, channel: Channel, lane: Lane) -> Result<(), StoreError> {
    let engine = tx.engine();
    let values = [channel.as_str().into(), lane.as_str().into()];
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}
