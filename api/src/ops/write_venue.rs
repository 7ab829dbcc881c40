//! Writing venues. Their changes are told to everybody; a venue with events cannot go.

use domain::{ChangeKind, EventId, Timestamp, VenueId};
use store::events::Referred;
use store::venues::{self, Venue, VenuePlan};
use store::{StoreError, Tx, events, outbox};

use super::author::Author;

/// Events named when something cannot go because of them.
pub(crate) const NAMED_MAX: u32 = 20;

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

/// Makes a venue.
///
/// # Errors
/// [`ResourceError::Store`].
pub(crate) async fn create(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    plan: &VenuePlan,
) -> Result<Venue, ResourceError<Venue>> {
    let venue = venues::insert(tx, None, plan, now).await?;
    publish(tx, author, now, &venue, false).await?;
    Ok(venue)
}

/// Replaces what organizers decided about a venue, if `accept` accepts how it is now.
///
/// # Errors
/// [`ResourceError`]: gone, stale.
pub(crate) async fn replace(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    (id, plan): (VenueId, &VenuePlan),
    accept: impl FnOnce(&Venue) -> bool,
) -> Result<Venue, ResourceError<Venue>> {
    let current = lock(tx, id, accept).await?;
    if current.plan == *plan {
        return Ok(current); // nothing to tell anybody
    }
    let changed = venues::update(tx, id, current.version, plan, now).await?;
    let changed = changed.ok_or_else(|| ResourceError::Stale(Box::new(current)))?;
    publish(tx, author, now, &changed, false).await?;
    Ok(changed)
}

/// Removes a venue without events, if `accept` accepts how it is now.
///
/// # Errors
/// [`ResourceError`]: gone, stale, in use.
pub(crate) async fn remove(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    id: VenueId,
    accept: impl FnOnce(&Venue) -> bool,
) -> Result<(), ResourceError<Venue>> {
    let current = lock(tx, id, accept).await?;
    let events = events::referring_to(tx, Referred::Venue(id), NAMED_MAX).await?;
    if !events.is_empty() {
        return Err(ResourceError::InUse(events));
    }
    venues::delete(tx, id, current.version).await?;
    publish(tx, author, now, &current, true).await
}

async fn lock(
    tx: &mut Tx,
    id: VenueId,
    accept: impl FnOnce(&Venue) -> bool,
) -> Result<Venue, ResourceError<Venue>> {
    let current = venues::lock(tx, &[id]).await?.pop().ok_or(ResourceError::NotFound)?;
    if accept(&current) { Ok(current) } else { Err(ResourceError::Stale(Box::new(current))) }
}

async fn publish(
    tx: &mut Tx,
    author: &Author,
    now: Timestamp,
    venue: &Venue,
    deleted: bool,
) -> Result<(), ResourceError<Venue>> {
    let kind = ChangeKind::Venue { venue: venue.snapshot(), deleted };
    outbox::append(tx, &author.change(now, kind)).await?;
    Ok(())
}
