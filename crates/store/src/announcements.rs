//! Announcements: what organizers say to an audience. Whom it reached is in `notifications`.

use domain::{
    Alert, Announced, AnnouncementId, Audience, Lane, LocalizedText, NotificationId, Timestamp, UserId,
};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::sql::{at_null, get, get_at, get_at_null, get_json, get_word, json_text, statement};
use crate::{Engine, Store, StoreError, Tx};

const COLUMNS: &str = "id, notification_id, lane, title_json, body_json, audience_json, created_by, created_at, \
                       expires_at, cancelled_at, version, alert_json, thread_id, confirm_before, confirmed_by, \
                       confirmed_at";

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
    /// What else it says.
    pub alert: Alert,
    /// The first notification of those that replace each other on the phone.
    pub thread_id: NotificationId,
    /// Until when a second person has to confirm it; `None`: it needs none.
    pub confirm_before: Option<Timestamp>,
}

impl NewAnnouncement {
    /// Who is told: in a drill the staff alone, whomever it would be for.
    pub fn told(&self) -> Audience {
        match &self.audience {
            reached @ Audience::Reached { .. } => reached.clone(),
            _ if self.alert.drill => Audience::Staff,
            audience => audience.clone(),
        }
    }

    /// What sends it out as the announcement with `id`, in the place of `replaces`. A drill is marked.
    pub fn announced(&self, id: AnnouncementId, replaces: Option<NotificationId>) -> Announced {
        Announced {
            announcement_id: id,
            notification_id: self.notification_id,
            lane: self.lane,
            title: self.alert.marked(&self.title),
            body: self.alert.marked(&self.body),
            audience: self.told(),
            expires_at: self.expires_at,
            alert: Some(self.alert.clone()),
            thread_id: Some(self.thread_id),
            replaces,
        }
    }
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
    /// Who confirmed it, and when.
    pub confirmed: Option<(UserId, Timestamp)>,
    /// Rises with each change.
    pub version: i64,
}

/// Where an announcement is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A second person has to confirm it.
    AwaitsConfirmation,
    /// Nobody did in time: it was never sent.
    Unconfirmed,
    /// It goes out, or went out.
    Published,
    /// It was withdrawn.
    Cancelled,
}

impl Announcement {
    /// Where it is in its life at `now`.
    pub fn phase(&self, now: Timestamp) -> Phase {
        match (self.cancelled_at, self.said.confirm_before, self.confirmed) {
            (Some(_), _, _) => Phase::Cancelled,
            (None, Some(before), None) if now < before => Phase::AwaitsConfirmation,
            (None, Some(_), None) => Phase::Unconfirmed,
            (None, _, _) => Phase::Published,
        }
    }
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
               created_at, expires_at, version, alert_json, thread_id, confirm_before) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $11) RETURNING id";
    let values = [
        Value::from(new.notification_id.0),
        Value::from(new.lane.as_str()),
        Value::from(json_text(&new.title)),
        Value::from(json_text(&new.body)),
        Value::from(json_text(&new.audience)),
        Value::from(new.created_by.0),
        Value::from(now.as_microsecond()),
        Value::from(new.expires_at.as_microsecond()),
        Value::from(json_text(&new.alert)),
        Value::from(new.thread_id.0),
        at_null(new.confirm_before),
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

/// Notes who confirmed an announcement that is under lock.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn confirm(tx: &mut Tx, id: AnnouncementId, by: UserId, now: Timestamp) -> Result<(), StoreError> {
    let sql =
        "UPDATE announcements SET confirmed_by = $1, confirmed_at = $2, version = version + 1 WHERE id = $3";
    let engine = tx.engine();
    let values = [Value::from(by.0), Value::from(now.as_microsecond()), Value::from(id.0)];
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
    let lane: Lane = get_word(row, "lane")?;
    let notification_id = NotificationId(get(row, "notification_id")?);
    let alert = match get::<Option<String>>(row, "alert_json")? {
        Some(_) => get_json(row, "alert_json")?,
        None => Alert::of(lane),
    };
    let confirmed_by = get::<Option<i64>>(row, "confirmed_by")?.map(UserId);
    Ok(Announcement {
        id: AnnouncementId(get(row, "id")?),
        said: NewAnnouncement {
            notification_id,
            lane,
            title: get_json(row, "title_json")?,
            body: get_json(row, "body_json")?,
            audience: get_json(row, "audience_json")?,
            created_by: UserId(get(row, "created_by")?),
            expires_at: get_at(row, "expires_at")?,
            alert,
            thread_id: get::<Option<uuid::Uuid>>(row, "thread_id")?.map_or(notification_id, NotificationId),
            confirm_before: get_at_null(row, "confirm_before")?,
        },
        created_at: get_at(row, "created_at")?,
        cancelled_at: get_at_null(row, "cancelled_at")?,
        confirmed: confirmed_by.zip(get_at_null(row, "confirmed_at")?),
        version: get(row, "version")?,
    })
}
