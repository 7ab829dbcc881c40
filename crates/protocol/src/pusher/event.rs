//! How an event of Pusher travels as the payload of a publication, and how a publication looks to Pusher's clients.
//!
//! On Pusher's wire the data of an event is *text*, nearly always that of a JSON document. In the change log a
//! payload is one JSON document. Text that is a JSON document other than a string is embedded as it is, so that
//! subscribers of other dialects see the document; any other text is embedded as a JSON string. Both ways lead back
//! to the same text; only space around a document and line breaks between its parts are lost.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CLIENT_EVENTS, is_event_name};

/// The name of an event whose publication gives it none.
pub const UNNAMED: &str = "message";

/// A publication, as Pusher's clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published<'a> {
    /// Name of the event.
    pub name: Cow<'a, str>,
    /// A JSON document; [`write_text`] makes it text.
    pub data: &'a str,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

/// The payload of an event: `{"event":…,"data":…}` on one line.
pub fn payload(name: &str, text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + text.len() + 24);
    out.extend_from_slice(b"{\"event\":");
    quote(&mut out, name);
    out.extend_from_slice(b",\"data\":");
    embed(&mut out, text);
    out.push(b'}');
    out
}

/// Reads a publication's payload. `event` is the event's name when the payload was made by [`payload`]; any other
/// payload is the data of an event that is named after its `type`.
pub fn published<'a>(payload: &'a [u8], event: Option<&'a str>) -> Published<'a> {
    let whole = std::str::from_utf8(payload).unwrap_or("null");
    if let Some(name) = event
        && let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(whole)
    {
        return Published { name: Cow::Borrowed(name), data: envelope.data.map_or("null", RawValue::get) };
    }
    let name = serde_json::from_str::<Typed<'_>>(whole).map(|typed| typed.kind).ok();
    let name = name.filter(|name| is_event_name(name) && !name.starts_with(CLIENT_EVENTS));
    Published { name: name.unwrap_or(Cow::Borrowed(UNNAMED)), data: whole }
}

/// Adds the text of an embedded document, as a JSON string.
pub fn write_text(out: &mut Vec<u8>, document: &str) {
    if document.starts_with('"') {
        out.extend_from_slice(document.as_bytes());
    } else {
        quote(out, document);
    }
}

/// Adds `text` as a JSON document on one line.
fn embed(out: &mut Vec<u8>, text: &str) {
    let document = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
    match document.filter(|document| !document.starts_with('"')) {
        Some(document) if memchr::memchr2(b'\n', b'\r', document.as_bytes()).is_none() => {
            out.extend_from_slice(document.as_bytes());
        }
        // raw line breaks between the parts of a document do not belong to it
        Some(document) => out.extend(document.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r'))),
        None => quote(out, text),
    }
}

/// Adds `text` as a JSON string.
pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is valid JSON, and memory takes it");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::centrifuge::minify;

    fn round_trip(text: &str) -> String {
        let payload = payload("e", text);
        let published = published(&payload, Some("e"));
        let mut out = Vec::new();
        write_text(&mut out, published.data);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn documents_are_embedded_and_other_text_is_quoted() {
        let shown = |text| String::from_utf8(payload("moved", text)).unwrap();
        assert_eq!(shown(r#"{"id":17}"#), r#"{"event":"moved","data":{"id":17}}"#);
        assert_eq!(shown("hello"), r#"{"event":"moved","data":"hello"}"#);
        assert_eq!(shown(r#""hello""#), r#"{"event":"moved","data":"\"hello\""}"#);
        assert_eq!(shown("{\n\"a\":\r\n1}"), r#"{"event":"moved","data":{"a":1}}"#);
        assert_eq!(shown(" {}\n"), r#"{"event":"moved","data":{}}"#);
        for text in ["", "x", "\"x\"", "5", "null", "{", " x", "[]", "{\"a\": 1}", "\u{1f389}\n"] {
            assert_eq!(round_trip(text), text);
        }
    }

    #[test]
    fn other_publications_are_events_named_after_their_type() {
        let seen = |payload: &'static str| published(payload.as_bytes(), None).name;
        assert_eq!(seen(r#"{"type":"event.moved","id":17}"#), "event.moved");
        for unnamed in ["{}", "5", "[1]", "\"x\"", r#"{"type":5}"#, r#"{"type":""}"#] {
            assert_eq!(seen(unnamed), "message", "{unnamed}");
        }
        let reserved =
            [r#"{"type":"pusher:error"}"#, r#"{"type":"pusher_internal:x"}"#, r#"{"type":"client-x"}"#];
        assert!(
            reserved.iter().all(|payload| seen(payload) == "message"),
            "nobody can pretend to be the server"
        );
        assert_eq!(published(b"{\"a\":1}", None).data, "{\"a\":1}");
    }

    proptest! {
        #[test]
        fn every_text_survives(text in "[^ \n\r\t].*") {
            prop_assert_eq!(round_trip(text.trim_end()), text.trim_end());
        }

        /// Goal: what is made is one line of JSON, and bytes of any kind are seen as some event.
        #[test]
        fn payloads_are_one_line(name in ".*", text in ".*", bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let payload = payload(&name, &text);
            let line = minify(&payload).unwrap();
            prop_assert_eq!(&*line, &payload[..]);
            published(&bytes, None);
            published(&bytes, Some("e"));
        }
    }
}
