//! The coverage board: how many people of a notification are where, kept with `recipients`, and the board as it was at each
//! mark.

use std::collections::BTreeMap;

use domain::{COVERAGE_MARKS_SECONDS, Language, NotificationId, Reach, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult};
use serde::Serialize;
use serde_json::Value as Json;

use crate::binds::Binds;
use crate::sql::{at, corrupt, get, get_at, get_json, get_word, statement};
use crate::{Store, StoreError, Tx};

/// Where people are on the board.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) notification_id: NotificationId,
    pub(crate) venue_id: i64,
    pub(crate) language: Language,
    pub(crate) reach: Reach,
    pub(crate) detail: String,
}

/// People in one place of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// The venue where they are expected; 0: nowhere in particular.
    pub venue_id: i64,
    /// Their language.
    pub language: Language,
    /// How far it has come with them.
    pub reach: Reach,
    /// Proven: the mark before which it was ([`domain::mark_of`]). Failed and unreachable: the cause.
    pub detail: String,
    /// How many; never zero.
    pub people: u64,
}

/// The board as it was at a mark.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Seconds after the notification.
    pub after_seconds: u32,
    /// When it was looked at: a little later, or much when nobody was there to look.
    pub taken_at: Timestamp,
    /// People by reach.
    pub people: Json,
}

/// The board as people read it: everybody once, where their best delivery is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Board {
    /// People: the sum of `people`.
    pub audience: u64,
    /// People by reach.
    pub people: BTreeMap<&'static str, u64>,
    /// Proven people by the mark (in seconds) before which they were; each includes those before.
    pub proven_within: BTreeMap<u32, u64>,
    /// Failed people by cause.
    pub failed_by_cause: BTreeMap<String, u64>,
    /// Unreachable people by cause.
    pub unreachable_by_cause: BTreeMap<String, u64>,
    /// People by the venue where they are expected (0: nowhere in particular) and reach.
    pub by_venue: BTreeMap<i64, BTreeMap<&'static str, u64>>,
    /// People by language and reach.
    pub by_language: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

impl Board {
    /// Adds up the places.
    pub fn of(places: &[Covered]) -> Self {
        let mut board = Self::default();
        for mark in COVERAGE_MARKS_SECONDS {
            board.proven_within.insert(mark, 0);
        }
        for one in places {
            let reach = one.reach.as_str();
            board.audience += one.people;
            *board.people.entry(reach).or_default() += one.people;
            *board.by_venue.entry(one.venue_id).or_default().entry(reach).or_default() += one.people;
            let of_language = board.by_language.entry(one.language.as_str()).or_default();
            *of_language.entry(reach).or_default() += one.people;
            match one.reach {
                Reach::Proven => board.prove(&one.detail, one.people),
                Reach::Failed => *board.failed_by_cause.entry(one.detail.clone()).or_default() += one.people,
                Reach::Unreachable => {
                    *board.unreachable_by_cause.entry(one.detail.clone()).or_default() += one.people;
                }
                Reach::Withdrawn | Reach::Open | Reach::Unknown | Reach::Accepted => {}
            }
        }
        board
    }

    fn prove(&mut self, mark: &str, people: u64) {
        let Ok(within) = mark.parse::<u32>() else { return }; // later than the last mark
        for (_, proven) in self.proven_within.range_mut(within..) {
            *proven += people;
        }
    }
}

pub(crate) const BOARD: &str = "SELECT venue_id, language, reach, detail, people FROM coverage_counts \
     WHERE notification_id = $1 AND people > 0 ORDER BY venue_id, language, reach, detail";

/// Moves counts by these differences, in the order of their keys.
pub(crate) async fn count(tx: &mut Tx, mut places: BTreeMap<Place, i64>) -> Result<(), StoreError> {
    places.retain(|_, people| *people != 0);
    if places.is_empty() {
        return Ok(());
    }
    let mut values = Binds::default();
    let rows = places
        .into_iter()
        .map(|(place, people)| {
            values.row([
                place.notification_id.0.into(),
                place.venue_id.into(),
                place.language.as_str().into(),
                place.reach.as_str().into(),
                place.detail.into(),
                people.into(),
            ])
        })
        .collect::<Vec<_>>()
        .join(", ");
    let sql = format!(
        "INSERT INTO coverage_counts (notification_id, venue_id, language, reach, detail, people) VALUES {rows} \
         ON CONFLICT (notification_id, venue_id, language, reach, detail) DO UPDATE SET \
         people = coverage_counts.people + excluded.people"
    );
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values.take())).await?;
    Ok(())
}

/// The board of one notification: as cheap for 500,000 people as for 100.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn board(store: &Store, id: NotificationId) -> Result<Vec<Covered>, StoreError> {
    let rows = store.reader().query_all_raw(statement(store.engine(), BOARD, [id.0.into()])).await?;
    rows.iter().map(read).collect()
}

fn read(row: &QueryResult) -> Result<Covered, StoreError> {
    let language: String = get(row, "language")?;
    let people: i64 = get(row, "people")?;
    Ok(Covered {
        venue_id: get(row, "venue_id")?,
        language: Language::of_tag(&language).unwrap_or_default(),
        reach: get_word(row, "reach")?,
        detail: get(row, "detail")?,
        people: u64::try_from(people).map_err(|_| corrupt("coverage_counts.people", &people.to_string()))?,
    })
}

/// Keeps the board as it is at a mark, unless it was kept before.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn keep_mark(tx: &mut Tx, id: NotificationId, mark: &Mark) -> Result<(), StoreError> {
    let sql = "INSERT INTO coverage_marks (notification_id, after_seconds, taken_at, board_json) \
               VALUES ($1, $2, $3, $4) ON CONFLICT (notification_id, after_seconds) DO NOTHING";
    let values = [
        id.0.into(),
        i64::from(mark.after_seconds).into(),
        at(mark.taken_at),
        mark.people.to_string().into(),
    ];
    let engine = tx.engine();
    tx.connection().execute_raw(statement(engine, sql, values)).await?;
    Ok(())
}

/// The marks that were kept, the first one first.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn marks(store: &Store, id: NotificationId) -> Result<Vec<Mark>, StoreError> {
    let sql = "SELECT after_seconds, taken_at, board_json FROM coverage_marks WHERE notification_id = $1 \
               ORDER BY after_seconds";
    let rows = store.reader().query_all_raw(statement(store.engine(), sql, [id.0.into()])).await?;
    rows.iter()
        .map(|row| {
            let after: i64 = get(row, "after_seconds")?;
            Ok(Mark {
                after_seconds: u32::try_from(after).unwrap_or(u32::MAX),
                taken_at: get_at(row, "taken_at")?,
                people: get_json(row, "board_json")?,
            })
        })
        .collect()
}

/// An announcement's notification whose marks may be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recent {
    /// The notification.
    pub id: NotificationId,
    /// When it was made: marks are counted from here.
    pub created_at: Timestamp,
    /// The last mark that was kept, in seconds; 0: none.
    pub kept_seconds: u32,
}

pub(crate) const RECENT: &str = "SELECT n.id, n.created_at, \
     COALESCE((SELECT MAX(m.after_seconds) FROM coverage_marks m WHERE m.notification_id = n.id), 0) AS kept \
     FROM notifications n WHERE n.lane IN ('emergency', 'transactional', 'standard', 'promotional') \
     AND n.created_at > $1 AND n.announcement_id IS NOT NULL";

/// Notifications of announcements that were made after `since`.
///
/// # Errors
/// [`StoreError::Database`], [`StoreError::Corrupt`].
pub async fn recent(store: &Store, since: Timestamp) -> Result<Vec<Recent>, StoreError> {
    let rows = store.reader().query_all_raw(statement(store.engine(), RECENT, [at(since)])).await?;
    rows.iter()
        .map(|row| {
            let kept: i64 = get(row, "kept")?;
            Ok(Recent {
                id: NotificationId(get(row, "id")?),
                created_at: get_at(row, "created_at")?,
                kept_seconds: u32::try_from(kept).unwrap_or(u32::MAX),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_counted_once_and_marks_include_those_before() {
        let place = |venue_id, language, reach, detail: &str, people| Covered {
            venue_id,
            language,
            reach,
            detail: detail.to_owned(),
            people,
        };
        let board = Board::of(&[
            place(0, Language::Ar, Reach::Proven, "5", 3),
            place(5, Language::En, Reach::Proven, "60", 4),
            place(5, Language::Ar, Reach::Proven, "later", 1),
            place(5, Language::Ar, Reach::Failed, "Unregistered", 2),
            place(0, Language::Ar, Reach::Unreachable, "not_connected", 7),
        ]);
        assert_eq!(board.audience, 17);
        assert_eq!(board.people, BTreeMap::from([("proven", 8), ("failed", 2), ("unreachable", 7)]));
        assert_eq!(board.proven_within, BTreeMap::from([(5, 3), (30, 3), (60, 7), (300, 7)]));
        assert_eq!(board.by_venue[&5], BTreeMap::from([("proven", 5), ("failed", 2)]));
        assert_eq!(board.by_language["en"], BTreeMap::from([("proven", 4)]));
        assert_eq!(board.failed_by_cause["Unregistered"], 2);
    }
}
