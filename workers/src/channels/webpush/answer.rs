//! What an answer of a push service means: RFC 8030 and what the real ones do (provider-contracts, "Web Push").

use domain::Action;
use serde::Deserialize;

use crate::gateway::Verdict;

/// The body of a refusal, in the dialects of Apple (`reason`) and Mozilla (`errno`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Body {
    reason: String,
    errno: Option<u32>,
    #[serde(skip)]
    text: String,
}

/// A judged answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judgement {
    /// The verdict.
    pub(super) verdict: Verdict,
    /// Our word for it, or Apple's.
    pub(super) reason: &'static str,
    /// Whether it may be one subscription that was made with another key, rather than our key.
    pub(super) doubtful: bool,
}

/// Apple's reasons.
const REASONS: [(&str, Action); 9] = [
    ("BadTtl", Action::FixMessage),
    ("BadUrgency", Action::FixMessage),
    ("BadWebPushRequest", Action::FixMessage),
    ("BadWebPushTopic", Action::FixMessage),
    ("BadJwtToken", Action::FixConfig),
    ("BadAuthorizationHeader", Action::FixConfig),
    ("BadVapidPublicKey", Action::FixConfig),
    ("ExpiredJwtToken", Action::FixConfig),
    ("BadPath", Action::DropTarget),
];

impl Body {
    /// Reads what came; anything that is not JSON is searched as text.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut body: Self = serde_json::from_slice(bytes).unwrap_or_default();
        body.text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        body
    }

    /// Whether the service says that the subscription was made with another key than ours.
    fn is_of_another_key(&self) -> bool {
        self.reason == "VapidPkHashMismatch"
            || self.text.contains("do not correspond to the credentials used to create")
            || self.text.contains("key mismatch")
    }
}

/// Judges a status with its body.
pub(super) fn judge(status: u16, body: &Body) -> Judgement {
    let judged = |action, reason| Judgement { verdict: Verdict::Refused(action), reason, doubtful: false };
    if matches!(status, 401 | 403) || (status == 400 && body.is_of_another_key()) {
        let doubtful = body.is_of_another_key();
        let known = REASONS.iter().find(|(reason, _)| *reason == body.reason);
        let reason =
            known.map_or(if doubtful { "another_key" } else { "unauthorized" }, |(reason, _)| *reason);
        return Judgement { doubtful, ..judged(Action::FixConfig, reason) };
    }
    if (400..500).contains(&status)
        && let Some(&(reason, action)) = REASONS.iter().find(|(reason, _)| *reason == body.reason)
    {
        return judged(action, reason);
    }
    match (status, body.errno) {
        // 202: taken, and it will say later; nobody does in practice
        (200..=202, _) => Judgement { verdict: Verdict::Accepted, reason: "accepted", doubtful: false },
        (203..=399, _) => judged(Action::FixConfig, "other"),
        // the numbers are Mozilla's, for a subscription that never was or is no more
        (404 | 410, _) | (400..=499, Some(102 | 103 | 105 | 106)) => judged(Action::DropTarget, "gone"),
        (408 | 425, _) => judged(Action::Retry, "later"),
        (413, _) => judged(Action::FixMessage, "too_large"),
        (429, _) => judged(Action::Retry, "too_many_requests"),
        (400..=499, _) => judged(Action::FixMessage, "bad_request"),
        (500..=599, _) => judged(Action::Retry, "server_error"),
        _ => judged(Action::Unknown, "other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_of_another_key_is_told_from_a_key_that_is_wrong() {
        let judged = |status, text: &str| {
            let one = judge(status, &Body::read(text.as_bytes()));
            (one.verdict, one.doubtful)
        };
        let config = Verdict::Refused(Action::FixConfig);
        assert_eq!(judged(403, r#"{"reason":"VapidPkHashMismatch"}"#), (config, true));
        assert_eq!(judged(401, r#"{"errno":109,"message":"VAPID public key mismatch"}"#), (config, true));
        let google = "the VAPID credentials in the authorization header do not correspond to the credentials used \
                      to create the subscriptions.";
        assert_eq!(judged(403, google), (config, true));
        assert_eq!(judged(403, r#"{"reason":"BadJwtToken"}"#), (config, false));
        assert_eq!(judged(401, ""), (config, false));
        assert_eq!(judged(400, r#"{"errno":103}"#), (Verdict::Refused(Action::DropTarget), false));
        assert_eq!(judged(400, r#"{"reason":"BadTtl"}"#), (Verdict::Refused(Action::FixMessage), false));
        assert_eq!(judged(201, ""), (Verdict::Accepted, false));
    }
}
