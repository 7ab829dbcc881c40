//! The part of the programme that a run makes for itself: one venue, and events that it may move.

use std::time::Duration;

use anyhow::{Context as _, Result};
use domain::Timestamp;
use serde_json::{Value, json};

use crate::api::{Answer, Api, ApiError};

/// The first event of a run: so far ahead that it meets nothing real.
const FIRST: &str = "2099-07-15T12:00:00Z";
/// Between the starts of two events, so that moving one never makes it overlap with its neighbour.
const APART: Duration = Duration::from_hours(2);
/// How long an event takes.
const LENGTH: Duration = Duration::from_hours(1);
/// Minutes by which an event is moved at most.
const MINUTES_MAX: u64 = 40;

/// A venue of the run's own, and its events.
#[derive(Debug)]
pub(crate) struct Programme {
    venue_id: i64,
    events: Vec<Event>,
}

/// One event.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Its id.
    pub id: i64,
    /// Its version after the last change that was answered.
    pub version: i64,
    /// The tag that the next change needs.
    pub etag: String,
    number: u32,
}

impl Programme {
    /// Creates a venue and `events` events in it, all of them public.
    ///
    /// # Errors
    /// When the API refuses.
    pub(crate) async fn create(api: &Api, events: u32) -> Result<Self> {
        let venue = json!({
            "name": { "en": "Stage of the load test", "ar": "مسرح اختبار الحمل" },
            "timezone": "Africa/Cairo",
        });
        let venue = api.post("/api/v1/venues", &venue).await.context("cannot create a venue")?;
        let venue_id = venue.data["id"].as_i64().context("the venue has no id")?;
        let mut programme = Self { venue_id, events: Vec::new() };
        for number in 0..events {
            let event = programme.create_event(api, number).await.context("cannot create an event")?;
            programme.events.push(event);
        }
        Ok(programme)
    }

    async fn create_event(&self, api: &Api, number: u32) -> Result<Event> {
        let mut body = self.body(number, 0);
        body["status"] = json!("published");
        let created = api.post("/api/v1/events", &body).await?;
        let mut event = Event { id: 0, version: 0, etag: String::new(), number };
        event.take(&created)?;
        Ok(event)
    }

    /// The events.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// The topic of the nth event.
    pub(crate) fn topic(&self, nth: usize) -> String {
        format!("event:{}", self.events[nth].id)
    }

    /// Moves the event by some minutes: one request, with the version that `event` knows.
    ///
    /// # Errors
    /// [`ApiError::Unreachable`] when it is not known whether it was moved, [`ApiError::Refused`] when it was not.
    pub(crate) async fn move_event(&self, api: &Api, event: &mut Event) -> Result<(), ApiError> {
        let minutes = event.version.unsigned_abs() % MINUTES_MAX + 1;
        let path = format!("/api/v1/events/{}", event.id);
        let answer = api.put(&path, &self.body(event.number, minutes), &event.etag).await?;
        event.take(&answer).map_err(|_| ApiError::Garbled { path })
    }

    /// Reads the event as it is stored.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn refresh(&self, api: &Api, event: &mut Event) -> Result<(), ApiError> {
        let path = format!("/api/v1/events/{}", event.id);
        let answer = api.get(&path).await?;
        event.take(&answer).map_err(|_| ApiError::Garbled { path })
    }

    /// Announces something to those who starred the nth event: its topic hears it, and usually nobody else.
    ///
    /// # Errors
    /// [`ApiError`].
    pub(crate) async fn announce_to_event(
        &self,
        api: &Api,
        nth: usize,
        title: &str,
        body: &str,
    ) -> Result<Answer, ApiError> {
        let audience = json!({ "kind": "event", "event_id": self.events[nth].id });
        announce(api, "standard", &audience, (title, body), Duration::from_mins(10)).await
    }

    fn body(&self, number: u32, minutes: u64) -> Value {
        let first: Timestamp = FIRST.parse().expect("the constant is a time");
        let starts_at = first + APART * number + Duration::from_mins(minutes);
        json!({
            "title": { "en": format!("Set {number}"), "ar": format!("عرض {number}") },
            "venue_id": self.venue_id,
            "start_time": starts_at,
            "end_time": starts_at + LENGTH,
            "timezone": "Africa/Cairo",
        })
    }
}

impl Event {
    fn take(&mut self, answer: &Answer) -> Result<()> {
        self.id = answer.data["id"].as_i64().context("the event has no id")?;
        self.version = answer.data["version"].as_i64().context("the event has no version")?;
        self.etag = answer.etag.clone().context("the event has no ETag")?;
        Ok(())
    }
}

/// Publishes an announcement; `text` is its title and body, said in both languages.
///
/// # Errors
/// [`ApiError`].
pub(crate) async fn announce(
    api: &Api,
    lane: &str,
    audience: &Value,
    text: (&str, &str),
    expires_in: Duration,
) -> Result<Answer, ApiError> {
    let (title, body) = text;
    let announcement = json!({
        "lane": lane,
        "title": { "en": title, "ar": title },
        "body": { "en": body, "ar": body },
        "audience": audience,
        "ttl_seconds": expires_in.as_secs(),
    });
    api.post("/api/v1/announcements", &announcement).await
}
