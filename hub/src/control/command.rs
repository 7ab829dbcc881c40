//! Commands of an application's back end about connections, as the control topic carries them.

use domain::{Timestamp, Topic};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::authority::Overrides;

/// What an application's back end wants of connections, as the control topic carries it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Command {
    /// They end.
    #[serde(rename = "api.disconnect")]
    Disconnect(Disconnect),
    /// They follow a topic no longer.
    #[serde(rename = "api.unsubscribe")]
    Unsubscribe {
        /// Which.
        #[serde(flatten)]
        whose: Whose,
        /// What they follow no longer.
        topic: Topic,
    },
    /// They follow a topic.
    #[serde(rename = "api.subscribe")]
    Subscribe(Box<Begin>),
    /// Their credentials are renewed.
    #[serde(rename = "api.refresh")]
    Refresh(Renewal),
}

/// Which connections are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Whose {
    /// Whose; empty: of nobody in particular.
    pub(crate) user: String,
    /// Id of the only one that is meant; empty: all.
    pub(crate) client: String,
    /// Session of the only one that is meant; empty: all.
    pub(crate) session: String,
}

/// An end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Disconnect {
    /// Which.
    #[serde(flatten)]
    pub(crate) whose: Whose,
    /// Ids of connections that stay.
    #[serde(default)]
    pub(crate) whitelist: Vec<String>,
    /// What they are told: 3000 to 4999.
    pub(crate) code: u16,
    /// The same in words, at most 123 bytes.
    pub(crate) reason: String,
}

/// A subscription.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Begin {
    /// Which.
    #[serde(flatten)]
    pub(crate) whose: Whose,
    /// To what.
    pub(crate) topic: Topic,
    /// What others may know of the subscriber there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) info: Option<Value>,
    /// For the subscriber.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
    /// From where it is recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recover_since: Option<Since>,
    /// When it ends, in seconds since 1970; 0: never.
    #[serde(default)]
    pub(crate) expire_at: i64,
    /// What is otherwise than the topic's class says.
    #[serde(default)]
    pub(crate) overrides: Overrides,
}

/// A position of a client.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Since {
    /// Number of the last publication that it has.
    pub(crate) offset: u64,
    /// Incarnation that it counts in.
    #[serde(default)]
    pub(crate) epoch: String,
}

/// Other credentials.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Renewal {
    /// Which.
    #[serde(flatten)]
    pub(crate) whose: Whose,
    /// Whether they end now.
    #[serde(default)]
    pub(crate) expired: bool,
    /// When they end, in seconds since 1970; 0: never.
    #[serde(default)]
    pub(crate) expire_at: i64,
    /// What others may know of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) info: Option<Value>,
}

impl Begin {
    /// When it ends.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        instant(self.expire_at)
    }
}

impl Renewal {
    /// When they end.
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        instant(self.expire_at)
    }
}

impl Command {
    /// Which connections are meant.
    pub(crate) fn whose(&self) -> &Whose {
        match self {
            Self::Disconnect(disconnect) => &disconnect.whose,
            Self::Unsubscribe { whose, .. } => whose,
            Self::Subscribe(begin) => &begin.whose,
            Self::Refresh(renewal) => &renewal.whose,
        }
    }
}

fn instant(seconds: i64) -> Option<Timestamp> {
    let micros = seconds.checked_mul(1_000_000).filter(|micros| *micros > 0)?;
    Timestamp::from_microsecond(micros).ok()
}
