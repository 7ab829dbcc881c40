//! What people read: headline and text of each kind of notification, in Arabic and English.
//!
//! Inserted values stand between bidi isolates (U+2068, U+2069), so that an English title inside an Arabic sentence, or
//! the reverse, does not turn the words around it.

use domain::{EventSnapshot, Language, LocalizedText, NotificationKind, Timestamp};
use jiff::Zoned;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

/// Headline and text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(crate) title: LocalizedText,
    pub(crate) body: LocalizedText,
}

/// The texts of a notification about `event`, as it is now.
pub(crate) fn event(kind: NotificationKind, event: &EventSnapshot) -> Texts {
    let in_both = |text: fn(NotificationKind, &EventSnapshot, Language) -> String| LocalizedText {
        ar: Some(text(kind, event, Language::Ar)),
        en: Some(text(kind, event, Language::En)),
    };
    Texts { title: in_both(title), body: in_both(body) }
}

fn title(kind: NotificationKind, event: &EventSnapshot, language: Language) -> String {
    let name = isolated(event.title.pick(language));
    match (kind, language) {
        (NotificationKind::EventMoved, Language::Ar) => format!("موعد جديد: {name}"),
        (NotificationKind::EventMoved, Language::En) => format!("New time: {name}"),
        (NotificationKind::EventCancelled, Language::Ar) => format!("أُلغيت الفعالية: {name}"),
        (NotificationKind::EventCancelled, Language::En) => format!("Cancelled: {name}"),
        (NotificationKind::EventVenueChanged, Language::Ar) => format!("مكان جديد: {name}"),
        (NotificationKind::EventVenueChanged, Language::En) => format!("New venue: {name}"),
        (NotificationKind::Announcement, _) => name,
    }
}

fn body(kind: NotificationKind, event: &EventSnapshot, language: Language) -> String {
    let name = isolated(event.title.pick(language));
    let venue = isolated(event.venue.name.pick(language));
    let time = isolated(&local_time(event.starts_at, &event.time_zone, language));
    match (kind, language) {
        (NotificationKind::EventCancelled, Language::Ar) => format!("لن تُقام {name} التي كانت مقررة {time}."),
        (NotificationKind::EventCancelled, Language::En) => {
            format!("{name}, planned for {time}, will not take place.")
        }
        (_, Language::Ar) => format!("تبدأ {name} {time} في {venue}."),
        (_, Language::En) => format!("{name} starts {time} at {venue}."),
    }
}

fn isolated(value: &str) -> String {
    format!("\u{2068}{value}\u{2069}")
}

/// Such as `Saturday 18 July, 20:30`, in the zone in which the organizer chose it.
fn local_time(at: Timestamp, zone: &str, language: Language) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let local = at.as_jiff().to_zoned(zone);
    let (day, month) = (weekday(&local, language), month(&local, language));
    let (hour, minute) = (local.hour(), local.minute());
    match language {
        Language::Ar => format!("{day} {} {month} الساعة {hour:02}:{minute:02}", local.day()),
        Language::En => format!("{day} {} {month}, {hour:02}:{minute:02}", local.day()),
    }
}

fn weekday(local: &Zoned, language: Language) -> &'static str {
    let (ar, en) = match local.weekday() {
        Weekday::Saturday => ("السبت", "Saturday"),
        Weekday::Sunday => ("الأحد", "Sunday"),
        Weekday::Monday => ("الاثنين", "Monday"),
        Weekday::Tuesday => ("الثلاثاء", "Tuesday"),
        Weekday::Wednesday => ("الأربعاء", "Wednesday"),
        Weekday::Thursday => ("الخميس", "Thursday"),
        Weekday::Friday => ("الجمعة", "Friday"),
    };
    match language {
        Language::Ar => ar,
        Language::En => en,
    }
}

fn month(local: &Zoned, language: Language) -> &'static str {
    const NAMES: [(&str, &str); 12] = [
        ("يناير", "January"),
        ("فبراير", "February"),
        ("مارس", "March"),
        ("أبريل", "April"),
        ("مايو", "May"),
        ("يونيو", "June"),
        ("يوليو", "July"),
        ("أغسطس", "August"),
        ("سبتمبر", "September"),
        ("أكتوبر", "October"),
        ("نوفمبر", "November"),
        ("ديسمبر", "December"),
    ];
    let index = usize::from(local.month().unsigned_abs()) - 1;
    let (ar, en) = NAMES[index];
    match language {
        Language::Ar => ar,
        Language::En => en,
    }
}

#[cfg(test)]
mod tests {
    use domain::{EventId, VenueId, VenueSnapshot};

    use super::*;

    fn concert() -> EventSnapshot {
        EventSnapshot {
            id: EventId(17),
            version: 2,
            status: "published".to_owned(),
            title: LocalizedText {
                ar: Some("ليلة النجوم".to_owned()),
                en: Some("Night of Stars".to_owned()),
            },
            venue: VenueSnapshot {
                id: VenueId(5),
                name: LocalizedText::english("North Stage"),
                capacity: None,
            },
            starts_at: "2026-07-18T17:30:00Z".parse().unwrap(),
            ends_at: "2026-07-18T19:00:00Z".parse().unwrap(),
            time_zone: "Africa/Cairo".to_owned(),
        }
    }

    /// The isolates as brackets, to be seen.
    fn visible(text: &str) -> String {
        text.replace('\u{2068}', "[").replace('\u{2069}', "]")
    }

    #[test]
    fn a_moved_event_says_its_new_time_in_its_own_zone() {
        let texts = event(NotificationKind::EventMoved, &concert());
        let (title, body) = (texts.title, texts.body);
        assert_eq!(visible(title.pick(Language::En)), "New time: [Night of Stars]");
        assert_eq!(
            visible(body.pick(Language::En)),
            "[Night of Stars] starts [Saturday 18 July, 20:30] at [North Stage]."
        );
        assert_eq!(visible(title.pick(Language::Ar)), "موعد جديد: [ليلة النجوم]");
        assert_eq!(
            visible(body.pick(Language::Ar)),
            "تبدأ [ليلة النجوم] [السبت 18 يوليو الساعة 20:30] في [North Stage]."
        );
    }

    #[test]
    fn a_cancelled_event_says_when_it_would_have_been() {
        let texts = event(NotificationKind::EventCancelled, &concert());
        assert_eq!(
            visible(texts.body.pick(Language::En)),
            "[Night of Stars], planned for [Saturday 18 July, 20:30], will not take place."
        );
    }
}
