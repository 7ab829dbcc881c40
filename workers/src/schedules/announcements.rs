//! Announcements on a schedule: each made as if an organizer made it at that time.

use std::time::Duration;

use domain::{Alert, Change, ChangeId, ChangeKind, NotificationId, Timestamp};
use store::announcements::{self, NewAnnouncement};
use store::schedules::{self, Schedule};
use store::{StoreError, Tx, outbox};
use tracing::{info, warn};

use super::turn::turn;
use crate::app::App;
use crate::planner::PlanError;

/// Makes the announcements whose time has come, each with its schedule's next time in one transaction.
pub(super) async fn make_due(app: &App) -> Result<(), PlanError> {
    let now = app.now();
    for id in schedules::due(&app.store, now, app.config.reminders.batch).await? {
        let mut tx = app.store.begin().await?;
        let Some(schedule) = schedules::lock(&mut tx, id).await? else { continue };
        let Some(due) = schedule.next_at.filter(|at| *at <= now) else { continue };
        let turn = turn(&schedule.plan, due, now);
        if let Some(said_at) = turn.said_at {
            announce(&mut tx, &schedule, said_at, now).await?;
        }
        schedules::advance(&mut tx, id, turn.advance, now).await?;
        tx.commit().await?;
        if turn.advance.missed > 0 {
            let missed = turn.advance.missed;
            warn!(schedule.id = id, missed, "schedule {id} has missed {missed} times while nothing ran");
        }
        info!(schedule.id = id, sent = turn.advance.sent, "schedule {id} had its turn");
    }
    Ok(())
}

async fn announce(
    tx: &mut Tx,
    schedule: &Schedule,
    said_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let plan = &schedule.plan;
    let change_id = ChangeId::at(now, rand::random());
    let notification_id = NotificationId::of(change_id);
    let said = NewAnnouncement {
        notification_id,
        lane: plan.lane,
        title: plan.title.clone(),
        body: plan.body.clone(),
        audience: plan.audience.clone(),
        created_by: schedule.created_by,
        expires_at: said_at + Duration::from_secs(plan.ttl_seconds),
        alert: Alert::of(plan.lane),
        thread_id: notification_id,
        confirm_before: None,
    };
    let announcement_id = announcements::insert(tx, &said, now).await?;
    let kind = ChangeKind::Announcement(said.announced(announcement_id, None));
    outbox::append(
        tx,
        &Change { id: change_id, at: now, actor: Some(schedule.created_by), mutation: None, kind },
    )
    .await
}
