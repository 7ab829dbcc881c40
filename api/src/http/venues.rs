//! `/api/v1/venues`.

use axum::extract::State;
use domain::{LocalizedText, VenueId, Zone};
use serde::{Deserialize, Serialize};
use store::venues::{Venue, VenuePlan};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edit::Edit;
use super::shown::{Expand, Shape, Shown, TextView};
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::etag::ETag;
use crate::extract::{IfMatch, Json, Lang, Path, Query};
use crate::fault::{Checks, Rule};
use crate::idempotency::begin;
use crate::ops::write_venue::{self, ResourceError};
use crate::schema::{Envelope, PageEnvelope, Text};

/// Characters of the longest name.
const NAME_CHARS_MAX: usize = 200;
/// Seconds of the longest set-up or turnaround: a day.
const BUFFER_SECONDS_MAX: u32 = 86_400;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, replace, remove))
}

/// A page of a list without a filter.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Items of a page, 1 to 200.
    #[param(required = false, example = 50)]
    pub(crate) limit: Option<u32>,
    /// `meta.next_cursor` of the page before.
    #[param(required = false)]
    pub(crate) cursor: Option<String>,
    /// `i18n`: texts as objects with every language.
    #[param(inline, required = false)]
    pub(crate) expand: Option<Expand>,
}

/// What an organizer decides about a venue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VenueInput {
    /// Its name, at most 200 characters.
    #[schema(value_type = Text)]
    name: LocalizedText,
    /// People it holds, 1 to 10,000,000; `null` when unknown.
    #[schema(example = 12000)]
    capacity: Option<i64>,
    /// Degrees north, together with `longitude`.
    #[schema(example = 30.8261)]
    latitude: Option<f64>,
    /// Degrees east.
    #[schema(example = 28.9553)]
    longitude: Option<f64>,
    /// IANA zone; the festival's when it is left out.
    #[schema(example = "Africa/Cairo")]
    timezone: Option<String>,
    /// Seconds that it needs before each event. 0 to 86,400.
    #[serde(default)]
    #[schema(example = 900)]
    setup_seconds: u32,
    /// Seconds that it needs after each event. 0 to 86,400.
    #[serde(default)]
    #[schema(example = 900)]
    turnaround_seconds: u32,
}

impl VenueInput {
    fn plan(self, app: &App) -> Result<VenuePlan, ApiError> {
        let mut checks = Checks::default();
        checks.localized("/name", &self.name, 1..=NAME_CHARS_MAX);
        if let Some(capacity) = self.capacity {
            checks.range("/capacity", capacity, 1..=domain::EventPlan::CAPACITY_MAX);
        }
        if let Some(latitude) = self.latitude {
            checks.range("/latitude", latitude, -90.0..=90.0);
        }
        if let Some(longitude) = self.longitude {
            checks.range("/longitude", longitude, -180.0..=180.0);
        }
        let halved = self.latitude.is_some() != self.longitude.is_some();
        checks.ensure(
            !halved,
            if self.latitude.is_some() { "/longitude" } else { "/latitude" },
            Rule::Required,
        );
        checks.range("/setup_seconds", self.setup_seconds, 0..=BUFFER_SECONDS_MAX);
        checks.range("/turnaround_seconds", self.turnaround_seconds, 0..=BUFFER_SECONDS_MAX);
        let zone = zone_of(self.timezone.as_deref(), app, &mut checks);
        checks.finish()?;
        Ok(VenuePlan {
            name: self.name,
            capacity: self.capacity,
            position: self.latitude.zip(self.longitude),
            zone: zone?,
            setup_seconds: self.setup_seconds,
            turnaround_seconds: self.turnaround_seconds,
        })
    }
}

/// The zone that a body names, else the festival's. A fault is noted in `checks` as well.
pub(crate) fn zone_of(name: Option<&str>, app: &App, checks: &mut Checks) -> Result<Zone, ApiError> {
    let name = name.unwrap_or(&app.config.festival.time_zone);
    Zone::new(name).map_err(|unknown| {
        checks.add("/timezone", Rule::Unknown("IANA time zone"));
        ApiError::invalid("/timezone", Rule::Unknown("IANA time zone")).detail(unknown)
    })
}

/// A venue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VenueView {
    /// Its id.
    #[schema(value_type = i64, example = 5)]
    id: VenueId,
    /// Its name.
    name: TextView,
    /// People it holds, where known.
    #[schema(example = 12000)]
    capacity: Option<i64>,
    /// Degrees north.
    #[schema(example = 30.8261)]
    latitude: Option<f64>,
    /// Degrees east.
    #[schema(example = 28.9553)]
    longitude: Option<f64>,
    /// IANA zone.
    #[schema(example = "Africa/Cairo")]
    timezone: String,
    /// Seconds that it needs before each event.
    #[schema(example = 900)]
    setup_seconds: u32,
    /// Seconds that it needs after each event.
    #[schema(example = 900)]
    turnaround_seconds: u32,
    /// Rises by one with each change.
    #[schema(example = 1)]
    version: i64,
    /// When it was made.
    #[schema(value_type = String, example = "2026-05-01T09:00:00Z")]
    created_at: domain::Timestamp,
    /// When it was last changed.
    #[schema(value_type = String, example = "2026-05-01T09:00:00Z")]
    updated_at: domain::Timestamp,
}

impl VenueView {
    fn new(venue: &Venue, shown: Shown) -> Self {
        Self {
            id: venue.id,
            name: shown.text(&venue.plan.name),
            capacity: venue.plan.capacity,
            latitude: venue.plan.position.map(|(latitude, _)| latitude),
            longitude: venue.plan.position.map(|(_, longitude)| longitude),
            timezone: venue.plan.zone.name().to_owned(),
            setup_seconds: venue.plan.setup_seconds,
            turnaround_seconds: venue.plan.turnaround_seconds,
            version: venue.version,
            created_at: venue.created_at,
            updated_at: venue.updated_at,
        }
    }
}

fn etag(venue: &Venue) -> ETag {
    ETag::of("venue", venue.id, venue.version)
}

fn answer(venue: &Venue, shown: Shown) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&VenueView::new(venue, shown))?.etag(&shown.tag(etag(venue))))
}

fn refused(error: ResourceError<Venue>, shown: Shown) -> ApiError {
    refused_with(error, |venue| {
        ApiError::new(Code::PreconditionFailed)
            .current(&VenueView::new(venue, shown))
            .etag(&shown.tag(etag(venue)))
    })
}

/// The error of a resource that was not written; `stale` shows how it is now.
pub(crate) fn refused_with<T>(error: ResourceError<T>, stale: impl FnOnce(&T) -> ApiError) -> ApiError {
    match error {
        ResourceError::NotFound => ApiError::new(Code::NotFound),
        ResourceError::Stale(current) => stale(&current),
        ResourceError::InUse(events) => {
            let ids: Vec<_> = events.iter().map(ToString::to_string).collect();
            ApiError::new(Code::InUse)
                .detail(format!("events refer to it: {}", ids.join(", ")))
                .current(&serde_json::json!({ "events": events }))
        }
        ResourceError::SlugTaken => ApiError::new(Code::SlugTaken),
        ResourceError::Store(cause) => ApiError::internal(cause),
    }
}

/// Every venue.
#[utoipa::path(get, path = "/api/v1/venues", tag = "programme", params(ListQuery),
    responses((status = 200, description = "A page of venues by id", body = PageEnvelope<VenueView>)))]
async fn list(
    State(app): State<App>,
    Lang(language): Lang,
    Query(query): Query<ListQuery>,
) -> Result<Answer, ApiError> {
    let shown = Shown::new(language, query.expand);
    let request = app.cursors.request::<VenueId>(query.limit, query.cursor.as_deref(), &"venues")?;
    let rows = store::venues::list(&app.store, request.after, request.limit + 1).await?;
    let page = app.cursors.page(&request, rows, |venue| venue.id)?;
    Answer::page(page.map(|venue| VenueView::new(&venue, shown)))
}

/// One venue.
#[utoipa::path(get, path = "/api/v1/venues/{id}", tag = "programme",
    params(("id" = i64, Path, description = "Id of the venue", example = 5), Shape),
    responses((status = 200, description = "The venue", body = Envelope<VenueView>)))]
async fn show(
    State(app): State<App>,
    Lang(language): Lang,
    Path(id): Path<VenueId>,
    Query(shape): Query<Shape>,
) -> Result<Answer, ApiError> {
    let venue = store::venues::get_by_id(&app.store, id).await?;
    answer(&venue.ok_or_else(|| ApiError::new(Code::NotFound))?, Shown::new(language, shape.expand))
}

/// Makes a venue.
#[utoipa::path(post, path = "/api/v1/venues", tag = "programme", security(("bearer" = [])),
    request_body = VenueInput,
    responses((status = 201, description = "The new venue", body = Envelope<VenueView>)))]
async fn create(
    State(app): State<App>,
    edit: Edit,
    Json(body): Json<VenueInput>,
) -> Result<Answer, ApiError> {
    let plan = body.plan(&app)?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    let made = write_venue::create(&mut work.tx, &edit.author, app.clock.now(), &plan).await;
    let venue = made.map_err(|error| refused(error, edit.shown))?;
    let view = VenueView::new(&venue, edit.shown);
    let answer = Answer::created(&view, format!("/api/v1/venues/{}", venue.id))?;
    work.finish(&app, answer.etag(&edit.shown.tag(etag(&venue)))).await
}

/// Replaces a venue; fields that are left out are reset.
#[utoipa::path(put, path = "/api/v1/venues/{id}", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the venue", example = 5)), request_body = VenueInput,
    responses((status = 200, description = "The venue as it is now", body = Envelope<VenueView>)))]
async fn replace(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<VenueId>,
    IfMatch(seen): IfMatch,
    Json(body): Json<VenueInput>,
) -> Result<Answer, ApiError> {
    let plan = body.plan(&app)?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    let accept = |venue: &Venue| seen.allow_write_to(&etag(venue));
    let now = app.clock.now();
    let changed = write_venue::replace(&mut work.tx, &edit.author, now, (id, &plan), accept).await;
    let venue = changed.map_err(|error| refused(error, edit.shown))?;
    work.finish(&app, answer(&venue, edit.shown)?).await
}

/// Removes a venue that no event refers to.
#[utoipa::path(delete, path = "/api/v1/venues/{id}", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the venue", example = 5)),
    responses((status = 200, description = "It is gone"), (status = 409, description = "`in_use`")))]
async fn remove(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<VenueId>,
    IfMatch(seen): IfMatch,
) -> Result<Answer, ApiError> {
    let mut work = begin!(edit.once, &app, &edit.principal);
    let accept = |venue: &Venue| seen.allow_write_to(&etag(venue));
    let removed = write_venue::remove(&mut work.tx, &edit.author, app.clock.now(), id, accept).await;
    removed.map_err(|error| refused(error, edit.shown))?;
    work.finish(&app, Answer::removed()?).await
}
