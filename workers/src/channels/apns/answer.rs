//! What an answer of APNs means: provider-contracts, "Answers".

use domain::{Action, Timestamp};
use serde::Deserialize;

use crate::gateway::Verdict;

/// The body of a refusal.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Refusal {
    /// Apple's word for it.
    #[serde(default)]
    pub(super) reason: String,
    /// With 410 only: when the token ended, in milliseconds since 1970.
    pub(super) timestamp: Option<i64>,
}

/// A judged answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// Apple's reason if it is a known one, else `other`.
    pub(super) reason: &'static str,
    /// What to try at once, before the verdict stands.
    pub(super) remedy: Remedy,
}

/// What may turn a refusal into an acceptance within the same attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing.
    None,
    /// A new provider token.
    RenewToken,
    /// A new connection, now.
    Reconnect,
    /// A new connection for whoever comes next.
    Retire,
}

/// Reasons by status and what to do about them. `BadEnvironmentKeyInToken` is what the wire really says.
const REASONS: [(&str, Action, Remedy); 37] = [
    ("BadCollapseId", Action::FixMessage, Remedy::None),
    ("BadExpirationDate", Action::FixMessage, Remedy::None),
    ("BadMessageId", Action::FixMessage, Remedy::None),
    ("BadPriority", Action::FixMessage, Remedy::None),
    ("InvalidPushType", Action::FixMessage, Remedy::None),
    ("DuplicateHeaders", Action::FixMessage, Remedy::None),
    ("PayloadEmpty", Action::FixMessage, Remedy::None),
    ("BadTopic", Action::FixConfig, Remedy::None),
    ("MissingTopic", Action::FixConfig, Remedy::None),
    ("TopicDisallowed", Action::FixConfig, Remedy::None),
    ("BadDeviceToken", Action::Quarantine, Remedy::None),
    ("DeviceTokenNotForTopic", Action::Quarantine, Remedy::None),
    ("MissingDeviceToken", Action::FixMessage, Remedy::None),
    ("IdleTimeout", Action::Retry, Remedy::Retire),
    ("BadCertificate", Action::FixConfig, Remedy::None),
    ("BadCertificateEnvironment", Action::FixConfig, Remedy::None),
    ("InvalidProviderToken", Action::FixConfig, Remedy::None),
    ("MissingProviderToken", Action::FixConfig, Remedy::None),
    ("Forbidden", Action::FixConfig, Remedy::None),
    ("ExpiredProviderToken", Action::FixConfig, Remedy::RenewToken),
    ("UnrelatedKeyIdInToken", Action::FixConfig, Remedy::Reconnect),
    ("BadEnvironmentKeyIdInToken", Action::FixConfig, Remedy::None),
    ("BadEnvironmentKeyInToken", Action::FixConfig, Remedy::None),
    ("BadPath", Action::FixMessage, Remedy::None),
    ("MethodNotAllowed", Action::FixMessage, Remedy::None),
    ("Unregistered", Action::DropTarget, Remedy::None),
    ("ExpiredToken", Action::DropTarget, Remedy::None),
    ("PayloadTooLarge", Action::FixMessage, Remedy::None),
    ("TooManyRequests", Action::Retry, Remedy::None),
    ("TooManyProviderTokenUpdates", Action::Retry, Remedy::None),
    ("InternalServerError", Action::Retry, Remedy::None),
    ("ServiceUnavailable", Action::Retry, Remedy::Retire),
    ("Shutdown", Action::Retry, Remedy::Retire),
    ("FeatureNotEnabled", Action::FixConfig, Remedy::None),
    ("TopicMismatch", Action::FixConfig, Remedy::None),
    ("MissingPushType", Action::FixMessage, Remedy::None),
    ("BadRequestPayload", Action::FixMessage, Remedy::None),
];

/// Judges a status with its body; `registered_at` says when the target was last registered.
pub(super) fn judge(status: u16, refusal: &Refusal, registered_at: Option<Timestamp>) -> Judgement {
    if status == 200 {
        return Judgement { verdict: Verdict::Accepted, reason: "accepted", remedy: Remedy::None };
    }
    let known = REASONS.iter().find(|(reason, ..)| *reason == refusal.reason);
    let (reason, action, remedy) = match known {
        Some(("Unregistered", ..)) if is_registered_again(refusal, registered_at) => {
            ("Unregistered", Action::Retry, Remedy::None)
        }
        Some(&known) => known,
        None => ("other", by_class(status), Remedy::None),
    };
    Judgement { verdict: Verdict::Refused(action), reason, remedy }
}

/// The reason that a connection's end carries in its debug data, which h2 shows only in the error's text.
pub(super) fn goaway_reason(text: &str) -> Option<Judgement> {
    let text = text.replace('\\', "");
    let (reason, action, remedy) =
        REASONS.iter().find(|(reason, ..)| text.contains(&format!("\"reason\":\"{reason}\"")))?;
    Some(Judgement { verdict: Verdict::Refused(*action), reason, remedy: *remedy })
}

/// A registration after the end of the token wins over it.
fn is_registered_again(refusal: &Refusal, registered_at: Option<Timestamp>) -> bool {
    let ended_at = refusal
        .timestamp
        .and_then(|millis| millis.checked_mul(1_000))
        .and_then(|micros| Timestamp::from_microsecond(micros).ok());
    matches!((ended_at, registered_at), (Some(ended), Some(registered)) if registered >= ended)
}

/// What an unknown reason means, by its status.
fn by_class(status: u16) -> Action {
    match status {
        // with a redirect or an informational status as an answer, this is not APNs
        0..=399 | 401 | 403 => Action::FixConfig,
        410 => Action::DropTarget,
        408 | 429 | 500..=599 => Action::Retry,
        _ => Action::FixMessage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: &str, timestamp: Option<i64>) -> Refusal {
        Refusal { reason: reason.to_owned(), timestamp }
    }

    #[test]
    fn a_later_registration_wins_over_the_end_of_the_token() {
        let ended = 1_780_000_000_000;
        let at = |millis: i64| Timestamp::from_microsecond(millis * 1_000).ok();
        let verdict = |registered| judge(410, &refusal("Unregistered", Some(ended)), registered).verdict;
        assert_eq!(verdict(at(ended - 1)), Verdict::Refused(Action::DropTarget));
        assert_eq!(verdict(at(ended + 1)), Verdict::Refused(Action::Retry));
        assert_eq!(verdict(None), Verdict::Refused(Action::DropTarget));
    }

    #[test]
    fn unknown_reasons_are_judged_by_their_status() {
        for (status, action) in [
            (302, Action::FixConfig),
            (400, Action::FixMessage),
            (403, Action::FixConfig),
            (404, Action::FixMessage),
            (410, Action::DropTarget),
            (429, Action::Retry),
            (502, Action::Retry),
        ] {
            let judgement = judge(status, &refusal("NewIdeaOfApple", None), None);
            assert_eq!(
                (judgement.verdict, judgement.reason),
                (Verdict::Refused(action), "other"),
                "{status}"
            );
        }
    }

    #[test]
    fn the_reason_of_a_goaway_is_found_in_the_text() {
        let text = r#"connection error: NO_ERROR (b"{\"reason\":\"Shutdown\"}")"#;
        assert_eq!(goaway_reason(text).map(|judgement| judgement.reason), Some("Shutdown"));
        assert_eq!(goaway_reason("connection reset by peer"), None);
    }
}
