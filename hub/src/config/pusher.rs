//! `[hub.pusher]`: applications that speak Pusher's protocol, and its limits.

mod app;
mod webhooks;

use std::collections::BTreeMap;

use serde::Deserialize;
use service::Faults;

pub use self::app::App;
pub use self::webhooks::{WebhookKind, Webhooks};

/// Pusher's protocol: `[hub.pusher]`. Off as long as there is no application.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pusher {
    /// The applications by their ids, of digits where Pusher's libraries are used.
    pub apps: BTreeMap<String, App>,
    /// Seconds of silence after which either side asks whether the other is there. 5 to 600; pusher-js uses its own
    /// 120 when that is less. Too low: traffic and battery. Too high: dead connections are found late.
    pub activity_timeout_s: u32,
    /// Until a ping has to be answered, in milliseconds. 100 to 120,000. Too low: phones on weak networks are cut off.
    /// Too high: dead connections hold memory.
    pub pong_timeout_ms: u64,
    /// Characters of the longest name of a channel. 16 to 240. Too low: long names are refused. Too high: memory.
    pub channel_name_max: u16,
    /// Bytes of the data of one event; more is refused with 413, and 4301 for events of clients. 256 to 1,048,576. Too
    /// low: rich events are refused. Too high: slow phones wait for large ones.
    pub event_bytes_max: u32,
    /// Channels of one event in the HTTP API. 1 to 10,000. Too low: back ends send more requests. Too high: one
    /// request keeps the log busy.
    pub event_channels_max: u16,
    /// Events of one batch in the HTTP API. 1 to 1,000. Too low and too high as above.
    pub batch_events_max: u16,
    /// Bytes of the body of a request of the HTTP API. 1,024 to 67,108,864; below what the events of a batch may have
    /// together they cannot all be full. Too high: memory.
    pub body_bytes_max: u32,
    /// Seconds that the time of a signed request may be away from ours. 10 to 3,600. Too low: clocks that are a little
    /// off lock back ends out. Too high: a request that somebody has seen can be repeated for longer.
    pub signature_age_s_max: u32,
    /// Events per second that a client may send for long; more are refused with 4301. 1 to 10,000. Too low: games
    /// stutter. Too high: one client can keep a channel busy.
    pub client_events_per_second: u32,
    /// Bytes of what a member of a presence channel, or a signed-in user, says about themselves. 64 to 65,536. Too low:
    /// long names are refused. Too high: long lists of members.
    pub member_bytes_max: u32,
    /// Members of one presence channel; one more is refused. 1 to 100,000. Too low: people are turned away. Too high:
    /// everybody who comes gets a long list.
    pub members_max: u32,
    /// Events of clients and news for back ends that wait for this node; more are refused with 4301, or dropped and
    /// counted. 16 to 1,000,000. Too low: bursts are refused. Too high: memory.
    pub queue_max: u32,
    /// Between announcements of how many subscribers the channels of this node have, in milliseconds. 50 to 60,000. Too
    /// low: entries in the change log. Too high: the HTTP API and webhooks lag behind.
    pub counts_every_ms: u64,
    /// Silence of another node after which its subscribers are no longer counted, in milliseconds. 1,000 to 600,000,
    /// at least four times `counts_every_ms`. Too low: a slow node's channels are called empty. Too high: a dead one's
    /// stay occupied.
    pub node_timeout_ms: u64,
    /// What the applications' back ends are told.
    pub webhooks: Webhooks,
}

impl Default for Pusher {
    fn default() -> Self {
        Self {
            apps: BTreeMap::new(),
            activity_timeout_s: 120,
            pong_timeout_ms: 30_000,
            channel_name_max: 200,
            event_bytes_max: 10_240,
            event_channels_max: 100,
            batch_events_max: 10,
            body_bytes_max: 262_144,
            signature_age_s_max: 600,
            client_events_per_second: 10,
            member_bytes_max: 2_048,
            members_max: 1_000,
            queue_max: 10_000,
            counts_every_ms: 500,
            node_timeout_ms: 15_000,
            webhooks: Webhooks::default(),
        }
    }
}

impl Pusher {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("activity_timeout_s", self.activity_timeout_s, 5..=600);
        faults.range("pong_timeout_ms", self.pong_timeout_ms, 100..=120_000);
        faults.range("channel_name_max", self.channel_name_max, 16..=240);
        faults.range("event_bytes_max", self.event_bytes_max, 256..=1_048_576);
        faults.range("event_channels_max", self.event_channels_max, 1..=10_000);
        faults.range("batch_events_max", self.batch_events_max, 1..=1_000);
        faults.range("body_bytes_max", self.body_bytes_max, 1_024..=67_108_864);
        faults.range("signature_age_s_max", self.signature_age_s_max, 10..=3_600);
        faults.range("client_events_per_second", self.client_events_per_second, 1..=10_000);
        faults.range("member_bytes_max", self.member_bytes_max, 64..=65_536);
        faults.range("members_max", self.members_max, 1..=100_000);
        faults.range("queue_max", self.queue_max, 16..=1_000_000);
        faults.range("counts_every_ms", self.counts_every_ms, 50..=60_000);
        faults.range("node_timeout_ms", self.node_timeout_ms, 1_000..=600_000);
        if self.node_timeout_ms < self.counts_every_ms.saturating_mul(4) {
            faults.add("node_timeout_ms", "must be at least four times counts_every_ms");
        }
        faults.section("webhooks", |faults| self.webhooks.check(faults));
        faults.section("apps", |faults| self.check_apps(faults));
    }

    fn check_apps(&self, faults: &mut Faults) {
        for (id, app) in &self.apps {
            faults.section(id, |faults| app.check(faults));
            if id.is_empty() || !id.bytes().all(is_plain) {
                faults.add(id, "an application's id consists of letters, digits, - and _");
            }
            let others = || self.apps.iter().filter(|(other, _)| *other != id);
            if others().any(|(_, other)| other.key == app.key) {
                faults.add(&format!("{id}.key"), "is another application's, too");
            }
            // `shop:x` would be the channel `x` of the one and `shop.x` of the other
            if self.apps.values().any(|other| other.shared.contains(&app.class)) {
                faults.add(&format!("{id}.class"), format!("\"{}\" is a class that is shared", app.class));
            }
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(json: &str) -> Vec<String> {
        let pusher: Pusher = serde_json::from_str(json).unwrap();
        let mut faults = Faults::default();
        pusher.check(&mut faults);
        faults.list().iter().map(|fault| fault.field.clone()).collect()
    }

    #[test]
    fn an_application_needs_little() {
        let json = r#"{"apps":{"festival":{"key":"festival-key","secret":"0123456789abcdef"}}}"#;
        assert_eq!(faults_of(json), [""; 0]);
        let pusher: Pusher = serde_json::from_str(json).unwrap();
        assert!(!format!("{pusher:?}").contains("0123456789abcdef"), "the secret is never shown");
    }

    #[test]
    fn what_makes_no_sense_is_a_fault() {
        let json = r#"{"activity_timeout_s":1,"counts_every_ms":5000,"webhooks":{"batch_max":0},"apps":{
            "a":{"key":"k","secret":"0123456789abcdef","class":"shop"},
            "b":{"key":"k","secret":"short","shared":["shop","festival","default","a b"]},
            "c d":{"key":"","secret":"0123456789abcdef","secret_file":"x","class":"$x","webhook_url":"ftp://x"}}}"#;
        let expected = [
            "activity_timeout_s",
            "node_timeout_ms",
            "webhooks.batch_max",
            "apps.a.key",
            "apps.a.class",
            "apps.b.secret",
            "apps.b.shared",
            "apps.b.shared",
            "apps.b.key",
            "apps.b.class",
            "apps.c d.key",
            "apps.c d.secret_file",
            "apps.c d.class",
            "apps.c d.webhook_url",
            "apps.c d",
        ];
        assert_eq!(faults_of(json), expected);
    }
}
