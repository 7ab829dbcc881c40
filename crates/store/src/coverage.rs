//! The coverage board: how many people of a notification are where, kept with `recipients`, and the board as it was at each
//! mark.

use std::collections::BTreeMap;

use domain::{Language, NotificationId, Reach, Timestamp};
use sea_orm::{ConnectionTrait, QueryResult};
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
    pub board: Json,
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
        mark.board.to_string().into(),
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
                board: get_json(row, "board_json")?,
            })
        })
        .collect()
}
