//! Announcements that are to be made at a time, once or again and again.

use domain::{Audience, Lane, LocalizedText, Timestamp, UserId};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::binds::Binds;
use crate::sql::{at, at_null, count, get, get_at, get_at_null, get_json, get_word, json_text, statement};
use crate::{Engine, Store, StoreError, Tx};

/// What is to be announced, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// How urgent it will be.
    pub lane: Lane,
    /// Headline.
    pub title: LocalizedText,
    /// Text.
    pub body: LocalizedText,
    /// Whom it will be for.
    pub audience: Audience,
    /// Seconds for which each announcement is of use.
    pub ttl_seconds: u64,
    /// The first time on the clocks of the zone: `2026-07-18T18:00:00`.
    pub first_local: String,
    /// IANA zone.
    pub time_zone: String,
    /// RFC 5545; `None`: once.
    pub recurrence: Option<String>,
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: i64,
    /// What and when.
    pub plan: Plan,
    /// The next time; `None`: nothing more will come.
    pub next_at: Option<Timestamp>,
    /// Announcements that were made.
    pub sent: i64,
    /// Times that passed while nothing ran, too long ago to make up for.
    pub missed: i64,
    /// Who made it.
    pub created_by: UserId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was stopped.
    pub cancelled_at: Option<Timestamp>,
    /// Rises by one with each change.
    pub version: i64,
}

const COLUMNS: &str = "id, lane, title_json, body_json, audience_json, ttl_seconds, first_local, time_zone, recurrence, \
    next_at, sent, missed, created_by, created_at, cancelled_at, version";

/// Writes a new schedule.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn insert(
    tx: &mut Tx,
    plan: &Plan,
    next_at: Timestamp,
    created_by: UserId,
    now: Timestamp,
) -> Result<Schedule, StoreError> {
    let mut values = Binds::default();
    let row = values.row([
        plan.lane.as_str().into(),
        json_text(&plan.title).into(),
        json_text(&plan.body).into(),
        json_text(&plan.audience).into(),
        i64::try_from(plan.ttl_seconds).unwrap_or(i64::MAX).into(),
        plan.first_local.clone().into(),
        plan.time_zone.clone().into(),
        plan.recurrence.clone().into(),
        at(next_at),
        0_i64.into(),
        0_i64.into(),
        created_by.0.into(),
        at(now),
        at_null(None),
        1_i64.into(),
        at(now),
    ]);
    let columns = COLUMNS.trim_start_matches("id, ");
    let sql = format!("INSERT INTO schedules ({columns}, updated_at) VALUES {row} RETURNING {COLUMNS}");
    let engine = tx.engine();
    let row = tx.connection().query_one_raw(statement(engine, sql, values.take())).await?;
    read(&row.expect("an insert gives its row"))
}

/// One schedule.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn find(store: &Store, id: i64) -> Result<Option<Schedule>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM schedules WHERE id = $1");
    let row = store.reader().query_one_raw(statement(store.engine(), sql, [id.into()])).await?;
    row.as_ref().map(read).transpose()
}

/// One schedule, for a change.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn lock(tx: &mut Tx, id: i64) -> Result<Option<Schedule>, StoreError> {
    let engine = tx.engine();
    let lock = match engine {
        Engine::Sqlite => "", // the transaction is the only writer
        Engine::Postgres => "FOR UPDATE",
    };
    let sql = format!("SELECT {COLUMNS} FROM schedules WHERE id = $1 {lock}");
    let row = tx.connection().query_one_raw(statement(engine, sql, [id.into()])).await?;
    row.as_ref().map(read).transpose()
}

/// A page of schedules, the newest first, of those before `before`.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn list(store: &Store, before: Option<i64>, rows_max: u64) -> Result<Vec<Schedule>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM schedules WHERE id < $1 ORDER BY id DESC LIMIT $2");
    let values = [before.unwrap_or(i64::MAX).into(), count(rows_max)];
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values)).await?;
    rows.iter().map(read).collect()
}

/// Schedules whose time has come, the longest due first.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn due(store: &Store, now: Timestamp, rows_max: u64) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT id FROM schedules WHERE next_at <= $1 ORDER BY next_at, id LIMIT $2";
    let rows =
        store.reader().query_all_raw(statement(store.engine(), sql, [at(now), count(rows_max)])).await?;
    rows.iter().map(|row| get(row, "id")).collect()
}

/// What a time that has come means for its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The next time.
    pub next_at: Option<Timestamp>,
    /// Announcements made.
    pub sent: i64,
    /// Times left out.
    pub missed: i64,
}

/// Moves a schedule on; it is under [`lock`].
///
/// # Errors
/// [`StoreError::Database`].
pub async fn advance(tx: &mut Tx, id: i64, to: Advance, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE schedules SET next_at = $2, sent = sent + $3, missed = missed + $4, version = version + 1, \
               updated_at = $5 WHERE id = $1";
    let values = [id.into(), at_null(to.next_at), to.sent.into(), to.missed.into(), at(now)];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// Stops a schedule; it is under [`lock`].
///
/// # Errors
/// [`StoreError::Database`].
pub async fn cancel(tx: &mut Tx, id: i64, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE schedules SET next_at = NULL, cancelled_at = $2, version = version + 1, updated_at = $2 WHERE id = $1";
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, [id.into(), at(now)])).await?;
    Ok(())
}

fn read(row: &QueryResult) -> Result<Schedule, StoreError> {
    let ttl: i64 = get(row, "ttl_seconds")?;
    Ok(Schedule {
        id: get(row, "id")?,
        plan: Plan {
            lane: get_word(row, "lane")?,
            title: get_json(row, "title_json")?,
            body: get_json(row, "body_json")?,
            audience: get_json(row, "audience_json")?,
            ttl_seconds: u64::try_from(ttl).unwrap_or(0),
            first_local: get(row, "first_local")?,
            time_zone: get(row, "time_zone")?,
            recurrence: get(row, "recurrence")?,
        },
        next_at: get_at_null(row, "next_at")?,
        sent: get(row, "sent")?,
        missed: get(row, "missed")?,
        created_by: UserId(get(row, "created_by")?),
        created_at: get_at(row, "created_at")?,
        cancelled_at: get_at_null(row, "cancelled_at")?,
        version: get(row, "version")?,
    })
}
