//! From the file to what is to be in the database, with every fault and its path.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::Duration;

use domain::{EventPlan, Language, LocalizedText, Slot, SlotError, Timestamp, Zone};
use sha2::{Digest, Sha256};

use super::ImportError;
use super::file::{File, Item, Person, PersonNumber};

/// Something in the file that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// Where: `$.schedule.conference.days[0].rooms.Main[3].date`.
    pub path: String,
    /// The rule that it breaks.
    pub rule: String,
}

impl Fault {
    /// Faults that are named; the others are not looked for.
    pub const NAMED_MAX: usize = 50;
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.rule)
    }
}

/// The faults in one line each.
pub(super) fn joined(faults: &[Fault]) -> String {
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// Events of the largest programme.
const EVENTS_MAX: usize = 20_000;
/// Characters of the longest name of a room, a track, a person or the festival.
const NAME_CHARS_MAX: usize = 200;
/// Bytes of the longest `guid`.
const GUID_BYTES_MAX: usize = 200;

/// A programme that can be written.
#[derive(Debug)]
pub(super) struct Programme {
    pub(super) title: String,
    pub(super) zone: Zone,
    /// Rooms: what the venue is called in this source, and its name.
    pub(super) rooms: BTreeMap<String, String>,
    /// Tracks: the slug of the category, and its name.
    pub(super) tracks: BTreeMap<String, String>,
    /// Persons: what the performer is called in this source, and their name.
    pub(super) persons: BTreeMap<String, String>,
    pub(super) events: Vec<PlannedEvent>,
}

/// An event of the file.
#[derive(Debug)]
pub(super) struct PlannedEvent {
    pub(super) guid: String,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) language: String,
    pub(super) slot: Slot,
    /// Keys into the maps of the programme.
    pub(super) room: String,
    pub(super) track: Option<String>,
    pub(super) persons: Vec<String>,
}

impl PlannedEvent {
    /// The language that its texts are kept under: Arabic as Arabic, everything else as the other one.
    pub(super) fn text_language(&self) -> Language {
        Language::of_tag(&self.language).unwrap_or_default()
    }
}

/// `text` in `language`, with the text in the other language that is there already.
pub(super) fn merged(before: Option<&LocalizedText>, language: Language, text: &str) -> LocalizedText {
    let mut merged = before.cloned().unwrap_or_default();
    let place = match language {
        Language::Ar => &mut merged.ar,
        Language::En => &mut merged.en,
    };
    *place = Some(text.to_owned()).filter(|text| !text.is_empty());
    merged
}

/// Checks the file and makes a programme of it.
///
/// # Errors
/// [`ImportError::Faults`].
pub(super) fn read(file: File) -> Result<Programme, ImportError> {
    let conference = file.schedule.conference;
    let mut faults = Vec::new();
    let mut note = |path: &str, rule: String| faults.push(Fault { path: path.to_owned(), rule });
    name("$.schedule.conference.title", &conference.title, &mut note);
    let zone_name = conference.time_zone_name.as_deref();
    let zone = match zone_name.map(Zone::new) {
        Some(Ok(zone)) => Some(zone),
        Some(Err(unknown)) => {
            note("$.schedule.conference.time_zone_name", unknown.to_string());
            None
        }
        None => {
            note("$.schedule.conference.time_zone_name", "must name an IANA time zone".to_owned());
            None
        }
    };
    let source = slug(conference.acronym.as_deref().unwrap_or(&conference.title));
    let mut reader = Reader { source, ..Reader::default() };
    let items = conference.days.iter().enumerate().flat_map(|(day, rooms)| {
        let rooms = rooms.rooms.iter();
        rooms.flat_map(move |(room, items)| {
            items.iter().enumerate().map(move |(n, item)| (day, room, n, item))
        })
    });
    for (day, room, n, item) in items {
        let path = format!("$.schedule.conference.days[{day}].rooms.{room}[{n}]");
        reader.event(&path, room, item, &mut note);
        if reader.events.len() > EVENTS_MAX {
            note("$.schedule.conference.days", format!("must have at most {EVENTS_MAX} events"));
            break;
        }
    }
    if let (Some(zone), true) = (zone, faults.is_empty()) {
        let Reader { rooms, tracks, persons, events, .. } = reader;
        return Ok(Programme { title: conference.title, zone, rooms, tracks, persons, events });
    }
    faults.truncate(Fault::NAMED_MAX);
    Err(ImportError::Faults(faults))
}

/// What was read so far.
#[derive(Debug, Default)]
struct Reader {
    source: String,
    rooms: BTreeMap<String, String>,
    tracks: BTreeMap<String, String>,
    persons: BTreeMap<String, String>,
    events: Vec<PlannedEvent>,
    seen: HashMap<String, String>,
}

impl Reader {
    fn event(&mut self, path: &str, room: &str, item: &Item, note: &mut impl FnMut(&str, String)) {
        let at = |field: &str| format!("{path}.{field}");
        self.guid(&at("guid"), &item.guid, path, note);
        name(path, room, note);
        let title = item.title.trim();
        text(&at("title"), title, 1..=EventPlan::TITLE_CHARS_MAX, note);
        let parts = [&item.subtitle, &item.summary, &item.description];
        let parts: Vec<_> = parts.into_iter().flatten().map(|part| part.trim()).collect();
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let description = parts.join("\n\n").replace("\r\n", "\n");
        text(&at("description"), &description, 0..=EventPlan::DESCRIPTION_CHARS_MAX, note);
        let language = item.language.clone().unwrap_or_default();
        if !EventPlan::is_language_tag(&language) {
            note(&at("language"), format!("{language:?} is not a BCP 47 tag such as ar or en-GB"));
        }
        let track = item.track.as_deref().map(str::trim).filter(|track| !track.is_empty());
        let track = track.map(|track| {
            name(&at("track"), track, note);
            let key = slug(track);
            self.tracks.entry(key.clone()).or_insert_with(|| track.to_owned());
            key
        });
        let persons = self.people(&at("persons"), &item.persons, note);
        let room_key = format!("{}/room/{}", self.source, room.trim());
        self.rooms.entry(room_key.clone()).or_insert_with(|| room.trim().to_owned());
        if let Some(slot) = slot(path, item, note) {
            self.events.push(PlannedEvent {
                guid: item.guid.clone(),
                title: title.to_owned(),
                description,
                language,
                slot,
                room: room_key,
                track,
                persons,
            });
        }
    }

    fn guid(&mut self, path: &str, guid: &str, event: &str, note: &mut impl FnMut(&str, String)) {
        if guid.trim().is_empty() || guid.len() > GUID_BYTES_MAX || guid.chars().any(char::is_control) {
            note(path, format!("must have 1 to {GUID_BYTES_MAX} printable characters"));
        } else if let Some(first) = self.seen.insert(guid.to_owned(), event.to_owned()) {
            note(path, format!("is the guid of {first} too"));
        }
    }

    fn people(&mut self, path: &str, people: &[Person], note: &mut impl FnMut(&str, String)) -> Vec<String> {
        if people.len() > EventPlan::PERFORMERS_MAX {
            note(path, format!("must have at most {} persons", EventPlan::PERFORMERS_MAX));
        }
        let mut keys = Vec::new();
        for (index, person) in people.iter().enumerate() {
            let public_name = person.public_name().unwrap_or_default().trim();
            name(&format!("{path}[{index}].public_name"), public_name, note);
            let key = match (&person.guid, &person.id) {
                (Some(guid), _) if !guid.trim().is_empty() => guid.clone(),
                (_, Some(PersonNumber::Number(id))) => format!("{}/person/{id}", self.source),
                (_, Some(PersonNumber::Text(id))) => format!("{}/person/{id}", self.source),
                _ => format!("{}/person/{}", self.source, slug(public_name)),
            };
            if key.len() > GUID_BYTES_MAX {
                note(&format!("{path}[{index}]"), format!("has an id of more than {GUID_BYTES_MAX} bytes"));
            }
            self.persons.entry(key.clone()).or_insert_with(|| public_name.to_owned());
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}

fn slot(path: &str, item: &Item, note: &mut impl FnMut(&str, String)) -> Option<Slot> {
    let starts_at: Option<Timestamp> = item.date.parse().ok();
    if starts_at.is_none() {
        let rule = format!("{:?} is not an RFC 3339 time with its offset", shortened(&item.date));
        note(&format!("{path}.date"), rule);
    }
    let duration = duration(&item.duration);
    if duration.is_none() {
        let rule = format!("{:?} is not a duration of the form HH:MM", shortened(&item.duration));
        note(&format!("{path}.duration"), rule);
    }
    let starts_at = starts_at?;
    match Slot::new(starts_at, starts_at + duration?) {
        Ok(slot) => Some(slot),
        Err(SlotError::EndNotAfterStart) => {
            note(&format!("{path}.duration"), "must be longer than 00:00".to_owned());
            None
        }
        Err(error) => {
            note(path, error.to_string());
            None
        }
    }
}

/// `HH:MM`, or `DD:HH:MM`.
fn duration(text: &str) -> Option<Duration> {
    let parts: Vec<u64> = text
        .split(':')
        .map(|part| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten())
        .collect::<Option<_>>()?;
    let (days, hours, minutes) = match parts[..] {
        [hours, minutes] => (0, hours, minutes),
        [days, hours, minutes] => (days, hours, minutes),
        _ => return None,
    };
    (minutes < 60 && hours <= 24 * 31 && days <= 31)
        .then(|| Duration::from_mins((days * 24 + hours) * 60 + minutes))
}

fn name(path: &str, value: &str, note: &mut impl FnMut(&str, String)) {
    text(path, value, 1..=NAME_CHARS_MAX, note);
}

fn text(
    path: &str,
    value: &str,
    chars: std::ops::RangeInclusive<usize>,
    note: &mut impl FnMut(&str, String),
) {
    if *chars.start() > 0 && value.trim().is_empty() {
        note(path, "must not be blank".to_owned());
    } else if value.chars().count() > *chars.end() {
        note(path, format!("must have at most {} characters", chars.end()));
    }
    if value.chars().any(|one| one.is_control() && !matches!(one, '\n' | '\r' | '\t')) {
        note(path, "must not contain control characters".to_owned());
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Lower-case letters, digits and hyphens. What has none of them (an Arabic name) gets a short digest instead.
fn slug(text: &str) -> String {
    let words = text.to_ascii_lowercase();
    let words: Vec<_> = words.split(|one: char| !one.is_ascii_alphanumeric()).collect();
    let slug = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    let plain = text.is_ascii() && !slug.is_empty() && slug.len() <= 64;
    if plain { slug } else { format!("x-{}", hex::encode(&Sha256::digest(text)[..6])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_form() {
        let minutes = |text: &str| duration(text).map(|span| span.as_secs() / 60);
        assert_eq!(minutes("00:45"), Some(45));
        assert_eq!(minutes("25:00"), Some(1_500));
        assert_eq!(minutes("01:02:03"), Some(1_563));
        for bad in ["", "45", "-00:45", "00:60", "0x:10", "00:45:00:00", "+1:00", "9999:00", ":"] {
            assert_eq!(minutes(bad), None, "{bad}");
        }
    }

    #[test]
    fn slugs_are_plain_and_distinct() {
        assert_eq!(slug("Ethics, Society & Politics"), "ethics-society-politics");
        let (music, poetry) = (slug("موسيقى"), slug("شعر"));
        assert!(music.starts_with("x-") && music != poetry);
        assert!(slug(&"a".repeat(65)).len() <= 64);
    }

    #[test]
    fn texts_of_the_other_language_stay() {
        let before = LocalizedText { ar: Some("افتتاح".to_owned()), en: Some("Opening".to_owned()) };
        let after = merged(Some(&before), Language::En, "Grand opening");
        assert_eq!(after.ar.as_deref(), Some("افتتاح"));
        assert_eq!(after.en.as_deref(), Some("Grand opening"));
        assert_eq!(merged(None, Language::Ar, ""), LocalizedText::default());
    }
}
