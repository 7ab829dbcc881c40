//! iCalendar (RFC 5545): content lines, and the programme as a calendar that other programs subscribe to.
//!
//! There is no `METHOD`, so that `DTSTAMP` is the time of the last revision (section 3.8.7.2): two looks at an
//! unchanged programme are the same bytes. Times are in UTC. What is cancelled or postponed stays as a cancelled entry
//! with a higher `SEQUENCE`, because calendars keep what a feed merely drops.

use domain::{EventStatus, Timestamp};
use store::events::Event;

use super::Programme;

/// Octets of the longest line, without its end (section 3.1).
const LINE_OCTETS_MAX: usize = 75;
/// How often a calendar looks again, as a duration of RFC 5545.
const REFRESH: &str = "PT1H";

/// The programme as a calendar.
pub(super) fn write(programme: &Programme<'_>) -> String {
    let mut lines = Lines::default();
    let language = programme.language.as_str();
    let name = programme.title();
    lines.put("BEGIN", "VCALENDAR");
    lines.put("VERSION", "2.0");
    lines.put("PRODID", "-//Munadi//Programme//EN");
    lines.put("CALSCALE", "GREGORIAN");
    lines.text(&format!("NAME;LANGUAGE={language}"), &name);
    lines.text("X-WR-CALNAME", &name);
    lines.put("X-WR-TIMEZONE", programme.days.zone().name());
    lines.put("REFRESH-INTERVAL;VALUE=DURATION", REFRESH);
    lines.put("X-PUBLISHED-TTL", REFRESH);
    for event in programme.events {
        entry(&mut lines, programme, event);
    }
    lines.put("END", "VCALENDAR");
    lines.0
}

fn entry(lines: &mut Lines, programme: &Programme<'_>, event: &Event) {
    let language = programme.language;
    let tag = language.as_str();
    let (plan, venue) = (&event.plan, &event.venue.plan);
    // the name of the venue is shown, too
    let revised = event.updated_at.max(event.venue.updated_at);
    lines.put("BEGIN", "VEVENT");
    lines.text("UID", &event.guid);
    lines.put("DTSTAMP", &utc(revised));
    lines.put("CREATED", &utc(event.created_at));
    lines.put("LAST-MODIFIED", &utc(revised));
    lines.put("SEQUENCE", &event.revision.to_string());
    lines.put("DTSTART", &utc(plan.slot.starts_at));
    lines.put("DTEND", &utc(plan.slot.ends_at));
    lines.text(&format!("SUMMARY;LANGUAGE={tag}"), plan.title.pick(language));
    let description = description(programme, event);
    if !description.is_empty() {
        lines.text(&format!("DESCRIPTION;LANGUAGE={tag}"), &description);
    }
    lines.text(&format!("LOCATION;LANGUAGE={tag}"), venue.name.pick(language));
    if let Some((north, east)) = venue.position {
        lines.put("GEO", &format!("{north:.6};{east:.6}"));
    }
    if let Some(category) = &event.category {
        lines.text(&format!("CATEGORIES;LANGUAGE={tag}"), category.plan.name.pick(language));
    }
    lines.put("URL", &programme.url_of(event));
    lines.put("STATUS", status(event.status));
    lines.put("END", "VEVENT");
}

/// Who plays, what it is, and why it is not on.
fn description(programme: &Programme<'_>, event: &Event) -> String {
    let language = programme.language;
    let performers: Vec<_> = event.performers.iter().map(|one| one.name.pick(language)).collect();
    let note = programme.note(event.status).unwrap_or_default();
    let parts = [note.to_owned(), performers.join(", "), event.plan.description.pick(language).to_owned()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn status(status: EventStatus) -> &'static str {
    match status {
        EventStatus::Draft => "TENTATIVE",
        EventStatus::Published | EventStatus::Live | EventStatus::Completed => "CONFIRMED",
        // one that is put off has no time: to a calendar it does not take place (RFC 5545 knows no such status)
        EventStatus::Cancelled | EventStatus::Postponed => "CANCELLED",
    }
}

/// `20260715T200000Z` (section 3.3.5, form 2).
fn utc(instant: Timestamp) -> String {
    instant.as_jiff().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Content lines, folded and ended as section 3.1 has it.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    /// A property whose value is no text: it stands as it is.
    fn put(&mut self, name: &str, value: &str) {
        self.fold(&format!("{name}:{value}"));
    }

    /// A property whose value is a text (section 3.3.11): what separates is escaped, what controls is left out.
    fn text(&mut self, name: &str, value: &str) {
        let mut line = format!("{name}:");
        let value = value.replace("\r\n", "\n");
        for one in value.chars() {
            match one {
                '\\' | ';' | ',' => line.extend(['\\', one]),
                '\n' | '\r' => line.push_str("\\n"),
                '\t' => line.push(one),
                one if one.is_control() => {}
                one => line.push(one),
            }
        }
        self.fold(&line);
    }

    /// Writes a line in pieces of at most 75 octets, never within a character; every piece but the first begins with
    /// a space, which counts.
    fn fold(&mut self, line: &str) {
        let mut room = LINE_OCTETS_MAX;
        for one in line.chars() {
            if one.len_utf8() > room {
                self.0.push_str("\r\n ");
                room = LINE_OCTETS_MAX - 1;
            }
            room -= one.len_utf8();
            self.0.push(one);
        }
        self.0.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unfolded(folded: &str) -> String {
        folded.replace("\r\n ", "")
    }

    #[test]
    fn what_separates_is_escaped_and_what_controls_is_left_out() {
        let mut lines = Lines::default();
        lines.text("SUMMARY", "a;b,c\\d\r\ne\nf\u{7}\u{0}g");
        assert_eq!(lines.0, "SUMMARY:a\\;b\\,c\\\\d\\ne\\nfg\r\n");
    }

    #[test]
    fn a_line_is_folded_at_75_octets() {
        let mut lines = Lines::default();
        lines.put("X", &"a".repeat(73));
        assert_eq!(lines.0, format!("X:{}\r\n", "a".repeat(73)));
        let mut lines = Lines::default();
        lines.put("X", &"ع".repeat(40)); // two octets each: 2 + 36 * 2 = 74, one more does not fit
        assert_eq!(lines.0, format!("X:{}\r\n {}\r\n", "ع".repeat(36), "ع".repeat(4)));
    }

    proptest! {
        #[test]
        fn folding_keeps_the_text_and_the_limit(text in "[a-z ع🎺é\u{301},;]{0,300}") {
            let mut lines = Lines::default();
            lines.put("X", &text);
            prop_assert_eq!(unfolded(&lines.0), format!("X:{text}\r\n"));
            prop_assert!(lines.0.split("\r\n").all(|line| line.len() <= LINE_OCTETS_MAX));
        }
    }
}
