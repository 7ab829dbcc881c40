//! What the stand-in for APNs does with a device token: scripts set in process, or markers in the token itself.

use std::collections::{HashMap, VecDeque};

use domain::Timestamp;

/// What happens to a push that is valid in every other respect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// 200.
    Ok,
    /// The status with the reason in the body.
    Refuse(u16, &'static str),
    /// 410 `Unregistered`: the token ended at this time.
    Unregistered(Timestamp),
    /// No answer, ever.
    Hang,
    /// The stream is reset.
    Reset,
    /// Taken, but the connection closes before the answer: the sender cannot know.
    AcceptThenDrop,
    /// An answer that no documentation knows: the status, and a body that is not JSON.
    Garbage(u16),
}

/// The scripts of all tokens.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    by_token: HashMap<String, VecDeque<Script>>,
    /// How often a token of the throttling kind has been refused.
    throttled: HashMap<String, u32>,
}

/// Pushes to a throttled token that are refused before one is taken.
const THROTTLED_FIRST: u32 = 2;

impl Scripts {
    /// Plays `steps` for `token`, one a push; the last one stays.
    pub(super) fn set(&mut self, token: &str, steps: Vec<Script>) {
        self.by_token.insert(token.to_owned(), steps.into());
    }

    /// What to do with the next push to `token`.
    pub(super) fn next(&mut self, token: &str, now: Timestamp) -> Script {
        match self.by_token.get_mut(token) {
            Some(steps) if steps.len() > 1 => steps.pop_front().unwrap_or(Script::Ok),
            Some(steps) => steps.front().cloned().unwrap_or(Script::Ok),
            None => self.marked(token, now),
        }
    }

    /// The script that the token's first eight characters ask for, so that other processes can script too.
    fn marked(&mut self, token: &str, now: Timestamp) -> Script {
        match token.get(..8).unwrap_or_default() {
            "dead0400" => Script::Refuse(400, "BadDeviceToken"),
            "dead0403" => Script::Refuse(403, "InvalidProviderToken"),
            "dead0407" => Script::Refuse(400, "DeviceTokenNotForTopic"),
            "dead0410" => Script::Unregistered(now),
            "dead0411" => Script::Refuse(410, "ExpiredToken"),
            "dead0429" => {
                let refused = self.throttled.entry(token.to_owned()).or_default();
                *refused += 1;
                if *refused > THROTTLED_FIRST { Script::Ok } else { Script::Refuse(429, "TooManyRequests") }
            }
            "dead0500" => Script::Refuse(500, "InternalServerError"),
            "dead0503" => Script::Refuse(503, "ServiceUnavailable"),
            "dead0504" => Script::Hang,
            "dead0505" => Script::AcceptThenDrop,
            "dead0506" => Script::Reset,
            _ => Script::Ok,
        }
    }
}
