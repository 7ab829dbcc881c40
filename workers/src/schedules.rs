//! What comes at a time: reminders of starred events, announcements on a schedule, digests.
//!
//! One process does it at a time, but nothing depends on that: each thing that comes due is made and noted in one
//! transaction, so that a process which is killed has done it or not, and two of them do it once. What is due is asked of
//! indexes, page by page; nobody has a timer.

mod announcements;
mod digests;
mod reminders;
mod turn;

use std::time::Duration;

use tracing::warn;

use crate::app::App;
use crate::failure::chain;
use crate::leader::Leader;
use crate::planner::PlanError;

/// Looks at what is due until the process drains.
pub(crate) async fn run(app: App) {
    let mut leader = Leader::new(&app, "schedules");
    while leader.holds().await {
        if let Err(cause) = look(&app).await {
            warn!(cause = chain(&cause), "what is due was not all made; the next look goes on");
        }
        app.pause(Duration::from_millis(app.config.reminders.every_ms)).await;
    }
}

async fn look(app: &App) -> Result<(), PlanError> {
    reminders::withdraw_overtaken(app).await?;
    reminders::make_due(app).await?;
    announcements::make_due(app).await?;
    digests::make_due(app).await
}
