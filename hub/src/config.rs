//! `[hub]` in the configuration: every limit, wait and retry of the sockets.

mod classes;
mod door;
mod history;
mod http;
mod limits;
mod presence;
mod pusher;
mod revocations;
mod server_api;
mod tail;
mod tokens;

use serde::Deserialize;
use service::Faults;

pub use self::classes::{Class, Classes, Offer, Who};
pub(crate) use self::classes::{DEFAULT as DEFAULT_CLASS, PRIORITY_MAX};
pub use self::door::DoorLimits;
pub use self::history::History;
pub use self::http::{Http, Refusals};
pub use self::limits::Limits;
pub use self::presence::Presence;
pub use self::pusher::{App, Pusher, WebhookKind, Webhooks};
pub use self::revocations::Revocations;
pub use self::server_api::ServerApi;
pub use self::tail::Tail;
pub use self::tokens::Tokens;
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
    /// What the front door lets in.
    pub door: DoorLimits,
    /// Limits that keep one client from hurting the others.
    pub limits: Limits,
    /// What is kept in memory for those who come back.
    pub history: History,
    /// How the change log is read.
    pub tail: Tail,
    /// Connections over plain HTTP.
    pub http: Http,
    /// Applications that speak Pusher's protocol.
    pub pusher: Pusher,
    /// Tokens of a foreign issuer.
    pub tokens: Tokens,
    /// What may be done with topics, and what is kept of them.
    pub classes: Classes,
    /// Sessions that ended before their access tokens did.
    pub revocations: Revocations,
    /// How the nodes tell each other who follows what.
    pub presence: Presence,
    /// The HTTP API for back ends.
    pub server_api: ServerApi,
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
            door: DoorLimits::default(),
            limits: Limits::default(),
            history: History::default(),
            tail: Tail::default(),
            http: Http::default(),
            pusher: Pusher::default(),
            tokens: Tokens::default(),
            classes: Classes::default(),
            revocations: Revocations::default(),
            presence: Presence::default(),
            server_api: ServerApi::default(),
        }
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
        faults.section("door", |faults| self.door.check(faults));
        faults.section("limits", |faults| self.limits.check(faults));
        faults.section("history", |faults| self.history.check(faults));
        faults.section("tail", |faults| self.tail.check(faults));
        faults.section("http", |faults| self.http.check(faults));
        faults.section("pusher", |faults| self.pusher.check(faults));
        faults.section("tokens", |faults| self.tokens.check(faults));
        faults.section("classes", |faults| self.classes.check(faults));
        faults.section("revocations", |faults| self.revocations.check(faults));
        faults.section("presence", |faults| self.presence.check(faults));
        faults.section("server_api", |faults| self.server_api.check(faults));
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
