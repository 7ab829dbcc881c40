//! Latencies: counted exactly enough, in fixed memory, and shown in milliseconds.

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest latency that is told apart, in microseconds: an hour.
pub(crate) const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Digits that are kept of a latency.
const DIGITS: u8 = 3;

/// Counts of latencies of many tasks. Shared by reference.
#[derive(Debug)]
pub(crate) struct Histogram(Mutex<hdrhistogram::Histogram<u64>>);

/// What a histogram says, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
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
        Self(Mutex::new(of_microseconds()))
    }
}

impl Histogram {
    /// Counts one latency.
    pub(crate) fn record(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0.lock().expect("no holder of this lock panics").saturating_record(us);
    }

    /// The quantiles of what was recorded; zeros when nothing was.
    pub(crate) fn quantiles(&self) -> Quantiles {
        Quantiles::of_histogram(&self.0.lock().expect("no holder of this lock panics"))
    }
}

impl Quantiles {
    /// The quantiles of latencies in microseconds; zeros when there are none.
    pub(crate) fn of_histogram(histogram: &hdrhistogram::Histogram<u64>) -> Self {
        let max = histogram.max();
        let at = |quantile: f64| milliseconds(histogram.value_at_quantile(quantile).min(max));
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: milliseconds(max),
        }
    }
}

/// An empty histogram of latencies in microseconds.
pub(crate) fn of_microseconds() -> hdrhistogram::Histogram<u64> {
    hdrhistogram::Histogram::new_with_bounds(1, LATENCY_MAX_US, DIGITS).expect("the bounds are in order")
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of hours lie far below 2^53")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_values() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantiles(), Quantiles::default());
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        histogram.record(Duration::MAX); // as long as can be told apart
        let found = histogram.quantiles();
        assert_eq!(found.count, 1001);
        for (found, exact) in [(found.p50_ms, 501.0), (found.p99_ms, 991.0), (found.p999_ms, 1000.0)] {
            assert!((exact * 0.999..=exact * 1.001).contains(&found), "{found} for {exact}");
        }
        assert!((found.max_ms - 3_600_000.0).abs() < 3_600.0, "{}", found.max_ms);
    }
}
