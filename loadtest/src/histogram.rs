//! Latencies of many tasks in fixed memory.
//!
//! Log-linear buckets, as `HdrHistogram` has them: each power of two is cut into 32, so a quantile is off by at
//! most 1/32 of its value. Recording is one atomic addition.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// Buckets per power of two.
const STEPS: u64 = 32;
/// Powers of two after the first linear stretch: values up to 2^36 µs, 19 hours.
const POWERS: u64 = 32;

/// Counts of latencies. Shared by reference.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: Box<[AtomicU64]>,
    max_us: AtomicU64,
}

/// What a [`Histogram`] says, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Quantiles {
    /// How many latencies were recorded.
    pub count: u64,
    /// Half of them are at most this long.
    pub p50_ms: f64,
    /// 99 of 100 are.
    pub p99_ms: f64,
    /// 999 of 1,000 are.
    pub p999_ms: f64,
    /// All of them are.
    pub max_ms: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        let buckets = (0..STEPS * (POWERS + 1)).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, max_us: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one latency.
    pub(crate) fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(us)].fetch_add(1, Ordering::Relaxed);
        self.max_us.fetch_max(us, Ordering::Relaxed);
    }

    /// The quantiles of what was recorded; zeros when nothing was.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count = counts.iter().sum();
        let max_us = self.max_us.load(Ordering::Relaxed);
        let at = |permille: u64| milliseconds(quantile(&counts, count, permille).min(max_us));
        Quantiles { count, p50_ms: at(500), p99_ms: at(990), p999_ms: at(999), max_ms: milliseconds(max_us) }
    }
}

/// The upper edge of the bucket in which the quantile lies.
fn quantile(counts: &[u64], total: u64, permille: u64) -> u64 {
    let rank = (total * permille).div_ceil(1000).max(1);
    let mut seen = 0;
    for (index, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            return upper_edge(index as u64);
        }
    }
    0
}

fn bucket(us: u64) -> usize {
    let power = (us / STEPS).checked_ilog2().map_or(0, |power| u64::from(power) + 1).min(POWERS);
    let index = if power == 0 { us } else { power * STEPS + (us >> (power - 1)).min(2 * STEPS - 1) - STEPS };
    usize::try_from(index).expect("an index below 1,100 fits")
}

fn upper_edge(index: u64) -> u64 {
    let (power, step) = (index / STEPS, index % STEPS);
    if power == 0 { step } else { ((STEPS + step + 1) << (power - 1)) - 1 }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of hours lie far below 2^53")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_with_little_error() {
        for us in (0..5_000).chain([1 << 20, 123_456_789, 1 << 35]) {
            let edge = upper_edge(bucket(us) as u64);
            assert!(edge >= us && edge - us <= us / STEPS, "{us} has the edge {edge}");
        }
        assert_eq!(bucket(u64::MAX) as u64, STEPS * (POWERS + 1) - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let histogram = Histogram::default();
        assert!(histogram.quantiles().max_ms < f64::EPSILON);
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let found = histogram.quantiles();
        assert_eq!(found.count, 1000);
        for (found, exact) in [(found.p50_ms, 500.0), (found.p99_ms, 990.0), (found.p999_ms, 999.0)] {
            assert!((exact..=exact * 1.04).contains(&found), "{found} for {exact}");
        }
        assert!((found.max_ms - 1000.0).abs() < f64::EPSILON);
    }
}
