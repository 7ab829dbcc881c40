//! `POST /api/v1/schedule/import`: a whole programme from a file.

use axum::extract::{DefaultBodyLimit, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::edit::Edit;
use super::events::view::DryRun;
use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::config::Config;
use crate::error::ApiError;
use crate::extract::{Query, RawBody};
use crate::fault::{Fault, Rule};
use crate::idempotency::begin;
use crate::import::{Counts, ImportError, ImportReport, Options, apply};
use crate::schema::Envelope;

/// The routes of this file: their body may be larger than others.
pub(crate) fn routes(config: &Config) -> OpenApiRouter<App> {
    let limit = DefaultBodyLimit::max(config.limits.import_bytes_max);
    OpenApiRouter::new().routes(routes!(import)).layer(limit)
}

/// How a file is imported.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// Whether new events are drafts; otherwise they are published at once.
    #[serde(default)]
    #[param(required = false)]
    draft: bool,
    /// Whether only to tell what would be done.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// What an import did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportView {
    /// The title that the file gives to its festival.
    #[schema(example = "Dunes 2026")]
    title: String,
    /// The zone of the file.
    #[schema(example = "Africa/Cairo")]
    timezone: String,
    /// Events.
    events: Counts,
    /// Venues, by the rooms of the file.
    venues: Counts,
    /// Categories, by its tracks.
    categories: Counts,
    /// Performers, by its persons.
    performers: Counts,
    /// Conflicts between the events of the file, which were imported all the same.
    found: DryRun,
}

impl From<ImportReport> for ImportView {
    fn from(report: ImportReport) -> Self {
        let found = DryRun::new(&report.conflicts, true);
        let ImportReport { title, time_zone: timezone, events, venues, categories, performers, .. } = report;
        Self { title, timezone, events, venues, categories, performers, found }
    }
}

/// Imports a programme in the Pentabarf/frab JSON format. Importing a file again changes nothing.
#[utoipa::path(post, path = "/api/v1/schedule/import", tag = "schedule", security(("bearer" = [])),
    params(ImportQuery), request_body(content = Object, description = "A `schedule.json`"),
    responses((status = 200, description = "What was done", body = Envelope<ImportView>)))]
async fn import(
    State(app): State<App>,
    edit: Edit,
    Query(query): Query<ImportQuery>,
    RawBody(bytes): RawBody,
) -> Result<Answer, ApiError> {
    let options = Options { draft: query.draft, bytes_max: app.config.limits.import_bytes_max };
    let mut work = begin!(edit.once, &app, &edit.principal);
    let report =
        apply(&mut work.tx, &edit.author, app.clock.now(), &bytes, options).await.map_err(refused)?;
    let answer = Answer::ok(&ImportView::from(report))?;
    if query.dry_run { Ok(answer) } else { work.finish(&app, answer).await }
}

fn refused(error: ImportError) -> ApiError {
    match error {
        ImportError::TooLarge { .. } => ApiError::new(Code::BodyTooLarge).detail(error),
        ImportError::NotJson(_) => ApiError::new(Code::MalformedJson).detail(error),
        ImportError::Faults(faults) => {
            let fault = |fault: crate::import::Fault| Fault {
                pointer: fault.path,
                rule: Rule::WrongType(fault.rule),
            };
            ApiError::new(Code::InvalidBody).faults(faults.into_iter().map(fault).collect())
        }
        ImportError::Store(cause) => ApiError::internal(cause),
    }
}
