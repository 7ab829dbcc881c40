//! Calendars of one's own: each is found by the hash of the secret in its address.

use domain::{Timestamp, UserId};
use sea_orm::{ConnectionTrait, Value};

use crate::sql::{get, statement};
use crate::{Store, StoreError, Tx};

/// SHA-256 of the secret.
pub type SecretHash = [u8; 32];

/// Gives `user` a calendar that is found by `hash`, in place of the one before.
///
/// # Errors
/// [`StoreError`].
pub async fn replace(tx: &mut Tx, user: UserId, hash: &SecretHash, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO calendars (user_id, secret_hash, created_at) VALUES ($1, $2, $3) ON CONFLICT (user_id) \
               DO UPDATE SET secret_hash = excluded.secret_hash, created_at = excluded.created_at";
    let values = [Value::from(user.0), Value::from(hash.to_vec()), Value::from(now.as_microsecond())];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// Ends the calendar of `user`; whether there was one.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, user: UserId) -> Result<bool, StoreError> {
    let sql = "DELETE FROM calendars WHERE user_id = $1";
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, [Value::from(user.0)])).await?;
    Ok(done.rows_affected() == 1)
}

/// Whose calendar it is; `None` when `hash` is of none.
///
/// # Errors
/// [`StoreError`].
pub async fn owner(store: &Store, hash: &SecretHash) -> Result<Option<UserId>, StoreError> {
    let sql = "SELECT user_id FROM calendars WHERE secret_hash = $1";
    let query = statement(store.engine(), sql, [Value::from(hash.to_vec())]);
    let row = store.reader().query_one_raw(query).await?;
    row.map(|row| Ok(UserId(get(&row, "user_id")?))).transpose()
}
