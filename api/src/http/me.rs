//! `/api/v1/me`: who is signed in.

use axum::extract::State;
use domain::UserId;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::etag::ETag;
use crate::extract::Caller;
use crate::schema::Envelope;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// The signed-in user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// Their id.
    #[schema(value_type = i64, example = 1)]
    pub(crate) id: UserId,
    /// Their address.
    #[schema(example = "amina@example.com")]
    email: String,
    /// Their name.
    #[schema(example = "Amina")]
    name: String,
    /// What they are.
    #[schema(value_type = Vec<String>, example = json!(["attendee"]))]
    roles: Vec<domain::Role>,
    /// What they read.
    #[schema(value_type = String, example = "ar")]
    language: domain::Language,
}

impl From<store::users::User> for UserView {
    fn from(user: store::users::User) -> Self {
        let store::users::User { id, email, name, roles, language, .. } = user;
        Self { id, email, name, roles, language }
    }
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/me", tag = "me", security(("bearer" = [])),
    responses((status = 200, description = "The signed-in user", body = Envelope<UserView>)))]
async fn show(State(app): State<App>, Caller(principal): Caller) -> Result<Answer, ApiError> {
    let user = store::users::find(&app.store, principal.user_id).await?;
    let user = user.ok_or_else(|| ApiError::new(Code::TokenInvalid).detail("the account is gone"))?;
    let etag = ETag::of("user", user.id, user.version);
    Ok(Answer::ok(&UserView::from(user))?.etag(&etag))
}
