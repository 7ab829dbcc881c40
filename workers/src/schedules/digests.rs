//! Digests: one mail a day, to who asked for it, with what nothing proves to be read.

use std::time::Duration;

use domain::{
    Audience, Lane, Language, LocalizedText, NotificationId, NotificationKind, Timestamp, UserId, Zone,
};
use jiff::civil::Time;
use serde_json::json;
use store::notifications::{self, Notification};
use store::{StoreError, preferences, reminders, users};

use crate::app::App;
use crate::planner::PlanError;
use crate::render::{self, Unread};

/// What a digest looks back over.
const DAY: Duration = Duration::from_hours(24);

/// Makes the digests whose time has come; at most a page, so that other news goes in between.
pub(super) async fn make_due(app: &App) -> Result<(), PlanError> {
    let now = app.now();
    let mut made = false;
    for (user, due) in reminders::digests_due(&app.store, now, app.config.reminders.batch).await? {
        made |= make(app, user, due).await?;
    }
    if made {
        app.to_plan.notify_one();
    }
    Ok(())
}

/// Makes a user's digest, if there is something to tell, and moves its due time on: both or neither.
async fn make(app: &App, user: UserId, due: Timestamp) -> Result<bool, StoreError> {
    let now = app.now();
    let Some(kept) = preferences::of_users(&app.store, &[user]).await?.remove(&user) else {
        return Ok(false);
    };
    let zone = kept.zone(&Zone::utc());
    let next = zone.next_time(local_time(kept.digest_minute.unwrap_or(0)), now);
    let until = due - Duration::from_hours(app.config.reminders.digest_unread_hours);
    let unread = reminders::unread(&app.store, user, until - DAY, until).await?;
    let notification =
        if unread.is_empty() { None } else { Some(digest(app, user, due, &unread, &zone).await?) };
    let mut tx = app.store.begin().await?;
    if !reminders::advance_digest(&mut tx, user, due, next).await? {
        return Ok(false); // another process was faster, or they want it at another time now
    }
    if let Some(notification) = &notification {
        notifications::insert(&mut tx, notification).await?;
    }
    tx.commit().await?;
    Ok(notification.is_some())
}

async fn digest(
    app: &App,
    user: UserId,
    due: Timestamp,
    unread: &[NotificationId],
    zone: &Zone,
) -> Result<Notification, StoreError> {
    let language = users::find(&app.store, user).await?.map(|user| user.language).unwrap_or_default();
    let mut items = Vec::new();
    for id in unread.iter().take(app.config.reminders.digest_items_max) {
        if let Some(found) = notifications::find(&app.store, *id).await? {
            let Notification { title, created_at, .. } = found.notification;
            items.push(Unread { title: title.pick(language).to_owned(), at: created_at });
        }
    }
    let count = u64::try_from(unread.len()).unwrap_or(u64::MAX);
    let (title, body) = render::digest(&app.templates, language, count, &items, zone.name());
    let text = |text: String| match language {
        Language::Ar => LocalizedText { ar: Some(text), en: None },
        Language::En => LocalizedText { ar: None, en: Some(text) },
    };
    let id = NotificationId::of_digest(user, due);
    Ok(Notification {
        id,
        kind: NotificationKind::Digest,
        lane: Lane::Standard,
        title: text(title),
        body: text(body),
        data: json!({ "unread": count }),
        audience: Audience::Users { user_ids: vec![user] },
        event_id: None,
        announcement_id: None,
        thread_id: id,
        created_at: app.now(),
        expires_at: app.now() + DAY / 2,
    })
}

fn local_time(minute: u16) -> Time {
    let [hour, minute] = [minute / 60, minute % 60].map(|one| i8::try_from(one).unwrap_or(0));
    Time::new(hour, minute, 0, 0).unwrap_or(Time::midnight())
}
