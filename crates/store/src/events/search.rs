//! The statements that find events. Each is served by an index on both engines (`tests.rs` asks them).

use domain::{EventId, PerformerId, Slot, Timestamp, VenueId};

use super::EventFilter;
use super::row::COLUMNS;
use crate::Engine;
use crate::binds::Binds;

/// A page of a list.
pub(super) fn list(
    engine: Engine,
    filter: &EventFilter,
    after: Option<(Timestamp, EventId)>,
    limit: u32,
) -> (String, Binds) {
    let mut binds = Binds::default();
    let conditions = conditions(engine, filter, after, &mut binds);
    let limit = binds.one(i64::from(limit));
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE {} ORDER BY events.starts_at, events.id LIMIT {limit}",
        conditions.join(" AND ")
    );
    (sql, binds)
}

/// One event.
pub(super) fn by_id(id: EventId) -> (String, Binds) {
    by_ids(&[id])
}

/// Several events.
pub(super) fn by_ids(ids: &[EventId]) -> (String, Binds) {
    let mut binds = Binds::default();
    let places = binds.all(ids.iter().map(|id| id.0));
    (format!("SELECT {COLUMNS} FROM events WHERE events.id IN ({places}) ORDER BY events.id"), binds)
}

/// Several events, by what the outside calls them.
pub(super) fn by_guids(guids: &[String]) -> (String, Binds) {
    let mut binds = Binds::default();
    let places = binds.all(guids.iter().cloned());
    (format!("SELECT {COLUMNS} FROM events WHERE events.guid IN ({places}) ORDER BY events.id"), binds)
}

/// What occupies a venue in `window`.
pub(super) fn at_venue(venue: VenueId, window: &Slot) -> (String, Binds) {
    let mut binds = Binds::default();
    let venue = binds.one(venue.0);
    let overlap = overlap(window, &mut binds);
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE events.venue_id = {venue} AND {overlap} ORDER BY events.starts_at, \
         events.id"
    );
    (sql, binds)
}

/// Where some performers are in `window`.
pub(super) fn with_performers(performers: &[PerformerId], window: &Slot) -> (String, Binds) {
    let mut binds = Binds::default();
    let performers = binds.all(performers.iter().map(|id| id.0));
    let overlap = overlap(window, &mut binds);
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE events.id IN (SELECT event_id FROM event_performers WHERE performer_id \
         IN ({performers})) AND {overlap} ORDER BY events.starts_at, events.id"
    );
    (sql, binds)
}

/// Bounds on the start from both sides, so that an index over starts serves: no event is longer than the longest.
fn overlap(window: &Slot, binds: &mut Binds) -> String {
    let earliest = binds.one((window.starts_at - Slot::LENGTH_MAX).as_microsecond());
    let end = binds.one(window.ends_at.as_microsecond());
    let start = binds.one(window.starts_at.as_microsecond());
    format!(
        "events.starts_at >= {earliest} AND events.starts_at < {end} AND events.ends_at > {start} AND \
         events.status NOT IN ('cancelled', 'postponed')"
    )
}

fn conditions(
    engine: Engine,
    filter: &EventFilter,
    after: Option<(Timestamp, EventId)>,
    binds: &mut Binds,
) -> Vec<String> {
    let mut conditions = vec!["1 = 1".to_owned()];
    if !filter.statuses.is_empty() {
        let places = binds.all(filter.statuses.iter().map(|status| status.as_str()));
        conditions.push(format!("events.status IN ({places})"));
    }
    if let Some(id) = filter.category_id {
        conditions.push(format!("events.category_id = {}", binds.one(id.0)));
    }
    if let Some(id) = filter.venue_id {
        conditions.push(format!("events.venue_id = {}", binds.one(id.0)));
    }
    if let Some(id) = filter.performer_id {
        let id = binds.one(id.0);
        conditions
            .push(format!("events.id IN (SELECT event_id FROM event_performers WHERE performer_id = {id})"));
    }
    if let Some(id) = filter.starred_by {
        let id = binds.one(id.0);
        conditions.push(format!("events.id IN (SELECT event_id FROM event_stars WHERE user_id = {id})"));
    }
    if let Some(at) = filter.starts_from {
        conditions.push(format!("events.starts_at >= {}", binds.one(at.as_microsecond())));
    }
    if let Some(at) = filter.starts_before {
        conditions.push(format!("events.starts_at < {}", binds.one(at.as_microsecond())));
    }
    if let Some(at) = filter.ends_after {
        let earliest = binds.one((at - Slot::LENGTH_MAX).as_microsecond());
        let at = binds.one(at.as_microsecond());
        conditions.push(format!("events.starts_at >= {earliest} AND events.ends_at > {at}"));
    }
    if let Some(words) = &filter.search {
        conditions.push(holds(engine, words, binds));
    }
    if let Some((at, id)) = after {
        let (at, id) = (binds.one(at.as_microsecond()), binds.one(id.0));
        conditions.push(format!("(events.starts_at, events.id) > ({at}, {id})"));
    }
    conditions
}

/// Titles and descriptions that hold `words`, in either language.
fn holds(engine: Engine, words: &str, binds: &mut Binds) -> String {
    let escaped = words.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let pattern = binds.one(format!("%{}%", escaped.to_ascii_lowercase()));
    let text = |column: &str, language: &str| match engine {
        Engine::Sqlite => format!("json_extract(events.{column}, '$.{language}')"),
        Engine::Postgres => format!("events.{column}::json ->> '{language}'"),
    };
    let parts: Vec<_> = ["title_json", "description_json"]
        .into_iter()
        .flat_map(|column| ["ar", "en"].map(|language| text(column, language)))
        .map(|text| format!("lower({text}) LIKE {pattern} ESCAPE '\\'"))
        .collect();
    format!("({})", parts.join(" OR "))
}
