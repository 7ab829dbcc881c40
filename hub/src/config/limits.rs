//! `[hub.limits]`: what keeps one client from hurting the others.

use serde::Deserialize;
use service::Faults;

/// Limits that keep one client from hurting the others: `[hub.limits]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sockets of this process; more are refused with 503. 1 to 10,000,000. Too low: people are turned away. Too high:
    /// memory and descriptors run out first.
    pub connections_max: u32,
    /// Connections of one user on this node; one more is closed with 3504. 1 to 100,000. Too low: people with many
    /// devices or tabs. Too high: one account can fill the node.
    pub connections_per_user_max: u32,
    /// Topics of one connection; one more is refused with error 106 (3505 when the token brings them). 1 to 10,000. Too
    /// low: rich pages fail. Too high: memory.
    pub topics_per_connection_max: u16,
    /// Bytes of one message of a client; a longer one closes with 1009, which three SDKs take as final. 1,024 to
    /// 16,777,216. Too low: fat tokens are locked out. Too high: memory.
    pub message_bytes_max: u32,
    /// Bytes of publications waiting for one connection before its least important topics are ended (2500, so that the
    /// client subscribes again and recovers), and itself as slow (3008) where that is not enough. 4,096 to 67,108,864. Too low: phones on
    /// weak networks are cut off. Too high: slow readers fill the memory.
    pub queue_bytes_max: u32,
    /// Bytes of answers waiting for one connection before it is closed as slow (3008); what one recovery or page of
    /// history may have is half of it. 524,288 to 67,108,864. Too low: what was missed cannot be recovered. Too high:
    /// memory.
    pub answer_bytes_max: u32,
    /// Commands per second that a connection may send for long; more are refused with error 111. 1 to 100,000. Too low:
    /// rich pages stutter. Too high: one client can keep a shard busy.
    pub commands_per_second: u32,
    /// Commands that a connection may send at once. 1 to 100,000. Too low: the first batch of a page is refused. Too
    /// high: as above, in bursts.
    pub commands_burst: u32,
    /// As `commands_per_second`, of all connections of one user on this node together.
    pub commands_per_second_per_user: u32,
    /// As `commands_burst`, of all connections of one user on this node together.
    pub commands_burst_per_user: u32,
    /// Commands answered with an error, one of which is forgiven each second, before the connection is closed with 3509, which
    /// is final. 1 to 100,000. Too low: a page with a fault is locked out. Too high: a broken client keeps trying.
    pub errors_max: u32,
    /// Commands refused for their speed before the connection is closed with 3013. 1 to 100,000. Too low: a short
    /// burst disconnects. Too high: a broken client keeps trying.
    pub refusals_max: u32,
    /// Publications in one answer to a recovery or history command. 1 to 10,000. Too low: short absences cannot be
    /// recovered. Too high: large answers delay others.
    pub recovery_publications_max: u32,
    /// Batches of publications, sockets and answers waiting for one shard. 16 to 65,536. Too low: the tail waits for
    /// shards. Too high: memory when a shard is late.
    pub inbox_max: u32,
    /// Confirmations of deliveries waiting for the work queue; more are refused with error 111. 16 to 1,000,000. Too
    /// low: bursts are refused. Too high: memory.
    pub confirmations_max: u32,
    /// Publications of clients waiting for the change log; more are refused with error 111. 16 to 1,000,000. Too low:
    /// bursts are refused. Too high: memory.
    pub submissions_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_000_000,
            connections_per_user_max: 100,
            topics_per_connection_max: 128,
            message_bytes_max: 262_144,
            queue_bytes_max: 1_048_576,
            answer_bytes_max: 8_388_608,
            commands_per_second: 100,
            commands_burst: 500,
            commands_per_second_per_user: 500,
            commands_burst_per_user: 2_500,
            errors_max: 500,
            refusals_max: 200,
            recovery_publications_max: 300,
            inbox_max: 1_024,
            confirmations_max: 10_000,
            submissions_max: 10_000,
        }
    }
}

impl Limits {
    /// Bytes of publications that one answer may have.
    pub(crate) fn page_bytes_max(&self) -> usize {
        self.answer_bytes_max as usize / 2
    }

    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("connections_max", self.connections_max, 1..=10_000_000);
        faults.range("connections_per_user_max", self.connections_per_user_max, 1..=100_000);
        faults.range("topics_per_connection_max", self.topics_per_connection_max, 1..=10_000);
        faults.range("message_bytes_max", self.message_bytes_max, 1_024..=16_777_216);
        faults.range("queue_bytes_max", self.queue_bytes_max, 4_096..=67_108_864);
        faults.range("answer_bytes_max", self.answer_bytes_max, 524_288..=67_108_864);
        faults.range("commands_per_second", self.commands_per_second, 1..=100_000);
        faults.range("commands_burst", self.commands_burst, 1..=100_000);
        faults.range("commands_per_second_per_user", self.commands_per_second_per_user, 1..=100_000);
        faults.range("commands_burst_per_user", self.commands_burst_per_user, 1..=100_000);
        faults.range("errors_max", self.errors_max, 1..=100_000);
        faults.range("refusals_max", self.refusals_max, 1..=100_000);
        faults.range("recovery_publications_max", self.recovery_publications_max, 1..=10_000);
        faults.range("inbox_max", self.inbox_max, 16..=65_536);
        faults.range("confirmations_max", self.confirmations_max, 16..=1_000_000);
        faults.range("submissions_max", self.submissions_max, 16..=1_000_000);
    }
}
