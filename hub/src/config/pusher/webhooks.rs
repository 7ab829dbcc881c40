//! `[hub.pusher.webhooks]`: how the applications' back ends are told what happens.

use serde::Deserialize;
use service::{Faults, http_client};

/// Something that back ends are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookKind {
    /// A channel has got its first subscriber, or lost its last.
    ChannelExistence,
    /// A member has come to a presence channel, or left it.
    Presence,
    /// A client has sent an event.
    ClientEvents,
    /// Somebody wanted the last event of a cache channel that has none.
    CacheMisses,
    /// The number of subscribers of a channel has changed.
    SubscriptionCounts,
}

/// How back ends are told: `[hub.pusher.webhooks]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Events in one POST. 1 to 1,000. Too low: many requests. Too high: large bodies.
    pub batch_max: u16,
    /// For which events are collected into one POST, in milliseconds. 0 to 60,000. Too low: many requests. Too high: late
    /// news.
    pub batch_wait_ms: u64,
    /// Events that wait for one back end; more are dropped and counted. 16 to 1,000,000. Too low: a short outage loses
    /// some. Too high: memory.
    pub queue_max: u32,
    /// Before the first repetition of a failed POST, in milliseconds; doubles from there. 10 to 60,000. Too low: a back
    /// end in trouble is hammered. Too high: late news.
    pub retry_ms_min: u64,
    /// Longest wait between repetitions, in milliseconds. `retry_ms_min` to 300,000. Too low and too high as above.
    pub retry_ms_max: u64,
    /// For which a POST is repeated, in milliseconds; then it is dropped and counted. 0 to 3,600,000. Too low: a short
    /// outage loses some. Too high: what is new waits behind what is old.
    pub retry_for_ms: u64,
    /// After a channel's last subscriber has left until it is called vacated, in milliseconds. 0 to 60,000. Too low:
    /// every reload of a page is told. Too high: late news.
    pub vacated_after_ms: u64,
    /// Limits of the requests.
    pub http: http_client::Config,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            batch_max: 50,
            batch_wait_ms: 200,
            queue_max: 10_000,
            retry_ms_min: 1_000,
            retry_ms_max: 60_000,
            retry_for_ms: 300_000,
            vacated_after_ms: 3_000,
            http: http_client::Config::default(),
        }
    }
}

impl Webhooks {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("batch_max", self.batch_max, 1..=1_000);
        faults.range("batch_wait_ms", self.batch_wait_ms, 0..=60_000);
        faults.range("queue_max", self.queue_max, 16..=1_000_000);
        faults.range("retry_ms_min", self.retry_ms_min, 10..=60_000);
        faults.range("retry_ms_max", self.retry_ms_max, self.retry_ms_min..=300_000);
        faults.range("retry_for_ms", self.retry_for_ms, 0..=3_600_000);
        faults.range("vacated_after_ms", self.vacated_after_ms, 0..=60_000);
        faults.section("http", |faults| self.http.check(faults));
    }
}
