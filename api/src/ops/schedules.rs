//! Announcements that are to be made at a time, and their end.

use domain::{Timestamp, UserId};
use store::schedules::{self, Plan, Schedule};
use store::{StoreError, Tx};

use crate::app::App;

/// Why a schedule was not stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StopError {
    /// There is no such schedule.
    #[error("there is no such schedule")]
    NotFound,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps a schedule.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn make(
    app: &App,
    tx: &mut Tx,
    by: UserId,
    plan: &Plan,
    first_at: Timestamp,
) -> Result<Schedule, StoreError> {
    schedules::insert(tx, plan, first_at, by, app.clock.now()).await
}

/// Stops a schedule: what it has announced stays, nothing more comes. Repeating it changes nothing.
///
/// # Errors
/// [`StopError`].
pub(crate) async fn stop(app: &App, tx: &mut Tx, id: i64) -> Result<Schedule, StopError> {
    let mut schedule = schedules::lock(tx, id).await?.ok_or(StopError::NotFound)?;
    if schedule.cancelled_at.is_none() {
        let now = app.clock.now();
        schedules::cancel(tx, id, now).await?;
        (schedule.cancelled_at, schedule.next_at) = (Some(now), None);
        schedule.version += 1;
    }
    Ok(schedule)
}
