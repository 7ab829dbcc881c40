//! Writing venues. Their changes are told to everybody; a venue with events cannot go.

use domain::{ChangeKind, Timestamp, VenueId};
use store::events::Referred;
use store::venues::{self, Venue, VenuePlan};
use store::{Tx, outbox};

use super::author::Author;
use super::resource::{ResourceError, accepted, ensure_unused};

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
    let current = accepted(venues::lock(tx, &[id]).await?.pop(), accept)?;
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
    let current = accepted(venues::lock(tx, &[id]).await?.pop(), accept)?;
    ensure_unused(tx, Referred::Venue(id)).await?;
    venues::delete(tx, id, current.version).await?;
    publish(tx, author, now, &current, true).await
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
