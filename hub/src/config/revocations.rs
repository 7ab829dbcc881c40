//! `[hub.revocations]`: how long ended sessions are remembered.

use serde::Deserialize;
use service::Faults;

/// Sessions that ended before their access tokens did: `[hub.revocations]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Revocations {
    /// How long a revocation is remembered, in seconds: as long as an access token lives (`api.sessions.access_secs`), and
    /// a little for clocks. 60 to 86,400. Too low: somebody who was blocked comes back with an old token. Too high: memory.
    pub keep_secs: u64,
    /// Revocations that are remembered at once; when one has to make room too early, every token that is not younger has
    /// to be renewed (error 109). 100 to 10,000,000. Too low: everybody renews after a mass log-out. Too high: memory,
    /// about 200 bytes each.
    pub entries_max: u32,
}

impl Default for Revocations {
    fn default() -> Self {
        Self { keep_secs: 900, entries_max: 100_000 }
    }
}

impl Revocations {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("keep_secs", self.keep_secs, 60..=86_400);
        faults.range("entries_max", self.entries_max, 100..=10_000_000);
    }
}
