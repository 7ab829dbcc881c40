//! The rules of one channel: `[workers.deliver.<channel>]`.

use std::time::Duration;

use domain::{Lane, RetryPolicy};
use serde::{Deserialize, Deserializer};
use service::Faults;

/// `[workers.deliver.<channel>]`. What is left out has the channel's own default.
#[derive(Debug, Clone)]
pub struct ChannelRules {
    /// Workers of each lane; a lane never lends its workers to another. 1 to 64.
    pub workers: u32,
    /// Messages that one worker sends at the same time. 1 to 1,000. Too low: throughput. Too high: the provider
    /// answers with 429, and a crash leaves that many attempts without verdict.
    pub concurrency: usize,
    /// Attempts recorded in one transaction before they are made. 1 to 500.
    /// Too low: many small writes. Too high: urgent work of the same lane waits behind them.
    pub batch: usize,
    /// Milliseconds for which a worker has a work item; in the second half of it nothing is begun. 1,000 to 600,000.
    /// Too low: pages are handed around half done. Too high: what was not begun waits that long after a crash.
    pub lease_ms: u64,
    /// Milliseconds that one send can take at most, as its adapter bounds it. 10 to 900,000. So long nobody else
    /// touches the delivery. Too low: a slow answer comes after the message was sent again. Too high: what was under
    /// way waits that long after a crash.
    pub send_ms_max: u64,
    /// Lanes in which an attempt without verdict is repeated, because a repeat replaces the first or is better than
    /// silence.
    pub resend_unknown: Vec<Lane>,
    /// Repetitions in the emergency lane.
    pub retry_emergency: Retry,
    /// Repetitions in the other lanes.
    pub retry: Retry,
}

/// When failed attempts are repeated.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Milliseconds of the first wait. 1 to 3,600,000. Too low: a struggling provider is beaten. Too high: people wait.
    pub floor_ms: u64,
    /// By how much each wait is longer than the one before. 1 to 20.
    pub factor: f64,
    /// Milliseconds of the longest wait. At least `floor_ms`, at most 86,400,000.
    pub ceiling_ms: u64,
    /// Attempts in all. 1 to 100. Too low: hiccups lose messages. Too high: the hopeless is repeated.
    pub attempts_max: u32,
}

impl Default for ChannelRules {
    /// The rules of the socket channel, which only has to write to our own log.
    fn default() -> Self {
        let retry = Retry { floor_ms: 1_000, factor: 2.0, ceiling_ms: 30_000, attempts_max: 20 };
        Self {
            workers: 1,
            concurrency: 1,
            batch: 500,
            lease_ms: 60_000,
            send_ms_max: 30_000,
            resend_unknown: Lane::ALL.to_vec(),
            retry_emergency: retry,
            retry,
        }
    }
}

/// What was written of a channel's section.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    workers: Option<u32>,
    concurrency: Option<usize>,
    batch: Option<usize>,
    lease_ms: Option<u64>,
    send_ms_max: Option<u64>,
    resend_unknown: Option<Vec<Lane>>,
    retry_emergency: Option<Retry>,
    retry: Option<Retry>,
}

/// Reads a channel's section; what it leaves out is as in `base`, the channel's own defaults.
pub(super) fn read_over<'de, D: Deserializer<'de>>(
    base: ChannelRules,
    section: D,
) -> Result<ChannelRules, D::Error> {
    let written = Written::deserialize(section)?;
    Ok(ChannelRules {
        workers: written.workers.unwrap_or(base.workers),
        concurrency: written.concurrency.unwrap_or(base.concurrency),
        batch: written.batch.unwrap_or(base.batch),
        lease_ms: written.lease_ms.unwrap_or(base.lease_ms),
        send_ms_max: written.send_ms_max.unwrap_or(base.send_ms_max),
        resend_unknown: written.resend_unknown.unwrap_or(base.resend_unknown),
        retry_emergency: written.retry_emergency.unwrap_or(base.retry_emergency),
        retry: written.retry.unwrap_or(base.retry),
    })
}

impl ChannelRules {
    /// How attempts in `lane` are repeated.
    pub fn policy(&self, lane: Lane) -> RetryPolicy {
        let retry = if lane == Lane::Emergency { self.retry_emergency } else { self.retry };
        RetryPolicy {
            floor: Duration::from_millis(retry.floor_ms),
            factor: retry.factor,
            ceiling: Duration::from_millis(retry.ceiling_ms),
            attempts_max: retry.attempts_max,
        }
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("workers", self.workers, 1..=64);
        faults.range("concurrency", self.concurrency, 1..=1_000);
        faults.range("batch", self.batch, 1..=500);
        faults.range("lease_ms", self.lease_ms, 1_000..=600_000);
        faults.range("send_ms_max", self.send_ms_max, 10..=900_000);
        faults.section("retry_emergency", |faults| self.retry_emergency.check(faults));
        faults.section("retry", |faults| self.retry.check(faults));
    }
}

impl Retry {
    fn check(&self, faults: &mut Faults) {
        faults.range("floor_ms", self.floor_ms, 1..=3_600_000);
        faults.range("factor", self.factor, 1.0..=20.0);
        faults.range("ceiling_ms", self.ceiling_ms, self.floor_ms..=86_400_000);
        faults.range("attempts_max", self.attempts_max, 1..=100);
    }
}
