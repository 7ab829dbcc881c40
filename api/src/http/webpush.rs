//! `/api/v1/webpush`: what a page needs to subscribe a browser.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::schema::Envelope;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What a page needs to subscribe a browser.
#[derive(Debug, Serialize, ToSchema)]
struct WebpushView<'a> {
    /// For `pushManager.subscribe({ userVisibleOnly: true, applicationServerKey })`: base64url, 65 bytes.
    #[schema(
        example = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
    )]
    public_key: &'a str,
}

/// The key that browsers subscribe with; 404 where nothing is pushed to browsers.
#[utoipa::path(get, path = "/api/v1/webpush", tag = "devices",
    responses((status = 200, description = "The key", body = Envelope<WebpushView>)))]
async fn show(State(app): State<App>) -> Result<Answer, ApiError> {
    let public_key = app.webpush.public_key.as_deref().ok_or_else(|| ApiError::new(Code::NotFound))?;
    Ok(Answer::ok(&WebpushView { public_key })?.cache("public, max-age=300"))
}
