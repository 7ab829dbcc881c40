//! Reminders: made when their time has come, from the programme as it is then; withdrawn when it changes.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{Audience, Lane, NotificationId, NotificationKind};
use serde_json::json;
use store::events;
use store::notifications::{self, Notification};
use store::reminders::{self, Reminder};

use crate::app::App;
use crate::planner::{self, PlanError};
use crate::render;

/// Withdraws what has not left of reminders whose event moved or will not take place.
pub(super) async fn withdraw_overtaken(app: &App) -> Result<(), PlanError> {
    for notification in reminders::overtaken(&app.store, app.now(), app.config.reminders.batch).await? {
        planner::cancel(app, notification).await?;
        let mut tx = app.store.begin().await?;
        reminders::withdraw(&mut tx, notification, app.now()).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Makes every reminder whose time has come, and not long ago.
pub(super) async fn make_due(app: &App) -> Result<(), PlanError> {
    let rules = &app.config.reminders;
    let now = app.now();
    let late = Duration::from_secs(rules.late_seconds_max);
    let mut due = BTreeSet::new();
    for lead_minutes in &rules.choices {
        let until = now + Duration::from_mins(u64::from(*lead_minutes));
        let after = now.max(until - late);
        for (event_id, starts_at) in reminders::starting(&app.store, after, until, rules.batch).await? {
            due.insert(Reminder { event_id, starts_at, lead_minutes: *lead_minutes });
        }
    }
    if due.is_empty() {
        return Ok(());
    }
    for made in reminders::made(&app.store, now).await? {
        due.remove(&made);
    }
    for one in due {
        if reminders::wanted(&app.store, one, &rules.minutes).await? {
            make(app, one).await?;
        }
    }
    Ok(())
}

async fn make(app: &App, one: Reminder) -> Result<(), PlanError> {
    let Some(event) = events::get_by_id(&app.store, one.event_id).await? else { return Ok(()) };
    let event = event.snapshot();
    let texts = render::reminder(&app.templates, &event, one.lead_minutes);
    let id = NotificationId::of_reminder(one.event_id, one.starts_at, one.lead_minutes);
    let notification = Notification {
        id,
        kind: NotificationKind::EventReminder,
        lane: Lane::Standard,
        title: texts.title,
        body: texts.body,
        data: json!({ "event_id": event.id, "venue_id": event.venue.id, "version": event.version,
            "minutes": one.lead_minutes }),
        audience: Audience::Event { event_id: one.event_id },
        event_id: Some(one.event_id),
        announcement_id: None,
        thread_id: id,
        created_at: app.now(),
        expires_at: one.starts_at,
    };
    let mut tx = app.store.begin().await?;
    if reminders::make(&mut tx, one, notification.id, app.now()).await? {
        notifications::insert(&mut tx, &notification).await?;
        tx.commit().await?;
        app.to_plan.notify_one();
    }
    Ok(())
}
