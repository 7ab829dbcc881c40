//! Lanes: how urgent a notification is, down to the connections it travels on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How urgent a notification is. Orders by urgency: `Emergency` is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// May wait, and stands still while an emergency is unproven.
    Promotional,
    /// The normal course of a festival: an event has moved.
    Standard,
    /// Somebody waits for it: a password reset, an order.
    Transactional,
    /// Overtakes everything: an evacuation.
    Emergency,
}

/// A word that names no lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a lane: emergency, transactional, standard or promotional")]
pub struct LaneUnknown(pub String);

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Emergency, Self::Transactional, Self::Standard, Self::Promotional];

    /// The word in JSON, SQL, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Transactional => "transactional",
            Self::Standard => "standard",
            Self::Promotional => "promotional",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lane {
    type Err = LaneUnknown;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == word).ok_or_else(|| LaneUnknown(word.to_owned()))
    }
}
