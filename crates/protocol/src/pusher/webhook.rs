//! What the application's back end is told: POSTs with a list of events.

use serde::{Deserialize, Serialize};

/// The header with the application's key.
pub const KEY_HEADER: &str = "x-pusher-key";
/// The header with the signature of the body: [`super::Signer::webhook`].
pub const SIGNATURE_HEADER: &str = "x-pusher-signature";

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum WebhookEvent {
    /// A channel has its first subscriber.
    ChannelOccupied {
        /// Which channel.
        channel: String,
    },
    /// A channel has lost its last subscriber.
    ChannelVacated {
        /// Which channel.
        channel: String,
    },
    /// A member has come to a presence channel.
    MemberAdded {
        /// Which channel.
        channel: String,
        /// Who.
        user_id: String,
    },
    /// A member has left a presence channel.
    MemberRemoved {
        /// Which channel.
        channel: String,
        /// Who.
        user_id: String,
    },
    /// A client has sent an event.
    ClientEvent {
        /// In which channel.
        channel: String,
        /// Name of the event.
        event: String,
        /// What it carries, as text.
        data: String,
        /// Of the sender.
        socket_id: String,
        /// Who sent it, in presence channels.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        user_id: Option<String>,
    },
    /// Somebody has subscribed to a cache channel that has no last event.
    CacheMiss {
        /// Which channel.
        channel: String,
    },
    /// The number of subscribers has changed.
    SubscriptionCount {
        /// Which channel.
        channel: String,
        /// Of all nodes together.
        subscription_count: u64,
    },
}

/// The body of one POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// When it was put together, in milliseconds since 1970.
    pub time_ms: i64,
    /// In the order in which it happened.
    pub events: Vec<WebhookEvent>,
}

impl Webhook {
    /// The bytes to sign and to send.
    pub fn to_body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("its members are text and numbers")
    }
}
