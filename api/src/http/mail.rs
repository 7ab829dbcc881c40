//! `/api/v1/mail`: where a mail relay hands in what comes back.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::bounce;
use crate::error::ApiError;
use crate::extract::{Query, RawBody};
use crate::ops::bounces::{self, Taken};
use crate::schema::Envelope;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(take_bounce))
}

/// What the relay knows about the mail.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BounceQuery {
    /// The address that it came to; without it the mail's own headers are asked.
    recipient: Option<String>,
}

/// What became of the mail.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BounceView {
    /// `recorded`, `repeated` (known before), `nothing` (a delay, or no report at all) or `not_ours`. In none of these
    /// cases it needs to be handed in again.
    #[schema(example = "recorded")]
    result: &'static str,
}

/// Takes a delivery report (RFC 3464) or a complaint (RFC 5965), as the mail that it came in. Needs no access token: the
/// address that it came to carries a code, and without one nothing is changed.
#[utoipa::path(post, path = "/api/v1/mail/bounces", tag = "receipts", params(BounceQuery),
    request_body(content = String, content_type = "message/rfc822", description = "The mail, whole"),
    responses((status = 200, description = "What became of it", body = Envelope<BounceView>)))]
async fn take_bounce(
    State(app): State<App>,
    Query(query): Query<BounceQuery>,
    RawBody(mail): RawBody,
) -> Result<Answer, ApiError> {
    let result = match bounce::read(&mail) {
        Some(report) => bounces::record(&app, query.recipient.as_deref(), &report).await?,
        None => Taken::Nothing,
    };
    let result = match result {
        Taken::AsEvidence => "recorded",
        Taken::Repeated => "repeated",
        Taken::Nothing => "nothing",
        Taken::NotOurs => "not_ours",
    };
    Answer::ok(&BounceView { result })
}
