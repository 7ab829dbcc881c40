//! `/api/v1/receipts`: apps confirm what arrived and what was opened, without a session.

use axum::extract::State;
use domain::{DeliveryId, EvidenceKind, Timestamp};
use metrics::counter;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Answer;
use crate::app::App;
use crate::error::ApiError;
use crate::extract::Json;
use crate::fault::{Checks, Rule};
use crate::metrics as names;
use crate::ops::receipts::{self, Receipt, Received};
use crate::schema::Envelope;

/// Most receipts of one request.
const RECEIPTS_MAX: usize = 500;
/// Characters of the longest code that is looked at.
const CODE_CHARS_MAX: usize = 64;

/// The routes of this file.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(confirm))
}

/// Receipts of one app.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReceiptsForm {
    /// 1 to 500 of them.
    receipts: Vec<ReceiptForm>,
}

/// One receipt.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReceiptForm {
    /// As it came with the message.
    #[schema(value_type = String, format = "uuid", example = "0b6c5a57-7d0f-5c2a-9d0a-3d1f8b1c2e4f")]
    delivery_id: DeliveryId,
    /// `receipt_code`, as it came with the message.
    #[schema(example = "q0mZ5cY1kq3o2vVw8oJm7A", max_length = 64)]
    code: String,
    /// What happened.
    state: ReceiptState,
    /// When; now when nothing is said. A time in the future counts as now.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-07-15T12:00:03Z")]
    at: Option<Timestamp>,
}

/// What an app can confirm.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReceiptState {
    /// It is on the device.
    Delivered,
    /// A person opened it.
    Opened,
}

/// What became of the receipts.
#[derive(Debug, Serialize, ToSchema)]
struct ReceiptsView {
    /// In the order of the request.
    results: Vec<ReceiptView>,
}

/// What became of one receipt.
#[derive(Debug, Serialize, ToSchema)]
struct ReceiptView {
    /// Whose receipt it is.
    #[schema(value_type = String, format = "uuid")]
    delivery_id: DeliveryId,
    /// `recorded`, `repeated` (known before), `code_wrong` or `delivery_unknown`. None of them needs to be sent again.
    #[schema(example = "recorded")]
    result: &'static str,
}

fn word(received: Received) -> &'static str {
    match received {
        Received::Recorded => "recorded",
        Received::Repeated => "repeated",
        Received::CodeWrong => "code_wrong",
        Received::DeliveryUnknown => "delivery_unknown",
    }
}

/// Confirms deliveries. Each has its own result; the request succeeds when it is well formed. Repeating it is safe.
#[utoipa::path(post, path = "/api/v1/receipts", tag = "receipts", request_body = ReceiptsForm,
    responses((status = 200, description = "A result for each", body = Envelope<ReceiptsView>)))]
async fn confirm(State(app): State<App>, Json(form): Json<ReceiptsForm>) -> Result<Answer, ApiError> {
    let mut checks = Checks::default();
    checks.ensure(!form.receipts.is_empty(), "/receipts", Rule::Required);
    checks.ensure(form.receipts.len() <= RECEIPTS_MAX, "/receipts", Rule::TooLong(RECEIPTS_MAX));
    for (index, one) in form.receipts.iter().enumerate().take(RECEIPTS_MAX) {
        checks.text(&format!("/receipts/{index}/code"), &one.code, 1..=CODE_CHARS_MAX);
    }
    checks.finish()?;
    let receipts: Vec<Receipt> = form.receipts.into_iter().map(Receipt::from).collect();
    let received = receipts::record(&app, &receipts).await?;
    let results = receipts.iter().zip(received).map(|(receipt, received)| {
        counter!(names::RECEIPTS, "result" => word(received)).increment(1);
        ReceiptView { delivery_id: receipt.delivery_id, result: word(received) }
    });
    Answer::ok(&ReceiptsView { results: results.collect() })
}

impl From<ReceiptForm> for Receipt {
    fn from(form: ReceiptForm) -> Self {
        let kind = match form.state {
            ReceiptState::Delivered => EvidenceKind::Delivered,
            ReceiptState::Opened => EvidenceKind::Opened,
        };
        Self { delivery_id: form.delivery_id, code: form.code, kind, at: form.at }
    }
}
