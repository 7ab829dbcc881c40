//! What goes to a browser: the text that its service worker reads, and the headers that its push service reads.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Lane, Timestamp};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use super::encrypt::PLAIN_BYTES_MAX;
use crate::channels::fit::{Fitted, fit};
use crate::gateway::Outgoing;

/// Mozilla keeps nothing for longer than 30 days; others keep less.
const TTL_SECONDS_MAX: u64 = 2_592_000;

#[derive(Serialize)]
struct Payload<'a> {
    notification_id: String,
    delivery_id: String,
    receipt_code: &'a str,
    kind: domain::NotificationKind,
    lane: Lane,
    title: &'a str,
    body: &'a str,
    lang: &'static str,
    dir: &'static str,
    /// For `showNotification`: a repeat replaces the first.
    tag: String,
    /// Stays until somebody acts.
    require_interaction: bool,
    data: &'a Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    body_shortened: bool,
}

/// The text, shortened if it must be; `None` when it is too large even without its body.
pub(in crate::channels) fn payload(message: &Outgoing) -> Option<Fitted> {
    fit(&message.body, PLAIN_BYTES_MAX, |body, body_shortened| {
        let payload = Payload {
            notification_id: message.notification_id.to_string(),
            delivery_id: message.delivery_id.to_string(),
            receipt_code: &message.receipt_code,
            kind: message.kind,
            lane: message.lane,
            title: &message.title,
            body,
            lang: message.language.as_str(),
            dir: message.language.direction(),
            tag: message.thread_id.to_string(),
            require_interaction: message.lane == Lane::Emergency,
            data: &message.data,
            body_shortened,
        };
        serde_json::to_vec(&payload).expect("strings and JSON values always serialise")
    })
}

/// The headers of RFC 8030 besides `Authorization`.
pub(super) fn headers(message: &Outgoing, now: Timestamp) -> HeaderMap {
    // what is promotional is for those who are there now
    let ttl = match message.lane {
        Lane::Promotional => 0,
        Lane::Emergency | Lane::Transactional | Lane::Standard => {
            message.expires_at.since(now).as_secs().min(TTL_SECONDS_MAX)
        }
    };
    let urgency = match message.lane {
        Lane::Emergency | Lane::Transactional => "high",
        Lane::Standard => "normal",
        Lane::Promotional => "low",
    };
    // 128 bits are 22 of the 32 characters that a topic may have
    let topic = URL_SAFE_NO_PAD.encode(message.thread_id.0.as_bytes());
    [
        ("ttl", HeaderValue::from(ttl)),
        ("urgency", HeaderValue::from_static(urgency)),
        ("topic", HeaderValue::from_str(&topic).expect("base64url is ASCII")),
        ("content-encoding", HeaderValue::from_static("aes128gcm")),
        ("content-type", HeaderValue::from_static("application/octet-stream")),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), value))
    .collect()
}
