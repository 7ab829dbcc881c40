//! Numbers that one thread counts and another reads: counting is an addition to memory that nobody else writes.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Counter, Gauge, Histogram};

/// Counts up. Written by one thread, so that an addition needs no lock of the bus.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

/// How much there is.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicU64);

/// How values are spread over [`service::admin::SECONDS`].
#[derive(Debug, Default)]
pub(crate) struct Spread {
    counts: [Count; BUCKETS],
    sums: [Level; BUCKETS],
}

/// One for each bound, and one for what is beyond the last.
const BUCKETS: usize = service::admin::SECONDS.len() + 1;

impl Count {
    pub(crate) fn increment(&self, by: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Level {
    pub(crate) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Spread {
    pub(crate) fn record(&self, seconds: f64) {
        let at = service::admin::SECONDS.partition_point(|bound| *bound < seconds);
        self.counts[at].increment(1);
        self.sums[at].set(self.sums[at].get() + seconds);
    }
}

/// A counter for people, and how much of a [`Count`] it has been told.
pub(super) struct ToldCount {
    handle: Counter,
    told: u64,
}

impl ToldCount {
    pub(super) fn new(handle: Counter) -> Self {
        Self { handle, told: 0 }
    }

    pub(super) fn fold(&mut self, count: &Count) {
        let now = count.get();
        self.handle.increment(now.wrapping_sub(self.told));
        self.told = now;
    }
}

/// Has a gauge for people say what a [`Level`] says.
pub(super) fn fold_level(handle: &Gauge, level: &Level) {
    handle.set(level.get());
}

/// A histogram for people, and what of a [`Spread`] it has been told: of each bucket, how many and their sum.
pub(super) struct ToldSpread {
    handle: Histogram,
    told: [(u64, f64); BUCKETS],
}

impl ToldSpread {
    pub(super) fn new(handle: Histogram) -> Self {
        Self { handle, told: [(0, 0.0); BUCKETS] }
    }

    /// Tells what is new as so many values of the mean of their bucket: neither counts nor sums are changed by it.
    pub(super) fn fold(&mut self, spread: &Spread) {
        for (at, (count, sum)) in spread.counts.iter().zip(&spread.sums).enumerate() {
            let (now, sum) = (count.get(), sum.get());
            let (told, told_sum) = std::mem::replace(&mut self.told[at], (now, sum));
            let Ok(new @ 1..) = usize::try_from(now.wrapping_sub(told)) else { continue };
            #[expect(clippy::cast_precision_loss, reason = "a mean is a float")]
            let mean = (sum - told_sum) / new as f64;
            let bound = service::admin::SECONDS.get(at).copied().unwrap_or(f64::MAX);
            self.handle.record_many(mean.min(bound), new);
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_folded_spread_is_what_was_recorded() {
        let recorder =
            PrometheusBuilder::new().set_buckets(&service::admin::SECONDS).unwrap().build_recorder();
        let (direct, folded) = with_local_recorder(&recorder, || {
            (metrics::histogram!("direct"), ToldSpread::new(metrics::histogram!("folded")))
        });
        let mut folded = folded;
        let spread = Spread::default();
        for round in 0..3 {
            for value in [0.0, 0.000_1, 0.000_11, 0.003, 0.004_999, 0.005, 59.0, 61.0, 1_000.0] {
                let value = value * f64::from(round + 1);
                direct.record(value);
                spread.record(value);
            }
            folded.fold(&spread);
        }
        folded.fold(&spread);
        let text = recorder.handle().render();
        let lines = |name: &str| -> Vec<(String, f64)> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(name));
            let parts = lines.filter_map(|line| line.rsplit_once(' '));
            parts.map(|(label, value)| (label.to_owned(), value.parse().unwrap())).collect()
        };
        let (direct, folded) = (lines("direct"), lines("folded"));
        assert!(direct.len() > BUCKETS);
        for ((label, one), (_, other)) in direct.iter().zip(&folded) {
            assert!((one - other).abs() < 1e-6, "{label}: {one} {other}");
        }
    }
}
