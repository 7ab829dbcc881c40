//! `/api/v1/schedule.ics` and its sisters: the public programme for calendars, conference apps and search engines;
//! and a calendar of one's own at an address that nobody guesses.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use domain::{EventStatus, Language, PerformerId, UserId, VenueId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::events::{Event, EventFilter};
use store::{calendars, users};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::schedule::festival_day;
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::extract::{Lang, Member, Path, Query};
use crate::fault::{Checks, Rule};
use crate::feeds::{Format, Programme};
use crate::idempotency::{Once, begin};
use crate::schema::Envelope;

/// Bytes of the secret in the address of a calendar: 128 bits.
const SECRET_BYTES: usize = 16;
/// Events that are read at a time.
const PAGE: u32 = 500;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(ics))
        .routes(routes!(json))
        .routes(routes!(xml))
        .routes(routes!(json_ld))
        .routes(routes!(open, close))
        .routes(routes!(own))
}

/// Which part of the programme, in which language.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedQuery {
    /// Only this festival day.
    #[param(required = false, example = "2026-07-15")]
    day: Option<String>,
    /// Only what takes place at this venue.
    #[param(value_type = Option<i64>, required = false, example = 5)]
    venue_id: Option<VenueId>,
    /// Only what this performer plays in.
    #[param(value_type = Option<i64>, required = false, example = 9)]
    performer_id: Option<PerformerId>,
    /// `ar` or `en`; that of `Accept-Language` when it is left out.
    #[param(value_type = Option<String>, required = false, example = "ar")]
    lang: Option<Language>,
}

/// A calendar of one's own.
#[derive(Debug, Serialize, ToSchema)]
struct CalendarView {
    /// Where calendars subscribe to it. Whoever knows it reads it; it is shown this once.
    #[schema(example = "/api/v1/calendars/5f0c7a527f5e4a389d390e1b7b0a2c11.ics")]
    path: String,
}

/// The public programme as iCalendar (RFC 5545). Calendars look again after hours: they are no way to hear of a change on the day itself.
#[utoipa::path(get, path = "/api/v1/schedule.ics", tag = "schedule", params(FeedQuery),
    responses((status = 200, description = "The programme", body = String, content_type = "text/calendar")))]
async fn ics(
    app: State<App>,
    lang: Lang,
    query: Query<FeedQuery>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    feed(Format::Ics, app, lang, query, request).await
}

/// The public programme as the `schedule.json` of conference apps, without what is cancelled or postponed.
#[utoipa::path(get, path = "/api/v1/schedule.json", tag = "schedule", params(FeedQuery),
    responses((status = 200, description = "The programme", body = serde_json::Value)))]
async fn json(
    app: State<App>,
    lang: Lang,
    query: Query<FeedQuery>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    feed(Format::Json, app, lang, query, request).await
}

/// The public programme as the `schedule.xml` of conference apps, without what is cancelled or postponed.
#[utoipa::path(get, path = "/api/v1/schedule.xml", tag = "schedule", params(FeedQuery),
    responses((status = 200, description = "The programme", body = String, content_type = "application/xml")))]
async fn xml(
    app: State<App>,
    lang: Lang,
    query: Query<FeedQuery>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    feed(Format::Xml, app, lang, query, request).await
}

/// The public programme in the words of schema.org.
#[utoipa::path(get, path = "/api/v1/schedule.jsonld", tag = "schedule", params(FeedQuery),
    responses((status = 200, description = "The programme", body = serde_json::Value,
        content_type = "application/ld+json")))]
async fn json_ld(
    app: State<App>,
    lang: Lang,
    query: Query<FeedQuery>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    feed(Format::JsonLd, app, lang, query, request).await
}

async fn feed(
    format: Format,
    State(app): State<App>,
    Lang(language): Lang,
    Query(query): Query<FeedQuery>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let days = app.festival_days(None)?;
    let language = query.lang.unwrap_or(language);
    let window = festival_day(query.day.as_deref())?.map(|date| days.bounds(date));
    let part = part(&app, &query, language).await?;
    let filter = EventFilter {
        statuses: public(),
        venue_id: query.venue_id,
        performer_id: query.performer_id,
        starts_from: window.map(|day| day.starts_at),
        starts_before: window.map(|day| day.ends_at),
        ..EventFilter::default()
    };
    let events = all(&app, &filter).await?;
    let origin = origin(&app, &request);
    let festival = &app.config.festival;
    let programme = Programme {
        festival: &festival.name,
        part: &part,
        days: &days,
        language,
        origin: &origin,
        events: &events,
    };
    let cache = format!("public, max-age={}", festival.schedule_max_age_secs);
    Ok(format.write(&programme, cache)?.answer(&request))
}

/// What the part of the programme is called: venue, performer, day.
async fn part(app: &App, query: &FeedQuery, language: Language) -> Result<String, ApiError> {
    let gone = || ApiError::new(Code::NotFound);
    let mut parts = Vec::new();
    if let Some(id) = query.venue_id {
        let venue = store::venues::get_by_id(&app.store, id).await?.ok_or_else(gone)?;
        parts.push(venue.plan.name.pick(language).to_owned());
    }
    if let Some(id) = query.performer_id {
        let performer = store::performers::get_by_id(&app.store, id).await?.ok_or_else(gone)?;
        parts.push(performer.plan.name.pick(language).to_owned());
    }
    parts.extend(query.day.clone());
    Ok(parts.join(", "))
}

/// Makes a calendar of what the caller has starred, at a secret address. One that was made before ends.
#[utoipa::path(post, path = "/api/v1/me/calendar", tag = "me", security(("bearer" = [])),
    responses((status = 201, description = "Where it is", body = Envelope<CalendarView>)))]
async fn open(State(app): State<App>, Member(principal): Member, once: Once) -> Result<Answer, ApiError> {
    let mut work = begin!(once, &app, &principal);
    let secret = hex::encode(rand::random::<[u8; SECRET_BYTES]>());
    calendars::replace(&mut work.tx, principal.user_id, &hash(&secret), app.clock.now()).await?;
    let path = format!("/api/v1/calendars/{secret}.ics");
    let answer = Answer::created(&CalendarView { path: path.clone() }, path)?;
    work.finish(&app, answer).await
}

/// Ends the calendar of the caller: its address leads nowhere from now on.
#[utoipa::path(delete, path = "/api/v1/me/calendar", tag = "me", security(("bearer" = [])),
    responses((status = 200, description = "It is gone")))]
async fn close(State(app): State<App>, Member(principal): Member, once: Once) -> Result<Answer, ApiError> {
    let mut work = begin!(once, &app, &principal);
    if !calendars::delete(&mut work.tx, principal.user_id).await? {
        return Err(ApiError::new(Code::NotFound));
    }
    work.finish(&app, Answer::removed()?).await
}

/// What somebody has starred, as iCalendar. Who has the address needs no token.
#[utoipa::path(get, path = "/api/v1/calendars/{file}", tag = "me",
    params(("file" = String, Path, description = "The secret and `.ics`",
        example = "5f0c7a527f5e4a389d390e1b7b0a2c11.ics")),
    responses((status = 200, description = "The calendar", body = String, content_type = "text/calendar")))]
async fn own(
    State(app): State<App>,
    Path(file): Path<String>,
    request: HeaderMap,
) -> Result<Response, ApiError> {
    let gone = || ApiError::new(Code::NotFound);
    let secret =
        file.strip_suffix(".ics").filter(|secret| secret.len() == 2 * SECRET_BYTES).ok_or_else(gone)?;
    let owner: UserId = calendars::owner(&app.store, &hash(secret)).await?.ok_or_else(gone)?;
    let user = users::find(&app.store, owner).await?.ok_or_else(gone)?;
    let filter = EventFilter { statuses: public(), starred_by: Some(owner), ..EventFilter::default() };
    let (days, events) = (app.festival_days(None)?, all(&app, &filter).await?);
    let (festival, origin) = (&app.config.festival, origin(&app, &request));
    let programme = Programme {
        festival: &festival.name,
        part: &user.name,
        days: &days,
        language: user.language,
        origin: &origin,
        events: &events,
    };
    let cache = format!("private, max-age={}", festival.schedule_max_age_secs);
    Ok(Format::Ics.write(&programme, cache)?.answer(&request))
}

/// What the public may see.
fn public() -> Vec<EventStatus> {
    EventStatus::ALL.into_iter().filter(|status| status.is_public()).collect()
}

/// Every event, never a part of them: a calendar takes what is missing for removed.
async fn all(app: &App, filter: &EventFilter) -> Result<Vec<Event>, ApiError> {
    let most = app.config.festival.feed_events_max as usize;
    let mut events: Vec<Event> = Vec::new();
    loop {
        let after = events.last().map(|event| (event.plan.slot.starts_at, event.id));
        let page = store::events::list(&app.store, filter, after, PAGE).await?;
        let last = page.len() < PAGE as usize;
        events.extend(page);
        if events.len() > most {
            let mut checks = Checks::default();
            checks.add(
                "/day",
                Rule::Own(
                    "feed_too_large",
                    "is required: there are too many events for one file",
                    "مطلوب: عدد الفعاليات أكبر من أن يتسع له ملف واحد",
                ),
            );
            checks.query()?;
        }
        if last {
            return Ok(events);
        }
    }
}

/// Where this API is reached: as configured, or as the request came.
fn origin(app: &App, request: &HeaderMap) -> String {
    let configured = app.config.festival.public_url.trim_end_matches('/');
    if !configured.is_empty() {
        return configured.to_owned();
    }
    let host = request.get(axum::http::header::HOST).and_then(|host| host.to_str().ok());
    let plain =
        |host: &&str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte));
    format!("http://{}", host.filter(plain).unwrap_or("localhost"))
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}
