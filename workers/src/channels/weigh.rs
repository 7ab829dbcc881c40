//! What a message weighs on each channel, against the most that the provider takes.

use domain::{Channel, Timestamp};

use super::fit::Fitted;
use super::{apns, email, fcm, webpush};
use crate::gateway::Outgoing;

/// A message as it leaves, and what it weighs.
#[derive(Debug)]
pub(crate) struct Weighed {
    /// What leaves, without addresses.
    pub(crate) payload: String,
    /// How many bytes of it count.
    pub(crate) bytes: usize,
    /// How many may.
    pub(crate) bytes_max: Option<usize>,
    /// Whether the text lost its end.
    pub(crate) shortened: bool,
    /// Whether the provider takes it.
    pub(crate) fits: bool,
}

/// Weighs `message` on `channel`; `None` for channels that are no adapter of a provider.
pub(crate) fn weigh(channel: Channel, message: &Outgoing, now: Timestamp) -> Option<Weighed> {
    match channel {
        Channel::Apns => Some(limited(apns::payload(message, false), 0, apns::PAYLOAD_BYTES_MAX)),
        Channel::Fcm => {
            Some(limited(fcm::body(message, now), fcm::allowance(message), fcm::MESSAGE_BYTES_MAX))
        }
        Channel::Email => {
            let payload = email::html_part(message);
            let bytes = payload.len();
            Some(Weighed { payload, bytes, bytes_max: None, shortened: false, fits: true })
        }
        Channel::Webpush => Some(limited(webpush::payload(message), 0, webpush::PLAIN_BYTES_MAX)),
        Channel::Socket => None,
    }
}

/// A target of the usual length.
pub(crate) fn sample_target(channel: Channel) -> &'static str {
    match channel {
        Channel::Apns => "00000000000000000000000000000000000000000000000000000000000000aa",
        Channel::Email => "reader@example.org",
        Channel::Fcm | Channel::Webpush | Channel::Socket => "target",
    }
}

/// `free` bytes of the payload do not count.
fn limited(fitted: Option<Fitted>, free: usize, bytes_max: usize) -> Weighed {
    let fits = fitted.is_some();
    let Fitted { payload, shortened } = fitted.unwrap_or(Fitted { payload: Vec::new(), shortened: true });
    Weighed {
        bytes: payload.len().saturating_sub(free),
        payload: String::from_utf8_lossy(&payload).into_owned(),
        bytes_max: Some(bytes_max),
        shortened,
        fits,
    }
}
