//! The programme in the words of schema.org, as JSON-LD: what search engines read.

use domain::EventStatus;
use serde_json::{Value, json};
use store::events::Event;

use super::Programme;

/// The programme as one `Festival` with its `subEvent`s.
pub(super) fn write(programme: &Programme<'_>) -> Value {
    let events: Vec<_> = programme.events.iter().map(|event| sub_event(programme, event)).collect();
    let starts = programme.events.iter().map(|event| event.plan.slot.starts_at).min();
    let ends = programme.events.iter().map(|event| event.plan.slot.ends_at).max();
    let zone = programme.days.zone();
    let mut festival = json!({
        "@context": "https://schema.org",
        "@type": "Festival",
        "name": programme.title(),
        "inLanguage": programme.language.as_str(),
        "subEvent": events,
    });
    if let (Some(starts), Some(ends)) = (starts, ends) {
        festival["startDate"] = zone.local(starts).into();
        festival["endDate"] = zone.local(ends).into();
    }
    festival
}

fn sub_event(programme: &Programme<'_>, event: &Event) -> Value {
    let (plan, language) = (&event.plan, programme.language);
    let url = programme.url_of(event);
    let performers = event.performers.iter();
    let performers: Vec<_> =
        performers.map(|one| json!({"@type": "PerformingGroup", "name": one.name.pick(language)})).collect();
    let mut shown = json!({
        "@type": "Event",
        "@id": url,
        "url": url,
        "identifier": event.guid,
        "name": plan.title.pick(language),
        "startDate": plan.zone.local(plan.slot.starts_at),
        "endDate": plan.zone.local(plan.slot.ends_at),
        "eventStatus": status(event.status),
        "eventAttendanceMode": "https://schema.org/OfflineEventAttendanceMode",
        "location": place(programme, event),
    });
    let description = plan.description.pick(language);
    if !description.is_empty() {
        shown["description"] = description.into();
    }
    if !plan.language.is_empty() {
        shown["inLanguage"] = plan.language.as_str().into();
    }
    if !performers.is_empty() {
        shown["performer"] = performers.into();
    }
    if let Some(capacity) = plan.capacity {
        shown["maximumAttendeeCapacity"] = capacity.into();
    }
    shown
}

fn place(programme: &Programme<'_>, event: &Event) -> Value {
    let venue = &event.venue.plan;
    let name = venue.name.pick(programme.language);
    let mut place = json!({"@type": "Place", "name": name, "address": name});
    if let Some((north, east)) = venue.position {
        place["geo"] = json!({"@type": "GeoCoordinates", "latitude": north, "longitude": east});
    }
    if let Some(capacity) = venue.capacity {
        place["maximumAttendeeCapacity"] = capacity.into();
    }
    place
}

/// A postponed or cancelled event keeps its dates: <https://schema.org/EventStatusType>.
fn status(status: EventStatus) -> &'static str {
    match status {
        EventStatus::Cancelled => "https://schema.org/EventCancelled",
        EventStatus::Postponed => "https://schema.org/EventPostponed",
        EventStatus::Draft | EventStatus::Published | EventStatus::Live | EventStatus::Completed => {
            "https://schema.org/EventScheduled"
        }
    }
}
