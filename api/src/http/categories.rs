//! `/api/v1/categories`.

use axum::extract::State;
use domain::{CategoryId, LocalizedText};
use serde::{Deserialize, Serialize};
use store::categories::{Category, CategoryPlan};
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
use crate::ops::write_category;
use crate::schema::{Envelope, PageEnvelope, Text};

/// Characters of the longest name.
const NAME_CHARS_MAX: usize = 100;
/// Characters of the longest slug.
const SLUG_CHARS_MAX: usize = 64;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, replace, remove))
}

/// What an organizer decides about a category.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CategoryInput {
    /// Its short name in addresses: 1 to 64 lower-case letters, digits and hyphens; unique.
    #[schema(example = "concert")]
    slug: String,
    /// Its name, at most 100 characters.
    #[schema(value_type = Text)]
    name: LocalizedText,
    /// `#rrggbb`, where it has a colour.
    #[schema(example = "#e4572e")]
    color: Option<String>,
}

impl CategoryInput {
    fn plan(self) -> Result<CategoryPlan, ApiError> {
        let mut checks = Checks::default();
        checks.text("/slug", &self.slug, 1..=SLUG_CHARS_MAX);
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        checks.ensure(
            self.slug.bytes().all(plain),
            "/slug",
            Rule::Malformed("lower-case letters, digits and hyphens"),
        );
        checks.localized("/name", &self.name, 1..=NAME_CHARS_MAX);
        if let Some(color) = &self.color {
            let hex = color.strip_prefix('#').unwrap_or_default();
            let good = hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            checks.ensure(good, "/color", Rule::Malformed("#rrggbb"));
        }
        checks.finish()?;
        Ok(CategoryPlan { slug: self.slug, name: self.name, color: self.color })
    }
}

/// A category.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CategoryView {
    /// Its id.
    #[schema(value_type = i64, example = 2)]
    id: CategoryId,
    /// Its short name in addresses.
    #[schema(example = "concert")]
    slug: String,
    /// Its name.
    name: TextView,
    /// `#rrggbb`, where it has a colour.
    #[schema(example = "#e4572e")]
    color: Option<String>,
    /// Rises by one with each change.
    #[schema(example = 1)]
    version: i64,
}

impl Resource for Category {
    type Id = CategoryId;
    type View = CategoryView;
    const NOUN: &'static str = "category";
    const PLURAL: &'static str = "categories";

    fn id(&self) -> CategoryId {
        self.id
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn view(&self, shown: Shown) -> CategoryView {
        CategoryView {
            id: self.id,
            slug: self.plan.slug.clone(),
            name: shown.text(&self.plan.name),
            color: self.plan.color.clone(),
            version: self.version,
        }
    }
}

/// Every category.
#[utoipa::path(get, path = "/api/v1/categories", tag = "programme", params(ListQuery),
    responses((status = 200, description = "A page of categories by id", body = PageEnvelope<CategoryView>)))]
async fn list(
    State(app): State<App>,
    Lang(language): Lang,
    Query(query): Query<ListQuery>,
) -> Result<Answer, ApiError> {
    let shown = Shown::new(language, query.expand);
    let request = resource::request::<Category>(&app, &query)?;
    let rows = store::categories::list(&app.store, request.after, request.limit + 1).await?;
    resource::page(&app, &request, rows, shown)
}

/// One category.
#[utoipa::path(get, path = "/api/v1/categories/{id}", tag = "programme",
    params(("id" = i64, Path, description = "Id of the category", example = 2), Shape),
    responses((status = 200, description = "The category", body = Envelope<CategoryView>)))]
async fn show(
    State(app): State<App>,
    Lang(language): Lang,
    Path(id): Path<CategoryId>,
    Query(shape): Query<Shape>,
) -> Result<Answer, ApiError> {
    let category = store::categories::get_by_id(&app.store, id).await?;
    resource::found(category, Shown::new(language, shape.expand))
}

/// Makes a category.
#[utoipa::path(post, path = "/api/v1/categories", tag = "programme", security(("bearer" = [])),
    request_body = CategoryInput,
    responses((status = 201, description = "The new category", body = Envelope<CategoryView>),
        (status = 409, description = "`slug_taken`")))]
async fn create(
    State(app): State<App>,
    edit: Edit,
    Json(body): Json<CategoryInput>,
) -> Result<Answer, ApiError> {
    let plan = body.plan()?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    let made = write_category::create(&mut work.tx, app.clock.now(), &plan).await;
    let category = made.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, resource::created(&category, edit.shown)?).await
}

/// Replaces a category; fields that are left out are reset.
#[utoipa::path(put, path = "/api/v1/categories/{id}", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the category", example = 2)), request_body = CategoryInput,
    responses((status = 200, description = "The category as it is now", body = Envelope<CategoryView>),
        (status = 409, description = "`slug_taken`")))]
async fn replace(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<CategoryId>,
    IfMatch(seen): IfMatch,
    Json(body): Json<CategoryInput>,
) -> Result<Answer, ApiError> {
    let plan = body.plan()?;
    let mut work = begin!(edit.once, &app, &edit.principal);
    let accept = |category: &Category| seen.allow_write_to(&resource::etag(category));
    let changed = write_category::replace(&mut work.tx, app.clock.now(), (id, &plan), accept).await;
    let category = changed.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, resource::answer(&category, edit.shown)?).await
}

/// Removes a category that no event refers to.
#[utoipa::path(delete, path = "/api/v1/categories/{id}", tag = "programme", security(("bearer" = [])),
    params(("id" = i64, Path, description = "Id of the category", example = 2)),
    responses((status = 200, description = "It is gone"), (status = 409, description = "`in_use`")))]
async fn remove(
    State(app): State<App>,
    edit: Edit,
    Path(id): Path<CategoryId>,
    IfMatch(seen): IfMatch,
) -> Result<Answer, ApiError> {
    let mut work = begin!(edit.once, &app, &edit.principal);
    let accept = |category: &Category| seen.allow_write_to(&resource::etag(category));
    let removed = write_category::remove(&mut work.tx, id, accept).await;
    removed.map_err(|error| resource::refused(error, edit.shown))?;
    work.finish(&app, Answer::removed()?).await
}
