//! An announcement as a CAP 1.2 document (OASIS Common Alerting Protocol, 1 July 2010), for other systems of warning.

use std::fmt::Write as _;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use domain::{Language, LocalizedText, MessageType, Timestamp, VenueId};
use store::announcements::Announcement;

use crate::app::App;
use crate::error::ApiError;

/// The media type of CAP documents.
pub(super) const TYPE: &str = "application/cap+xml";

/// The document.
///
/// # Errors
/// [`Code::Internal`](crate::code::Code::Internal) when the database fails.
pub(super) async fn document(app: &App, one: &Announcement) -> Result<Response, ApiError> {
    let referenced = match one.said.alert.references {
        Some(id) => store::announcements::find(&app.store, id).await?,
        None => None,
    };
    let mut area = Vec::new();
    for id in &one.said.alert.venue_ids {
        if let Some(venue) = store::venues::get_by_id(&app.store, *id).await? {
            area.push((*id, venue.plan.name));
        }
    }
    let sender = &app.config.announcements.sender;
    let text = render(sender, one, referenced.as_ref(), &area);
    Ok(([(header::CONTENT_TYPE, TYPE), (header::CACHE_CONTROL, "no-store")], text).into_response())
}

fn render(
    sender: &str,
    one: &Announcement,
    referenced: Option<&Announcement>,
    area: &[(VenueId, LocalizedText)],
) -> String {
    let alert = &one.said.alert;
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    xml.push_str("<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">\n");
    element(&mut xml, "identifier", &one.said.notification_id.to_string());
    element(&mut xml, "sender", sender);
    element(&mut xml, "sent", &sent(one));
    element(&mut xml, "status", if alert.drill { "Exercise" } else { "Actual" });
    element(&mut xml, "msgType", alert.message_type.cap());
    element(&mut xml, "scope", "Public");
    if alert.drill {
        element(&mut xml, "note", "Exercise: only the staff was told.");
    } else if alert.message_type == MessageType::AllClear {
        element(&mut xml, "note", "All clear.");
    }
    if let Some(earlier) = referenced {
        let reference = format!("{sender},{},{}", earlier.said.notification_id, sent(earlier));
        element(&mut xml, "references", &reference);
    }
    for language in [Language::Ar, Language::En] {
        let own = match language {
            Language::Ar => one.said.title.ar.as_ref(),
            Language::En => one.said.title.en.as_ref(),
        };
        if own.is_some() {
            info(&mut xml, language, one, area);
        }
    }
    xml.push_str("</alert>\n");
    xml
}

fn info(xml: &mut String, language: Language, one: &Announcement, area: &[(VenueId, LocalizedText)]) {
    let (said, alert) = (&one.said, &one.said.alert);
    let title = alert.marked(&said.title);
    xml.push_str("<info>\n");
    element(xml, "language", language.as_str());
    element(xml, "category", alert.category.cap());
    element(xml, "event", title.pick(language));
    if alert.message_type == MessageType::AllClear {
        element(xml, "responseType", "AllClear");
    }
    element(xml, "urgency", alert.urgency.cap());
    element(xml, "severity", alert.severity.cap());
    element(xml, "certainty", alert.certainty.cap());
    element(xml, "expires", &instant(said.expires_at));
    element(xml, "headline", title.pick(language));
    element(xml, "description", said.body.pick(language));
    if let Some(instructions) = &alert.instructions {
        element(xml, "instruction", instructions.pick(language));
    }
    let whole = match language {
        Language::Ar => "كل المهرجان",
        Language::En => "The whole festival",
    };
    if area.is_empty() {
        let _ = writeln!(xml, "<area><areaDesc>{whole}</areaDesc></area>");
    }
    for (id, name) in area {
        let name = escaped(name.pick(language));
        let code = format!("<geocode><valueName>munadi:venue</valueName><value>{id}</value></geocode>");
        let _ = writeln!(xml, "<area><areaDesc>{name}</areaDesc>{code}</area>");
    }
    xml.push_str("</info>\n");
}

/// When it went out: at its confirmation, where it needed one.
fn sent(one: &Announcement) -> String {
    instant(one.confirmed.map_or(one.created_at, |(_, at)| at))
}

/// CAP's form of an instant in UTC: whole seconds and `-00:00`, never `Z` (section 3.3.2).
fn instant(at: Timestamp) -> String {
    at.as_jiff().strftime("%Y-%m-%dT%H:%M:%S-00:00").to_string()
}

fn element(xml: &mut String, name: &str, text: &str) {
    let _ = writeln!(xml, "<{name}>{}</{name}>", escaped(text)); // writing to a String cannot fail
}

/// `text` for an element: without characters that XML 1.0 forbids, and with the others escaped.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        match one {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' | '\n' | '\r' => out.push(one),
            one if one.is_control() || matches!(one, '\u{fffe}' | '\u{ffff}') => {}
            one => out.push(one),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_its_element() {
        assert_eq!(escaped("a<b>&\u{1}\nج"), "a&lt;b&gt;&amp;\nج");
        assert_eq!(instant("2026-07-15T20:00:00.5Z".parse().unwrap()), "2026-07-15T20:00:00-00:00");
    }
}
