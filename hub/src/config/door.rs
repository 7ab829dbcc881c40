//! `[hub.door]`: how many may come in, and how fast.

use serde::Deserialize;
use service::Faults;

/// What the front door lets in: `[hub.door]`. Whoever is refused gets 503 with `Retry-After`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorLimits {
    /// Whose `X-Forwarded-For` is believed: `http.trusted_proxies`, set by the process.
    #[serde(skip)]
    pub trusted_proxies: Vec<String>,
    /// Connections from one address (IPv6: one /64). 1 to 10,000,000. Too low: a festival whose visitors share the address
    /// of one network is locked out. Too high: one machine can fill the node.
    pub connections_per_address_max: u32,
    /// Connections that may begin per second on this node, for long. 1 to 1,000,000. Too low: after a cut people come back
    /// slowly. Too high: a stampede takes the time of those who are there.
    pub connects_per_second: u32,
    /// Connections that may begin at once on this node. 1 to 1,000,000. Too low and too high as above.
    pub connects_burst: u32,
    /// As `connects_per_second`, from one address.
    pub connects_per_second_per_address: u32,
    /// As `connects_burst`, from one address.
    pub connects_burst_per_address: u32,
    /// Addresses whose speed is remembered at once; the others share one. 100 to 10,000,000. Too low: newcomers hinder each
    /// other. Too high: memory.
    pub addresses_max: u32,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            trusted_proxies: Vec::new(),
            connections_per_address_max: 100_000,
            connects_per_second: 10_000,
            connects_burst: 20_000,
            connects_per_second_per_address: 5_000,
            connects_burst_per_address: 20_000,
            addresses_max: 100_000,
        }
    }
}

impl DoorLimits {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("connections_per_address_max", self.connections_per_address_max, 1..=10_000_000);
        faults.range("connects_per_second", self.connects_per_second, 1..=1_000_000);
        faults.range("connects_burst", self.connects_burst, 1..=1_000_000);
        faults.range("connects_per_second_per_address", self.connects_per_second_per_address, 1..=1_000_000);
        faults.range("connects_burst_per_address", self.connects_burst_per_address, 1..=1_000_000);
        faults.range("addresses_max", self.addresses_max, 100..=10_000_000);
    }
}
