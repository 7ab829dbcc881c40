//! The public programme in the formats of other programs: iCalendar, the schedule files of conference apps, and
//! schema.org. Each is the same bytes as long as the programme is the same.

mod ical;
mod json_ld;
mod pentabarf;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{EventStatus, FestivalDays, Language};
use sha2::{Digest, Sha256};
use store::events::Event;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::etag::{ETag, Tags};

/// A format of the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// iCalendar.
    Ics,
    /// `schedule.json`.
    Json,
    /// `schedule.xml`.
    Xml,
    /// schema.org.
    JsonLd,
}

/// What is written: events by start, as `language` shows them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Programme<'a> {
    /// How the festival is called.
    pub(crate) festival: &'a str,
    /// Of which part of it this is, such as a venue's name; empty for all of it.
    pub(crate) part: &'a str,
    /// How instants are put into days.
    pub(crate) days: &'a FestivalDays,
    /// What texts are shown in, where they are there in it.
    pub(crate) language: Language,
    /// Scheme and host under which this API is reached, without a slash at the end.
    pub(crate) origin: &'a str,
    /// The events, by start.
    pub(crate) events: &'a [Event],
}

impl Programme<'_> {
    /// What the whole is called: `Al-Alamein Festival – Main stage`.
    fn title(&self) -> String {
        if self.part.is_empty() {
            return self.festival.to_owned();
        }
        format!("{} – {}", self.festival, self.part)
    }

    /// Where the event is found.
    fn url_of(&self, event: &Event) -> String {
        format!("{}/api/v1/events/{}", self.origin, event.id)
    }

    /// Why an event is not on, for formats whose status does not say it.
    fn note(&self, status: EventStatus) -> Option<&'static str> {
        match (status, self.language) {
            (EventStatus::Cancelled, Language::En) => Some("Cancelled."),
            (EventStatus::Cancelled, Language::Ar) => Some("أُلغي."),
            (EventStatus::Postponed, Language::En) => Some("Postponed; the new time is not known yet."),
            (EventStatus::Postponed, Language::Ar) => Some("تأجّل، ولم يُحدد الموعد الجديد بعد."),
            _ => None,
        }
    }
}

impl Format {
    /// What follows the dot of a file's name.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Ics => "ics",
            Self::Json => "json",
            Self::Xml => "xml",
            Self::JsonLd => "jsonld",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Ics => "text/calendar; charset=utf-8",
            Self::Json => "application/json",
            Self::Xml => "application/xml; charset=utf-8",
            Self::JsonLd => "application/ld+json",
        }
    }

    /// Writes the programme.
    ///
    /// # Errors
    /// [`Code::Internal`](crate::code::Code::Internal) when it cannot be written, which does not happen in memory.
    pub(crate) fn write(self, programme: &Programme<'_>, cache: String) -> Result<Document, ApiError> {
        let bytes = match self {
            Self::Ics => ical::write(programme).into(),
            Self::Json => serde_json::to_vec(&pentabarf::json(programme)).map_err(ApiError::internal)?.into(),
            Self::Xml => pentabarf::xml(programme).map_err(ApiError::internal)?.into(),
            Self::JsonLd => {
                serde_json::to_vec(&json_ld::write(programme)).map_err(ApiError::internal)?.into()
            }
        };
        Ok(Document { format: self, bytes, cache })
    }
}

/// A programme that was written.
#[derive(Debug)]
pub(crate) struct Document {
    format: Format,
    bytes: Bytes,
    cache: String,
}

impl Document {
    /// The answer: 304 without a body for a reader that has these bytes already.
    pub(crate) fn answer(self, request: &HeaderMap) -> Response {
        let digest = hex::encode(&Sha256::digest(&self.bytes)[..12]);
        // the bytes hold no clock, so that their digest is a version of what they show
        let etag = ETag::of(self.format.extension(), digest, 1).to_string();
        let tags =
            request.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).and_then(Tags::parse);
        let seen = tags.is_some_and(|tags| tags.have(&etag));
        let mut response = if seen {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            ([(header::CONTENT_TYPE, self.format.media_type())], self.bytes).into_response()
        };
        for (name, value) in [(header::ETAG, &etag), (header::CACHE_CONTROL, &self.cache)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}
