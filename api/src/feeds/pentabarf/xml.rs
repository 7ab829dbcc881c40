//! `schedule.xml`.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event as XmlEvent};

use super::{Day, Item, Programme, Schedule};

/// The bytes that are being written.
type Xml = Writer<Vec<u8>>;

/// The programme as `schedule.xml`.
///
/// # Errors
/// None in practice: it writes to memory.
pub(in crate::feeds) fn write(programme: &Programme<'_>) -> io::Result<Vec<u8>> {
    let schedule = Schedule::new(programme);
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(XmlEvent::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.create_element("schedule").write_inner_content(|xml| {
        text(xml, "version", &schedule.version)?;
        conference(xml, &schedule)?;
        for (index, shown) in (1_usize..).zip(&schedule.days) {
            day(xml, index, shown)?;
        }
        Ok(())
    })?;
    let mut bytes = xml.into_inner();
    bytes.push(b'\n');
    Ok(bytes)
}

fn conference(xml: &mut Xml, schedule: &Schedule<'_>) -> io::Result<()> {
    xml.create_element("conference").write_inner_content(|xml| {
        text(xml, "acronym", &schedule.acronym)?;
        text(xml, "title", &schedule.title)?;
        if !schedule.days.is_empty() {
            text(xml, "start", &schedule.first.to_string())?;
            text(xml, "end", &schedule.last.to_string())?;
        }
        text(xml, "days", &schedule.days.len().to_string())?;
        text(xml, "timeslot_duration", "00:05")?;
        text(xml, "base_url", schedule.programme.origin)?;
        text(xml, "time_zone_name", schedule.programme.days.zone().name())
    })?;
    Ok(())
}

fn day(xml: &mut Xml, index: usize, day: &Day<'_>) -> io::Result<()> {
    let (index, date) = (index.to_string(), day.date.to_string());
    let element = xml.create_element("day").with_attributes([
        ("index", index.as_str()),
        ("date", &date),
        ("start", &day.starts),
        ("end", &day.ends),
    ]);
    element.write_inner_content(|xml| {
        for (room, items) in &day.rooms {
            let room = clean(room);
            xml.create_element("room")
                .with_attribute(("name", room.as_str()))
                .write_inner_content(|xml| items.iter().try_for_each(|one| item(xml, one)))?;
        }
        Ok(())
    })?;
    Ok(())
}

fn item(xml: &mut Xml, item: &Item<'_>) -> io::Result<()> {
    let event = item.event;
    let (guid, id) = (clean(&event.guid), event.id.to_string());
    let element = xml.create_element("event").with_attributes([("guid", guid.as_str()), ("id", &id)]);
    element.write_inner_content(|xml| {
        text(xml, "date", &item.date)?;
        text(xml, "start", &item.start)?;
        text(xml, "duration", &item.duration)?;
        text(xml, "room", item.room)?;
        text(xml, "slug", &item.slug)?;
        text(xml, "url", &item.url)?;
        text(xml, "title", item.title())?;
        text(xml, "subtitle", "")?;
        text(xml, "track", item.track().unwrap_or_default())?;
        text(xml, "type", item.kind())?;
        text(xml, "language", &event.plan.language)?;
        text(xml, "abstract", "")?;
        text(xml, "description", item.description())?;
        xml.create_element("persons").write_inner_content(|xml| {
            for performer in &event.performers {
                let id = performer.id.to_string();
                let name = clean(performer.name.pick(item.language));
                let person = xml.create_element("person").with_attribute(("id", id.as_str()));
                person.write_text_content(BytesText::new(&name))?;
            }
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(())
}

fn text(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    xml.create_element(name).write_text_content(BytesText::new(&clean(text)))?;
    Ok(())
}

/// Without the characters that XML 1.0 cannot hold (section 2.2).
fn clean(text: &str) -> String {
    let held = |one: &char| matches!(one, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    text.chars().filter(held).collect()
}
