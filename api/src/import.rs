//! Import of a programme in the Pentabarf/frab JSON format (`schedule.json`), which CCC, frab, pretalx and voc write.
//!
//! Events are recognised by their `guid`, performers by their `guid` or `id`, venues by the name of the room,
//! categories by the name of the track; so importing a file again changes nothing, and importing a changed file
//! changes exactly what is different, which everybody hears of. What is in the database and not in the file stays as
//! it is, and so do the status, the capacity and the texts in the other language of what is in both.
//!
//! A file is taken as a whole or not at all: one with faults changes nothing, and each fault is named with its path.

mod file;
mod plan;
mod write;

use domain::{Clock, Conflict, Timestamp};
use store::{Store, StoreError, Tx};

pub use self::plan::Fault;
use self::write::Run;
use crate::ops::author::Author;

/// How a file is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether new events are drafts; otherwise they are published at once.
    pub draft: bool,
    /// Bytes of the largest file (`api.limits.import_bytes_max`).
    pub bytes_max: usize,
}

/// How many rows of one kind were made, changed, and found as they are in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Counts {
    /// Rows that were made.
    pub new: usize,
    /// Rows that were changed.
    pub changed: usize,
    /// Rows that were as they are in the file.
    pub unchanged: usize,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ImportReport {
    /// The title that the file gives to its festival.
    pub title: String,
    /// The zone of the file.
    pub time_zone: String,
    /// Venues, by the rooms of the file.
    pub venues: Counts,
    /// Categories, by its tracks.
    pub categories: Counts,
    /// Performers, by its persons.
    pub performers: Counts,
    /// Events: the three numbers add up to the events of the file.
    pub events: Counts,
    /// Conflicts between events of the file, the gravest first. They are imported all the same: the file is how it
    /// was decided.
    pub conflicts: Vec<Conflict>,
}

/// Why a file was not imported. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// More bytes than permitted.
    #[error("the file has {found} bytes, more than the {permitted} that are permitted")]
    TooLarge {
        /// Bytes of the file.
        found: usize,
        /// Bytes permitted.
        permitted: usize,
    },
    /// Not JSON.
    #[error("the file is not JSON: {0}")]
    NotJson(String),
    /// JSON, but not a programme that can be taken over: every fault, at most [`Fault::NAMED_MAX`].
    #[error("the file cannot be imported: {}", plan::joined(.0))]
    Faults(Vec<Fault>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ImportReport {
    /// Two lines for a person.
    pub fn summary(&self) -> String {
        let count = |noun: &str, counts: Counts| {
            format!("{noun}: {} new, {} changed, {} unchanged", counts.new, counts.changed, counts.unchanged)
        };
        format!(
            "{} ({})\n{}; {}; {}; {}; conflicts: {}",
            self.title,
            self.time_zone,
            count("events", self.events),
            count("venues", self.venues),
            count("categories", self.categories),
            count("performers", self.performers),
            self.conflicts.len()
        )
    }
}

/// Imports the file `bytes` into `store`, in one transaction, with one change in the outbox per venue and event that
/// is new or changed. `clock` gives the time of the changes.
///
/// # Errors
/// [`ImportError`]; nothing was changed then.
pub async fn schedule(
    store: &Store,
    clock: &dyn Clock,
    bytes: &[u8],
    options: Options,
) -> Result<ImportReport, ImportError> {
    let mut tx = store.begin().await?;
    let nobody = Author { actor: None, mutation: None };
    let report = apply(&mut tx, &nobody, clock.now(), bytes, options).await?;
    tx.commit().await?;
    Ok(report)
}

/// The same as [`schedule`] in a transaction of the caller's, as the work of `author`.
///
/// # Errors
/// [`ImportError`]; the transaction is to be dropped then.
pub(crate) async fn apply(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    bytes: &[u8],
    options: Options,
) -> Result<ImportReport, ImportError> {
    if bytes.len() > options.bytes_max {
        return Err(ImportError::TooLarge { found: bytes.len(), permitted: options.bytes_max });
    }
    let programme = plan::read(file::parse(bytes)?)?;
    Ok(write::programme(tx, Run { programme: &programme, author, options, now }).await?)
}
