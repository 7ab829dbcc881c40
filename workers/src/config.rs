//! The workers' limits and times: `[workers]` in the configuration.

mod channel;
mod escalation;
mod registry;
mod reminders;
mod sends;

use domain::{Channel, Lane};
use serde::{Deserialize, Deserializer};
use service::Faults;

use crate::channels::{apns, email, fcm, webhook, webpush};
use crate::templates;

pub use channel::{ChannelRules, Retry};
pub use escalation::{Escalation, Steps};
pub use registry::Registry;
pub use reminders::{Preferences, Reminders};

/// `[workers]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Milliseconds for which one process has a job that only one may do (relay, planner, sweeper, counts).
    /// 500 to 60,000. Too low: a slow database makes the job wander. Too high: the job stands still that long after a
    /// crash.
    pub lease_ms: u64,
    /// Milliseconds between two publications of the same notification's counts. 100 to 60,000.
    /// Too low: the organizers' pages flicker. Too high: they lag.
    pub counts_ms: u64,
    /// Milliseconds between two looks at queues, pauses and emergencies. 100 to 60,000.
    /// Too low: idle load. Too high: dashboards lag, and promotions stop late.
    pub sample_ms: u64,
    /// Milliseconds between two looks at the files of the providers' credentials. 100 to 600,000. Too low: idle
    /// load. Too high: a lane that stands still for a wrong key goes on late.
    pub credentials_ms: u64,
    /// From the outbox to the change log.
    pub relay: Relay,
    /// From changes to deliveries.
    pub planner: Planner,
    /// Which channel has its turn when.
    pub escalation: Escalation,
    /// From deliveries to providers.
    pub deliver: Deliver,
    /// From confirmations to states.
    pub receipts: Receipts,
    /// Ends what nobody else ends.
    pub sweeper: Sweeper,
    /// How old what is known of devices may become.
    pub registry: Registry,
    /// What comes at a time.
    pub reminders: Reminders,
    /// What people do not want.
    pub preferences: Preferences,
    /// What people read.
    pub templates: templates::Config,
    /// Apple's push service.
    pub apns: apns::Config,
    /// Google's push service.
    pub fcm: fcm::Config,
    /// Browsers' push services.
    pub webpush: webpush::Config,
    /// The mail relay.
    pub email: email::Config,
    /// Other systems that are told.
    pub webhooks: webhook::Config,
}

/// `[workers.relay]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Relay {
    /// Rows published at once. 1 to 1,000. Too low: a backlog drains slowly. Too high: a failure repeats more.
    pub batch_rows: u64,
    /// Milliseconds until the relay looks by itself although nothing woke it. 50 to 60,000.
    /// Too low: idle load. Too high: a lost wake-up delays a change that long.
    pub poll_ms: u64,
    /// Milliseconds of the first wait when the log or the database fails. 1 to 10,000.
    pub backoff_min_ms: u64,
    /// Milliseconds of the longest wait. 10 to 60,000.
    pub backoff_max_ms: u64,
}

/// `[workers.planner]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Planner {
    /// Entries read from one partition at once. 1 to 10,000.
    pub read_entries: usize,
    /// Milliseconds that one read waits for something new. 10 to 10,000. The drain waits as long.
    pub read_wait_ms: u64,
    /// Milliseconds between two writes of the cursors while nothing concerns the planner. 100 to 600,000.
    /// Too low: idle writes. Too high: more is read again after a crash.
    pub cursor_ms: u64,
    /// Users planned in one transaction, and deliveries in one work item. 1 to 1,000.
    /// Too low: overhead. Too high: an emergency waits for a page of something else.
    pub page_users: usize,
    /// Milliseconds until the planner looks by itself for notifications to plan. 50 to 60,000.
    pub poll_ms: u64,
    /// Hours after which news about an event is of no use although the event lies ahead. 1 to 8,760.
    pub event_hours_max: u32,
    /// Lanes whose notifications of any kind also go out as mail.
    pub email_lanes: Vec<Lane>,
    /// Lanes whose announcements also go out as mail.
    pub email_announcement_lanes: Vec<Lane>,
}

/// `[workers.deliver]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Deliver {
    /// Milliseconds that one claim waits for work. 10 to 10,000. The drain waits as long.
    pub claim_wait_ms: u64,
    /// Outcomes written in one transaction. 1 to 500. Too low: many small writes. Too high: states appear late.
    pub record_rows: usize,
    /// Milliseconds that an outcome waits for others to be written with. 1 to 10,000.
    pub record_ms: u64,
    /// Milliseconds until one delivery tries whether a paused lane was mended; doubles up to `probe_max_ms`.
    /// 100 to 600,000. Too low: the provider is annoyed. Too high: a mended lane stands still.
    pub probe_ms: u64,
    /// Milliseconds of the longest wait between two such tries. 1,000 to 3,600,000.
    pub probe_max_ms: u64,
    /// Seconds after an emergency for which promotions stand still while it is not proved to everybody. 0 to 86,400;
    /// 0: only while emergencies are queued. Too low: a promotion replaces the notice on offline phones. Too high:
    /// promotions expire.
    pub promotions_hold_seconds: u64,
    /// Rules of the socket channel.
    #[serde(deserialize_with = "read_socket")]
    pub socket: ChannelRules,
    /// Rules of Apple's push service.
    #[serde(deserialize_with = "read_apns")]
    pub apns: ChannelRules,
    /// Rules of Google's push service.
    #[serde(deserialize_with = "read_fcm")]
    pub fcm: ChannelRules,
    /// Rules of browsers' push services.
    #[serde(deserialize_with = "read_webpush")]
    pub webpush: ChannelRules,
    /// Rules of mail.
    #[serde(deserialize_with = "read_email")]
    pub email: ChannelRules,
}

/// `[workers.receipts]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Receipts {
    /// Confirmations written in one transaction. 1 to 1,000.
    pub batch: usize,
    /// Milliseconds for which a worker has confirmations. 1,000 to 600,000.
    pub lease_ms: u64,
}

/// `[workers.sweeper]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sweeper {
    /// Milliseconds between two sweeps. 50 to 600,000. Too low: idle load. Too high: deadlines are noticed late.
    pub every_ms: u64,
    /// Milliseconds after its deadline at which a delivery is ended; lets an attempt under way finish. 0 to 600,000.
    pub grace_ms: u64,
    /// Milliseconds for which a due delivery may be in no queue before it is queued again. 100 to 3,600,000.
    /// Too low: work is queued twice for nothing. Too high: what a crash forgot waits that long.
    pub orphan_ms: u64,
    /// Deliveries ended or queued again at once. 1 to 1,000.
    pub batch: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ms: 5_000,
            counts_ms: 1_000,
            sample_ms: 1_000,
            credentials_ms: 2_000,
            relay: Relay::default(),
            planner: Planner::default(),
            escalation: Escalation::default(),
            deliver: Deliver::default(),
            receipts: Receipts::default(),
            sweeper: Sweeper::default(),
            registry: Registry::default(),
            reminders: Reminders::default(),
            preferences: Preferences::default(),
            templates: templates::Config::default(),
            apns: apns::Config::default(),
            fcm: fcm::Config::default(),
            webpush: webpush::Config::default(),
            email: email::Config::default(),
            webhooks: webhook::Config::default(),
        }
    }
}

impl Default for Relay {
    fn default() -> Self {
        Self { batch_rows: 500, poll_ms: 500, backoff_min_ms: 50, backoff_max_ms: 5_000 }
    }
}

impl Default for Planner {
    fn default() -> Self {
        Self {
            read_entries: 500,
            read_wait_ms: 1_000,
            cursor_ms: 5_000,
            page_users: 500,
            poll_ms: 1_000,
            event_hours_max: 168,
            email_lanes: vec![Lane::Emergency, Lane::Transactional],
            email_announcement_lanes: vec![Lane::Emergency, Lane::Transactional, Lane::Standard],
        }
    }
}

fn read_socket<'de, D: Deserializer<'de>>(section: D) -> Result<ChannelRules, D::Error> {
    channel::read_over(Deliver::default().socket, section)
}

fn read_apns<'de, D: Deserializer<'de>>(section: D) -> Result<ChannelRules, D::Error> {
    channel::read_over(Deliver::default().apns, section)
}

fn read_fcm<'de, D: Deserializer<'de>>(section: D) -> Result<ChannelRules, D::Error> {
    channel::read_over(Deliver::default().fcm, section)
}

fn read_webpush<'de, D: Deserializer<'de>>(section: D) -> Result<ChannelRules, D::Error> {
    channel::read_over(Deliver::default().webpush, section)
}

fn read_email<'de, D: Deserializer<'de>>(section: D) -> Result<ChannelRules, D::Error> {
    channel::read_over(Deliver::default().email, section)
}

impl Default for Deliver {
    fn default() -> Self {
        Self {
            claim_wait_ms: 1_000,
            record_rows: 200,
            record_ms: 100,
            probe_ms: 2_000,
            probe_max_ms: 60_000,
            promotions_hold_seconds: 600,
            socket: ChannelRules::default(),
            apns: ChannelRules {
                concurrency: 200,
                send_ms_max: 60_000,
                retry_emergency: Retry { floor_ms: 2_000, factor: 8.0, ceiling_ms: 900_000, attempts_max: 8 },
                retry: Retry { floor_ms: 900_000, factor: 2.0, ceiling_ms: 3_600_000, attempts_max: 8 },
                ..ChannelRules::default()
            },
            fcm: ChannelRules {
                concurrency: 200,
                send_ms_max: 60_000,
                retry_emergency: Retry {
                    floor_ms: 10_000,
                    factor: 2.0,
                    ceiling_ms: 600_000,
                    attempts_max: 8,
                },
                retry: Retry { floor_ms: 10_000, factor: 2.0, ceiling_ms: 900_000, attempts_max: 8 },
                ..ChannelRules::default()
            },
            webpush: ChannelRules {
                concurrency: 100,
                send_ms_max: 60_000,
                retry_emergency: Retry { floor_ms: 2_000, factor: 2.0, ceiling_ms: 300_000, attempts_max: 8 },
                retry: Retry { floor_ms: 10_000, factor: 2.0, ceiling_ms: 900_000, attempts_max: 8 },
                ..ChannelRules::default()
            },
            email: ChannelRules {
                concurrency: 8,
                batch: 50,
                workers: 2,
                send_ms_max: 600_000,
                resend_unknown: vec![Lane::Emergency, Lane::Transactional, Lane::Standard],
                retry_emergency: Retry {
                    floor_ms: 30_000,
                    factor: 2.0,
                    ceiling_ms: 900_000,
                    attempts_max: 8,
                },
                retry: Retry { floor_ms: 300_000, factor: 2.0, ceiling_ms: 7_200_000, attempts_max: 10 },
                ..ChannelRules::default()
            },
        }
    }
}

impl Default for Receipts {
    fn default() -> Self {
        Self { batch: 500, lease_ms: 30_000 }
    }
}

impl Default for Sweeper {
    fn default() -> Self {
        Self { every_ms: 2_000, grace_ms: 30_000, orphan_ms: 60_000, batch: 500 }
    }
}

impl Config {
    /// Notes every fault of `[workers]`.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("lease_ms", self.lease_ms, 500..=60_000);
        faults.range("counts_ms", self.counts_ms, 100..=60_000);
        faults.range("sample_ms", self.sample_ms, 100..=60_000);
        faults.range("credentials_ms", self.credentials_ms, 100..=600_000);
        faults.section("relay", |faults| self.relay.check(faults));
        faults.section("planner", |faults| self.planner.check(faults));
        faults.section("escalation", |faults| self.escalation.check(faults));
        faults.section("deliver", |faults| self.deliver.check(faults));
        faults.section("receipts", |faults| {
            faults.range("batch", self.receipts.batch, 1..=1_000);
            faults.range("lease_ms", self.receipts.lease_ms, 1_000..=600_000);
        });
        faults.section("sweeper", |faults| {
            faults.range("every_ms", self.sweeper.every_ms, 50..=600_000);
            faults.range("grace_ms", self.sweeper.grace_ms, 0..=600_000);
            faults.range("orphan_ms", self.sweeper.orphan_ms, 100..=3_600_000);
            faults.range("batch", self.sweeper.batch, 1..=1_000);
        });
        faults.section("registry", |faults| self.registry.check(faults));
        faults.section("reminders", |faults| self.reminders.check(faults));
        faults.section("preferences", |faults| self.preferences.check(faults));
        faults.section("templates", |faults| self.templates.check(faults));
        faults.section("apns", |faults| self.apns.check(faults));
        faults.section("fcm", |faults| self.fcm.check(faults));
        faults.section("webpush", |faults| self.webpush.check(faults));
        faults.section("email", |faults| self.email.check(faults));
        faults.section("webhooks", |faults| self.webhooks.check(faults));
        faults.section("deliver", |faults| self.check_sends(faults));
    }
}

impl Relay {
    fn check(&self, faults: &mut Faults) {
        faults.range("batch_rows", self.batch_rows, 1..=1_000);
        faults.range("poll_ms", self.poll_ms, 50..=60_000);
        faults.range("backoff_min_ms", self.backoff_min_ms, 1..=10_000);
        faults.range("backoff_max_ms", self.backoff_max_ms, 10..=60_000);
        if self.backoff_min_ms > self.backoff_max_ms {
            faults.add("backoff_min_ms", "must not be greater than backoff_max_ms");
        }
    }
}

impl Planner {
    fn check(&self, faults: &mut Faults) {
        faults.range("read_entries", self.read_entries, 1..=10_000);
        faults.range("read_wait_ms", self.read_wait_ms, 10..=10_000);
        faults.range("cursor_ms", self.cursor_ms, 100..=600_000);
        faults.range("page_users", self.page_users, 1..=1_000);
        faults.range("poll_ms", self.poll_ms, 50..=60_000);
        faults.range("event_hours_max", self.event_hours_max, 1..=8_760);
    }
}

impl Deliver {
    /// The rules of `channel`.
    pub fn rules(&self, channel: Channel) -> &ChannelRules {
        match channel {
            Channel::Socket => &self.socket,
            Channel::Apns => &self.apns,
            Channel::Fcm => &self.fcm,
            Channel::Webpush => &self.webpush,
            Channel::Email => &self.email,
        }
    }

    fn check(&self, faults: &mut Faults) {
        faults.range("claim_wait_ms", self.claim_wait_ms, 10..=10_000);
        faults.range("record_rows", self.record_rows, 1..=500);
        faults.range("record_ms", self.record_ms, 1..=10_000);
        faults.range("probe_ms", self.probe_ms, 100..=600_000);
        faults.range("probe_max_ms", self.probe_max_ms, 1_000..=3_600_000);
        faults.range("promotions_hold_seconds", self.promotions_hold_seconds, 0..=86_400);
        faults.section("socket", |faults| self.socket.check(faults));
        faults.section("apns", |faults| self.apns.check(faults));
        faults.section("fcm", |faults| self.fcm.check(faults));
        faults.section("webpush", |faults| self.webpush.check(faults));
        faults.section("email", |faults| self.email.check(faults));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_fault() {
        let mut faults = Faults::default();
        Config::default().check(&mut faults);
        assert_eq!(faults.list(), []);
    }

    #[test]
    fn a_section_given_in_part_keeps_the_defaults_of_its_own_channel() {
        let deliver: Deliver = serde_json::from_str(r#"{"apns":{"batch":7},"email":{"workers":3}}"#).unwrap();
        assert_eq!(
            (deliver.apns.batch, deliver.apns.concurrency, deliver.apns.retry.floor_ms),
            (7, 200, 900_000)
        );
        assert_eq!((deliver.email.workers, deliver.email.batch), (3, 50));
        assert!(serde_json::from_str::<Deliver>(r#"{"apns":{"batches":7}}"#).is_err());
    }

    #[test]
    fn a_send_shorter_than_its_adapter_is_a_fault() {
        let mut config = Config::default();
        config.deliver.apns.send_ms_max = 20_000;
        config.sweeper.batch = 0;
        let mut faults = Faults::default();
        config.check(&mut faults);
        let fields: Vec<&str> = faults.list().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["sweeper.batch", "deliver.apns.send_ms_max"]);
    }
}
