//! `/api/v1/performers`.

use axum::extract::State;
use domain::{LocalizedText, PerformerId};
use serde::{Deserialize, Serialize};
use store::performers::{Performer, PerformerPlan};
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
use crate::fault::Checks;
use crate::idempotency::begin;
use crate::ops::write_performer;
use crate::schema::{Envelope, PageEnvelope, Text};

/// Characters of the longest name.
const NAME_CHARS_MAX: usize = 200;
/// Characters of the longest biography.
const BIOGRAPHY_CHARS_MAX: usize = 20_000;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, replace, remove))
}

/// What an organizer decides about a performer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerformerInput {
    /// The name on the poster, at most 200 characters.
    #[schema(value_type = Text)]
    name: LocalizedText,
    /// Markdown, at most 20,000 characters.
    #[serde(default)]
    #[schema(value_type = Text)]
    biography: LocalizedText,
}

impl PerformerInput {
    fn plan(self) -> Result<PerformerPlan, ApiError> {
        let mut checks = Checks::default();
        checks.localized("/name", &self.name, 1..=NAME_CHARS_MAX);
        checks.localized("/biography", &self.biography, 0..=BIOGRAPHY_CHARS_MAX);
        checks.finish()?;
        Ok(PerformerPlan { name: self.name, biography: self.biography })
    }
}

/// A performer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PerformerView {
    /// Its id.
    #[schema(value_type = i64, example = 9)]
    id: PerformerId,
    /// The name on the poster.
    name: TextView,
    /// Markdown; may be empty.
    biography: TextView,
    /// Rises by one with each change.
    #[schema(example = 1)]
    version: i64,
}

impl Resource for Performer {
    type Id = PerformerId;
    type View = PerformerView;
    const NOUN: &'static str = "performer";
    const PLURAL: &'static str = "performers";

    fn id(&self) -> PerformerId {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn view(&self, shown: Shown) -> PerformerView {
        PerformerView {
            id: self.id,
            name: shown.text(&self.plan.name),
            biography: shown.text(&self.plan.biography),
            version: self.version,
        }
    }
}

/// Every performer.
#[utoipa::path(get, path = "/api/v1/performers", tag = "programme", params(ListQuery),
    responses((status = 200, description = "A page of performers by id", body = PageEnvelope<PerformerView>)))]
async fn list(
    State(app): State<App>,
    Lang(language): Lang,
    Query(query): Query<ListQuery>,
) -> Result<Answer, ApiError> {
    let shown = Shown::new(language, query.expand);
    let request = resource::request::<Performer>(&app, &query)?;
    let rows = store::performers::list(&app.store, request.after, request.limit + 1).await?;
    resource::page(&app, &request, rows, shown)
}

/// One performer.
#[utoipa::path(get, path = "/api/v1/performers/{id}", tag = "programme",
    params(("id" = i64, Path, description = "Id of the performer", example = 9), Shape),
    responses((status = 200, description = "The performer", body = Envelope<PerformerView>)))]
async fn show(
    State(app): State<App>,
    Lang(language): Lang,
    Path(id): Path<PerformerId>,
    Query(shape): Query<Shape>,
) -> Result<Answer, ApiError> {
    let performer = store::performers::get_by_id(&app.store, id).await?;
    resource::found(performer, Shown::new(language, shape.expand))
}

/// Makes a performer.
#[utoipa::path(post, path = "/api/v1/performers", tag = "programme", security(("bearer" = [])),
    request_body = PerformerInput,
    responses((status = 201, description = "The new performer", body = Envelope<PerformerView>)))]
async fn create(
    State(app): State<App>,
    edit: Edit,
    Json(body): Json<PerformerInput>,
) -> Result<Answer, ApiError> {
    let plan = body.plan()?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    let made = write_performer::create(&mut work.tx, app.clock.now(), &plan).await;
    let performer = made.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, resource::created(&performer, edit.shown)?).await
}

/// Replaces a performer; fields that are left out are reset.
#[utoipa::path(put, path = "/api/v1/performers/{id}", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the performer", example = 9)), request_body = PerformerInput,
    responses((status = 200, description = "The performer as it is now", body = Envelope<PerformerView>)))]
async fn replace(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<PerformerId>,
    IfMatch(seen): IfMatch,
    Json(body): Json<PerformerInput>,
) -> Result<Answer, ApiError> {
    let plan = body.plan()?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    let accept = |performer: &Performer| seen.allow_write_to(&resource::etag(performer));
    let changed = write_performer::replace(&mut work.tx, app.clock.now(), (id, &plan), accept).await;
    let performer = changed.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, resource::answer(&performer, edit.shown)?).await
}

/// Removes a performer that no event refers to.
#[utoipa::path(delete, path = "/api/v1/performers/{id}", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the performer", example = 9)),
    responses((status = 200, description = "It is gone"), (status = 409, description = "`in_use`")))]
async fn remove(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<PerformerId>,
    IfMatch(seen): IfMatch,
) -> Result<Answer, ApiError> {
    let mut work = begin!(edit.once, &app, &edit.principal);
    let accept = |performer: &Performer| seen.allow_write_to(&resource::etag(performer));
    let removed = write_performer::remove(&mut work.tx, id, accept).await;
    removed.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, Answer::removed()?).await
}
