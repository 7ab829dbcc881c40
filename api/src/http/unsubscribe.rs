//! `/api/v1/unsubscribe/{token}`: the link of promotional mails, which mailboxes follow with one click (RFC 8058).

use axum::extract::State;
use domain::user_of_unsubscribe;
use store::preferences::Consent;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::code::Code;
use crate::error::ApiError;
use crate::extract::Path;
use crate::ops::preferences;
use crate::schema::Envelope;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(unsubscribe))
}

/// Withdraws the consent to promotions of whose link it is, on every channel. Takes any body, needs no session, and is
/// safe to repeat. Nothing happens on GET: scanners of mails follow links.
#[utoipa::path(post, path = "/api/v1/unsubscribe/{token}", tag = "me",
    params(("token" = String, Path, example = "42.5f0c")),
    responses((status = 200, description = "No more promotions", body = Envelope<Option<bool>>)))]
async fn unsubscribe(State(app): State<App>, Path(token): Path<String>) -> Result<Answer, ApiError> {
    let user = user_of_unsubscribe(&app.receipt_key, &token).ok_or_else(|| ApiError::new(Code::NotFound))?;
    let consent = Consent {
        granted: false,
        wording_version: String::new(),
        means: "mail link".to_owned(),
        at: app.clock.now(),
    };
    let mut tx = app.store.begin().await?;
    preferences::withdraw(&app, &mut tx, user, &consent).await?;
    tx.commit().await?;
    Answer::ok(&true)
}
