//! Leases: who does what only one process may do. Their times are the database's, so that clocks need not agree.

use std::time::Duration;

use sea_orm::ConnectionTrait;

use crate::sql::{count, get, statement};
use crate::{Engine, StoreError, Tx};

/// A lease that is held. Its fence rises whenever the holder changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Higher than that of every earlier holder.
    pub fence: i64,
}

/// Takes the lease `name` for `span`, or renews it. `None` when another holder has it.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn acquire(
    tx: &mut Tx,
    name: &str,
    holder: &str,
    span: Duration,
) -> Result<Option<Lease>, StoreError> {
    let now = now(tx.engine());
    let sql = format!(
        "INSERT INTO leases (name, holder, fence, expires_at) VALUES ($1, $2, 1, {now} + $3) \
         ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at, \
         fence = leases.fence + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END \
         WHERE leases.holder = excluded.holder OR leases.expires_at <= {now} RETURNING fence"
    );
    let micros = count(u64::try_from(span.as_micros()).unwrap_or(u64::MAX));
    let engine = tx.engine();
    let row =
        tx.connection().query_one_raw(statement(engine, sql, [name.into(), holder.into(), micros])).await?;
    row.map(|row| Ok(Lease { fence: get(&row, "fence")? })).transpose()
}

/// Gives the lease back, if `holder` has it.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn release(tx: &mut Tx, name: &str, holder: &str) -> Result<(), StoreError> {
    let engine = tx.engine();
    let sql = format!("UPDATE leases SET expires_at = {} - 1 WHERE name = $1 AND holder = $2", now(engine));
    tx.connection().execute_raw(statement(engine, sql, [name.into(), holder.into()])).await?;
    Ok(())
}

/// Microseconds since 1970 on the database's clock.
fn now(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        Engine::Postgres => "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
    }
}
