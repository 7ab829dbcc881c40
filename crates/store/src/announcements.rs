//! Announcements: what organizers say to an audience. Whom it reached is in `notifications`.

use domain::{AnnouncementId, Audience, Lane, LocalizedText, NotificationId, Timestamp, UserId};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::sql::{get, get_at, get_at_null, get_json, get_word, json_text, statement};
use crate::{Engine, Store, StoreError, Tx};

const COLUMNS: &str = "id, notification_id, lane, title_json, body_json, audience_json, created_by, created_at, \
                       expires_at, cancelled_at, version";

/// What is announced.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAnnouncement {
    /// The notification it causes.
    pub notification_id: NotificationId,
    /// How urgent it is.
    pub lane: Lane,
    /// Headline.
    pub title: LocalizedText,
    /// Text.
    pub body: LocalizedText,
    /// Whom it is for.
    pub audience: Audience,
    /// Who says it.
    pub created_by: UserId,
    /// When it is of no more use.
    pub expires_at: Timestamp,
}

/// An announcement.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// Its id.
    pub id: AnnouncementId,
    /// What was announced.
    pub said: NewAnnouncement,
    /// When.
    pub created_at: Timestamp,
    /// When it was withdrawn.
    pub cancelled_at: Option<Timestamp>,
    /// Rises with each change.
    pub version: i64,
}

/// Writes an announcement.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn insert(
    tx: &mut Tx,
    new: &NewAnnouncement,
    now: Timestamp,
) -> Result<AnnouncementId, StoreError> {
    let sql = "INSERT INTO announcements (notification_id, lane, title_json, body_json, audience_json, created_by, \
               created_at, expires_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) RETURNING id";
    let values = [
        Value::from(new.notification_id.0),
        Value::from(new.lane.as_str()),
        Value::from(json_text(&new.title)),
        Value::from(json_text(&new.body)),
        Value::from(json_text(&new.audience)),
        Value::from(new.created_by.0),
        Value::from(now.as_microsecond()),
        Value::from(new.expires_at.as_microsecond()),
    ];
    let engine = tx.engine();
    let row = tx.connection().query_one_raw(statement(engine, sql, values)).await?;
    let row =
        row.ok_or(StoreError::Corrupt { column: "announcements.id", value: "no row returned".to_owned() })?;
    Ok(AnnouncementId(get(&row, "id")?))
}

/// The announcement with this id.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn find(store: &Store, id: AnnouncementId) -> Result<Option<Announcement>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM announcements WHERE id = $1");
    let row = store.reader().query_one_raw(statement(store.engine(), sql, [Value::from(id.0)])).await?;
    row.as_ref().map(read).transpose()
}

/// As [`find`], locked until the transaction ends.
///
/// # Errors
/// As [`find`].
pub async fn lock(tx: &mut Tx, id: AnnouncementId) -> Result<Option<Announcement>, StoreError> {
    let engine = tx.engine();
    let lock = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " FOR UPDATE",
    };
    let sql = format!("SELECT {COLUMNS} FROM announcements WHERE id = $1{lock}");
    let row = tx.connection().query_one_raw(statement(engine, sql, [Value::from(id.0)])).await?;
    row.as_ref().map(read).transpose()
}

/// Announcements, the newest first, before `after` (creation and id of the last one seen).
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn list(
    store: &Store,
    after: Option<(Timestamp, AnnouncementId)>,
    limit: u32,
) -> Result<Vec<Announcement>, StoreError> {
    let (at, id) = after.map_or((i64::MAX, i64::MAX), |(at, id)| (at.as_microsecond(), id.0));
    let values = [Value::from(at), Value::from(id), Value::from(i64::from(limit))];
    let rows = store.reader().query_all_raw(statement(store.engine(), listing(), values)).await?;
    rows.iter().map(read).collect()
}

/// Withdraws an announcement that is under lock.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn cancel(tx: &mut Tx, id: AnnouncementId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE announcements SET cancelled_at = $1, version = version + 1 WHERE id = $2";
    let engine = tx.engine();
    let values = [Value::from(now.as_microsecond()), Value::from(id.0)];
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// `$1`, `$2`: creation and id of the last one seen, `$3`: rows.
pub(crate) fn listing() -> String {
    format!(
        "SELECT {COLUMNS} FROM announcements WHERE (created_at, id) < ($1, $2) \
         ORDER BY created_at DESC, id DESC LIMIT $3"
    )
}

fn read(row: &QueryResult) -> Result<Announcement, StoreError> {
    Ok(Announcement {
        id: AnnouncementId(get(row, "id")?),
        said: NewAnnouncement {
            notification_id: NotificationId(get(row, "notification_id")?),
            lane: get_word(row, "lane")?,
            title: get_json(row, "title_json")?,
            body: get_json(row, "body_json")?,
            audience: get_json(row, "audience_json")?,
            created_by: UserId(get(row, "created_by")?),
            expires_at: get_at(row, "expires_at")?,
        },
        created_at: get_at(row, "created_at")?,
        cancelled_at: get_at_null(row, "cancelled_at")?,
        version: get(row, "version")?,
    })
}
