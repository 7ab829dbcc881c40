//! `[hub]` in the configuration: every limit, wait and retry of the sockets.

use serde::Deserialize;
use service::Faults;

use crate::origin::OriginPattern;

/// The sockets: `[hub]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Threads that carry connections; 0 = one per core. 0 to 256. Too few: cores idle under load. Too many: they
    /// compete with each other and with the rest of the process.
    pub shards: u16,
    /// Whether clients without a token may connect; they may follow public topics only.
    pub anonymous: bool,
    /// Origins of web pages that may connect besides those of our own host: exact (`https://example.org`), with a
    /// wildcard (`https://*.example.org`), or `*` for all. Requests without an `Origin` always pass.
    pub origins: Vec<String>,
    /// Between pings, in milliseconds. 1,000 to 300,000. Too low: traffic and battery. Too high: proxies drop quiet
    /// connections, and dead ones are found late.
    pub ping_interval_ms: u64,
    /// Until a ping has to be answered, in milliseconds. 100 to 60,000, below `ping_interval_ms`. Too low: phones on
    /// weak networks are cut off. Too high: dead connections hold memory.
    pub pong_timeout_ms: u64,
    /// Until a new socket has to connect, in milliseconds. 100 to 120,000. Too low: slow phones fail. Too high: idle
    /// sockets pile up.
    pub stale_after_ms: u64,
    /// Until a socket with data waiting has to take some, in milliseconds. 100 to 120,000. Too low: short network gaps
    /// disconnect. Too high: dead sockets hold their queue.
    pub write_timeout_ms: u64,
    /// Until the peer has to answer a close, in milliseconds. 10 to 60,000. Too low: the code is not seen by slow
    /// readers. Too high: closed sockets hold descriptors.
    pub close_wait_ms: u64,
    /// After a token has run out until its connection is closed, in milliseconds. 0 to 600,000. Too low: refreshes
    /// that are a little late disconnect. Too high: withdrawn rights live on.
    pub expiry_grace_ms: u64,
    /// Until the tail has to reach a position that a client has from a faster node, in milliseconds. 0 to 4,000
    /// (SDKs give up after 5 s). Too low: needless retries. Too high: slow subscribes.
    pub hold_ms: u64,
    /// Over which the drain closes all sockets, in milliseconds. 0 to 600,000. Too low: every client reconnects at
    /// once. Too high: restarts are slow.
    pub drain_window_ms: u64,
    /// Over which subscribers of a lost log are told to subscribe again, in milliseconds. 0 to 600,000. Too low: a
    /// stampede. Too high: clients stay behind for longer.
    pub resync_spread_ms: u64,
    /// For an accepted upgrade to become a socket, in milliseconds. 100 to 60,000. Too low: slow phones fail. Too high:
    /// half-made sockets pile up.
    pub upgrade_timeout_ms: u64,
    /// Limits that keep one client from hurting the others.
    pub limits: Limits,
    /// What is kept in memory for those who come back.
    pub history: History,
    /// How the change log is read.
    pub tail: Tail,
}

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
    /// Bytes waiting for one connection before it is closed as slow (3008). 4,096 to 67,108,864. Too low: phones on
    /// weak networks are cut off. Too high: slow readers fill the memory.
    pub queue_bytes_max: u32,
    /// Commands per second that a connection may send for long; more are refused with error 111. 1 to 100,000. Too low:
    /// rich pages stutter. Too high: one client can keep a shard busy.
    pub commands_per_second: u32,
    /// Commands that a connection may send at once. 1 to 100,000. Too low: the first batch of a page is refused. Too
    /// high: as above, in bursts.
    pub commands_burst: u32,
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
}

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

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 0,
            anonymous: true,
            origins: Vec::new(),
            ping_interval_ms: 25_000,
            pong_timeout_ms: 8_000,
            stale_after_ms: 10_000,
            write_timeout_ms: 10_000,
            close_wait_ms: 5_000,
            expiry_grace_ms: 25_000,
            hold_ms: 500,
            drain_window_ms: 10_000,
            resync_spread_ms: 5_000,
            upgrade_timeout_ms: 10_000,
            limits: Limits::default(),
            history: History::default(),
            tail: Tail::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_000_000,
            connections_per_user_max: 100,
            topics_per_connection_max: 128,
            message_bytes_max: 262_144,
            queue_bytes_max: 1_048_576,
            commands_per_second: 100,
            commands_burst: 500,
            refusals_max: 200,
            recovery_publications_max: 300,
            inbox_max: 1_024,
            confirmations_max: 10_000,
        }
    }
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

impl Default for Tail {
    fn default() -> Self {
        Self { entries_max: 512, wait_ms: 1_000, retry_ms_min: 50, retry_ms_max: 2_000 }
    }
}

impl Config {
    /// Notes everything that is out of its range.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("shards", self.shards, 0..=256);
        faults.range("ping_interval_ms", self.ping_interval_ms, 1_000..=300_000);
        faults.range("pong_timeout_ms", self.pong_timeout_ms, 100..=60_000);
        if self.pong_timeout_ms >= self.ping_interval_ms {
            faults.add("pong_timeout_ms", "must be below ping_interval_ms");
        }
        faults.range("stale_after_ms", self.stale_after_ms, 100..=120_000);
        faults.range("write_timeout_ms", self.write_timeout_ms, 100..=120_000);
        faults.range("close_wait_ms", self.close_wait_ms, 10..=60_000);
        faults.range("expiry_grace_ms", self.expiry_grace_ms, 0..=600_000);
        faults.range("hold_ms", self.hold_ms, 0..=4_000);
        faults.range("drain_window_ms", self.drain_window_ms, 0..=600_000);
        faults.range("resync_spread_ms", self.resync_spread_ms, 0..=600_000);
        faults.range("upgrade_timeout_ms", self.upgrade_timeout_ms, 100..=60_000);
        for origin in &self.origins {
            if OriginPattern::parse(origin).is_none() {
                faults.add("origins", format!("\"{origin}\" is not an origin such as https://*.example.org"));
            }
        }
        faults.section("limits", |faults| self.limits.check(faults));
        faults.section("history", |faults| self.history.check(faults));
        faults.section("tail", |faults| self.tail.check(faults));
    }
}

impl Limits {
    fn check(&self, faults: &mut Faults) {
        faults.range("connections_max", self.connections_max, 1..=10_000_000);
        faults.range("connections_per_user_max", self.connections_per_user_max, 1..=100_000);
        faults.range("topics_per_connection_max", self.topics_per_connection_max, 1..=10_000);
        faults.range("message_bytes_max", self.message_bytes_max, 1_024..=16_777_216);
        faults.range("queue_bytes_max", self.queue_bytes_max, 4_096..=67_108_864);
        faults.range("commands_per_second", self.commands_per_second, 1..=100_000);
        faults.range("commands_burst", self.commands_burst, 1..=100_000);
        faults.range("refusals_max", self.refusals_max, 1..=100_000);
        faults.range("recovery_publications_max", self.recovery_publications_max, 1..=10_000);
        faults.range("inbox_max", self.inbox_max, 16..=65_536);
        faults.range("confirmations_max", self.confirmations_max, 16..=1_000_000);
    }
}

impl History {
    fn check(&self, faults: &mut Faults) {
        faults.range("publications_max", self.publications_max, 1..=100_000);
        faults.range("age_ms_max", self.age_ms_max, 1_000..=604_800_000);
        faults.range("bytes_max", self.bytes_max, 65_536..=1_099_511_627_776);
        faults.range("topics_max", self.topics_max, 16..=100_000_000);
        faults.range("warm_entries_max", self.warm_entries_max, 0..=10_000_000);
    }
}

impl Tail {
    fn check(&self, faults: &mut Faults) {
        faults.range("entries_max", self.entries_max, 1..=10_000);
        faults.range("wait_ms", self.wait_ms, 10..=60_000);
        faults.range("retry_ms_min", self.retry_ms_min, 1..=10_000);
        faults.range("retry_ms_max", self.retry_ms_max, self.retry_ms_min..=60_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_has_no_fault_and_faults_are_all_found() {
        let mut faults = Faults::default();
        Config::default().check(&mut faults);
        assert!(faults.is_empty(), "{:?}", faults.list());

        let mut config = Config { ping_interval_ms: 5, origins: vec!["example".into()], ..Config::default() };
        config.limits.queue_bytes_max = 1;
        config.history.topics_max = 1;
        config.tail.retry_ms_max = 1;
        config.check(&mut faults);
        let fields: Vec<_> = faults.list().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "ping_interval_ms",
                "pong_timeout_ms",
                "origins",
                "limits.queue_bytes_max",
                "history.topics_max",
                "tail.retry_ms_max"
            ]
        );
    }
}
