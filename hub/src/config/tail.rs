//! `[hub.tail]`: how the change log is read.

use serde::Deserialize;
use service::Faults;

/// How the change log is read: `[hub.tail]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tail {
    /// Entries of one partition in one read. 1 to 10,000. Too low: catching up is slow. Too high: long turns of the
    /// shards.
    pub entries_max: u32,
    /// Wait of one read for something new, in milliseconds. 10 to 60,000. Too low: idle work. Too high: a slow stop.
    pub wait_ms: u64,
    /// Before the first repetition of a failed read, in milliseconds; doubles from there. 1 to 10,000. Too low: a log
    /// in trouble is hammered. Too high: late messages.
    pub retry_ms_min: u64,
    /// Longest wait between repetitions, in milliseconds. `retry_ms_min` to 60,000. Too low and too high as above.
    pub retry_ms_max: u64,
}

impl Default for Tail {
    fn default() -> Self {
        Self { entries_max: 512, wait_ms: 1_000, retry_ms_min: 50, retry_ms_max: 2_000 }
    }
}

impl Tail {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("entries_max", self.entries_max, 1..=10_000);
        faults.range("wait_ms", self.wait_ms, 10..=60_000);
        faults.range("retry_ms_min", self.retry_ms_min, 1..=10_000);
        faults.range("retry_ms_max", self.retry_ms_max, self.retry_ms_min..=60_000);
    }
}
