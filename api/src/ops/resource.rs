//! What writing a venue, a category or a performer has in common: it is locked, its version checked, and none goes that
//! an event refers to.

use domain::EventId;
use store::events::Referred;
use store::{StoreError, Tx, events};

/// Events named when something cannot go because of them.
const NAMED_MAX: u32 = 20;

/// Why a venue, a category or a performer was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResourceError<T> {
    /// There is no such thing.
    #[error("it does not exist")]
    NotFound,
    /// It was changed since it was seen.
    #[error("it has another version")]
    Stale(Box<T>),
    /// Events refer to it: the first of them.
    #[error("events refer to it")]
    InUse(Vec<EventId>),
    /// Another one has its slug.
    #[error("the slug is taken")]
    SlugTaken,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was locked, if it is there and `accept` accepts how it is now.
///
/// # Errors
/// [`ResourceError`]: gone, stale.
pub(super) fn accepted<T>(locked: Option<T>, accept: impl FnOnce(&T) -> bool) -> Result<T, ResourceError<T>> {
    let current = locked.ok_or(ResourceError::NotFound)?;
    if accept(&current) { Ok(current) } else { Err(ResourceError::Stale(Box::new(current))) }
}

/// Nothing, unless events refer to it.
///
/// # Errors
/// [`ResourceError::InUse`].
pub(super) async fn ensure_unused<T>(tx: &mut Tx, referred: Referred) -> Result<(), ResourceError<T>> {
    let events = events::referring_to(tx, referred, NAMED_MAX).await?;
    if events.is_empty() { Ok(()) } else { Err(ResourceError::InUse(events)) }
}
