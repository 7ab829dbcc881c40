//! The programme in the format that Pentabarf began and conference apps read: one tree, as `schedule.json` and as
//! `schedule.xml`. It has no word for what is cancelled or put off: such events are not in it.

mod json;
mod xml;

use std::collections::BTreeMap;

use domain::{Language, Timestamp};
use jiff::civil::Date;
use store::events::Event;

use super::Programme;

pub(super) use json::write as json;
pub(super) use xml::write as xml;

/// The programme as the format has it.
struct Schedule<'a> {
    programme: &'a Programme<'a>,
    /// Tells one state of the programme from another: when it was last changed.
    version: String,
    title: String,
    acronym: String,
    first: Date,
    last: Date,
    days: Vec<Day<'a>>,
}

/// A festival day with its rooms: by name, in the order of names.
struct Day<'a> {
    date: Date,
    starts: String,
    ends: String,
    rooms: BTreeMap<&'a str, Vec<Item<'a>>>,
}

/// An event as the format has it.
struct Item<'a> {
    event: &'a Event,
    language: Language,
    url: String,
    /// With the offset.
    date: String,
    /// `HH:MM` of the festival's clocks.
    start: String,
    /// `HH:MM`.
    duration: String,
    slug: String,
    room: &'a str,
}

impl<'a> Schedule<'a> {
    fn new(programme: &'a Programme<'a>) -> Self {
        let zone = programme.days.zone();
        let listed =
            programme.events.iter().filter(|event| event.status.occupies() && event.status.is_public());
        let mut dates: BTreeMap<Date, BTreeMap<&str, Vec<Item<'_>>>> = BTreeMap::new();
        let mut revised: Option<Timestamp> = None;
        for event in listed {
            revised = revised.max(Some(event.updated_at.max(event.venue.updated_at)));
            let item = Item::new(programme, event);
            let rooms = dates.entry(programme.days.day_of(event.plan.slot.starts_at)).or_default();
            rooms.entry(item.room).or_default().push(item);
        }
        let days = dates.into_iter().map(|(date, rooms)| {
            let bounds = programme.days.bounds(date);
            Day { date, starts: zone.local(bounds.starts_at), ends: zone.local(bounds.ends_at), rooms }
        });
        let days: Vec<_> = days.collect();
        let title = programme.title();
        Self {
            version: revised.map_or_else(|| "0".to_owned(), |at| at.to_string()),
            acronym: acronym(&title),
            title,
            first: days.first().map_or(Date::ZERO, |day| day.date),
            last: days.last().map_or(Date::ZERO, |day| day.date),
            days,
            programme,
        }
    }
}

impl<'a> Item<'a> {
    fn new(programme: &Programme<'a>, event: &'a Event) -> Self {
        let (zone, slot) = (programme.days.zone(), event.plan.slot);
        let date = zone.local(slot.starts_at);
        let minutes = slot.ends_at.since(slot.starts_at).as_secs().div_ceil(60);
        Self {
            event,
            language: programme.language,
            url: programme.url_of(event),
            start: date.get(11..16).unwrap_or_default().to_owned(),
            date,
            duration: format!("{:02}:{:02}", minutes / 60, minutes % 60),
            slug: format!("event-{}", event.id),
            room: event.venue.plan.name.pick(programme.language),
        }
    }

    fn title(&self) -> &str {
        self.event.plan.title.pick(self.language)
    }

    fn description(&self) -> &str {
        self.event.plan.description.pick(self.language)
    }

    fn track(&self) -> Option<&str> {
        self.event.category.as_ref().map(|category| category.plan.name.pick(self.language))
    }

    /// What kind of thing it is: the format's word is free, its readers know `concert` and the like.
    fn kind(&self) -> &str {
        self.event.category.as_ref().map_or("other", |category| category.plan.slug.as_str())
    }
}

/// Lower-case letters, digits and dashes, as readers expect an acronym.
fn acronym(title: &str) -> String {
    let mut acronym = String::new();
    for one in title.chars().flat_map(char::to_lowercase) {
        if one.is_ascii_alphanumeric() {
            acronym.push(one);
        } else if !acronym.is_empty() && !acronym.ends_with('-') {
            acronym.push('-');
        }
    }
    let acronym = acronym.trim_end_matches('-');
    if acronym.is_empty() { "festival".to_owned() } else { acronym.to_owned() }
}
