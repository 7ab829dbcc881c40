//! Notifications, how far their planning has come, and their counts.

use std::collections::BTreeMap;

use domain::{
    AnnouncementId, Audience, Channel, DeliveryState, EventId, Lane, LocalizedText, NotificationId,
    NotificationKind, Timestamp, UserId,
};
use sea_orm::{ConnectionTrait, QueryResult};
use serde_json::Value as Json;

use crate::binds::Binds;
use crate::sql::{at, at_null, count, get, get_at, get_at_null, get_json, get_word, json_text, statement};
use crate::{Store, StoreError, Tx};

/// One thing to tell people.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// `NotificationId::of` the change that caused it.
    pub id: NotificationId,
    /// Why.
    pub kind: NotificationKind,
    /// How urgent.
    pub lane: Lane,
    /// Headline.
    pub title: LocalizedText,
    /// Text.
    pub body: LocalizedText,
    /// What an app needs to open the right page.
    pub data: Json,
    /// Whom it is for.
    pub audience: Audience,
    /// About which event.
    pub event_id: Option<EventId>,
    /// By which announcement.
    pub announcement_id: Option<AnnouncementId>,
    /// The first notification of those that replace each other on the phone; its own id when it replaces none.
    pub thread_id: NotificationId,
    /// When the change was made.
    pub created_at: Timestamp,
    /// When it is of no more use.
    pub expires_at: Timestamp,
}

/// How far a notification has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The notification.
    pub notification: Notification,
    /// Recipients that have their deliveries.
    pub recipients: u64,
    /// The last of them.
    pub planned_after: UserId,
    /// When everybody had theirs; `None`: planning goes on.
    pub planned_at: Option<Timestamp>,
    /// When it was withdrawn.
    pub cancelled_at: Option<Timestamp>,
}

/// Deliveries of one notification, channel and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The channel.
    pub channel: Channel,
    /// The state.
    pub state: DeliveryState,
    /// How many; never zero.
    pub deliveries: u64,
}

const COLUMNS: &str = "id, kind, lane, title_json, body_json, data_json, audience_json, event_id, \
    announcement_id, recipients, planned_after, planned_at, created_at, expires_at, cancelled_at, thread_id";

pub(crate) const COUNTS: &str = "SELECT channel, state, deliveries FROM notification_counts \
     WHERE notification_id = $1 AND deliveries > 0 ORDER BY channel, state";

/// Grouped by the caller: asked to group, SQLite would read the whole table in the order of its key.
pub(crate) const COUNTED_SINCE: &str =
    "SELECT notification_id, changed_at FROM notification_counts WHERE changed_at >= $1";

pub(crate) const EMERGENCY_OPEN: &str = "SELECT n.id FROM notifications n WHERE n.lane = 'emergency' AND n.created_at > $1 \
     AND n.expires_at > $2 AND n.cancelled_at IS NULL AND (n.planned_at IS NULL OR EXISTS (\
     SELECT 1 FROM coverage_counts c WHERE c.notification_id = n.id AND c.people > 0 \
     AND c.reach IN ('open', 'unknown', 'accepted'))) LIMIT 1";

/// Writes a notification unless it exists. Whether it was new.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn insert(tx: &mut Tx, one: &Notification) -> Result<bool, StoreError> {
    let mut values = Binds::default();
    let row = values.row([
        one.id.0.into(),
        kind_word(one.kind).into(),
        one.lane.as_str().into(),
        json_text(&one.title).into(),
        json_text(&one.body).into(),
        one.data.to_string().into(),
        json_text(&one.audience).into(),
        one.event_id.map(|id| id.0).into(),
        one.announcement_id.map(|id| id.0).into(),
        0_i64.into(),
        0_i64.into(),
        at_null(None),
        at(one.created_at),
        at(one.expires_at),
        at_null(None),
        one.thread_id.0.into(),
    ]);
    let sql = format!("INSERT INTO notifications ({COLUMNS}) VALUES {row} ON CONFLICT (id) DO NOTHING");
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok(done.rows_affected() > 0)
}

/// One notification.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn find(store: &Store, id: NotificationId) -> Result<Option<Progress>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM notifications WHERE id = $1");
    let row = store.reader().query_one_raw(statement(store.engine(), sql, [id.0.into()])).await?;
    row.as_ref().map(read).transpose()
}

/// Notifications whose planning has to go on, the most urgent first, then the oldest.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn unplanned(store: &Store, rows_max: u64) -> Result<Vec<Progress>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM notifications WHERE planned_at IS NULL \
         ORDER BY CASE lane WHEN 'emergency' THEN 0 WHEN 'transactional' THEN 1 WHEN 'standard' THEN 2 ELSE 3 END, \
         created_at LIMIT $1"
    );
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, [count(rows_max)])).await?;
    rows.iter().map(read).collect()
}

/// A page of planning that is done.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    /// Of which notification.
    pub id: NotificationId,
    /// Where the page began.
    pub after: UserId,
    /// The last user of the page.
    pub through: UserId,
    /// Users in the page.
    pub recipients: u64,
    /// Set when it was the last page.
    pub finished_at: Option<Timestamp>,
}

/// Notes that a page is done. Whether it was noted: not when another planner was faster.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn advance(tx: &mut Tx, page: Planned) -> Result<bool, StoreError> {
    let sql = "UPDATE notifications SET planned_after = $3, recipients = recipients + $4, planned_at = $5 \
               WHERE id = $1 AND planned_after = $2 AND planned_at IS NULL";
    let values = [
        page.id.0.into(),
        page.after.0.into(),
        page.through.0.into(),
        count(page.recipients),
        at_null(page.finished_at),
    ];
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(done.rows_affected() > 0)
}

/// Withdraws a notification: no more pages are planned. Its deliveries are ended by `deliveries::cancel`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn cancel(tx: &mut Tx, id: NotificationId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE notifications SET cancelled_at = COALESCE(cancelled_at, $2), \
               planned_at = COALESCE(planned_at, $2) WHERE id = $1";
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, [id.0.into(), at(now)])).await?;
    Ok(())
}

/// The counts of one notification: as cheap for 500,000 recipients as for 100.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn counts(store: &Store, id: NotificationId) -> Result<Vec<Count>, StoreError> {
    let rows = store.reader().query_all_raw(statement(store.engine(), COUNTS, [id.0.into()])).await?;
    rows.iter()
        .map(|row| {
            let deliveries: i64 = get(row, "deliveries")?;
            Ok(Count {
                channel: get_word(row, "channel")?,
                state: get_word(row, "state")?,
                deliveries: u64::try_from(deliveries).unwrap_or(0),
            })
        })
        .collect()
}

/// Notifications whose counts changed at or after `since`, and when the newest change was.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn counted_since(
    store: &Store,
    since: Timestamp,
) -> Result<Vec<(NotificationId, Timestamp)>, StoreError> {
    let rows = store.reader().query_all_raw(statement(store.engine(), COUNTED_SINCE, [at(since)])).await?;
    let mut newest: BTreeMap<NotificationId, Timestamp> = BTreeMap::new();
    for row in &rows {
        let changed_at = get_at(row, "changed_at")?;
        let last = newest.entry(NotificationId(get(row, "notification_id")?)).or_insert(changed_at);
        *last = changed_at.max(*last);
    }
    Ok(newest.into_iter().collect())
}

/// Whether an emergency made after `since` and not yet expired at `now` is still being planned, or is on its way to people
/// who have not proved it. Those whom nothing can reach hold nobody back.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn emergency_open(store: &Store, since: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
    let row =
        store.reader().query_one_raw(statement(store.engine(), EMERGENCY_OPEN, [at(since), at(now)])).await?;
    Ok(row.is_some())
}

fn read(row: &QueryResult) -> Result<Progress, StoreError> {
    let recipients: i64 = get(row, "recipients")?;
    let id = NotificationId(get(row, "id")?);
    Ok(Progress {
        notification: Notification {
            id,
            kind: kind_of(row)?,
            lane: get_word(row, "lane")?,
            title: get_json(row, "title_json")?,
            body: get_json(row, "body_json")?,
            data: get_json(row, "data_json")?,
            audience: get_json(row, "audience_json")?,
            event_id: get::<Option<i64>>(row, "event_id")?.map(EventId),
            announcement_id: get::<Option<i64>>(row, "announcement_id")?.map(AnnouncementId),
            thread_id: get::<Option<uuid::Uuid>>(row, "thread_id")?.map_or(id, NotificationId),
            created_at: get_at(row, "created_at")?,
            expires_at: get_at(row, "expires_at")?,
        },
        recipients: u64::try_from(recipients).unwrap_or(0),
        planned_after: UserId(get(row, "planned_after")?),
        planned_at: get_at_null(row, "planned_at")?,
        cancelled_at: get_at_null(row, "cancelled_at")?,
    })
}

fn kind_word(kind: NotificationKind) -> String {
    match serde_json::to_value(kind) {
        Ok(Json::String(word)) => word,
        _ => unreachable!("a unit variant is a string"),
    }
}

pub(crate) fn kind_of(row: &QueryResult) -> Result<NotificationKind, StoreError> {
    let word: String = get(row, "kind")?;
    serde_json::from_value(Json::String(word.clone()))
        .map_err(|_| StoreError::Corrupt { column: "notifications.kind", value: word })
}
