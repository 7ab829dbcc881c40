//! When each channel has its turn: `[workers.escalation.<lane>]`.

use std::time::Duration;

use domain::{Channel, Lane, Timestamp};
use serde::{Deserialize, Deserializer};
use service::Faults;

/// `[workers.escalation]`: the steps of each lane. A step whose time has come is skipped for people who have proved the
/// notification by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Escalation {
    /// Steps of emergencies.
    #[serde(deserialize_with = "read_emergency")]
    pub emergency: Steps,
    /// Steps of what somebody waits for.
    #[serde(deserialize_with = "read_transactional")]
    pub transactional: Steps,
    /// Steps of the normal course of a festival.
    #[serde(deserialize_with = "read_standard")]
    pub standard: Steps,
    /// Steps of promotions.
    #[serde(deserialize_with = "read_promotional")]
    pub promotional: Steps,
}

/// The steps of one lane, counted from the planning of the delivery. The socket is always at once. A step comes at the
/// latest when half of the message's time has passed, so that a short-lived message does not expire before it.
/// What is left out has the lane's own default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Steps {
    /// Milliseconds until the first device is pushed to. 0 to 86,400,000; 0: with the socket.
    /// Too low: phones ring for what is on the screen already. Too high: people without the app open hear late.
    pub push_after_ms: u64,
    /// Milliseconds between one device of a person and their next. 0 to 86,400,000; 0: all devices together.
    /// Too low: every device rings. Too high: who carries the second one hears late.
    pub next_device_after_ms: u64,
    /// Milliseconds until mail, where the lane has mail. 0 to 86,400,000; 0: with the socket.
    /// Too low: mail to people who have it. Too high: who has nothing but a mailbox hears late.
    pub email_after_ms: u64,
}

/// What was written of a lane's section.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the names of the configuration")]
struct Written {
    push_after_ms: Option<u64>,
    next_device_after_ms: Option<u64>,
    email_after_ms: Option<u64>,
}

/// Milliseconds of the longest wait for a step.
const WAIT_MS_MAX: u64 = 86_400_000;

impl Default for Escalation {
    fn default() -> Self {
        Self {
            emergency: Steps { push_after_ms: 0, next_device_after_ms: 5_000, email_after_ms: 30_000 },
            transactional: Steps::AT_ONCE,
            standard: Steps { push_after_ms: 3_000, next_device_after_ms: 0, email_after_ms: 60_000 },
            promotional: Steps::AT_ONCE,
        }
    }
}

impl Escalation {
    /// Every channel of every lane at once.
    pub const AT_ONCE: Self = Self {
        emergency: Steps::AT_ONCE,
        transactional: Steps::AT_ONCE,
        standard: Steps::AT_ONCE,
        promotional: Steps::AT_ONCE,
    };

    /// The steps of `lane`.
    pub fn of(&self, lane: Lane) -> Steps {
        match lane {
            Lane::Emergency => self.emergency,
            Lane::Transactional => self.transactional,
            Lane::Standard => self.standard,
            Lane::Promotional => self.promotional,
        }
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        for lane in Lane::ALL {
            let steps = self.of(lane);
            faults.section(lane.as_str(), |faults| {
                faults.range("push_after_ms", steps.push_after_ms, 0..=WAIT_MS_MAX);
                faults.range("next_device_after_ms", steps.next_device_after_ms, 0..=WAIT_MS_MAX);
                faults.range("email_after_ms", steps.email_after_ms, 0..=WAIT_MS_MAX);
            });
        }
    }
}

impl Steps {
    /// Everything at once.
    pub const AT_ONCE: Self = Self { push_after_ms: 0, next_device_after_ms: 0, email_after_ms: 0 };

    /// When a delivery that was planned at `planned_at` is due. `device` is its place among the person's devices.
    pub fn due(
        &self,
        channel: Channel,
        device: u64,
        planned_at: Timestamp,
        expires_at: Timestamp,
    ) -> Timestamp {
        let after_ms = match channel {
            Channel::Socket => 0,
            Channel::Apns | Channel::Fcm | Channel::Webpush => {
                self.push_after_ms.saturating_add(self.next_device_after_ms.saturating_mul(device))
            }
            Channel::Email => self.email_after_ms,
        };
        planned_at + Duration::from_millis(after_ms).min(expires_at.since(planned_at) / 2)
    }
}

fn read<'de, D: Deserializer<'de>>(from: D, lane: Lane) -> Result<Steps, D::Error> {
    let written = Written::deserialize(from)?;
    let default = Escalation::default().of(lane);
    Ok(Steps {
        push_after_ms: written.push_after_ms.unwrap_or(default.push_after_ms),
        next_device_after_ms: written.next_device_after_ms.unwrap_or(default.next_device_after_ms),
        email_after_ms: written.email_after_ms.unwrap_or(default.email_after_ms),
    })
}

fn read_emergency<'de, D: Deserializer<'de>>(from: D) -> Result<Steps, D::Error> {
    read(from, Lane::Emergency)
}

fn read_transactional<'de, D: Deserializer<'de>>(from: D) -> Result<Steps, D::Error> {
    read(from, Lane::Transactional)
}

fn read_standard<'de, D: Deserializer<'de>>(from: D) -> Result<Steps, D::Error> {
    read(from, Lane::Standard)
}

fn read_promotional<'de, D: Deserializer<'de>>(from: D) -> Result<Steps, D::Error> {
    read(from, Lane::Promotional)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_one_after_the_other_and_never_after_half_of_the_time() {
        let planned_at: Timestamp = "2026-07-15T20:00:00Z".parse().unwrap();
        let steps = Escalation::default().of(Lane::Emergency);
        let seconds = |channel, device, lasts| {
            let expires_at = planned_at + Duration::from_secs(lasts);
            steps.due(channel, device, planned_at, expires_at).since(planned_at).as_secs()
        };
        assert_eq!(seconds(Channel::Socket, 0, 3_600), 0);
        assert_eq!([0, 1, 2].map(|device| seconds(Channel::Fcm, device, 3_600)), [0, 5, 10]);
        assert_eq!(seconds(Channel::Email, 0, 3_600), 30);
        assert_eq!(seconds(Channel::Email, 0, 20), 10);
        assert_eq!(seconds(Channel::Email, 0, 0), 0);
    }

    #[test]
    fn what_is_left_out_has_the_default_of_its_lane() {
        let written = r#"{"emergency":{"email_after_ms":7},"standard":{"push_after_ms":0}}"#;
        let read: Escalation = serde_json::from_str(written).unwrap();
        assert_eq!((read.emergency.email_after_ms, read.emergency.next_device_after_ms), (7, 5_000));
        assert_eq!((read.standard.push_after_ms, read.standard.email_after_ms), (0, 60_000));
        assert_eq!(read.promotional, Steps::AT_ONCE);
        assert!(serde_json::from_str::<Escalation>(r#"{"urgent":{}}"#).is_err());
    }
}
