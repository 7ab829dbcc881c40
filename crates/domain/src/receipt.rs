//! Receipts: what is known of a delivery, derived from evidence, and what to do after an attempt.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Channel;

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

    /// How much is known: only more knowledge replaces a state ([`DeliveryState::after`]).
    ///
    /// Our own ends (suppressed, failed, dead, expired, cancelled, superseded) outrank an acceptance, so that a late
    /// answer of a provider opens nothing again. A bounce outranks them, because it is a fact about the mailbox; proof from
    /// the recipient's side outranks everything, because the person has it, whatever we believed.
    pub fn rank(self) -> u8 {
        match self {
            Self::Queued | Self::Waiting => 0,
            Self::Sending => 1,
            Self::Unknown => 2,
            Self::Accepted => 3,
            Self::Suppressed
            | Self::Failed
            | Self::Dead
            | Self::Expired
            | Self::Cancelled
            | Self::Superseded => 4,
            Self::Bounced => 5,
            Self::Delivered => 6,
            Self::Opened => 7,
        }
    }

    /// Whether nothing more will be done for the delivery. Proof may still arrive and raise the state.
    ///
    /// An acceptance alone is no end: it waits for proof until the deadline ([`DeliveryState::at_deadline`]).
    pub fn is_end(self) -> bool {
        self.rank() >= 4
    }

    /// Whether the recipient's side proved that it has the message.
    pub fn is_proof(self) -> bool {
        matches!(self, Self::Delivered | Self::Opened)
    }

    /// The state after `evidence` arrived: the higher of the two ranks, whatever the order of arrival. Two ends of the same
    /// rank cannot replace each other: the first one stays.
    #[must_use]
    pub fn after(self, evidence: EvidenceKind) -> Self {
        let told = evidence.state();
        if told.rank() > self.rank() { told } else { self }
    }

    /// The state derived from `evidence` alone, in any order.
    pub fn derive(evidence: impl IntoIterator<Item = EvidenceKind>) -> Self {
        evidence.into_iter().fold(Self::Queued, Self::after)
    }

    /// How an open delivery of `channel` ends when its deadline passes, and why; `None` when it has ended already.
    ///
    /// A push or a socket message that was accepted but never proved may not have been seen: it ends as
    /// [`Expired`](Self::Expired), reason `unseen`. A mail that was accepted lies in a mailbox and stays there: acceptance is
    /// its final state.
    pub fn at_deadline(self, channel: Channel) -> Option<(Self, &'static str)> {
        match (self, channel) {
            (Self::Accepted, Channel::Email) => Some((Self::Accepted, "")),
            (Self::Accepted, _) => Some((Self::Expired, "unseen")),
            (Self::Unknown, _) => Some((Self::Expired, "unverified")),
            (Self::Queued | Self::Waiting | Self::Sending, _) => Some((Self::Expired, "deadline")),
            _ => None,
        }
    }

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

impl EvidenceKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Delivered, Self::Opened, Self::Bounced, Self::Refused, Self::NoVerdict];

    /// What the evidence says about the delivery's state.
    pub fn state(self) -> DeliveryState {
        match self {
            Self::Accepted => DeliveryState::Accepted,
            Self::Delivered => DeliveryState::Delivered,
            Self::Opened => DeliveryState::Opened,
            Self::Bounced => DeliveryState::Bounced,
            Self::Refused => DeliveryState::Failed,
            Self::NoVerdict => DeliveryState::Unknown,
        }
    }

    /// The word in JSON, SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Opened => "opened",
            Self::Bounced => "bounced",
            Self::Refused => "refused",
            Self::NoVerdict => "no_verdict",
        }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn evidence() -> impl Strategy<Value = Vec<EvidenceKind>> {
        prop::collection::vec(prop::sample::select(EvidenceKind::ALL.to_vec()), 0..8)
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_does_not_matter(facts in evidence(), seed in any::<u64>()) {
            let mut shuffled = facts.clone();
            let mut state = seed;
            for index in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
            }
            prop_assert_eq!(DeliveryState::derive(facts), DeliveryState::derive(shuffled));
        }

        #[test]
        fn nothing_lowers_a_state(start in prop::sample::select(DeliveryState::ALL.to_vec()), facts in evidence()) {
            let mut state = start;
            for fact in facts {
                let next = state.after(fact);
                prop_assert!(next.rank() >= state.rank());
                prop_assert_eq!(next.after(fact), next, "repeating a fact changes nothing");
                state = next;
            }
        }
    }

    #[test]
    fn a_bounce_ends_an_acceptance_but_not_an_opening() {
        use EvidenceKind::{Accepted, Bounced, Opened};
        assert_eq!(DeliveryState::derive([Accepted, Bounced]), DeliveryState::Bounced);
        assert_eq!(DeliveryState::derive([Accepted, Opened, Bounced]), DeliveryState::Opened);
        assert_eq!(DeliveryState::derive([Bounced, Opened]), DeliveryState::Opened);
    }

    #[test]
    fn every_open_state_has_an_end_at_the_deadline() {
        for channel in Channel::ALL {
            for state in DeliveryState::ALL {
                assert_eq!(state.at_deadline(channel).is_none(), state.is_end(), "{state} on {channel}");
            }
        }
    }
}
