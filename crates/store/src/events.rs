//! Events: the items of the programme, with their venues, categories and performers.
//!
//! Reading a page takes four statements, whatever its length. Writers lock the venues and performers concerned
//! before they look for conflicts (`venues::lock`, `performers::lock`), so that two of them cannot both find a slot
//! free.

mod row;
mod search;

use domain::{
    Booking, CategoryId, ChangeKind, EventId, EventPlan, EventSnapshot, EventStatus, PerformerId, Slot,
    Timestamp, UserId, VenueId, aspects_between,
};
use sea_orm::ConnectionTrait;

use crate::binds::Binds;
use crate::categories::Category;
use crate::performers::PerformerName;
use crate::sql::{delete_version, get, json_text, statement};
use crate::venues::Venue;
use crate::{Engine, Store, StoreError, Tx};

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its name for the outside, which survives edits: a UUID.
    pub guid: String,
    /// What organizers decided.
    pub plan: EventPlan,
    /// Where it stands in its life.
    pub status: EventStatus,
    /// The venue of the plan.
    pub venue: Venue,
    /// The category of the plan.
    pub category: Option<Category>,
    /// The performers of the plan, in the order of the poster.
    pub performers: Vec<PerformerName>,
    /// Rises by one with each change.
    pub version: i64,
    /// Rises by one with each change of time, venue or status: what calendars call the sequence.
    pub revision: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Event {
    /// As messages show it.
    pub fn snapshot(&self) -> EventSnapshot {
        EventSnapshot {
            id: self.id,
            version: self.version,
            status: self.status.as_str().to_owned(),
            title: self.plan.title.clone(),
            venue: self.venue.snapshot(),
            starts_at: self.plan.slot.starts_at,
            ends_at: self.plan.slot.ends_at,
            time_zone: self.plan.zone.name().to_owned(),
        }
    }

    /// What there is to tell about it: how it is now, and what differs from how it was.
    pub fn change_since(&self, before: Option<&Self>) -> ChangeKind {
        let was = before.map(|before| (&before.plan, before.status));
        ChangeKind::Event {
            event: Box::new(self.snapshot()),
            previous: before.map(|before| Box::new(before.snapshot())),
            aspects: aspects_between(was, (&self.plan, self.status)),
        }
    }

    /// As the rules of the timetable see it.
    pub fn booking(&self) -> Booking {
        Booking {
            event_id: Some(self.id),
            status: self.status,
            venue: self.venue.rules(),
            slot: self.plan.slot,
            performers: self.plan.performers.clone(),
            capacity: self.plan.capacity,
        }
    }
}

/// Which events a list shows; what is `None` or empty does not limit it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Those of one of these statuses.
    pub statuses: Vec<EventStatus>,
    /// Those of this category.
    pub category_id: Option<CategoryId>,
    /// Those at this venue.
    pub venue_id: Option<VenueId>,
    /// Those of this performer.
    pub performer_id: Option<PerformerId>,
    /// Those that this person has starred.
    pub starred_by: Option<UserId>,
    /// Those that start at this instant or later.
    pub starts_from: Option<Timestamp>,
    /// Those that start before this instant.
    pub starts_before: Option<Timestamp>,
    /// Those that end after this instant.
    pub ends_after: Option<Timestamp>,
    /// Those whose title or description holds these words, in either language, in any case of ASCII letters.
    pub search: Option<String>,
}

/// What refers to a venue, a category or a performer.
#[derive(Debug, Clone, Copy)]
pub enum Referred {
    /// Events at it.
    Venue(VenueId),
    /// Events of it.
    Category(CategoryId),
    /// Events with it.
    Performer(PerformerId),
}

/// Events by start and id, after the key `after`, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub async fn list(
    store: &Store,
    filter: &EventFilter,
    after: Option<(Timestamp, EventId)>,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    let (sql, binds) = search::list(store.engine(), filter, after, limit);
    row::load(store.reader(), store.engine(), sql, binds).await
}

/// The event with `id`.
///
/// # Errors
/// [`StoreError`].
pub async fn get_by_id(store: &Store, id: EventId) -> Result<Option<Event>, StoreError> {
    let (sql, binds) = search::by_id(id);
    Ok(row::load(store.reader(), store.engine(), sql, binds).await?.pop())
}

/// The event with `id`, as the transaction sees it, and locked until its end.
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, id: EventId) -> Result<Option<Event>, StoreError> {
    let (mut sql, binds) = search::by_id(id);
    let engine = tx.engine();
    if engine == Engine::Postgres {
        sql.push_str(" FOR NO KEY UPDATE");
    }
    Ok(row::load(tx.connection(), engine, sql, binds).await?.pop())
}

/// The events that occupy `venue` or one of `performers` at some time of `window`.
///
/// # Errors
/// [`StoreError`].
pub async fn occupying(
    tx: &mut Tx,
    venue: VenueId,
    performers: &[PerformerId],
    window: &Slot,
) -> Result<Vec<Event>, StoreError> {
    let engine = tx.engine();
    let (sql, binds) = search::at_venue(venue, window);
    let mut found = row::load(tx.connection(), engine, sql, binds).await?;
    if !performers.is_empty() {
        let (sql, binds) = search::with_performers(performers, window);
        found.extend(row::load(tx.connection(), engine, sql, binds).await?);
        found.sort_by_key(|event| event.id);
        found.dedup_by_key(|event| event.id);
    }
    Ok(found)
}

/// The events with one of `guids`, as the transaction sees them, locked until its end.
///
/// # Errors
/// [`StoreError`].
pub async fn lock_by_guids(tx: &mut Tx, guids: &[String]) -> Result<Vec<Event>, StoreError> {
    let engine = tx.engine();
    let mut found = Vec::new();
    for page in guids.chunks(500) {
        let (mut sql, binds) = search::by_guids(page);
        if engine == Engine::Postgres {
            sql.push_str(" FOR NO KEY UPDATE");
        }
        found.extend(row::load(tx.connection(), engine, sql, binds).await?);
    }
    Ok(found)
}

/// The events with `ids`, as the transaction sees them.
///
/// # Errors
/// [`StoreError`].
pub async fn by_ids(tx: &mut Tx, ids: &[EventId]) -> Result<Vec<Event>, StoreError> {
    let engine = tx.engine();
    let mut found = Vec::new();
    for page in ids.chunks(500) {
        let (sql, binds) = search::by_ids(page);
        found.extend(row::load(tx.connection(), engine, sql, binds).await?);
    }
    Ok(found)
}

/// Ids of the first `limit` events that refer to something.
///
/// # Errors
/// [`StoreError`].
pub async fn referring_to(tx: &mut Tx, what: Referred, limit: u32) -> Result<Vec<EventId>, StoreError> {
    let mut binds = Binds::default();
    let (from, id) = match what {
        Referred::Venue(id) => ("id FROM events WHERE venue_id", id.0),
        Referred::Category(id) => ("id FROM events WHERE category_id", id.0),
        Referred::Performer(id) => ("event_id AS id FROM event_performers WHERE performer_id", id.0),
    };
    let (id, limit) = (binds.one(id), binds.one(i64::from(limit)));
    let sql = format!("SELECT {from} = {id} ORDER BY 1 LIMIT {limit}");
    let engine = tx.engine();
    let rows = tx.connection().query_all_raw(statement(engine, sql, binds.take())).await?;
    rows.iter().map(|row| Ok(EventId(get(row, "id")?))).collect()
}

/// Makes an event at version 1.
///
/// # Errors
/// [`StoreError::is_unique_violation`] when there is one with that `guid`.
pub async fn insert(
    tx: &mut Tx,
    guid: &str,
    plan: &EventPlan,
    status: EventStatus,
    now: Timestamp,
) -> Result<EventId, StoreError> {
    let mut binds = Binds::default();
    let guid = binds.one(guid);
    let columns = columns(&mut binds, plan, status);
    let now = binds.one(now.as_microsecond());
    let names: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    let places: Vec<_> = columns.iter().map(|(_, place)| place.as_str()).collect();
    let sql = format!(
        "INSERT INTO events (guid, {}, version, created_at, updated_at) VALUES ({guid}, {}, 1, {now}, {now}) \
         RETURNING id",
        names.join(", "),
        places.join(", ")
    );
    let engine = tx.engine();
    let row = tx.connection().query_one_raw(statement(engine, sql, binds.take())).await?;
    let row =
        row.ok_or(StoreError::Corrupt { column: "events.id", value: "no row was returned".to_owned() })?;
    let id = EventId(get(&row, "id")?);
    insert_performers(tx, id, &plan.performers).await?;
    Ok(id)
}

/// Changes the event with `id` if it is at `version`; whether it was.
///
/// # Errors
/// [`StoreError`].
pub async fn update(
    tx: &mut Tx,
    (id, version): (EventId, i64),
    plan: &EventPlan,
    status: EventStatus,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut binds = Binds::default();
    let columns = columns(&mut binds, plan, status);
    let now = binds.one(now.as_microsecond());
    let (key, version) = (binds.one(id.0), binds.one(version));
    let set: Vec<_> = columns.iter().map(|(name, place)| format!("{name} = {place}")).collect();
    let moved: Vec<_> = columns
        .iter()
        .filter(|(name, _)| ["venue_id", "status", "starts_at", "ends_at"].contains(name))
        .map(|(name, place)| format!("{name} <> {place}"))
        .collect();
    let sql = format!(
        "UPDATE events SET {}, version = version + 1, revision = revision + CASE WHEN {} THEN 1 ELSE 0 END, \
         updated_at = {now} WHERE id = {key} AND version = {version}",
        set.join(", "),
        moved.join(" OR ")
    );
    let engine = tx.engine();
    let done = tx.connection().execute_raw(statement(engine, sql, binds.take())).await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let mut binds = Binds::default();
    let key = binds.one(id.0);
    let sql = format!("DELETE FROM event_performers WHERE event_id = {key}");
    tx.connection().execute_raw(statement(engine, sql, binds.take())).await?;
    insert_performers(tx, id, &plan.performers).await?;
    Ok(true)
}

/// Removes the event with `id` if it is at `version`, with its stars; whether it did.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, id: EventId, version: i64) -> Result<bool, StoreError> {
    delete_version(tx, "events", id.0, version).await
}

/// The columns that a plan and a status fill, each with its place.
fn columns(binds: &mut Binds, plan: &EventPlan, status: EventStatus) -> [(&'static str, String); 10] {
    [
        ("venue_id", binds.one(plan.venue_id.0)),
        ("category_id", binds.one(plan.category_id.map(|id| id.0))),
        ("status", binds.one(status.as_str())),
        ("title_json", binds.one(json_text(&plan.title))),
        ("description_json", binds.one(json_text(&plan.description))),
        ("language", binds.one(plan.language.as_str())),
        ("starts_at", binds.one(plan.slot.starts_at.as_microsecond())),
        ("ends_at", binds.one(plan.slot.ends_at.as_microsecond())),
        ("time_zone", binds.one(plan.zone.name())),
        ("capacity", binds.one(plan.capacity)),
    ]
}

async fn insert_performers(
    tx: &mut Tx,
    event: EventId,
    performers: &[PerformerId],
) -> Result<(), StoreError> {
    if performers.is_empty() {
        return Ok(());
    }
    let mut binds = Binds::default();
    let rows: Vec<_> = performers
        .iter()
        .zip(0_i64..)
        .map(|(performer, position)| format!("({})", binds.all([event.0, performer.0, position])))
        .collect();
    let sql =
        format!("INSERT INTO event_performers (event_id, performer_id, position) VALUES {}", rows.join(", "));
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, binds.take())).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
