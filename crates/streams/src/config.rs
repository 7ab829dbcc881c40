//! What operators set: `[streams]`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;

/// The change log and the work queues: `[streams]` in the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where they live. Empty: files in `streams` in the data directory, for one process. Otherwise Redis:
    /// `redis://`, `rediss://` (TLS), `redis-cluster://` with `?node=host:port` for further nodes, or
    /// `redis-sentinel://` with `?sentinelServiceName=name`.
    pub url: String,
    /// What every key on Redis begins with: letters, digits, `-` and `_`, 1 to 40. Two installations on one Redis
    /// need different prefixes.
    pub key_prefix: String,
    /// Partitions of the change log. 1 to 256; it cannot change once the log exists. Too low: one Redis node carries
    /// all of it. Too high: every node reads many streams for little traffic.
    pub partitions: u16,
    /// Entries that each partition keeps at least (embedded) or exactly (Redis), unless they grow too old. 100 to
    /// 10,000,000. Too low: clients that come back soon have to reload. Too high: memory.
    pub retention_entries: u64,
    /// Seconds after which an entry may be dropped although there is room. 60 to 2,592,000 (30 days). Too low:
    /// clients that come back have to reload. Too high: what was said long ago is kept.
    pub retention_seconds: u64,
    /// Bytes of one publication, its change included. 1 KiB to 1 MiB. Too low: large programmes cannot be
    /// announced. Too high: one publication delays the others.
    pub publication_bytes_max: usize,
    /// Publications or work items that travel in one step; larger calls are split. 1 to 1,000. Too low: more round
    /// trips. Too high: one step holds up the others.
    pub batch_max: usize,
    /// Items that one work queue may hold; pushing more is refused. 1 to 10,000,000. Too low: bursts are refused.
    /// Too high: a dead channel fills the memory.
    pub queue_items_max: u64,
    /// Milliseconds after which a waiting reader or worker looks again although nobody called it. 10 to 10,000. Too
    /// low: idle load. Too high: a wake-up lost with a connection to Redis, or the loss of a log to which nobody
    /// writes, is noticed late.
    pub poll_ms: u64,
    /// Of the files.
    pub embedded: Embedded,
    /// Of the connection to Redis.
    pub redis: Redis,
}

/// How the embedded backend treats its files: `[streams.embedded]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Embedded {
    /// What survives: see [`Fsync`].
    pub fsync: Fsync,
    /// Bytes after which the log begins a new file. 4 KiB to 1 GiB. Too low: many files. Too high: old entries leave
    /// the disk late and in large steps.
    pub segment_bytes: u64,
    /// Bytes of all log files together; beyond it the oldest file goes although its entries are young. At least
    /// twice `segment_bytes`, at most 1 TiB. Too low: clients have to reload. Too high: the disk fills.
    pub log_bytes_max: u64,
    /// Newest entries of each partition that are kept in memory; older ones are read from the disk. 1 to 1,000,000.
    /// Too low: readers wait for the disk. Too high: memory.
    pub memory_entries: usize,
    /// Operations that wait for the disk before callers wait for a place. 1 to 100,000. Too low: writers are not
    /// grouped. Too high: memory while the disk is slow.
    pub waiting_max: usize,
    /// Milliseconds to wait for another process to let go of the files. 0 to 60,000. Too low: a restart fails because
    /// the process before is still ending. Too high: a second process by mistake is noticed late.
    pub lock_wait_ms: u64,
    /// Bytes of the queues' journal below which it is not rewritten. 4 KiB to 1 GiB. Too low: it is rewritten all the
    /// time. Too high: it takes long to read at the start.
    pub compact_bytes: u64,
}

/// When a write is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    /// When the disk has it: nothing acknowledged is lost when the power fails. The default.
    Always,
    /// When the operating system has it: survives the death of the process, not of the machine. For disks that
    /// sync slowly. Because entries may have been lost, every start begins a new epoch: clients reload.
    Never,
}

/// How the connection to Redis is kept: `[streams.redis]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Redis {
    /// Milliseconds for one command before it counts as failed. 50 to 60,000. Too low: a busy server looks dead. Too
    /// high: callers wait long for a dead one.
    pub command_timeout_ms: u64,
    /// Milliseconds for a connection to be made. 50 to 60,000.
    pub connect_timeout_ms: u64,
    /// Milliseconds between two attempts to connect, at most. 10 to 60,000. Too low: a server that comes back is
    /// stormed. Too high: it is noticed late.
    pub reconnect_delay_max_ms: u64,
    /// Commands that wait for the connection before further ones are refused. 100 to 1,000,000.
    pub waiting_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            key_prefix: "munadi".to_owned(),
            partitions: 16,
            retention_entries: 50_000,
            retention_seconds: 24 * 60 * 60,
            publication_bytes_max: 256 * 1024,
            batch_max: 256,
            queue_items_max: 1_000_000,
            poll_ms: 200,
            embedded: Embedded::default(),
            redis: Redis::default(),
        }
    }
}

impl Default for Embedded {
    fn default() -> Self {
        Self {
            fsync: Fsync::Always,
            segment_bytes: 16 * 1024 * 1024,
            log_bytes_max: 1024 * 1024 * 1024,
            memory_entries: 4_096,
            waiting_max: 1_024,
            lock_wait_ms: 2_000,
            compact_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            command_timeout_ms: 2_000,
            connect_timeout_ms: 2_000,
            reconnect_delay_max_ms: 1_000,
            waiting_max: 10_000,
        }
    }
}

impl Config {
    /// Every rule that this configuration breaks: the field below `[streams]`, and the rule.
    pub fn check(&self) -> Vec<(&'static str, String)> {
        const MIB: u64 = 1024 * 1024;
        let mut faults = Faults::default();
        if !self.url.is_empty() {
            faults.0.extend(crate::redis::url_fault(&self.url).map(|rule| ("url", rule)));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=40).contains(&self.key_prefix.len()) || !self.key_prefix.bytes().all(plain) {
            faults.0.push(("key_prefix", "must be 1 to 40 letters, digits, - or _".to_owned()));
        }
        faults.range("partitions", self.partitions, 1..=256);
        faults.range("retention_entries", self.retention_entries, 100..=10_000_000);
        faults.range("retention_seconds", self.retention_seconds, 60..=2_592_000);
        faults.range("publication_bytes_max", self.publication_bytes_max, 1_024..=1_048_576);
        faults.range("batch_max", self.batch_max, 1..=1_000);
        faults.range("queue_items_max", self.queue_items_max, 1..=10_000_000);
        faults.range("poll_ms", self.poll_ms, 10..=10_000);
        let embedded = &self.embedded;
        faults.range("embedded.segment_bytes", embedded.segment_bytes, 4_096..=1_024 * MIB);
        let twice = embedded.segment_bytes.saturating_mul(2);
        faults.range("embedded.log_bytes_max", embedded.log_bytes_max, twice..=MIB * MIB);
        faults.range("embedded.memory_entries", embedded.memory_entries, 1..=1_000_000);
        faults.range("embedded.waiting_max", embedded.waiting_max, 1..=100_000);
        faults.range("embedded.lock_wait_ms", embedded.lock_wait_ms, 0..=60_000);
        faults.range("embedded.compact_bytes", embedded.compact_bytes, 4_096..=1_024 * MIB);
        let redis = &self.redis;
        faults.range("redis.command_timeout_ms", redis.command_timeout_ms, 50..=60_000);
        faults.range("redis.connect_timeout_ms", redis.connect_timeout_ms, 50..=60_000);
        faults.range("redis.reconnect_delay_max_ms", redis.reconnect_delay_max_ms, 10..=60_000);
        faults.range("redis.waiting_max", redis.waiting_max, 100..=1_000_000);
        faults.0
    }

    pub(crate) fn retention_age(&self) -> Duration {
        Duration::from_secs(self.retention_seconds)
    }

    pub(crate) fn lock_wait(&self) -> Duration {
        Duration::from_millis(self.embedded.lock_wait_ms)
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }
}

#[derive(Default)]
struct Faults(Vec<(&'static str, String)>);

impl Faults {
    fn range<T: PartialOrd + Display + Copy>(
        &mut self,
        field: &'static str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        let (low, high) = range.into_inner();
        if value < low || value > high {
            self.0.push((field, format!("must be {low} to {high}, is {value}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_every_fault_is_found() {
        assert_eq!(Config::default().check(), []);
        let config = Config {
            url: "http://example.org".to_owned(),
            key_prefix: "a b".to_owned(),
            partitions: 0,
            retention_entries: 1,
            retention_seconds: 1,
            publication_bytes_max: 1,
            batch_max: 0,
            queue_items_max: 0,
            poll_ms: 0,
            embedded: Embedded {
                fsync: Fsync::Never,
                segment_bytes: 1,
                log_bytes_max: 1,
                memory_entries: 0,
                waiting_max: 0,
                lock_wait_ms: 60_001,
                compact_bytes: 1,
            },
            redis: Redis {
                command_timeout_ms: 1,
                connect_timeout_ms: 1,
                reconnect_delay_max_ms: 1,
                waiting_max: 1,
            },
        };
        let fields: Vec<&str> = config.check().into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields.len(), 19, "{fields:?}");
    }
}
