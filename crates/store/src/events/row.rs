//! From rows to events: four statements for a page, however long it is.

use std::collections::HashMap;

use domain::{CategoryId, EventId, EventPlan, Slot, VenueId};
use sea_orm::{ConnectionTrait, QueryResult};

use super::Event;
use crate::binds::Binds;
use crate::sql::{corrupt, get, get_at, get_json, get_word, statement};
use crate::{Engine, StoreError, categories, performers, venues};

/// The columns that [`load`] reads.
pub(super) const COLUMNS: &str = "events.id, events.guid, events.venue_id, events.category_id, events.status, \
    events.title_json, events.description_json, events.language, events.starts_at, events.ends_at, \
    events.time_zone, events.capacity, events.version, events.revision, events.created_at, events.updated_at";

/// The events that `sql` selects, in its order, with all that belongs to them.
pub(super) async fn load<C: ConnectionTrait>(
    db: &C,
    engine: Engine,
    sql: String,
    binds: Binds,
) -> Result<Vec<Event>, StoreError> {
    let rows = db.query_all_raw(statement(engine, sql, binds.take())).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids = column(&rows, "id")?.into_iter().map(EventId).collect::<Vec<_>>();
    let venue_ids: Vec<_> = column(&rows, "venue_id")?.into_iter().map(VenueId).collect();
    let category_ids: Vec<_> = column(&rows, "category_id")?.into_iter().map(CategoryId).collect();
    let venues = venues::load(db, engine, &venue_ids).await?;
    let venues: HashMap<_, _> = venues.into_iter().map(|venue| (venue.id, venue)).collect();
    let categories = match category_ids[..] {
        [] => Vec::new(),
        _ => categories::load(db, engine, &category_ids).await?,
    };
    let categories: HashMap<_, _> = categories.into_iter().map(|category| (category.id, category)).collect();
    let mut performers = performers::of_events(db, engine, &ids).await?;
    let event = |(row, id): (&QueryResult, &EventId)| {
        let category_id = get::<Option<i64>>(row, "category_id")?.map(CategoryId);
        let performers = performers.remove(id).unwrap_or_default();
        let plan = EventPlan {
            title: get_json(row, "title_json")?,
            description: get_json(row, "description_json")?,
            language: get(row, "language")?,
            venue_id: VenueId(get(row, "venue_id")?),
            category_id,
            performers: performers.iter().map(|performer| performer.id).collect(),
            slot: Slot { starts_at: get_at(row, "starts_at")?, ends_at: get_at(row, "ends_at")? },
            zone: venues::zone(row, "time_zone")?,
            capacity: get(row, "capacity")?,
        };
        let venue = venues.get(&plan.venue_id).cloned();
        Ok(Event {
            id: *id,
            guid: get(row, "guid")?,
            status: get_word(row, "status")?,
            // it was there when the event was read: only a draft that is gone since can have lost it
            venue: venue.ok_or_else(|| corrupt("events.venue_id", &plan.venue_id.to_string()))?,
            category: category_id.and_then(|id| categories.get(&id).cloned()),
            plan,
            performers,
            version: get(row, "version")?,
            revision: get(row, "revision")?,
            created_at: get_at(row, "created_at")?,
            updated_at: get_at(row, "updated_at")?,
        })
    };
    rows.iter().zip(&ids).map(event).collect()
}

/// The distinct integers of a column, those that are not null, in the order of the rows.
fn column(rows: &[QueryResult], name: &str) -> Result<Vec<i64>, StoreError> {
    let mut seen = std::collections::HashSet::new();
    let mut found = Vec::new();
    for row in rows {
        if let Some(value) = get::<Option<i64>>(row, name)?.filter(|value| seen.insert(*value)) {
            found.push(value);
        }
    }
    Ok(found)
}
