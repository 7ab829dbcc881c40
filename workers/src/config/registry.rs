//! `[workers.registry]`: how old what is known of devices may become.

use serde::Deserialize;
use service::Faults;

/// `[workers.registry]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Milliseconds between two looks. 100 to 86,400,000. Too low: idle load. Too high: old tokens cost sends.
    pub every_ms: u64,
    /// Days after its last registration at which a token is retired. 7 to 3,650. Apps register at each start. Too low:
    /// who opens the app once a year hears nothing. Too high: sends to phones that are gone, which providers resent.
    pub stale_days: u32,
    /// Days after which a token that was set aside is retired, and a mail address that was set aside is tried again.
    /// 1 to 3,650. Too low: no time to mend our own settings. Too high: dead entries stay.
    pub quarantine_days: u32,
    /// Days after which a retired device is forgotten. 1 to 3,650. Too low: nobody can tell why somebody was not
    /// reached. Too high: the table grows.
    pub retired_days: u32,
    /// Devices retired or forgotten in one transaction. 1 to 10,000.
    pub batch: u32,
}

impl Default for Registry {
    fn default() -> Self {
        Self { every_ms: 3_600_000, stale_days: 270, quarantine_days: 30, retired_days: 30, batch: 500 }
    }
}

impl Registry {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("every_ms", self.every_ms, 100..=86_400_000);
        faults.range("stale_days", self.stale_days, 7..=3_650);
        faults.range("quarantine_days", self.quarantine_days, 1..=3_650);
        faults.range("retired_days", self.retired_days, 1..=3_650);
        faults.range("batch", self.batch, 1..=10_000);
    }
}
