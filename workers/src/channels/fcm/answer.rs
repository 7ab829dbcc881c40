//! What an answer of FCM means: provider-contracts, "Errors".

use domain::Action;
use serde::Deserialize;

use crate::gateway::Verdict;

/// The body of an answer.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Body {
    /// With 200: the message's name.
    pub(super) name: Option<String>,
    error: Option<Error>,
}

#[derive(Debug, Default, Deserialize)]
struct Error {
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Debug, Deserialize)]
struct Detail {
    #[serde(rename = "@type", default)]
    kind: String,
    #[serde(rename = "errorCode")]
    error_code: Option<String>,
}

/// A judged answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// Google's `errorCode`, or our word for an answer without one.
    pub(super) reason: &'static str,
    /// Whether another access token may help.
    pub(super) wants_token: bool,
    /// Whether it may be about our own project rather than about the target.
    pub(super) doubtful: bool,
}

/// Error codes that FCM knows, with the action that each stands for.
///
/// `THIRD_PARTY_AUTH_ERROR` is about the Apple or web credentials in the Firebase console. It must not stop Android
/// and is not the target's fault either, so it is tried again until somebody mends them.
const CODES: [(&str, Action); 8] = [
    ("INVALID_ARGUMENT", Action::Quarantine),
    ("THIRD_PARTY_AUTH_ERROR", Action::Retry),
    ("SENDER_ID_MISMATCH", Action::Quarantine),
    ("UNREGISTERED", Action::DropTarget),
    ("QUOTA_EXCEEDED", Action::Retry),
    ("INTERNAL", Action::Retry),
    // known to deliver all the same
    ("UNAVAILABLE", Action::Unknown),
    ("UNSPECIFIED_ERROR", Action::Retry),
];

/// Judges a status with its body.
pub(super) fn judge(status: u16, body: &Body) -> Judgement {
    if status == 200 && body.name.is_some() {
        let verdict = Verdict::Accepted;
        return Judgement { verdict, reason: "accepted", wants_token: false, doubtful: false };
    }
    let code = body.error.iter().flat_map(|error| &error.details).find_map(|detail| {
        let code = detail.error_code.as_deref()?;
        detail.kind.ends_with("google.firebase.fcm.v1.FcmError").then_some(code)
    });
    let known = code.and_then(|code| CODES.iter().find(|(known, _)| *known == code));
    let (reason, action) = match known {
        Some(&known) => known,
        None => by_status(status),
    };
    Judgement {
        verdict: Verdict::Refused(action),
        reason,
        wants_token: status == 401 && known.is_none(),
        doubtful: reason == "SENDER_ID_MISMATCH",
    }
}

/// What an answer without an error code of FCM means.
fn by_status(status: u16) -> (&'static str, Action) {
    match status {
        // without a message's name: somebody else's page, and nobody knows what Google did
        200..=299 => ("other", Action::Unknown),
        500..=599 => ("server_error", Action::Unknown),
        400 => ("invalid_request", Action::FixMessage),
        401 => ("unauthenticated", Action::FixConfig),
        403 => ("permission_denied", Action::FixConfig),
        // wrong project or URL: never a reason to forget a target
        404 => ("not_found", Action::FixConfig),
        413 => ("too_large", Action::FixMessage),
        429 => ("resource_exhausted", Action::Retry),
        0..=399 => ("other", Action::FixConfig),
        _ => ("other", Action::FixMessage),
    }
}
