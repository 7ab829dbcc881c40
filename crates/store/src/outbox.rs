//! The outbox: committed changes that wait for the relay, in the order in which they were written.
//!
//! A row is written in the transaction of the rows it describes and deleted after its publications are durable in
//! the change log: a crash in between repeats, never loses. Whoever appends after its other writes has its changes
//! published in commit order for every row it locked.

use std::time::Duration;

use domain::{Change, Timestamp};
use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait, Value};
use tracing::warn;

use crate::sql::{get, get_at, get_json, json_text, statement};
use crate::{Engine, Store, StoreError, Tx};

/// The PostgreSQL notification channel that wakes relays in other processes.
const WAKE_CHANNEL: &str = "munadi_outbox";

/// A change that waits for the relay.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its place in the outbox.
    pub id: i64,
    /// What happened.
    pub change: Change,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Rows in the outbox.
    pub rows: u64,
    /// When the oldest of them was written.
    pub oldest_at: Option<Timestamp>,
}

/// Writes a change in the transaction of the rows it describes, and wakes the relays at commit. Call it after the
/// operation's other writes.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn append(tx: &mut Tx, change: &Change) -> Result<(), StoreError> {
    let values = [Value::from(json_text(change)), Value::from(change.at.as_microsecond())];
    let sql = "INSERT INTO outbox (change_json, created_at) VALUES ($1, $2)";
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    if tx.wake_relay_at_commit() && engine == Engine::Postgres {
        let wake = statement(engine, format!("NOTIFY {WAKE_CHANNEL}"), []);
        tx.connection().execute_raw(wake).await?; // PostgreSQL sends it at commit, or never
    }
    Ok(())
}

/// The oldest changes, at most `rows_max`. A row that this version cannot read stops here, with everything behind
/// it: it was written by a newer version, whose relay will read it.
///
/// # Errors
/// [`StoreError::Corrupt`] when the oldest row cannot be read, [`StoreError::Database`].
pub async fn read(store: &Store, rows_max: u64) -> Result<Vec<Waiting>, StoreError> {
    let sql = "SELECT id, change_json FROM outbox ORDER BY id LIMIT $1";
    let values = [Value::from(i64::try_from(rows_max).unwrap_or(i64::MAX))];
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values)).await?;
    let mut waiting = Vec::with_capacity(rows.len());
    for row in rows {
        match get_json(&row, "change_json") {
            Ok(change) => waiting.push(Waiting { id: get(&row, "id")?, change }),
            Err(cause) if waiting.is_empty() => return Err(cause),
            Err(_) => break,
        }
    }
    Ok(waiting)
}

/// Removes changes whose publications are durable.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn delete(tx: &mut Tx, ids: &[i64]) -> Result<(), StoreError> {
    for page in ids.chunks(1_000) {
        let places = (1..=page.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(", ");
        let sql = format!("DELETE FROM outbox WHERE id IN ({places})");
        let values = page.iter().copied().map(Value::from);
        let engine = tx.engine();
        tx.connection().execute_raw(statement(engine, sql, values)).await?;
    }
    Ok(())
}

/// How much waits.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn backlog(store: &Store) -> Result<Backlog, StoreError> {
    let sql = "SELECT count(*) AS rows_waiting FROM outbox";
    let row = store.reader().query_one_raw(statement(store.engine(), sql, [])).await?;
    let rows: i64 = row.map_or(Ok(0), |row| get(&row, "rows_waiting"))?;
    let sql = "SELECT created_at FROM outbox ORDER BY id LIMIT 1";
    let oldest = store.reader().query_one_raw(statement(store.engine(), sql, [])).await?;
    let oldest_at = oldest.map(|row| get_at(&row, "created_at")).transpose()?;
    Ok(Backlog { rows: u64::try_from(rows).unwrap_or(0), oldest_at })
}

/// What wakes a relay: commits of this process at once, those of other processes through PostgreSQL.
#[derive(Debug)]
pub struct Wakeups {
    store: Store,
    listener: Option<PgListener>,
}

impl Wakeups {
    /// Begins to listen. A listener that cannot be had is tried again at each [`Wakeups::wait`].
    pub async fn new(store: Store) -> Self {
        let mut wakeups = Self { store, listener: None };
        wakeups.listen().await;
        wakeups
    }

    /// Completes when something was written, and in any case after `backstop`. Cancel-safe: a wake-up that is lost
    /// costs at most the backstop.
    pub async fn wait(&mut self, backstop: Duration) {
        if self.listener.is_none() {
            self.listen().await;
        }
        let written = self.store.outbox_written().clone();
        let lost = tokio::select! {
            () = written.notified() => false,
            () = tokio::time::sleep(backstop) => false,
            heard = hear(self.listener.as_mut()) => heard.is_err(),
        };
        if lost {
            warn!("the listener for outbox writes was lost; polling until it is back");
            self.listener = None;
        }
    }

    async fn listen(&mut self) {
        if self.store.engine() != Engine::Postgres {
            return;
        }
        let pool = self.store.reader().get_postgres_connection_pool();
        let mut listener = match PgListener::connect_with(pool).await {
            Ok(listener) => listener,
            Err(cause) => return warn!("no listener for outbox writes: {cause}; polling"),
        };
        match listener.listen(WAKE_CHANNEL).await {
            Ok(()) => self.listener = Some(listener),
            Err(cause) => warn!("no listener for outbox writes: {cause}; polling"),
        }
    }
}

async fn hear(listener: Option<&mut PgListener>) -> Result<(), sea_orm::sqlx::Error> {
    match listener {
        Some(listener) => listener.recv().await.map(|_| ()),
        None => std::future::pending().await,
    }
}
