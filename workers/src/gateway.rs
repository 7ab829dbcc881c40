//! The network edge of delivery: what a channel adapter takes and what it answers.

use std::time::Duration;

use async_trait::async_trait;
use domain::{Action, DeliveryId, Lane, Language, NotificationId, NotificationKind, Timestamp};
use serde_json::Value;
use store::devices::Platform;

/// One delivery, rendered for its recipient and ready to leave.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Which delivery; the code that confirms it is in `receipt_code`.
    pub delivery_id: DeliveryId,
    /// Of which notification.
    pub notification_id: NotificationId,
    /// The first notification of those that replace each other: collapse ids, tags and topics are made from it, so that a
    /// repeat, an update and a recall replace what is shown. Equal to `notification_id` when it replaces none.
    pub thread_id: NotificationId,
    /// Why.
    pub kind: NotificationKind,
    /// How urgent.
    pub lane: Lane,
    /// Device token or mail address.
    pub target: String,
    /// What `target` is: `apns`, `fcm_token`, `fcm_fid`, `email`.
    pub target_kind: String,
    /// What the device runs on, for push targets.
    pub platform: Option<Platform>,
    /// When `target` was last registered, for push targets.
    pub registered_at: Option<Timestamp>,
    /// The recipient's language.
    pub language: Language,
    /// Headline in that language.
    pub title: String,
    /// Text in that language.
    pub body: String,
    /// Headline in the other language; equal to `title` when there is only one.
    pub title_other: String,
    /// Text in the other language.
    pub body_other: String,
    /// What an app needs to open the right page.
    pub data: Value,
    /// The code by which the recipient's app confirms this delivery.
    pub receipt_code: String,
    /// For mail: local part of the address that it returns to when it bounces; else empty.
    pub bounce_local: String,
    /// For mail: what the link carries that ends promotions; else empty.
    pub unsubscribe_token: String,
    /// When the message is of no more use.
    pub expires_at: Timestamp,
    /// Number of this attempt, from 1.
    pub attempt: u32,
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Taken by the provider, or what to do instead.
    pub verdict: Verdict,
    /// The provider's id of the message, when it gave one.
    pub provider_id: Option<String>,
    /// HTTP status or SMTP reply code, when there was an answer.
    pub status_code: Option<u16>,
    /// The provider's reason or our own, from a bounded vocabulary; never an address or a token.
    pub reason: String,
    /// Not before this has passed, when the provider said so.
    pub retry_after: Option<Duration>,
    /// Whether bytes of the message may have left this process.
    pub bytes_left: bool,
}

/// The verdict on one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The provider took responsibility. It does not mean delivered.
    Accepted,
    /// It did not; what to do.
    Refused(Action),
}

/// A provider of one channel. Adapters bound their own concurrency and time: `send` always ends within the
/// configured request timeout plus the wait for a free connection.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Tries once to hand `message` to the provider.
    async fn send(&self, message: &Outgoing) -> Outcome;
}
