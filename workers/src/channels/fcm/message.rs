//! What goes to FCM: one message.
//!
//! An emergency is a data message of high priority, which Android neither collapses nor delays; the app draws it.
//! All others are notifications that Android draws itself. Both carry the notification's id as their tag, so that a
//! repetition replaces the first.

use std::collections::BTreeMap;

use domain::{Lane, Timestamp};
use serde::Serialize;
use store::devices::Platform;

use crate::channels::fit::{Fitted, fit};
use crate::gateway::Outgoing;

/// Google's limit of a message, its target not counted.
pub(in crate::channels) const MESSAGE_BYTES_MAX: usize = 4_096;
/// Four weeks: the longest that Google keeps a message.
const TTL_SECONDS_MAX: u64 = 2_419_200;

/// The body of a request.
#[derive(Serialize)]
struct Request<'a> {
    message: Message<'a>,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fid: Option<&'a str>,
    data: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<Notification<'a>>,
    android: Android,
    #[serde(skip_serializing_if = "Option::is_none")]
    apns: Option<Apns<'a>>,
}

/// What Apple is told when the phone is an iPhone that registered through Firebase: without it a data message is silent
/// there.
#[derive(Serialize)]
struct Apns<'a> {
    headers: BTreeMap<&'static str, String>,
    payload: ApnsPayload<'a>,
}

#[derive(Serialize)]
struct ApnsPayload<'a> {
    aps: Aps<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Aps<'a> {
    /// Only where there is no `notification`, which would say the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Notification<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'static str>,
    mutable_content: u8,
    interruption_level: &'static str,
}

#[derive(Serialize)]
struct Notification<'a> {
    title: &'a str,
    body: &'a str,
}

#[derive(Serialize)]
struct Android {
    priority: &'static str,
    ttl: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<AndroidNotification>,
}

#[derive(Serialize)]
struct AndroidNotification {
    tag: String,
    channel_id: &'static str,
}

/// The request's body, the text shortened if it must be; `None` when it is too large even without it.
pub(in crate::channels) fn body(message: &Outgoing, now: Timestamp) -> Option<Fitted> {
    fit(&message.body, MESSAGE_BYTES_MAX + allowance(message), |body, shortened| {
        render(message, body, shortened, now)
    })
}

/// Bytes of a request that Google does not count: the target, and the object around the message.
pub(in crate::channels) fn allowance(message: &Outgoing) -> usize {
    serde_json::to_string(&message.target).map_or(0, |json| json.len()) + r#"{"message":}"#.len()
}

fn render(message: &Outgoing, body: &str, shortened: bool, now: Timestamp) -> Vec<u8> {
    let emergency = message.lane == Lane::Emergency;
    let target = Some(message.target.as_str());
    let is_fid = message.target_kind == "fcm_fid";
    let on_iphone = message.platform == Some(Platform::Ios);
    let request = Request {
        message: Message {
            token: target.filter(|_| !is_fid),
            fid: target.filter(|_| is_fid),
            data: data(message, if on_iphone { "" } else { body }, shortened),
            notification: (!emergency).then_some(Notification { title: &message.title, body }),
            android: Android {
                priority: match message.lane {
                    Lane::Emergency | Lane::Transactional => "HIGH",
                    Lane::Standard | Lane::Promotional => "NORMAL",
                },
                ttl: format!("{}s", message.expires_at.since(now).as_secs().min(TTL_SECONDS_MAX)),
                notification: (!emergency).then(|| AndroidNotification {
                    tag: message.thread_id.to_string(),
                    channel_id: message.lane.as_str(),
                }),
            },
            apns: on_iphone.then(|| apns(message, body)),
        },
    };
    serde_json::to_vec(&request).expect("strings always serialise")
}

fn apns<'a>(message: &'a Outgoing, body: &'a str) -> Apns<'a> {
    let is_promotional = message.lane == Lane::Promotional;
    let expiration = if is_promotional { 0 } else { message.expires_at.as_second().max(0) };
    let headers = BTreeMap::from([
        ("apns-priority", if is_promotional { "5" } else { "10" }.to_owned()),
        ("apns-expiration", expiration.to_string()),
        ("apns-collapse-id", message.thread_id.to_string()),
    ]);
    let alert = Notification { title: &message.title, body };
    let aps = Aps {
        alert: (message.lane == Lane::Emergency).then_some(alert),
        sound: (!is_promotional).then_some("default"),
        mutable_content: 1,
        interruption_level: match message.lane {
            Lane::Emergency => "time-sensitive",
            Lane::Promotional => "passive",
            Lane::Transactional | Lane::Standard => "active",
        },
    };
    Apns { headers, payload: ApnsPayload { aps } }
}

/// The part that the app reads; FCM carries strings only.
fn data(message: &Outgoing, body: &str, shortened: bool) -> BTreeMap<&'static str, String> {
    let kind = serde_json::to_value(message.kind).expect("a unit variant serialises");
    let mut data = BTreeMap::from([
        ("notification_id", message.notification_id.to_string()),
        ("delivery_id", message.delivery_id.to_string()),
        ("receipt_code", message.receipt_code.clone()),
        ("kind", kind.as_str().unwrap_or_default().to_owned()),
        ("lane", message.lane.to_string()),
        ("data", message.data.to_string()),
        ("tag", message.thread_id.to_string()),
    ]);
    if message.lane == Lane::Emergency {
        data.insert("title", message.title.clone());
        if !body.is_empty() {
            data.insert("body", body.to_owned());
        }
        data.insert("language", message.language.as_str().to_owned());
    }
    if shortened {
        data.insert("body_shortened", "true".to_owned());
    }
    data
}
