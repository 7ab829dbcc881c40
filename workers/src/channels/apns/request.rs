//! What goes to APNs: headers and payload of one push.

use domain::Lane;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;

use crate::channels::fit::{Fitted, fit};
use crate::gateway::Outgoing;

/// Apple's limit of an alert's payload.
pub(in crate::channels) const PAYLOAD_BYTES_MAX: usize = 4_096;

#[derive(Serialize)]
struct Payload<'a> {
    aps: Aps<'a>,
    notification_id: String,
    delivery_id: String,
    receipt_code: &'a str,
    kind: domain::NotificationKind,
    lane: Lane,
    data: &'a Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    body_shortened: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aps<'a> {
    alert: Alert<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<Sound>,
    mutable_content: u8,
    thread_id: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    interruption_level: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Sound {
    Named(&'static str),
    /// Sounds although the phone is muted.
    Critical {
        critical: u8,
        name: &'static str,
        volume: f32,
    },
}

#[derive(Serialize)]
struct Alert<'a> {
    title: &'a str,
    body: &'a str,
}

/// The payload, shortened if it must be; `None` when it is too large even without its body. `critical`: an emergency
/// sounds through mute and focus, which takes an entitlement of Apple's.
pub(in crate::channels) fn payload(message: &Outgoing, critical: bool) -> Option<Fitted> {
    let is_critical = critical && message.lane == Lane::Emergency;
    fit(&message.body, PAYLOAD_BYTES_MAX, |body, body_shortened| {
        let payload = Payload {
            aps: Aps {
                alert: Alert { title: &message.title, body },
                sound: match message.lane {
                    Lane::Promotional => None,
                    _ if is_critical => Some(Sound::Critical { critical: 1, name: "default", volume: 1.0 }),
                    _ => Some(Sound::Named("default")),
                },
                // the app's extension runs and confirms the delivery
                mutable_content: 1,
                thread_id: thread(message.kind),
                interruption_level: match message.lane {
                    Lane::Emergency if is_critical => Some("critical"),
                    Lane::Emergency => Some("time-sensitive"),
                    Lane::Promotional => Some("passive"),
                    Lane::Transactional | Lane::Standard => None,
                },
            },
            notification_id: message.notification_id.to_string(),
            delivery_id: message.delivery_id.to_string(),
            receipt_code: &message.receipt_code,
            kind: message.kind,
            lane: message.lane,
            data: &message.data,
            body_shortened,
        };
        serde_json::to_vec(&payload).expect("strings and JSON values always serialise")
    })
}

/// The `apns-` headers.
pub(super) fn headers(message: &Outgoing, topic: &HeaderValue) -> HeaderMap {
    // APNs keeps one push per offline device: what is promotional must never take an emergency's place
    let expiration =
        if message.lane == Lane::Promotional { 0 } else { message.expires_at.as_second().max(0) };
    let priority = if message.lane == Lane::Promotional { "5" } else { "10" };
    let text = |text: String| HeaderValue::from_str(&text).expect("digits, letters and hyphens are valid");
    [
        ("apns-topic", topic.clone()),
        ("apns-push-type", HeaderValue::from_static("alert")),
        ("apns-priority", HeaderValue::from_static(priority)),
        ("apns-expiration", HeaderValue::from(expiration)),
        ("apns-collapse-id", text(message.thread_id.to_string())),
        ("apns-id", text(message.delivery_id.to_string())),
        ("content-type", HeaderValue::from_static("application/json")),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), value))
    .collect()
}

/// Notifications of one kind are stacked on the phone.
fn thread(kind: domain::NotificationKind) -> &'static str {
    match kind {
        domain::NotificationKind::Announcement => "announcement",
        domain::NotificationKind::EventReminder => "reminder",
        domain::NotificationKind::Digest => "digest",
        domain::NotificationKind::EventMoved
        | domain::NotificationKind::EventCancelled
        | domain::NotificationKind::EventVenueChanged => "programme",
    }
}
