//! `/api/v1/venues`.

use axum::extract::State;
use domain::{LocalizedText, VenueId, Zone};
use serde::{Deserialize, Serialize};
use store::venues::{Venue, VenuePlan};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edit::Edit;
use super::resource::{self, ListQuery, Resource};
use super::shown::{Shape, Shown, TextView};
use crate::answer::Answer;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::{IfMatch, Json, Lang, Path, Query};
use crate::fault::{Checks, Rule};
use crate::idempotency::begin;
use crate::ops::write_venue;
use crate::schema::{Envelope, PageEnvelope, Text};

/// Characters of the longest name.
const NAME_CHARS_MAX: usize = 200;
/// Seconds of the longest set-up or turnaround: a day.
const BUFFER_SECONDS_MAX: u32 = 86_400;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, replace, remove))
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

impl Resource for Venue {
    type Id = VenueId;
    type View = VenueView;
    const NOUN: &'static str = "venue";
    const PLURAL: &'static str = "venues";

    fn id(&self) -> VenueId {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn view(&self, shown: Shown) -> VenueView {
        VenueView {
            id: self.id,
            name: shown.text(&self.plan.name),
            capacity: self.plan.capacity,
            latitude: self.plan.position.map(|(latitude, _)| latitude),
            longitude: self.plan.position.map(|(_, longitude)| longitude),
            timezone: self.plan.zone.name().to_owned(),
            setup_seconds: self.plan.setup_seconds,
            turnaround_seconds: self.plan.turnaround_seconds,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
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
    let request = resource::request::<Venue>(&app, &query)?;
    let rows = store::venues::list(&app.store, request.after, request.limit + 1).await?;
    resource::page(&app, &request, rows, shown)
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
    resource::found(venue, Shown::new(language, shape.expand))
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
    let venue = made.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, resource::created(&venue, edit.shown)?).await
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
    let accept = |venue: &Venue| seen.allow_write_to(&resource::etag(venue));
    let now = app.clock.now();
    let changed = write_venue::replace(&mut work.tx, &edit.author, now, (id, &plan), accept).await;
    let venue = changed.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, resource::answer(&venue, edit.shown)?).await
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
    let accept = |venue: &Venue| seen.allow_write_to(&resource::etag(venue));
    let removed = write_venue::remove(&mut work.tx, &edit.author, app.clock.now(), id, accept).await;
    removed.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, Answer::removed()?).await
}
