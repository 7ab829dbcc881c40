//! Reminders of events: which are due, which were made, and which have been overtaken by a change of the programme.
//!
//! Nothing is planned ahead: what is due follows from the programme as it is now, so that a moved event needs no
//! rescheduling and a cancelled one has none. A start has each lead once: `event_reminders` is its key.

use domain::{EventId, NotificationId, Timestamp, UserId};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::preferences::minutes_text;
use crate::sql::{at, at_null, count, get, get_at, statement};
use crate::{Engine, Store, StoreError, Tx};

pub(crate) const STARTING: &str = "SELECT id, starts_at FROM events WHERE status IN ('published', 'live') \
     AND starts_at > $1 AND starts_at <= $2 ORDER BY starts_at, id LIMIT $3";

pub(crate) const OVERTAKEN: &str = "SELECT r.notification_id FROM event_reminders r \
     LEFT JOIN events e ON e.id = r.event_id AND e.starts_at = r.starts_at AND e.status IN ('published', 'live') \
     WHERE r.starts_at > $1 AND r.withdrawn_at IS NULL AND e.id IS NULL LIMIT $2";

/// A start of an event, and how long before it people are to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reminder {
    /// Of which event.
    pub event_id: EventId,
    /// Which start: another one makes it another reminder.
    pub starts_at: Timestamp,
    /// Minutes before.
    pub lead_minutes: u32,
}

/// Public events that start after `after` and not later than `until`, the next first: at most `rows_max`.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn starting(
    store: &Store,
    after: Timestamp,
    until: Timestamp,
    rows_max: u64,
) -> Result<Vec<(EventId, Timestamp)>, StoreError> {
    let values = [at(after), at(until), count(rows_max)];
    let rows = store.reader().query_all_raw(statement(store.engine(), STARTING, values)).await?;
    rows.iter().map(|row| Ok((EventId(get(row, "id")?), get_at(row, "starts_at")?))).collect()
}

/// Those that were made of events starting after `after`.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn made(store: &Store, after: Timestamp) -> Result<Vec<Reminder>, StoreError> {
    let sql = "SELECT event_id, starts_at, lead_minutes FROM event_reminders WHERE starts_at > $1";
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, [at(after)])).await?;
    rows.iter().map(read).collect()
}

/// Whether anybody who starred the event wants this reminder, `default_minutes` being the installation's.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn wanted(store: &Store, one: Reminder, default_minutes: &[u32]) -> Result<bool, StoreError> {
    let sql = "SELECT 1 AS found FROM event_stars s LEFT JOIN user_preferences p ON p.user_id = s.user_id \
               WHERE s.event_id = $1 AND COALESCE(s.reminder_minutes, p.reminder_minutes, $2) LIKE $3 LIMIT 1";
    let values = [
        one.event_id.0.into(),
        minutes_text(default_minutes).into(),
        format!("%,{},%", one.lead_minutes).into(),
    ];
    Ok(store.reader().query_one_raw(statement(store.engine(), sql, values)).await?.is_some())
}

/// Notes that a reminder is made, if the event still starts then; the caller writes its notification in the same
/// transaction. Whether it is: not when it was made before, or the programme has changed.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn make(
    tx: &mut Tx,
    one: Reminder,
    notification: NotificationId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let engine = tx.engine();
    let lock = match engine {
        Engine::Sqlite => "", // the transaction is the only writer
        Engine::Postgres => "FOR SHARE",
    };
    let stands = format!(
        "SELECT id FROM events WHERE id = $1 AND starts_at = $2 AND status IN ('published', 'live') {lock}"
    );
    let values = [one.event_id.0.into(), at(one.starts_at)];
    if tx.connection().query_one_raw(statement(engine, stands, values)).await?.is_none() {
        return Ok(false);
    }
    let sql = "INSERT INTO event_reminders (event_id, starts_at, lead_minutes, notification_id, made_at, withdrawn_at) \
               VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (event_id, starts_at, lead_minutes) DO NOTHING";
    let values = [
        one.event_id.0.into(),
        at(one.starts_at),
        i64::from(one.lead_minutes).into(),
        notification.0.into(),
        at(now),
        at_null(None),
    ];
    let done = tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(done.rows_affected() == 1)
}

/// Notifications of reminders whose event moved, will not take place or is gone, of starts after `now`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn overtaken(
    store: &Store,
    now: Timestamp,
    rows_max: u64,
) -> Result<Vec<NotificationId>, StoreError> {
    let values = [at(now), count(rows_max)];
    let rows = store.reader().query_all_raw(statement(store.engine(), OVERTAKEN, values)).await?;
    rows.iter().map(|row| Ok(NotificationId(get(row, "notification_id")?))).collect()
}

/// Notes that a reminder was withdrawn.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn withdraw(tx: &mut Tx, notification: NotificationId, now: Timestamp) -> Result<(), StoreError> {
    let sql =
        "UPDATE event_reminders SET withdrawn_at = $2 WHERE notification_id = $1 AND withdrawn_at IS NULL";
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, [notification.0.into(), at(now)])).await?;
    Ok(())
}

/// Whether a reminder still stands: its event starts when it says.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn stands(store: &Store, notification: NotificationId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 AS found FROM event_reminders r JOIN events e ON e.id = r.event_id \
               AND e.starts_at = r.starts_at AND e.status IN ('published', 'live') WHERE r.notification_id = $1";
    let found = store.reader().query_one_raw(statement(store.engine(), sql, [notification.0.into()])).await?;
    Ok(found.is_some())
}

/// Users whose digest is due, the longest due first.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn digests_due(
    store: &Store,
    now: Timestamp,
    rows_max: u64,
) -> Result<Vec<(UserId, Timestamp)>, StoreError> {
    let sql =
        "SELECT user_id, digest_at FROM user_preferences WHERE digest_at <= $1 ORDER BY digest_at LIMIT $2";
    let rows =
        store.reader().query_all_raw(statement(store.engine(), sql, [at(now), count(rows_max)])).await?;
    rows.iter().map(|row| Ok((UserId(get(row, "user_id")?), get_at(row, "digest_at")?))).collect()
}

/// Moves the due time of a digest from `from` to `to`. Whether it stood at `from`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn advance_digest(
    tx: &mut Tx,
    user: UserId,
    from: Timestamp,
    to: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE user_preferences SET digest_at = $3 WHERE user_id = $1 AND digest_at = $2";
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, [user.0.into(), at(from), at(to)])).await?;
    Ok(done.rows_affected() == 1)
}

/// Notifications of the standard lane that were planned for a user in the time given and that nothing proves to be
/// read, the newest first. Digests themselves are not counted.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn unread(
    store: &Store,
    user: UserId,
    after: Timestamp,
    until: Timestamp,
) -> Result<Vec<NotificationId>, StoreError> {
    let sql = "SELECT d.notification_id, MAX(d.queued_at) AS last FROM deliveries d \
               JOIN notifications n ON n.id = d.notification_id \
               WHERE d.user_id = $1 AND d.queued_at > $2 AND d.queued_at <= $3 AND d.lane = 'standard' \
               AND n.kind NOT IN ('digest', 'event_reminder') AND n.cancelled_at IS NULL \
               GROUP BY d.notification_id HAVING SUM(CASE WHEN d.state IN ('delivered', 'opened') THEN 1 \
               WHEN d.channel = 'email' AND d.accepted_at IS NOT NULL THEN 1 ELSE 0 END) = 0 \
               ORDER BY last DESC LIMIT 1000";
    let values = [user.0.into(), at(after), at(until)];
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, values)).await?;
    rows.iter().map(|row| Ok(NotificationId(get(row, "notification_id")?))).collect()
}

fn read(row: &QueryResult) -> Result<Reminder, StoreError> {
    let lead: i64 = get(row, "lead_minutes")?;
    Ok(Reminder {
        event_id: EventId(get(row, "event_id")?),
        starts_at: get_at(row, "starts_at")?,
        lead_minutes: u32::try_from(lead).unwrap_or(u32::MAX),
    })
}
