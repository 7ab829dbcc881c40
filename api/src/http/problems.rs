//! `/api/problems/{code}`: what an error's `type` leads to.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::extract::{Lang, Path};
use crate::schema::Envelope;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// A kind of problem.
#[derive(Debug, Serialize, ToSchema)]
struct ProblemKind {
    /// The stable word.
    #[schema(example = "precondition_failed")]
    code: &'static str,
    /// The HTTP status it is sent with.
    #[schema(example = 412)]
    status: u16,
    /// What it says to a person, in the language of `Accept-Language`.
    message: &'static str,
}

fn kind(code: Code, language: domain::Language) -> ProblemKind {
    ProblemKind { code: code.as_str(), status: code.status().as_u16(), message: code.text(language) }
}

/// Every error code of the API.
#[utoipa::path(get, path = "/api/problems", tag = "problems",
    responses((status = 200, description = "Every kind of problem", body = Envelope<Vec<ProblemKind>>)))]
async fn list(Lang(language): Lang) -> Result<Answer, ApiError> {
    let kinds: Vec<_> = Code::ALL.iter().map(|code| kind(*code, language)).collect();
    Ok(Answer::ok(&kinds)?.cache("public, max-age=300"))
}

/// What one error code means.
#[utoipa::path(get, path = "/api/problems/{code}", tag = "problems",
    params(("code" = String, Path, description = "As in an error's `code`", example = "not_found")),
    responses((status = 200, description = "The kind of problem", body = Envelope<ProblemKind>)))]
async fn show(Lang(language): Lang, Path(word): Path<String>) -> Result<Answer, ApiError> {
    let code =
        Code::ALL.iter().find(|code| code.as_str() == word).ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(Answer::ok(&kind(*code, language))?.cache("public, max-age=300"))
}
