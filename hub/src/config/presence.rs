//! `[hub.presence]`: how the nodes tell each other who follows what.

use serde::Deserialize;
use service::Faults;

/// How the nodes tell each other who follows what, for topics whose class has presence or tells who comes and goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Presence {
    /// For which comings and goings are collected into one entry of the change log, in milliseconds. 1 to 2,000. Too low:
    /// many entries. Too high: other nodes, and those who are told who comes and goes, know late.
    pub batch_ms: u64,
    /// Comings and goings that wait for the change log; beyond, the others are told of everybody who is here instead, and
    /// nobody is told who has come and gone meanwhile. 100 to 10,000,000. Too low: a rush costs more. Too high: memory
    /// while the log is late.
    pub changes_max: u32,
    /// Bytes of one entry, at most `streams.publication_bytes_max`. 32,768 to 1,048,576. Too low: many entries. Too high:
    /// each delays what comes behind.
    pub entry_bytes_max: u32,
    /// Between signs of life of a node, in milliseconds. 100 to 60,000. Too low: entries without news. Too high: a dead
    /// node is noticed late.
    pub heartbeat_ms: u64,
    /// Silence of a node after which its clients are gone, in milliseconds; at least three times `heartbeat_ms`, at most
    /// 600,000. Too low: a slow node's clients seem to leave and come. Too high: those of a dead one seem to stay.
    pub node_timeout_ms: u64,
    /// Clients in one answer to a presence command; of more only the numbers are told. 1 to 1,000,000. Too low: large rooms
    /// cannot list who is there. Too high: large answers delay others.
    pub answer_clients_max: u32,
}

impl Default for Presence {
    fn default() -> Self {
        Self {
            batch_ms: 50,
            changes_max: 200_000,
            entry_bytes_max: 131_072,
            heartbeat_ms: 3_000,
            node_timeout_ms: 12_000,
            answer_clients_max: 10_000,
        }
    }
}

impl Presence {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("batch_ms", self.batch_ms, 1..=2_000);
        faults.range("changes_max", self.changes_max, 100..=10_000_000);
        faults.range("entry_bytes_max", self.entry_bytes_max, 32_768..=1_048_576);
        faults.range("heartbeat_ms", self.heartbeat_ms, 100..=60_000);
        faults.range("node_timeout_ms", self.node_timeout_ms, 3 * self.heartbeat_ms..=600_000);
        faults.range("answer_clients_max", self.answer_clients_max, 1..=1_000_000);
    }
}
