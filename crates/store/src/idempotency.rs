//! Idempotency keys: what was answered to a write, kept with its effect.

use domain::Timestamp;
use sea_orm::{ConnectionTrait, Value};

use crate::sql::{self, get, statement};
use crate::{Engine, Store, StoreError, Tx};

/// `$1`, `$2`, `$3`: whose key, for which route, which key.
pub(crate) const FIND: &str = "SELECT fingerprint, response_json, expires_at FROM idempotency_keys \
                               WHERE principal = $1 AND route = $2 AND key = $3";

/// `$1`: now, `$2`: rows.
pub(crate) const SWEEP: &str = "DELETE FROM idempotency_keys WHERE (principal, route, key) IN \
    (SELECT principal, route, key FROM idempotency_keys WHERE expires_at <= $1 LIMIT $2)";

/// Whose key it is, for which route, and which request it was sent with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Such as `user:42`: a key is one caller's own.
    pub principal: String,
    /// Method and path.
    pub route: String,
    /// What the client chose.
    pub key: String,
    /// SHA-256 of method, path and canonical body.
    pub fingerprint: [u8; 32],
}

/// What a key is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is new: do the work, then [`keep`] the answer in the same transaction.
    Fresh,
    /// Another transaction works under it now.
    Busy,
    /// It belongs to another request.
    Other,
    /// The work is done; this is the kept answer.
    Done(String),
}

/// Claims a key until the transaction ends.
///
/// On SQLite there is one writer, so that a second claim waits and then finds the answer. On PostgreSQL an advisory
/// lock of the transaction tells a second claim at once that the first is under way.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn claim(tx: &mut Tx, slot: &Slot, now: Timestamp) -> Result<Claim, StoreError> {
    let engine = tx.engine();
    if engine == Engine::Postgres {
        let name = format!("{}\n{}\n{}", slot.principal, slot.route, slot.key);
        let sql = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 7)) AS free";
        let row = tx.connection().query_one_raw(statement(engine, sql, [Value::from(name)])).await?;
        if !row.map(|row| get::<bool>(&row, "free")).transpose()?.unwrap_or(false) {
            return Ok(Claim::Busy);
        }
    }
    let Some(row) = tx.connection().query_one_raw(statement(engine, FIND, key_of(slot))).await? else {
        return Ok(Claim::Fresh);
    };
    if get::<i64>(&row, "expires_at")? <= now.as_microsecond() {
        let sql = "DELETE FROM idempotency_keys WHERE principal = $1 AND route = $2 AND key = $3";
        tx.connection().execute_raw(statement(engine, sql, key_of(slot))).await?;
        return Ok(Claim::Fresh);
    }
    let fingerprint: Vec<u8> = get(&row, "fingerprint")?;
    if fingerprint == slot.fingerprint {
        Ok(Claim::Done(get(&row, "response_json")?))
    } else {
        Ok(Claim::Other)
    }
}

/// Keeps the answer to a claimed key until `expires_at`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn keep(
    tx: &mut Tx,
    slot: &Slot,
    response: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let engine = tx.engine();
    let sql = "INSERT INTO idempotency_keys \
               (principal, route, key, fingerprint, response_json, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let mut values = key_of(slot).to_vec();
    values.extend([
        Value::from(slot.fingerprint.to_vec()),
        Value::from(response),
        Value::from(now.as_microsecond()),
        Value::from(expires_at.as_microsecond()),
    ]);
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// Forgets keys that have expired, a page at a time; returns how many went in this page.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    sql::sweep(store, SWEEP, now).await
}

fn key_of(slot: &Slot) -> [Value; 3] {
    [Value::from(slot.principal.as_str()), Value::from(slot.route.as_str()), Value::from(slot.key.as_str())]
}
