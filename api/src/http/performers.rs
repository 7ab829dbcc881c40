//! `/api/v1/performers`.

use axum::extract::State;
use domain::{LocalizedText, PerformerId};
use serde::{Deserialize, Serialize};
use store::performers::{Performer, PerformerPlan};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edit::Edit;
use super::shown::{Shape, Shown, TextView};
use super::venues::{ListQuery, refused_with};
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::etag::ETag;
use crate::extract::{IfMatch, Json, Lang, Path, Query};
use crate::fault::Checks;
use crate::idempotency::begin;
use crate::ops::write_performer;
use crate::ops::write_venue::ResourceError;
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

impl PerformerView {
    fn new(performer: &Performer, shown: Shown) -> Self {
        Self {
            id: performer.id,
            name: shown.text(&performer.plan.name),
            biography: shown.text(&performer.plan.biography),
            version: performer.version,
        }
    }
}

fn etag(performer: &Performer) -> ETag {
    ETag::of("performer", performer.id, performer.version)
}

fn answer(performer: &Performer, shown: Shown) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&PerformerView::new(performer, shown))?.etag(&shown.tag(etag(performer))))
}

fn refused(error: ResourceError<Performer>, shown: Shown) -> ApiError {
    refused_with(error, |performer| {
        ApiError::new(Code::PreconditionFailed)
            .current(&PerformerView::new(performer, shown))
            .etag(&shown.tag(etag(performer)))
    })
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
    let request = app.cursors.request::<PerformerId>(query.limit, query.cursor.as_deref(), &"performers")?;
    let rows = store::performers::list(&app.store, request.after, request.limit + 1).await?;
    let page = app.cursors.page(&request, rows, |performer| performer.id)?;
    Answer::page(page.map(|performer| PerformerView::new(&performer, shown)))
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
    answer(&performer.ok_or_else(|| ApiError::new(Code::NotFound))?, Shown::new(language, shape.expand))
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
    let performer = made.map_err(|error| refused(error, edit.shown))?;
    let view = PerformerView::new(&performer, edit.shown);
    let answer = Answer::created(&view, format!("/api/v1/performers/{}", performer.id))?;
    work.finish(&app, answer.etag(&edit.shown.tag(etag(&performer)))).await
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
    let accept = |performer: &Performer| seen.allow_write_to(&etag(performer));
    let changed = write_performer::replace(&mut work.tx, app.clock.now(), (id, &plan), accept).await;
    let performer = changed.map_err(|error| refused(error, edit.shown))?;
    work.finish(&app, answer(&performer, edit.shown)?).await
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
    let accept = |performer: &Performer| seen.allow_write_to(&etag(performer));
    let removed = write_performer::remove(&mut work.tx, id, accept).await;
    removed.map_err(|error| refused(error, edit.shown))?;
    work.finish(&app, Answer::removed()?).await
}
