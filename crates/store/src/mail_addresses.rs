//! Mailboxes that mail systems have refused: quarantined at a hard bounce, or after several soft ones.

use std::time::Duration;

use domain::{DeliveryId, Timestamp};
use sea_orm::ConnectionTrait;

use crate::sql::{at, get, statement};
use crate::{StoreError, Tx};

/// Soft bounces within [`SOFT_WITHIN`] that quarantine an address.
const SOFT_MAX: i64 = 3;
/// For how long soft bounces are counted together.
const SOFT_WITHIN: Duration = Duration::from_hours(14 * 24);

/// How a mailbox was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounce {
    /// There is no such mailbox.
    Hard,
    /// Not now, such as a full one.
    Soft,
}

/// Notes that `address` was refused; whether it is quarantined now.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn note(
    tx: &mut Tx,
    address: &str,
    bounce: Bounce,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let least = if bounce == Bounce::Hard { 1 } else { SOFT_MAX };
    let sql = "INSERT INTO mail_addresses (address, state, reason, failures, first_at, last_at) \
               VALUES ($1, CASE WHEN $2 <= 1 THEN 'quarantined' ELSE 'suspected' END, $3, 1, $4, $4) \
               ON CONFLICT (address) DO UPDATE SET \
               failures = CASE WHEN mail_addresses.first_at < $5 THEN 1 ELSE mail_addresses.failures + 1 END, \
               first_at = CASE WHEN mail_addresses.first_at < $5 THEN excluded.first_at ELSE mail_addresses.first_at END, \
               state = CASE WHEN mail_addresses.state = 'quarantined' OR $2 <= 1 \
               OR (mail_addresses.first_at >= $5 AND mail_addresses.failures + 1 >= $2) \
               THEN 'quarantined' ELSE 'suspected' END, \
               reason = excluded.reason, last_at = excluded.last_at RETURNING state";
    let values = [address.into(), least.into(), reason.into(), at(now), at(now - SOFT_WITHIN)];
    let engine = tx.engine();
    let row = tx.connection().query_one_raw(statement(engine, sql, values)).await?;
    let state: Option<String> = row.map(|row| get(&row, "state")).transpose()?;
    Ok(state.as_deref() == Some("quarantined"))
}

/// Forgets addresses that nothing was heard of since `before`, so that they are tried again; how many.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn forget(tx: &mut Tx, before: Timestamp) -> Result<u64, StoreError> {
    let engine = tx.engine();
    let sql = "DELETE FROM mail_addresses WHERE last_at < $1";
    Ok(tx.connection().execute_raw(statement(engine, sql, [at(before)])).await?.rows_affected())
}

/// The address that a delivery by mail went to.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn of_delivery(tx: &mut Tx, delivery: DeliveryId) -> Result<Option<String>, StoreError> {
    let engine = tx.engine();
    let sql = "SELECT target FROM deliveries WHERE id = $1 AND channel = 'email'";
    let row = tx.connection().query_one_raw(statement(engine, sql, [delivery.0.into()])).await?;
    row.map(|row| get(&row, "target")).transpose()
}
