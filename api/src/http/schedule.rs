//! `/api/v1/schedule`: the public programme by festival day and venue. Drafts are never in it, so that proxies may
//! keep it.

use std::collections::BTreeMap;

use axum::extract::State;
use domain::{EventStatus, FestivalDays, Slot, Timestamp, VenueId};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::events::{Event, EventFilter};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::input::instant;
use super::events::view::{EventView, VenueBrief};
use super::shown::{Expand, Shown};
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::etag::ETag;
use crate::extract::{Lang, Path, Query};
use crate::fault::{Checks, Rule};
use crate::schema::Envelope;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(whole)).routes(routes!(today)).routes(routes!(at_venue))
}

/// Which part of the programme, as of when.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScheduleQuery {
    /// Only this festival day.
    #[param(required = false, example = "2026-07-15")]
    day: Option<String>,
    /// IANA zone in which days are counted; the festival's when it is left out.
    #[param(required = false, example = "Africa/Cairo")]
    tz: Option<String>,
    /// The time to take for now (RFC 3339), for tests and previews.
    #[param(required = false, example = "2026-07-15T20:30:00Z")]
    at: Option<String>,
    /// `i18n`: texts as objects with every language.
    #[param(inline, required = false)]
    expand: Option<Expand>,
}

/// The programme, by day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScheduleView {
    /// IANA zone in which days are counted.
    #[schema(example = "Africa/Cairo")]
    timezone: String,
    /// Days with events, in order.
    days: Vec<DayView>,
    /// Whether every event is there; if not, ask day by day.
    #[schema(example = true)]
    complete: bool,
}

/// A festival day: from its morning to the next one's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayView {
    /// Its date.
    #[schema(value_type = String, example = "2026-07-15")]
    date: Date,
    /// First instant.
    #[schema(value_type = String, example = "2026-07-15T03:00:00Z")]
    starts_at: Timestamp,
    /// First instant after it.
    #[schema(value_type = String, example = "2026-07-16T03:00:00Z")]
    ends_at: Timestamp,
    /// Venues with events on this day, by id.
    venues: Vec<VenueDayView>,
}

/// A venue on a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VenueDayView {
    /// Which.
    venue: VenueBrief,
    /// What starts there on this day, by start.
    events: Vec<EventView>,
}

/// The programme of a venue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VenueScheduleView {
    /// Which.
    venue: VenueBrief,
    /// What takes place now.
    now: Option<EventView>,
    /// What starts next.
    next: Option<EventView>,
    /// Everything, by day.
    #[serde(flatten)]
    schedule: ScheduleView,
}

/// The public programme by festival day and venue.
#[utoipa::path(get, path = "/api/v1/schedule", tag = "schedule", params(ScheduleQuery),
    responses((status = 200, description = "The programme", body = Envelope<ScheduleView>)))]
async fn whole(
    State(app): State<App>,
    Lang(language): Lang,
    Query(query): Query<ScheduleQuery>,
) -> Result<Answer, ApiError> {
    let (days, shown) = (app.festival_days(query.tz.as_deref())?, Shown::new(language, query.expand));
    let window = query.window(&days)?;
    let schedule = read(&app, &days, shown, filter(window, None)).await?;
    cached(&app, &schedule, shown, None)
}

/// The festival day of now: at 01:30 that is still the one of the evening before.
#[utoipa::path(get, path = "/api/v1/schedule/today", tag = "schedule", params(ScheduleQuery),
    responses((status = 200, description = "The day, without venues when nothing takes place",
        body = Envelope<DayView>)))]
async fn today(
    State(app): State<App>,
    Lang(language): Lang,
    Query(query): Query<ScheduleQuery>,
) -> Result<Answer, ApiError> {
    let (days, shown) = (app.festival_days(query.tz.as_deref())?, Shown::new(language, query.expand));
    let now = query.now(&app, &days)?;
    let date = query.date()?.unwrap_or_else(|| days.day_of(now));
    let bounds = days.bounds(date);
    let schedule = read(&app, &days, shown, filter(Some(bounds), None)).await?;
    let day = schedule.days.into_iter().next().unwrap_or_else(|| DayView::empty(&days, date));
    cached(&app, &day, shown, Some(bounds.ends_at.since(now).as_secs()))
}

/// The programme of one venue, with what takes place now and next.
#[utoipa::path(get, path = "/api/v1/schedule/venue/{id}", tag = "schedule",
    params(("id" = i64, Path, description = "Id of the venue", example = 5), ScheduleQuery),
    responses((status = 200, description = "The programme of the venue", body = Envelope<VenueScheduleView>)))]
async fn at_venue(
    State(app): State<App>,
    Lang(language): Lang,
    Path(id): Path<VenueId>,
    Query(query): Query<ScheduleQuery>,
) -> Result<Answer, ApiError> {
    let (days, shown) = (app.festival_days(query.tz.as_deref())?, Shown::new(language, query.expand));
    let (now, window) = (query.now(&app, &days)?, query.window(&days)?);
    let venue = store::venues::get_by_id(&app.store, id).await?;
    let venue = venue.ok_or_else(|| ApiError::new(Code::NotFound))?;
    let coming = EventFilter {
        statuses: vec![EventStatus::Published, EventStatus::Live],
        venue_id: Some(id),
        ends_after: Some(now),
        ..EventFilter::default()
    };
    let coming = store::events::list(&app.store, &coming, None, 50).await?;
    let running = coming.iter().find(|event| event.plan.slot.contains(now));
    let next = coming.iter().find(|event| event.plan.slot.starts_at > now);
    let view = VenueScheduleView {
        venue: VenueBrief::new(&venue, shown),
        now: running.map(|event| EventView::new(event, shown)),
        next: next.map(|event| EventView::new(event, shown)),
        schedule: read(&app, &days, shown, filter(window, Some(id))).await?,
    };
    let changes = coming.iter().flat_map(|event| [event.plan.slot.starts_at, event.plan.slot.ends_at]);
    let change = changes.filter(|at| *at > now).min();
    cached(&app, &view, shown, change.map(|at| at.since(now).as_secs()))
}

/// The date of `?day=`.
///
/// # Errors
/// [`Code::InvalidQuery`] when it is none.
pub(crate) fn festival_day(text: Option<&str>) -> Result<Option<Date>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let date = text.parse::<Date>().ok().filter(|date| (1970..2200).contains(&date.year()));
    let mut checks = Checks::default();
    checks.ensure(date.is_some(), "/day", Rule::Malformed("a date such as 2026-07-15"));
    checks.query()?;
    Ok(date)
}

impl ScheduleQuery {
    fn date(&self) -> Result<Option<Date>, ApiError> {
        festival_day(self.day.as_deref())
    }

    fn window(&self, days: &FestivalDays) -> Result<Option<Slot>, ApiError> {
        Ok(self.date()?.map(|date| days.bounds(date)))
    }

    fn now(&self, app: &App, days: &FestivalDays) -> Result<Timestamp, ApiError> {
        let Some(text) = &self.at else { return Ok(app.clock.now()) };
        let mut checks = Checks::default();
        match instant(text, days.zone()) {
            Ok(at) => return Ok(at),
            Err(rule) => checks.add("/at", rule),
        }
        checks.query().map(|()| app.clock.now())
    }
}

impl DayView {
    fn empty(days: &FestivalDays, date: Date) -> Self {
        let Slot { starts_at, ends_at } = days.bounds(date);
        Self { date, starts_at, ends_at, venues: Vec::new() }
    }
}

/// What is public, of a day and a venue.
fn filter(window: Option<Slot>, venue_id: Option<VenueId>) -> EventFilter {
    EventFilter {
        statuses: EventStatus::ALL.into_iter().filter(|status| status.is_public()).collect(),
        venue_id,
        starts_from: window.map(|day| day.starts_at),
        starts_before: window.map(|day| day.ends_at),
        ..EventFilter::default()
    }
}

async fn read(
    app: &App,
    days: &FestivalDays,
    shown: Shown,
    filter: EventFilter,
) -> Result<ScheduleView, ApiError> {
    let most = app.config.festival.schedule_events_max;
    let mut events = store::events::list(&app.store, &filter, None, most + 1).await?;
    let complete = events.len() <= most as usize;
    events.truncate(most as usize);
    Ok(ScheduleView { timezone: days.zone().name().to_owned(), days: by_day(days, &events, shown), complete })
}

fn by_day(days: &FestivalDays, events: &[Event], shown: Shown) -> Vec<DayView> {
    let mut grouped: BTreeMap<Date, BTreeMap<VenueId, Vec<&Event>>> = BTreeMap::new();
    for event in events {
        let venues = grouped.entry(days.day_of(event.plan.slot.starts_at)).or_default();
        venues.entry(event.venue.id).or_default().push(event);
    }
    let venue_day = |events: Vec<&Event>| VenueDayView {
        venue: VenueBrief::new(&events[0].venue, shown), // a group is made by its first event
        events: events.into_iter().map(|event| EventView::new(event, shown)).collect(),
    };
    grouped
        .into_iter()
        .map(|(date, venues)| DayView {
            venues: venues.into_values().map(venue_day).collect(),
            ..DayView::empty(days, date)
        })
        .collect()
}

/// 200 with a tag over what is shown, which may be kept for a while but not past the next change of itself.
fn cached(
    app: &App,
    view: &impl Serialize,
    shown: Shown,
    changes_in_secs: Option<u64>,
) -> Result<Answer, ApiError> {
    let answer = Answer::ok(view)?;
    let digest = hex::encode(&Sha256::digest(answer.data.get())[..12]);
    let most = app.config.festival.schedule_max_age_secs;
    let max_age = changes_in_secs.map_or(most, |secs| most.min(secs));
    let etag = shown.tag(ETag::of("schedule", digest, 1));
    Ok(answer.etag(&etag).cache(format!("public, max-age={max_age}")))
}
