//! Coverage: how far a notification has come with each person, as the best of their deliveries.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Channel, DeliveryState};

/// Seconds after a notification at which its coverage is kept for later: what an incident commander asks for.
pub const COVERAGE_MARKS_SECONDS: [u32; 4] = [5, 30, 60, 300];

/// How far a notification has come with one person. Orders from the least to the most that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// No way to them is known besides a socket that nobody confirmed from.
    Unreachable,
    /// Everything for them was withdrawn before it left.
    Withdrawn,
    /// Every way to them ended without anybody taking the message.
    Failed,
    /// Still ours: queued, waiting or being sent.
    Open,
    /// It may have left; nobody gave a verdict.
    Unknown,
    /// A push service or a mail system took it, and nothing proves that it arrived.
    Accepted,
    /// Their side proved that it has it.
    Proven,
}

/// A word that names no reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a reach")]
pub struct ReachUnknown(pub String);

impl Reach {
    /// Every reach, the best last.
    pub const ALL: [Self; 7] = [
        Self::Unreachable,
        Self::Withdrawn,
        Self::Failed,
        Self::Open,
        Self::Unknown,
        Self::Accepted,
        Self::Proven,
    ];

    /// What one delivery contributes; `None`: nothing, because it was proved on another channel.
    ///
    /// A socket message that the change log took is no reach: a topic is written to whether anybody follows it or not. It
    /// counts from the moment that somebody confirms it.
    pub fn of(channel: Channel, state: DeliveryState, ended: Ended) -> Option<Self> {
        let socket = channel == Channel::Socket;
        Some(match state {
            DeliveryState::Delivered | DeliveryState::Opened => Self::Proven,
            DeliveryState::Accepted if socket => Self::Unreachable,
            DeliveryState::Accepted => Self::Accepted,
            DeliveryState::Unknown => Self::Unknown,
            DeliveryState::Queued | DeliveryState::Waiting | DeliveryState::Sending => Self::Open,
            DeliveryState::Expired => match ended {
                Ended::AfterAcceptance if socket => Self::Unreachable,
                Ended::AfterAcceptance => Self::Accepted,
                Ended::WithoutVerdict => Self::Unknown,
                Ended::Otherwise => Self::Failed,
            },
            DeliveryState::Failed | DeliveryState::Bounced | DeliveryState::Dead => Self::Failed,
            DeliveryState::Cancelled => Self::Withdrawn,
            DeliveryState::Suppressed => Self::Unreachable,
            DeliveryState::Superseded => return None,
        })
    }

    /// The word in JSON, SQL and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Withdrawn => "withdrawn",
            Self::Failed => "failed",
            Self::Open => "open",
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Proven => "proven",
        }
    }

    /// Its place in [`Reach::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|one| *one == self).expect("ALL has every reach")
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reach {
    type Err = ReachUnknown;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.as_str() == word).ok_or_else(|| ReachUnknown(word.to_owned()))
    }
}

/// What had happened to a delivery whose deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A provider had taken it.
    AfterAcceptance,
    /// An attempt had ended without a verdict.
    WithoutVerdict,
    /// It never left, or was refused.
    Otherwise,
}

/// One person's deliveries of one notification, by reach: how many of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PersonTally([i64; Reach::ALL.len()]);

impl PersonTally {
    /// Takes numbers in the order of [`Reach::ALL`].
    pub fn new(numbers: [i64; Reach::ALL.len()]) -> Self {
        Self(numbers)
    }

    /// The numbers in the order of [`Reach::ALL`].
    pub fn numbers(self) -> [i64; Reach::ALL.len()] {
        self.0
    }

    /// A delivery goes from one reach to another.
    pub fn shift(&mut self, from: Option<Reach>, to: Option<Reach>) {
        if let Some(from) = from {
            self.0[from.index()] -= 1;
        }
        if let Some(to) = to {
            self.0[to.index()] += 1;
        }
    }

    /// The person's reach: the best of their deliveries.
    pub fn reach(self) -> Reach {
        let best = Reach::ALL.into_iter().rev().find(|reach| self.0[reach.index()] > 0);
        best.unwrap_or(Reach::Unreachable)
    }
}

/// The first mark (in seconds, see [`COVERAGE_MARKS_SECONDS`]) at or before which something that took `span` had
/// happened, as a word; `later` after the last one.
pub fn mark_of(span: Duration) -> String {
    let mark = COVERAGE_MARKS_SECONDS.into_iter().find(|mark| span <= Duration::from_secs(u64::from(*mark)));
    mark.map_or_else(|| "later".to_owned(), |mark| mark.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_log_taking_a_socket_message_reaches_nobody() {
        let of = |channel, state| Reach::of(channel, state, Ended::Otherwise);
        assert_eq!(of(Channel::Socket, DeliveryState::Accepted), Some(Reach::Unreachable));
        assert_eq!(of(Channel::Apns, DeliveryState::Accepted), Some(Reach::Accepted));
        assert_eq!(of(Channel::Socket, DeliveryState::Delivered), Some(Reach::Proven));
        assert_eq!(of(Channel::Email, DeliveryState::Superseded), None);
    }

    #[test]
    fn marks_are_reached_in_time_or_later() {
        let mark = |millis| mark_of(Duration::from_millis(millis));
        assert_eq!([0, 5_000, 5_001, 60_000, 299_999].map(mark), ["5", "5", "30", "60", "300"]);
        assert_eq!(mark(300_001), "later");
    }

    proptest! {
        #[test]
        fn a_person_is_where_their_best_delivery_is(
            steps in prop::collection::vec((0_usize..4, 0_usize..7), 1..40),
        ) {
            let mut deliveries = [None; 4];
            let mut tally = PersonTally::default();
            for (which, reach) in steps {
                let to = Some(Reach::ALL[reach]);
                tally.shift(deliveries[which], to);
                deliveries[which] = to;
                let best = deliveries.into_iter().flatten().max().unwrap();
                prop_assert_eq!(tally.reach(), best);
                let known = deliveries.into_iter().flatten().count();
                prop_assert_eq!(tally.numbers().into_iter().sum::<i64>(), i64::try_from(known).unwrap());
            }
        }
    }
}
