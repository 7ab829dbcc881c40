//! Writing performers. One with events cannot go.

use domain::{PerformerId, Timestamp};
use store::Tx;
use store::events::Referred;
use store::performers::{self, Performer, PerformerPlan};

use super::resource::{ResourceError, accepted, ensure_unused};

/// Makes a performer.
///
/// # Errors
/// [`ResourceError::Store`].
pub(crate) async fn create(
    tx: &mut Tx,
    now: Timestamp,
    plan: &PerformerPlan,
) -> Result<Performer, ResourceError<Performer>> {
    Ok(performers::insert(tx, None, plan, now).await?)
}

/// Replaces what organizers decided about a performer, if `accept` accepts how it is now.
///
/// # Errors
/// [`ResourceError`]: gone, stale.
pub(crate) async fn replace(
    tx: &mut Tx,
    now: Timestamp,
    (id, plan): (PerformerId, &PerformerPlan),
    accept: impl FnOnce(&Performer) -> bool,
) -> Result<Performer, ResourceError<Performer>> {
    let current = accepted(performers::lock(tx, &[id]).await?.pop(), accept)?;
    if current.plan == *plan {
        return Ok(current);
    }
    let changed = performers::update(tx, id, current.version, plan, now).await?;
    changed.ok_or_else(|| ResourceError::Stale(Box::new(current)))
}

/// Removes a performer without events, if `accept` accepts how it is now.
///
/// # Errors
/// [`ResourceError`]: gone, stale, in use.
pub(crate) async fn remove(
    tx: &mut Tx,
    id: PerformerId,
    accept: impl FnOnce(&Performer) -> bool,
) -> Result<(), ResourceError<Performer>> {
    let current = accepted(performers::lock(tx, &[id]).await?.pop(), accept)?;
    ensure_unused(tx, Referred::Performer(id)).await?;
    performers::delete(tx, id, current.version).await?;
    Ok(())
}
