//! Statements as text, for what reads better as SQL than as a builder. `$1`, `$2`, … work on both engines.

use domain::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, TryGetable, Value};

use crate::binds::Binds;
use crate::{Engine, Store, StoreError, Tx};

/// Most rows that one sweep removes in a transaction.
const SWEEP_ROWS: i64 = 1_000;

/// A statement of `engine` with its values.
pub(crate) fn statement(
    engine: Engine,
    sql: impl Into<String>,
    values: impl IntoIterator<Item = Value>,
) -> Statement {
    let backend = match engine {
        Engine::Sqlite => DbBackend::Sqlite,
        Engine::Postgres => DbBackend::Postgres,
    };
    Statement::from_sql_and_values(backend, sql, values)
}

/// The rows that a statement gives, each read by `read`.
pub(crate) async fn select<C: ConnectionTrait, T>(
    db: &C,
    engine: Engine,
    sql: String,
    binds: Binds,
    read: fn(&QueryResult) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let rows = db.query_all_raw(statement(engine, sql, binds.take())).await?;
    rows.iter().map(read).collect()
}

/// Removes the row of `table` with `id` if it is at `version`; whether it did.
pub(crate) async fn delete_version(
    tx: &mut Tx,
    table: &'static str,
    id: i64,
    version: i64,
) -> Result<bool, StoreError> {
    let mut binds = Binds::default();
    let (id, version) = (binds.one(id), binds.one(version));
    let sql = format!("DELETE FROM {table} WHERE id = {id} AND version = {version}");
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, binds.take())).await?;
    Ok(done.rows_affected() == 1)
}

/// Removes a page of what has expired by `now`, in a transaction of its own; gives how many rows. `$1` of `sql` is the
/// instant, `$2` the number of rows.
pub(crate) async fn sweep(store: &Store, sql: &'static str, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let values = [at(now), Value::from(SWEEP_ROWS)];
    let done = tx.connection().execute_raw(statement(store.engine(), sql, values)).await?.rows_affected();
    tx.commit().await?;
    Ok(done)
}

/// The column named `column`.
pub(crate) fn get<T: TryGetable>(row: &QueryResult, column: &str) -> Result<T, StoreError> {
    Ok(row.try_get("", column)?)
}

/// The instant in the column named `column`.
pub(crate) fn get_at(row: &QueryResult, column: &'static str) -> Result<Timestamp, StoreError> {
    instant(column, get(row, column)?)
}

/// The instant in the column named `column`, or nothing.
pub(crate) fn get_at_null(row: &QueryResult, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
    get::<Option<i64>>(row, column)?.map(|micros| instant(column, micros)).transpose()
}

/// The word in the column named `column`, as the domain knows it.
pub(crate) fn get_word<T: std::str::FromStr>(
    row: &QueryResult,
    column: &'static str,
) -> Result<T, StoreError> {
    let word: String = get(row, column)?;
    word.parse().map_err(|_| corrupt(column, &word))
}

/// The JSON in the column named `column`.
pub(crate) fn get_json<T: serde::de::DeserializeOwned>(
    row: &QueryResult,
    column: &'static str,
) -> Result<T, StoreError> {
    let text: String = get(row, column)?;
    serde_json::from_str(&text).map_err(|_| corrupt(column, &text))
}

/// `value` as JSON text.
pub(crate) fn json_text<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have string keys and no failing parts")
}

fn instant(column: &'static str, micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| corrupt(column, &micros.to_string()))
}

pub(crate) fn corrupt(column: &'static str, value: &str) -> StoreError {
    StoreError::Corrupt { column, value: value.chars().take(80).collect() }
}

/// An instant as its column holds it.
pub(crate) fn at(instant: Timestamp) -> Value {
    Value::from(instant.as_microsecond())
}

/// An instant or nothing, as its column holds it.
pub(crate) fn at_null(instant: Option<Timestamp>) -> Value {
    Value::from(instant.map(Timestamp::as_microsecond))
}

/// A count or limit as SQL takes it.
pub(crate) fn count(number: u64) -> Value {
    Value::from(i64::try_from(number).unwrap_or(i64::MAX))
}
