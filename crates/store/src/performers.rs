//! Performers: who plays or speaks. Whoever books one locks the row first, so that nobody is booked twice.

use std::collections::HashMap;

use domain::{EventId, LocalizedText, PerformerId, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::binds::Binds;
use crate::sql::{delete_version, get, get_at, get_json, json_text, select, statement};
use crate::{Engine, Store, StoreError, Tx};

/// What an organizer decides about a performer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerformerPlan {
    /// The name on the poster.
    pub name: LocalizedText,
    /// Markdown; may be empty.
    pub biography: LocalizedText,
}

/// A performer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Performer {
    /// Its id.
    pub id: PerformerId,
    /// What the imported source calls it.
    pub guid: Option<String>,
    /// What organizers decided.
    pub plan: PerformerPlan,
    /// Rises by one with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A performer as events show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerformerName {
    /// Who.
    pub id: PerformerId,
    /// The name on the poster.
    pub name: LocalizedText,
}

const COLUMNS: &str = "id, guid, name_json, biography_json, version, created_at, updated_at";

/// Performers by id, after `after`, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    store: &Store,
    after: Option<PerformerId>,
    limit: u32,
) -> Result<Vec<Performer>, StoreError> {
    let mut binds = Binds::default();
    let after = binds.one(after.map_or(0, |id| id.0));
    let limit = binds.one(i64::from(limit));
    let sql = format!("SELECT {COLUMNS} FROM performers WHERE id > {after} ORDER BY id LIMIT {limit}");
    select(store.reader(), store.engine(), sql, binds, performer).await
}

/// The performer with `id`.
///
/// # Errors
/// [`StoreError`].
pub async fn get_by_id(store: &Store, id: PerformerId) -> Result<Option<Performer>, StoreError> {
    let mut binds = Binds::default();
    let id = binds.one(id.0);
    let sql = format!("SELECT {COLUMNS} FROM performers WHERE id = {id}");
    Ok(select(store.reader(), store.engine(), sql, binds, performer).await?.pop())
}

/// Locks the diaries of the performers until the transaction ends, in the order of their ids, and gives those that
/// exist.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, ids: &[PerformerId]) -> Result<Vec<Performer>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut binds = Binds::default();
    let places = binds.all(ids.iter().map(|id| id.0));
    let engine = tx.engine();
    let lock = if engine == Engine::Postgres { " FOR NO KEY UPDATE" } else { "" };
    let sql = format!("SELECT {COLUMNS} FROM performers WHERE id IN ({places}) ORDER BY id{lock}");
    select(tx.connection(), engine, sql, binds, performer).await
}

/// The performers that the imported source calls by one of `guids`.
///
/// # Errors
/// [`StoreError`].
pub async fn by_guids(tx: &mut Tx, guids: &[String]) -> Result<Vec<Performer>, StoreError> {
    let engine = tx.engine();
    let mut found = Vec::new();
    for page in guids.chunks(500) {
        let mut binds = Binds::default();
        let places = binds.all(page.iter().cloned());
        let sql = format!("SELECT {COLUMNS} FROM performers WHERE guid IN ({places}) ORDER BY id");
        found.extend(select(tx.connection(), engine, sql, binds, performer).await?);
    }
    Ok(found)
}

/// Makes a performer.
///
/// # Errors
/// [`StoreError::is_unique_violation`] when there is one with that `guid`.
pub async fn insert(
    tx: &mut Tx,
    guid: Option<&str>,
    plan: &PerformerPlan,
    now: Timestamp,
) -> Result<Performer, StoreError> {
    let mut binds = Binds::default();
    let guid = binds.one(guid.map(str::to_owned));
    let name = binds.one(json_text(&plan.name));
    let biography = binds.one(json_text(&plan.biography));
    let now = binds.one(now.as_microsecond());
    let sql = format!(
        "INSERT INTO performers (guid, name_json, biography_json, version, created_at, updated_at) VALUES ({guid}, \
         {name}, {biography}, 1, {now}, {now}) RETURNING {COLUMNS}"
    );
    let engine = tx.engine();
    let made = select(tx.connection(), engine, sql, binds, performer).await?.pop();
    made.ok_or(StoreError::Corrupt { column: "performers.id", value: "no row was returned".to_owned() })
}

/// Changes the performer with `id` if it is at `version`; `None` when it is not.
///
/// # Errors
/// [`StoreError`].
pub async fn update(
    tx: &mut Tx,
    id: PerformerId,
    version: i64,
    plan: &PerformerPlan,
    now: Timestamp,
) -> Result<Option<Performer>, StoreError> {
    let mut binds = Binds::default();
    let name = binds.one(json_text(&plan.name));
    let biography = binds.one(json_text(&plan.biography));
    let now = binds.one(now.as_microsecond());
    let (id, version) = (binds.one(id.0), binds.one(version));
    let sql = format!(
        "UPDATE performers SET name_json = {name}, biography_json = {biography}, version = version + 1, \
         updated_at = {now} WHERE id = {id} AND version = {version} RETURNING {COLUMNS}"
    );
    let engine = tx.engine();
    Ok(select(tx.connection(), engine, sql, binds, performer).await?.pop())
}

/// Removes the performer with `id` if it is at `version`; whether it did. Lock it and see that no event refers to
/// it before.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, id: PerformerId, version: i64) -> Result<bool, StoreError> {
    delete_version(tx, "performers", id.0, version).await
}

/// Who performs at each of `events`, in the order of the poster.
pub(crate) async fn of_events<C: ConnectionTrait>(
    db: &C,
    engine: Engine,
    events: &[EventId],
) -> Result<HashMap<EventId, Vec<PerformerName>>, StoreError> {
    let mut binds = Binds::default();
    let places = binds.all(events.iter().map(|id| id.0));
    let sql = format!(
        "SELECT booked.event_id, performers.id, performers.name_json FROM event_performers AS booked JOIN \
         performers ON performers.id = booked.performer_id WHERE booked.event_id IN ({places}) ORDER BY \
         booked.event_id, booked.position"
    );
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for row in db.query_all_raw(statement(engine, sql, binds.take())).await? {
        let performer =
            PerformerName { id: PerformerId(get(&row, "id")?), name: get_json(&row, "name_json")? };
        found.entry(EventId(get(&row, "event_id")?)).or_default().push(performer);
    }
    Ok(found)
}

fn performer(row: &QueryResult) -> Result<Performer, StoreError> {
    Ok(Performer {
        id: PerformerId(get(row, "id")?),
        guid: get(row, "guid")?,
        plan: PerformerPlan {
            name: get_json(row, "name_json")?,
            biography: get_json(row, "biography_json")?,
        },
        version: get(row, "version")?,
        created_at: get_at(row, "created_at")?,
        updated_at: get_at(row, "updated_at")?,
    })
}
