//! What organizers write about events, and the filters of the list.

use domain::{
    CategoryId, EventId, EventPlan, EventStatus, LocalTimeError, LocalizedText, PerformerId, Slot, SlotError,
    Timestamp, UserId, VenueId, Zone,
};
use serde::{Deserialize, Serialize};
use store::events::EventFilter;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::error::ApiError;
use crate::fault::{Checks, Rule};
use crate::http::shown::Expand;
use crate::http::venues::zone_of;
use crate::ops::write_event::Wanted;
use crate::schema::Text;

/// Characters of the longest search.
const SEARCH_CHARS_MAX: usize = 100;
/// Characters of the longest reason.
const REASON_CHARS_MAX: usize = 500;
/// Characters of the longest time.
const TIME_CHARS_MAX: usize = 40;

/// What an organizer decides about an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventInput {
    /// Its title, at most 300 characters.
    #[schema(value_type = Text)]
    title: LocalizedText,
    /// Markdown, at most 20,000 characters.
    #[serde(default)]
    #[schema(value_type = Text)]
    description: LocalizedText,
    /// Where.
    #[schema(value_type = i64, example = 5)]
    venue_id: VenueId,
    /// What kind.
    #[schema(value_type = Option<i64>, example = 2)]
    category_id: Option<CategoryId>,
    /// By whom, in the order of the poster; at most 100.
    #[serde(default)]
    #[schema(value_type = Vec<i64>, example = json!([9]))]
    performer_ids: Vec<PerformerId>,
    /// First instant: RFC 3339 with an offset, or a local time (`2026-07-15T23:00`) in `timezone`.
    #[schema(example = "2026-07-15T20:00:00Z")]
    start_time: String,
    /// First instant after it, in the same form; after the start, at most 31 days later.
    #[schema(example = "2026-07-15T21:30:00Z")]
    end_time: String,
    /// IANA zone in which the times are meant; the festival's when it is left out.
    #[schema(example = "Africa/Cairo")]
    timezone: Option<String>,
    /// Language of the event itself, as a BCP 47 tag.
    #[serde(default)]
    #[schema(example = "ar")]
    language: String,
    /// People it admits, when fewer than the venue holds. 1 to 10,000,000.
    #[schema(example = 400)]
    capacity: Option<i64>,
    /// For a new event: `draft` (the default) or `published`. Later it changes through `transitions`.
    #[schema(value_type = Option<String>, example = "published")]
    status: Option<EventStatus>,
    /// Why conflicts with the programme are to be accepted. It is kept in the log.
    #[schema(example = "The orchestra shares the stage.")]
    override_reason: Option<String>,
}

impl EventInput {
    /// A new event with its status.
    pub(crate) fn create(self, app: &App) -> Result<(Wanted, EventStatus), ApiError> {
        let status = self.status.unwrap_or(EventStatus::Draft);
        let mut checks = Checks::default();
        let first = matches!(status, EventStatus::Draft | EventStatus::Published);
        checks.ensure(first, "/status", Rule::Malformed("draft or published"));
        Ok((self.wanted(app, checks)?, status))
    }

    /// What an event is to be from now on.
    pub(crate) fn replace(self, app: &App) -> Result<Wanted, ApiError> {
        let mut checks = Checks::default();
        let rule = Rule::Own(
            "use_transitions",
            "is changed with POST /api/v1/events/{id}/transitions",
            "تتغير عبر POST /api/v1/events/{id}/transitions",
        );
        checks.ensure(self.status.is_none(), "/status", rule);
        self.wanted(app, checks)
    }

    fn wanted(self, app: &App, mut checks: Checks) -> Result<Wanted, ApiError> {
        checks.localized("/title", &self.title, 1..=EventPlan::TITLE_CHARS_MAX);
        checks.localized("/description", &self.description, 0..=EventPlan::DESCRIPTION_CHARS_MAX);
        let rule = Rule::Malformed("a BCP 47 tag such as ar or en-GB");
        checks.ensure(EventPlan::is_language_tag(&self.language), "/language", rule);
        if self.performer_ids.len() > EventPlan::PERFORMERS_MAX {
            checks.add("/performer_ids", Rule::TooLong(EventPlan::PERFORMERS_MAX));
        }
        for (index, id) in self.performer_ids.iter().enumerate() {
            let first = !self.performer_ids[..index].contains(id);
            checks.ensure(first, &format!("/performer_ids/{index}"), Rule::Duplicate);
        }
        if let Some(capacity) = self.capacity {
            checks.range("/capacity", capacity, 1..=EventPlan::CAPACITY_MAX);
        }
        if let Some(reason) = &self.override_reason {
            checks.text("/override_reason", reason, 1..=REASON_CHARS_MAX);
        }
        let zone = zone_of(self.timezone.as_deref(), app, &mut checks);
        let slot = match &zone {
            Ok(zone) => slot(&self.start_time, &self.end_time, zone, &mut checks),
            Err(_) => None,
        };
        checks.finish()?;
        let plan = EventPlan {
            title: self.title,
            description: self.description,
            language: self.language,
            venue_id: self.venue_id,
            category_id: self.category_id,
            performers: self.performer_ids,
            slot: slot.ok_or_else(|| ApiError::invalid("/start_time", Rule::Required))?,
            zone: zone?,
            capacity: self.capacity,
        };
        Ok(Wanted { plan, override_reason: self.override_reason })
    }
}

fn slot(start: &str, end: &str, zone: &Zone, checks: &mut Checks) -> Option<Slot> {
    let mut read = |pointer: &str, text: &str| match instant(text, zone) {
        Ok(instant) => Some(instant),
        Err(rule) => {
            checks.add(pointer, rule);
            None
        }
    };
    let (start, end) = (read("/start_time", start), read("/end_time", end));
    match Slot::new(start?, end?) {
        Ok(slot) => Some(slot),
        Err(error) => {
            let rule = match error {
                SlotError::EndNotAfterStart => {
                    Rule::Own("not_after_start", "must be after start_time", "يجب أن يكون بعد start_time")
                }
                SlotError::TooLong => Rule::Own(
                    "too_long_after_start",
                    "must be at most 31 days after start_time",
                    "يجب ألا يتجاوز 31 يومًا بعد start_time",
                ),
                SlotError::OutOfRange => Rule::Range("1970".to_owned(), "2200".to_owned()),
            };
            checks.add("/end_time", rule);
            None
        }
    }
}

/// An instant with its offset, or what the clocks in `zone` show at exactly one instant.
pub(crate) fn instant(text: &str, zone: &Zone) -> Result<Timestamp, Rule> {
    let malformed =
        Rule::Malformed("an RFC 3339 time such as 2026-07-15T20:00:00Z, or a local 2026-07-15T23:00");
    if text.len() > TIME_CHARS_MAX || text.contains('[') {
        return Err(malformed);
    }
    if let Ok(instant) = text.parse() {
        return Ok(instant);
    }
    let local: jiff::civil::DateTime = text.parse().map_err(|_| malformed)?;
    zone.instant(local).map_err(|error| match error {
        LocalTimeError::Skipped { .. } => Rule::Own(
            "skipped_time",
            "does not exist in this zone: the clocks are set forward over it",
            "غير موجود في هذه المنطقة الزمنية: تتقدم الساعة متجاوزة إياه",
        ),
        LocalTimeError::Repeated { .. } => Rule::Own(
            "repeated_time",
            "happens twice in this zone: send it with its offset",
            "يتكرر مرتين في هذه المنطقة الزمنية: أرسله مع فرق التوقيت",
        ),
        LocalTimeError::OutOfRange(_) => Rule::Range("1970".to_owned(), "2200".to_owned()),
    })
}

/// Where an event is to stand from now on.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransitionInput {
    /// `draft`, `published`, `live`, `completed`, `cancelled` or `postponed`.
    #[schema(value_type = String, example = "cancelled")]
    pub(crate) to: EventStatus,
    /// Why conflicts with the programme are to be accepted. It is kept in the log.
    override_reason: Option<String>,
}

impl TransitionInput {
    /// The status and the reason.
    pub(crate) fn checked(self) -> Result<(EventStatus, Option<String>), ApiError> {
        let mut checks = Checks::default();
        if let Some(reason) = &self.override_reason {
            checks.text("/override_reason", reason, 1..=REASON_CHARS_MAX);
        }
        checks.finish()?;
        Ok((self.to, self.override_reason))
    }
}

/// Which events a list shows.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Items of a page, 1 to 200.
    #[param(required = false, example = 50)]
    pub(crate) limit: Option<u32>,
    /// `meta.next_cursor` of the page before.
    #[param(required = false)]
    pub(crate) cursor: Option<String>,
    /// `i18n`: texts as objects with every language.
    #[param(inline, required = false)]
    pub(crate) expand: Option<Expand>,
    /// Statuses, separated by commas. Drafts are shown to organizers only.
    #[param(required = false, example = "published,live")]
    status: Option<String>,
    /// Id of a category.
    #[param(required = false)]
    category: Option<i64>,
    /// Id of a venue.
    #[param(required = false)]
    venue: Option<i64>,
    /// Id of a performer.
    #[param(required = false)]
    performer: Option<i64>,
    /// A festival day (`2026-07-15`): what starts from its morning to the next one's.
    #[param(required = false, example = "2026-07-15")]
    day: Option<String>,
    /// What starts at this time or later (RFC 3339, or local in the festival's zone).
    #[param(required = false)]
    from: Option<String>,
    /// What starts before this time.
    #[param(required = false)]
    to: Option<String>,
    /// Words in the title or the description, at most 100 characters.
    #[param(required = false)]
    q: Option<String>,
    /// `true`: only those that the caller has starred.
    #[serde(default)]
    #[param(required = false)]
    starred: bool,
}

/// What a cursor of the list is bound to.
#[derive(Debug, Serialize)]
pub(crate) struct Scope<'a> {
    list: &'static str,
    filter: (&'a Option<String>, Option<i64>, Option<i64>, Option<i64>),
    window: (&'a Option<String>, &'a Option<String>, &'a Option<String>),
    words: &'a Option<String>,
    starred_by: Option<UserId>,
    drafts: bool,
}

impl EventsQuery {
    /// The filter, with what the caller may see: drafts, and stars of their own.
    pub(crate) fn filter(
        &self,
        app: &App,
        caller: Option<UserId>,
        drafts: bool,
    ) -> Result<EventFilter, ApiError> {
        let days = app.festival_days(None)?;
        let mut checks = Checks::default();
        let mut window = None;
        if let Some(day) = &self.day {
            match day.parse::<jiff::civil::Date>() {
                Ok(day) if day.year() >= 1970 && day.year() < 2200 => window = Some(days.bounds(day)),
                _ => checks.add("/day", Rule::Malformed("a date such as 2026-07-15")),
            }
        }
        let mut time = |pointer: &str, text: &Option<String>| match instant(text.as_deref()?, days.zone()) {
            Ok(instant) => Some(instant),
            Err(rule) => {
                checks.add(pointer, rule);
                None
            }
        };
        let (from, to) = (time("/from", &self.from), time("/to", &self.to));
        if let Some(words) = &self.q {
            checks.text("/q", words, 1..=SEARCH_CHARS_MAX);
        }
        let statuses = self.statuses(drafts, &mut checks);
        checks.ensure(!self.starred || caller.is_some(), "/starred", Rule::Malformed("used with a token"));
        checks.query()?;
        Ok(EventFilter {
            statuses,
            category_id: self.category.map(CategoryId),
            venue_id: self.venue.map(VenueId),
            performer_id: self.performer.map(PerformerId),
            starred_by: caller.filter(|_| self.starred),
            starts_from: from.max(window.map(|day| day.starts_at)),
            starts_before: [to, window.map(|day| day.ends_at)].into_iter().flatten().min(),
            ends_after: None,
            search: self.q.clone(),
        })
    }

    fn statuses(&self, drafts: bool, checks: &mut Checks) -> Vec<EventStatus> {
        let visible = |status: &EventStatus| drafts || status.is_public();
        let Some(words) = &self.status else {
            return EventStatus::ALL.into_iter().filter(visible).collect();
        };
        let mut statuses = Vec::new();
        for word in words.split(',') {
            match word.trim().parse() {
                Ok(status) if visible(&status) => statuses.push(status),
                Ok(_) => checks.add("/status", Rule::Malformed("statuses that you may see")),
                Err(_) => checks.add("/status", Rule::Unknown("status")),
            }
        }
        statuses
    }

    /// What a cursor for this query is bound to.
    pub(crate) fn scope(&self, filter: &EventFilter) -> Scope<'_> {
        Scope {
            list: "events",
            filter: (&self.status, self.category, self.venue, self.performer),
            window: (&self.day, &self.from, &self.to),
            words: &self.q,
            starred_by: filter.starred_by,
            drafts: filter.statuses.contains(&EventStatus::Draft),
        }
    }
}

/// Where a page of events ends.
pub(crate) type EventKey = (Timestamp, EventId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_times_are_read_in_their_zone_and_never_guessed() {
        let cairo = Zone::new("Africa/Cairo").unwrap();
        let read = |text: &str| instant(text, &cairo).map_err(|rule| rule.code());
        let evening: Timestamp = "2026-07-15T20:00:00Z".parse().unwrap();
        for text in
            ["2026-07-15T20:00:00Z", "2026-07-15T23:00:00+03:00", "2026-07-15T23:00", "2026-07-15 23:00:00"]
        {
            assert_eq!(read(text), Ok(evening), "{text}");
        }
        assert_eq!(read("2026-04-24T00:30"), Err("skipped_time"));
        assert_eq!(read("2026-10-29T23:30"), Err("repeated_time"));
        assert_eq!(read("2026-10-29T23:30+02:00").unwrap().to_string(), "2026-10-29T21:30:00Z");
        for text in ["", "tomorrow", "2026-13-01T00:00", "2026-07-15T23:00[Africa/Cairo]", "1784145600"] {
            assert_eq!(read(text), Err("malformed"), "{text}");
        }
    }
}
