//! Receipts: what is known of a delivery, derived from evidence, and what to do after an attempt.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is known of one delivery. *Accepted* is the most that a provider's answer can mean; *delivered* needs
/// proof from the recipient's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Waits for its first attempt.
    Queued,
    /// Waits for another attempt.
    Waiting,
    /// An attempt is recorded; bytes may have left.
    Sending,
    /// An attempt ended without a verdict.
    Unknown,
    /// The provider (or the change log, for sockets) took responsibility.
    Accepted,
    /// The device or mailbox proved that it has it.
    Delivered,
    /// A person acted on it.
    Opened,
    /// Not to be sent: no target, a preference, a fence.
    Suppressed,
    /// Refused for good: the message is wrong or the target is gone.
    Failed,
    /// Accepted first, then returned by the mail system.
    Bounced,
    /// Every permitted attempt is spent.
    Dead,
    /// The deadline passed without proof.
    Expired,
    /// Withdrawn before it left.
    Cancelled,
    /// Proved on another channel before it left.
    Superseded,
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a delivery state")]
pub struct StateUnknown(pub String);

impl DeliveryState {
    /// Every state, open ones first.
    pub const ALL: [Self; 14] = [
        Self::Queued,
        Self::Waiting,
        Self::Sending,
        Self::Unknown,
        Self::Accepted,
        Self::Delivered,
        Self::Opened,
        Self::Suppressed,
        Self::Failed,
        Self::Bounced,
        Self::Dead,
        Self::Expired,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// The word in JSON, SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Opened => "opened",
            Self::Suppressed => "suppressed",
            Self::Failed => "failed",
            Self::Bounced => "bounced",
            Self::Dead => "dead",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DeliveryState {
    type Err = StateUnknown;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| StateUnknown(word.to_owned()))
    }
}

/// What an append-only fact about a delivery says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The provider took it.
    Accepted,
    /// The recipient's side has it.
    Delivered,
    /// A person acted on it.
    Opened,
    /// The mail system returned it.
    Bounced,
    /// It was refused for good.
    Refused,
    /// An attempt ended without a verdict.
    NoVerdict,
}

/// What a channel adapter concludes from an attempt that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Same target, same payload, later.
    Retry,
    /// The provider may have taken it; retry only where a repeat replaces the first.
    Unknown,
    /// The target is gone: retire it and end this delivery.
    DropTarget,
    /// Looks like a dead target, but may be our own configuration: stop using it until a second signal.
    Quarantine,
    /// Our payload is wrong: never again unchanged.
    FixMessage,
    /// Credentials, topic, project or relay are wrong: pause the lane, spend no attempt, touch no target.
    FixConfig,
}

impl Action {
    /// The word in SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Unknown => "unknown",
            Self::DropTarget => "drop_target",
            Self::Quarantine => "quarantine",
            Self::FixMessage => "fix_message",
            Self::FixConfig => "fix_config",
        }
    }
}
