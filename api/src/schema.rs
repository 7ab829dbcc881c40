//! The shapes of every answer, as the `OpenAPI` document shows them and as they are written.

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A successful answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Envelope<T> {
    /// Always `true`.
    #[schema(example = true)]
    pub(crate) success: bool,
    /// What was asked for.
    pub(crate) data: T,
    /// For a person to read, in the language of `Accept-Language`; never to be parsed.
    #[schema(example = "Done.")]
    pub(crate) message: String,
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PageEnvelope<T> {
    /// Always `true`.
    #[schema(example = true)]
    pub(crate) success: bool,
    /// The items of this page.
    pub(crate) data: Vec<T>,
    /// For a person to read.
    #[schema(example = "Done.")]
    pub(crate) message: String,
    /// Where the next page begins.
    pub(crate) meta: PageMeta,
}

/// Where a page stands in its list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
pub(crate) struct PageMeta {
    /// Send it as `cursor` for the next page; `null` on the last one. Opaque.
    pub(crate) next_cursor: Option<String>,
    /// Whether there is a next page.
    pub(crate) has_more: bool,
}

/// A refused request: the envelope and an RFC 9457 problem in one body.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `false`.
    #[schema(example = false)]
    pub(crate) success: bool,
    /// `null`, or (412) how the thing is now.
    #[schema(value_type = Option<Object>)]
    pub(crate) data: Option<Box<RawValue>>,
    /// For a person to read, in the language of `Accept-Language`.
    #[schema(example = "Some values are not acceptable.")]
    pub(crate) message: String,
    /// The kind of problem, as a reference to its description.
    #[serde(rename = "type")]
    #[schema(example = "/api/problems/validation_failed")]
    pub(crate) kind: String,
    /// The kind of problem in English.
    pub(crate) title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub(crate) status: u16,
    /// About this very occurrence, in English.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
    /// This very request.
    #[schema(example = "urn:munadi:request:01890a5d-ac96-774b-bcce-b302099a8057")]
    pub(crate) instance: String,
    /// The kind of problem as a stable word.
    #[schema(example = "validation_failed")]
    pub(crate) code: String,
    /// The values that are wrong, where there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<ProblemFault>,
    /// As in `X-Request-Id`; quote it when asking for help.
    #[schema(example = "01890a5d-ac96-774b-bcce-b302099a8057")]
    pub(crate) request_id: String,
}

/// One wrong value.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemFault {
    /// JSON pointer into the body; for a query, path or header its name after a slash.
    #[schema(example = "/title/en")]
    pub(crate) pointer: String,
    /// The rule it breaks, as a stable word.
    #[schema(example = "too_long")]
    pub(crate) code: String,
    /// For a person to read.
    #[schema(example = "must have at most 200 characters or items")]
    pub(crate) message: String,
}

/// A text in Arabic, in English, or both; a plain string counts as English.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({"ar": "افتتاح", "en": "Opening"}))]
pub(crate) struct Text {
    /// Arabic.
    pub(crate) ar: Option<String>,
    /// English.
    pub(crate) en: Option<String>,
}
