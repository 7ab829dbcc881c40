//! Which change notifies whom. Pure.

use std::time::Duration;

use domain::{
    Announced, Aspect, Audience, Change, ChangeKind, EventSnapshot, Lane, NotificationId, NotificationKind,
};
use serde_json::json;
use store::notifications::Notification;

use crate::render;
use crate::templates::Templates;

/// What follows from a change.
#[derive(Debug)]
pub(super) enum Decision {
    /// People are told.
    Notify(Box<Notification>),
    /// People are told, and what has not left of an earlier notification is withdrawn first.
    Replace(NotificationId, Box<Notification>),
    /// An earlier notification is withdrawn.
    Cancel(NotificationId),
    /// Nobody is told, beyond those who watch the topic.
    Nothing,
}

/// What follows from `change`. News about an event is of use until it ends, but for at most `hours_max`.
pub(super) fn decide(templates: &Templates, change: &Change, hours_max: u32) -> Decision {
    match &change.kind {
        ChangeKind::Event { event, previous, aspects } => {
            let Some(kind) = previous.as_deref().and_then(|before| news(event, before, aspects)) else {
                return Decision::Nothing;
            };
            let last = previous.as_deref().map_or(event.ends_at, |before| before.ends_at.max(event.ends_at));
            if last <= change.at {
                return Decision::Nothing; // it is over, whatever was corrected about it
            }
            let longest = change.at + Duration::from_hours(u64::from(hours_max));
            Decision::Notify(Box::new(about_event(templates, change, event, kind, last.min(longest))))
        }
        ChangeKind::Announcement(announced) => {
            let notification = Box::new(announcement(templates, change, announced));
            match announced.replaces {
                Some(earlier) => Decision::Replace(earlier, notification),
                None => Decision::Notify(notification),
            }
        }
        ChangeKind::AnnouncementCancelled { notification_id, .. } => Decision::Cancel(*notification_id),
        ChangeKind::Venue { .. } | ChangeKind::AnnouncementAwaits { .. } | ChangeKind::Revocation { .. } => {
            Decision::Nothing
        }
    }
}

fn announcement(templates: &Templates, change: &Change, announced: &Announced) -> Notification {
    let mut body = announced.body.clone();
    let mut data = json!({ "announcement_id": announced.announcement_id });
    if let Some(alert) = &announced.alert {
        body = alert.with_instructions(&body);
        data["message_type"] = json!(alert.message_type);
        data["severity"] = json!(alert.severity);
        if alert.drill {
            data["drill"] = json!(true);
        }
    }
    let texts = render::announcement(templates, &announced.title, &body);
    Notification {
        id: announced.notification_id,
        kind: NotificationKind::Announcement,
        lane: announced.lane,
        title: texts.title,
        body: texts.body,
        data,
        audience: announced.audience.clone(),
        event_id: None,
        announcement_id: Some(announced.announcement_id),
        thread_id: announced.thread_id.unwrap_or(announced.notification_id),
        created_at: change.at,
        expires_at: announced.expires_at,
    }
}

/// What is worth telling about an event that the public knew, the most important first.
fn news(event: &EventSnapshot, before: &EventSnapshot, aspects: &[Aspect]) -> Option<NotificationKind> {
    if !event.is_public() || !before.is_public() {
        return None;
    }
    let has = |aspect| aspects.contains(&aspect);
    if has(Aspect::Cancelled) || has(Aspect::Deleted) {
        Some(NotificationKind::EventCancelled)
    } else if has(Aspect::Postponed) {
        None
    } else if has(Aspect::VenueChanged) {
        Some(NotificationKind::EventVenueChanged)
    } else if has(Aspect::Moved) {
        Some(NotificationKind::EventMoved)
    } else {
        None
    }
}

fn about_event(
    templates: &Templates,
    change: &Change,
    event: &EventSnapshot,
    kind: NotificationKind,
    expires_at: domain::Timestamp,
) -> Notification {
    let texts = render::event(templates, kind, event);
    let id = NotificationId::of(change.id);
    Notification {
        id,
        kind,
        lane: Lane::Standard,
        title: texts.title,
        body: texts.body,
        data: json!({ "event_id": event.id, "venue_id": event.venue.id, "version": event.version }),
        audience: Audience::Event { event_id: event.id },
        event_id: Some(event.id),
        announcement_id: None,
        thread_id: id,
        created_at: change.at,
        expires_at,
    }
}

#[cfg(test)]
mod tests {
    use domain::{ChangeId, EventId, LocalizedText, Timestamp, VenueId, VenueSnapshot};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn event(status: &str) -> EventSnapshot {
        EventSnapshot {
            id: EventId(17),
            version: 2,
            status: status.to_owned(),
            title: LocalizedText::english("Concert"),
            venue: VenueSnapshot { id: VenueId(5), name: LocalizedText::english("Stage"), capacity: None },
            starts_at: at("2026-07-18T17:30:00Z"),
            ends_at: at("2026-07-18T19:00:00Z"),
            time_zone: "Africa/Cairo".to_owned(),
        }
    }

    fn decided(now: &str, before: Option<EventSnapshot>, aspects: &[Aspect]) -> Decision {
        let change = Change {
            id: ChangeId::at(at(now), [1; 10]),
            at: at(now),
            actor: None,
            mutation: None,
            kind: ChangeKind::Event {
                event: Box::new(event("published")),
                previous: before.map(Box::new),
                aspects: aspects.to_vec(),
            },
        };
        decide(&Templates::load(&crate::templates::Config::default()).unwrap(), &change, 168)
    }

    fn kind(decision: &Decision) -> Option<NotificationKind> {
        match decision {
            Decision::Notify(one) | Decision::Replace(_, one) => Some(one.kind),
            Decision::Cancel(_) | Decision::Nothing => None,
        }
    }

    #[test]
    fn the_most_important_news_is_told_and_only_about_what_the_public_knew() {
        let now = "2026-07-18T12:00:00Z";
        let told = |before, aspects: &[Aspect]| kind(&decided(now, before, aspects));
        let public = || Some(event("published"));
        assert_eq!(told(public(), &[Aspect::Moved]), Some(NotificationKind::EventMoved));
        assert_eq!(
            told(public(), &[Aspect::VenueChanged, Aspect::Moved]),
            Some(NotificationKind::EventVenueChanged)
        );
        assert_eq!(
            told(public(), &[Aspect::Cancelled, Aspect::Moved]),
            Some(NotificationKind::EventCancelled)
        );
        assert_eq!(told(public(), &[Aspect::Details]), None);
        assert_eq!(told(Some(event("draft")), &[Aspect::Published, Aspect::Moved]), None);
        assert_eq!(told(None, &[Aspect::Created]), None);
    }

    #[test]
    fn what_is_over_is_not_told_and_what_is_told_ends_with_the_event() {
        let over = decided("2026-07-18T19:00:00Z", Some(event("published")), &[Aspect::Moved]);
        assert!(matches!(over, Decision::Nothing));
        let Decision::Notify(near) =
            decided("2026-07-18T12:00:00Z", Some(event("published")), &[Aspect::Moved])
        else {
            panic!("it is told")
        };
        assert_eq!(near.expires_at, at("2026-07-18T19:00:00Z"));
        let Decision::Notify(far) =
            decided("2026-06-01T00:00:00Z", Some(event("published")), &[Aspect::Moved])
        else {
            panic!("it is told")
        };
        assert_eq!(far.expires_at, at("2026-06-08T00:00:00Z"));
    }
}
