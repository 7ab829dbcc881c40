//! Channels: the ways to a person.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way to a person. (The Centrifuge protocol's "channel" is our [`Topic`](crate::Topic).)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// An open socket, through the person's own topic.
    Socket,
    /// Apple's push service.
    Apns,
    /// Google's push service.
    Fcm,
    /// A browser's push service.
    Webpush,
    /// A mailbox.
    Email,
}

/// A word that names no channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a channel: socket, apns, fcm, webpush or email")]
pub struct ChannelUnknown(pub String);

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 5] = [Self::Socket, Self::Apns, Self::Fcm, Self::Webpush, Self::Email];

    /// The word in JSON, SQL, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::Webpush => "webpush",
            Self::Email => "email",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Channel {
    type Err = ChannelUnknown;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.as_str() == word).ok_or_else(|| ChannelUnknown(word.to_owned()))
    }
}
