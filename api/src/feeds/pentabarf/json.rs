//! `schedule.json`.

use serde_json::{Map, Value, json};

use super::{Day, Item, Programme, Schedule};

/// The programme as `schedule.json`.
pub(in crate::feeds) fn write(programme: &Programme<'_>) -> Value {
    let schedule = Schedule::new(programme);
    let mut conference = json!({
        "acronym": schedule.acronym,
        "title": schedule.title,
        "daysCount": schedule.days.len(),
        "timeslot_duration": "00:05",
        "time_zone_name": programme.days.zone().name(),
        "days": (1..).zip(&schedule.days).map(|(index, shown)| day(index, shown)).collect::<Vec<_>>(),
    });
    if !schedule.days.is_empty() {
        conference["start"] = schedule.first.to_string().into();
        conference["end"] = schedule.last.to_string().into();
    }
    json!({"schedule": {
        "version": schedule.version,
        "base_url": programme.origin,
        "conference": conference,
    }})
}

fn day(index: usize, day: &Day<'_>) -> Value {
    let rooms: Map<_, _> = day
        .rooms
        .iter()
        .map(|(room, items)| ((*room).to_owned(), items.iter().map(item).collect::<Vec<_>>().into()))
        .collect();
    json!({
        "index": index,
        "date": day.date.to_string(),
        "day_start": day.starts,
        "day_end": day.ends,
        "rooms": rooms,
    })
}

fn item(item: &Item<'_>) -> Value {
    let (event, language) = (item.event, item.language);
    let persons: Vec<_> = event
        .performers
        .iter()
        .map(|one| {
            let name = one.name.pick(language);
            json!({"id": one.id, "name": name, "public_name": name})
        })
        .collect();
    json!({
        "guid": event.guid,
        "id": event.id,
        "date": item.date,
        "start": item.start,
        "duration": item.duration,
        "room": item.room,
        "slug": item.slug,
        "url": item.url,
        "title": item.title(),
        "subtitle": "",
        "track": item.track(),
        "type": item.kind(),
        "language": event.plan.language,
        "abstract": "",
        "description": item.description(),
        "persons": persons,
        "links": [],
        "attachments": [],
    })
}
