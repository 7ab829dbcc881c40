//! Venues: the places of the festival. Whoever changes a timetable locks its venue's row first.

use std::time::Duration;

use domain::{LocalizedText, Timestamp, VenueId, VenueRules, VenueSnapshot, Zone};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::binds::Binds;
use crate::sql::{corrupt, delete_version, get, get_at, get_json, json_text, select};
use crate::{Engine, Store, StoreError, Tx};

/// What an organizer decides about a venue.
#[derive(Debug, Clone, PartialEq)]
pub struct VenuePlan {
    /// Its name.
    pub name: LocalizedText,
    /// People it holds, where known.
    pub capacity: Option<i64>,
    /// Degrees north and east (WGS 84), where known.
    pub position: Option<(f64, f64)>,
    /// Its zone.
    pub zone: Zone,
    /// Seconds before each event to set up.
    pub setup_seconds: u32,
    /// Seconds after each event to clear.
    pub turnaround_seconds: u32,
}

/// A venue.
#[derive(Debug, Clone, PartialEq)]
pub struct Venue {
    /// Its id.
    pub id: VenueId,
    /// What the imported source calls it.
    pub guid: Option<String>,
    /// What organizers decided.
    pub plan: VenuePlan,
    /// Rises by one with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Venue {
    /// As messages show it.
    pub fn snapshot(&self) -> VenueSnapshot {
        VenueSnapshot { id: self.id, name: self.plan.name.clone(), capacity: self.plan.capacity }
    }

    /// What it asks of its timetable.
    pub fn rules(&self) -> VenueRules {
        VenueRules {
            id: self.id,
            capacity: self.plan.capacity,
            setup: Duration::from_secs(self.plan.setup_seconds.into()),
            turnaround: Duration::from_secs(self.plan.turnaround_seconds.into()),
        }
    }
}

const COLUMNS: &str = "id, guid, name_json, capacity, latitude, longitude, time_zone, setup_seconds, \
                       turnaround_seconds, version, created_at, updated_at";

/// Venues by id, after `after`, at most `limit`.
///
/// # Errors
/// [`StoreError`].
pub async fn list(store: &Store, after: Option<VenueId>, limit: u32) -> Result<Vec<Venue>, StoreError> {
    let mut binds = Binds::default();
    let after = binds.one(after.map_or(0, |id| id.0));
    let limit = binds.one(i64::from(limit));
    let sql = format!("SELECT {COLUMNS} FROM venues WHERE id > {after} ORDER BY id LIMIT {limit}");
    select(store.reader(), store.engine(), sql, binds, venue).await
}

/// The venue with `id`.
///
/// # Errors
/// [`StoreError`].
pub async fn get_by_id(store: &Store, id: VenueId) -> Result<Option<Venue>, StoreError> {
    Ok(load(store.reader(), store.engine(), &[id]).await?.pop())
}

/// Locks the timetables of the venues until the transaction ends, in the order of their ids, and gives those that
/// exist. (On SQLite the transaction holds the one writer already.)
///
/// # Errors
/// [`StoreError`].
pub async fn lock(tx: &mut Tx, ids: &[VenueId]) -> Result<Vec<Venue>, StoreError> {
    let mut binds = Binds::default();
    let places = binds.all(ids.iter().map(|id| id.0));
    let lock = match tx.engine() {
        Engine::Postgres => " FOR NO KEY UPDATE",
        Engine::Sqlite => "",
    };
    let sql = format!("SELECT {COLUMNS} FROM venues WHERE id IN ({places}) ORDER BY id{lock}");
    let engine = tx.engine();
    select(tx.connection(), engine, sql, binds, venue).await
}

/// The venues that the imported source calls by one of `guids`.
///
/// # Errors
/// [`StoreError`].
pub async fn by_guids(tx: &mut Tx, guids: &[String]) -> Result<Vec<Venue>, StoreError> {
    let engine = tx.engine();
    let mut found = Vec::new();
    for page in guids.chunks(500) {
        let mut binds = Binds::default();
        let places = binds.all(page.iter().cloned());
        let sql = format!("SELECT {COLUMNS} FROM venues WHERE guid IN ({places}) ORDER BY id");
        found.extend(select(tx.connection(), engine, sql, binds, venue).await?);
    }
    Ok(found)
}

/// Makes a venue.
///
/// # Errors
/// [`StoreError::is_unique_violation`] when there is one with that `guid`.
pub async fn insert(
    tx: &mut Tx,
    guid: Option<&str>,
    plan: &VenuePlan,
    now: Timestamp,
) -> Result<Venue, StoreError> {
    let mut binds = Binds::default();
    let guid = binds.one(guid.map(str::to_owned));
    let name = binds.one(json_text(&plan.name));
    let capacity = binds.one(plan.capacity);
    let (latitude, longitude) = (
        binds.one(plan.position.map(|(latitude, _)| latitude)),
        binds.one(plan.position.map(|(_, longitude)| longitude)),
    );
    let zone = binds.one(plan.zone.name());
    let (setup, turnaround) =
        (binds.one(i64::from(plan.setup_seconds)), binds.one(i64::from(plan.turnaround_seconds)));
    let now = binds.one(now.as_microsecond());
    let sql = format!(
        "INSERT INTO venues (guid, name_json, capacity, latitude, longitude, time_zone, setup_seconds, \
         turnaround_seconds, version, created_at, updated_at) VALUES ({guid}, {name}, {capacity}, {latitude}, \
         {longitude}, {zone}, {setup}, {turnaround}, 1, {now}, {now}) RETURNING {COLUMNS}"
    );
    let engine = tx.engine();
    let made = select(tx.connection(), engine, sql, binds, venue).await?.pop();
    made.ok_or(StoreError::Corrupt { column: "venues.id", value: "no row was returned".to_owned() })
}

/// Changes the venue with `id` if it is at `version`; `None` when it is not.
///
/// # Errors
/// [`StoreError`].
pub async fn update(
    tx: &mut Tx,
    id: VenueId,
    version: i64,
    plan: &VenuePlan,
    now: Timestamp,
) -> Result<Option<Venue>, StoreError> {
    let mut binds = Binds::default();
    let name = binds.one(json_text(&plan.name));
    let capacity = binds.one(plan.capacity);
    let (latitude, longitude) = (
        binds.one(plan.position.map(|(latitude, _)| latitude)),
        binds.one(plan.position.map(|(_, longitude)| longitude)),
    );
    let zone = binds.one(plan.zone.name());
    let (setup, turnaround) =
        (binds.one(i64::from(plan.setup_seconds)), binds.one(i64::from(plan.turnaround_seconds)));
    let now = binds.one(now.as_microsecond());
    let (id, version) = (binds.one(id.0), binds.one(version));
    let sql = format!(
        "UPDATE venues SET name_json = {name}, capacity = {capacity}, latitude = {latitude}, longitude = \
         {longitude}, time_zone = {zone}, setup_seconds = {setup}, turnaround_seconds = {turnaround}, version = \
         version + 1, updated_at = {now} WHERE id = {id} AND version = {version} RETURNING {COLUMNS}"
    );
    let engine = tx.engine();
    Ok(select(tx.connection(), engine, sql, binds, venue).await?.pop())
}

/// Removes the venue with `id` if it is at `version`; whether it did. Lock it and see that no event refers to it
/// before.
///
/// # Errors
/// [`StoreError`].
pub async fn delete(tx: &mut Tx, id: VenueId, version: i64) -> Result<bool, StoreError> {
    delete_version(tx, "venues", id.0, version).await
}

/// The venues with `ids`, by id.
pub(crate) async fn load<C: ConnectionTrait>(
    db: &C,
    engine: Engine,
    ids: &[VenueId],
) -> Result<Vec<Venue>, StoreError> {
    let mut binds = Binds::default();
    let places = binds.all(ids.iter().map(|id| id.0));
    let sql = format!("SELECT {COLUMNS} FROM venues WHERE id IN ({places}) ORDER BY id");
    select(db, engine, sql, binds, venue).await
}

fn venue(row: &QueryResult) -> Result<Venue, StoreError> {
    let position = get::<Option<f64>>(row, "latitude")?.zip(get::<Option<f64>>(row, "longitude")?);
    let plan = VenuePlan {
        name: get_json(row, "name_json")?,
        capacity: get(row, "capacity")?,
        position,
        zone: zone(row, "time_zone")?,
        setup_seconds: seconds(row, "setup_seconds")?,
        turnaround_seconds: seconds(row, "turnaround_seconds")?,
    };
    Ok(Venue {
        id: VenueId(get(row, "id")?),
        guid: get(row, "guid")?,
        plan,
        version: get(row, "version")?,
        created_at: get_at(row, "created_at")?,
        updated_at: get_at(row, "updated_at")?,
    })
}

/// The zone in the column named `column`.
pub(crate) fn zone(row: &QueryResult, column: &'static str) -> Result<Zone, StoreError> {
    let name: String = get(row, column)?;
    Zone::new(&name).map_err(|_| corrupt(column, &name))
}

fn seconds(row: &QueryResult, column: &'static str) -> Result<u32, StoreError> {
    let seconds: i64 = get(row, column)?;
    u32::try_from(seconds).map_err(|_| corrupt(column, &seconds.to_string()))
}
