//! `[hub.history]`: what is kept in memory.

use serde::Deserialize;
use service::Faults;

/// What is kept in memory for those who come back: `[hub.history]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// Publications of one topic. 1 to 100,000. Too low: busy topics cannot be recovered. Too high: memory.
    pub publications_max: u32,
    /// Age of a publication, in milliseconds. 1,000 to 604,800,000. Too low: a short tunnel is too long. Too high:
    /// clients are brought up to date with what nobody needs.
    pub age_ms_max: u64,
    /// Bytes of all topics together; each partition has an equal share. 65,536 to 1,099,511,627,776. Too low: recovery
    /// fails under load. Too high: memory.
    pub bytes_max: u64,
    /// Topics whose last position is remembered; each partition has an equal share. 16 to 100,000,000. Too low: quiet
    /// topics cannot be recovered from old positions. Too high: memory.
    pub topics_max: u32,
    /// Entries of each partition that are read before the node is ready. 0 to 10,000,000. Too low: clients cannot
    /// recover after a restart. Too high: slow starts.
    pub warm_entries_max: u64,
}

impl Default for History {
    fn default() -> Self {
        Self {
            publications_max: 1_000,
            age_ms_max: 86_400_000,
            bytes_max: 268_435_456,
            topics_max: 500_000,
            warm_entries_max: 100_000,
        }
    }
}

impl History {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("publications_max", self.publications_max, 1..=100_000);
        faults.range("age_ms_max", self.age_ms_max, 1_000..=604_800_000);
        faults.range("bytes_max", self.bytes_max, 65_536..=1_099_511_627_776);
        faults.range("topics_max", self.topics_max, 16..=100_000_000);
        faults.range("warm_entries_max", self.warm_entries_max, 0..=10_000_000);
    }
}
