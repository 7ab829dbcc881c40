//! Writing categories. One with events cannot go.

use domain::{CategoryId, Timestamp};
use store::categories::{self, Category, CategoryPlan};
use store::events::Referred;
use store::{StoreError, Tx};

use super::resource::{ResourceError, accepted, ensure_unused};

/// Makes a category.
///
/// # Errors
/// [`ResourceError::SlugTaken`].
pub(crate) async fn create(
    tx: &mut Tx,
    now: Timestamp,
    plan: &CategoryPlan,
) -> Result<Category, ResourceError<Category>> {
    categories::insert(tx, plan, now).await.map_err(slug_taken)
}

/// Replaces what organizers decided about a category, if `accept` accepts how it is now.
///
/// # Errors
/// [`ResourceError`]: gone, stale, slug taken.
pub(crate) async fn replace(
    tx: &mut Tx,
    now: Timestamp,
    (id, plan): (CategoryId, &CategoryPlan),
    accept: impl FnOnce(&Category) -> bool,
) -> Result<Category, ResourceError<Category>> {
    let current = accepted(categories::lock(tx, id).await?, accept)?;
    if current.plan == *plan {
        return Ok(current);
    }
    let changed = categories::update(tx, id, current.version, plan, now).await.map_err(slug_taken)?;
    changed.ok_or_else(|| ResourceError::Stale(Box::new(current)))
}

/// Removes a category without events, if `accept` accepts how it is now.
///
/// # Errors
/// [`ResourceError`]: gone, stale, in use.
pub(crate) async fn remove(
    tx: &mut Tx,
    id: CategoryId,
    accept: impl FnOnce(&Category) -> bool,
) -> Result<(), ResourceError<Category>> {
    let current = accepted(categories::lock(tx, id).await?, accept)?;
    ensure_unused(tx, Referred::Category(id)).await?;
    categories::delete(tx, id, current.version).await?;
    Ok(())
}

fn slug_taken(cause: StoreError) -> ResourceError<Category> {
    if cause.is_unique_violation() { ResourceError::SlugTaken } else { ResourceError::Store(cause) }
}
