//! `[workers.apns]`: how Apple's push service is used.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use service::Faults;

use crate::channels::check_url;

/// Apple's push service: `[workers.apns]` in `config/munadi.toml`. Used when a key is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where APNs is: `https://api.push.apple.com`, or `https://api.sandbox.push.apple.com` for builds from Xcode.
    /// The wrong one of the two makes every token a bad one.
    pub base_url: String,
    /// A PEM file with an authority to trust besides the system's; for rehearsals with stand-ins.
    pub ca_file: Option<PathBuf>,
    /// The `.p8` file with the signing key that Apple handed out. Give this or `key_pem`.
    pub key_file: Option<PathBuf>,
    /// The text of that file, for installations that keep secrets in the environment.
    pub key_pem: Option<SecretString>,
    /// Apple's id of the signing key: 10 letters and digits.
    pub key_id: String,
    /// Apple's id of the developer team: 10 letters and digits.
    pub team_id: String,
    /// The app's bundle id.
    pub topic: String,
    /// Connections for each lane. 1 to 16. Too low: one lost connection stops a lane for a moment. Too high: Apple
    /// sees many idle connections.
    pub connections_per_lane: u32,
    /// Requests open at once on one connection, after its first answer. 1 to 1,000. Too low: slow fan-out. Too high:
    /// requests wait inside the connection, where nobody sees them.
    pub streams_per_connection: u32,
    /// For connecting, in milliseconds. 100 to 60,000. Too low: slow networks never connect. Too high: a dead
    /// address delays the retry.
    pub connect_timeout_ms: u32,
    /// For a request and its answer, in milliseconds. 500 to 120,000. Too low: pushes that were taken count as
    /// unknown and are repeated. Too high: a dead connection holds its deliveries.
    pub request_timeout_ms: u32,
    /// Wait for a free stream, in milliseconds. 100 to 120,000. Too low: bursts go back to the queue. Too high:
    /// a stuck lane keeps its work items.
    pub stream_wait_ms: u32,
    /// Silence after which a connection is pinged, in milliseconds. 1,000 to 7,200,000. Too low: Apple may close
    /// it. Too high: a dead connection is found by the next push only.
    pub ping_interval_ms: u32,
    /// Wait for the answer to a ping, in milliseconds. 500 to 60,000. Too low: a slow moment closes a good
    /// connection. Too high: a dead one stays.
    pub ping_timeout_ms: u32,
    /// Age at which the provider token is renewed, in seconds. 1,200 to 3,300; Apple refuses tokens over an hour
    /// and new ones within 20 minutes.
    pub token_renew_after_s: u32,
    /// At most this much is taken off that age at random, in seconds. 0 to 600, and never below 1,200 seconds of
    /// age. Too low: all processes renew at once. Too high: tokens are renewed more often than needed.
    pub token_renew_jitter_s: u32,
    /// Shortest wait after an error of Apple's own (5xx) outside the emergency lane, in milliseconds. 0 to
    /// 3,600,000. Too low: against Apple's advice of 15 minutes. Too high: standard news come late.
    pub server_error_floor_ms: u32,
    /// Whether emergencies are critical alerts, which sound on a muted phone. Only with the entitlement that Apple gave
    /// to the app on application; without it leave this off.
    pub critical: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: "https://api.push.apple.com".to_owned(),
            ca_file: None,
            key_file: None,
            key_pem: None,
            key_id: String::new(),
            team_id: String::new(),
            topic: String::new(),
            connections_per_lane: 2,
            streams_per_connection: 400,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 20_000,
            stream_wait_ms: 20_000,
            ping_interval_ms: 900_000,
            ping_timeout_ms: 10_000,
            token_renew_after_s: 2_400,
            token_renew_jitter_s: 300,
            server_error_floor_ms: 900_000,
            critical: false,
        }
    }
}

impl Config {
    /// Whether a key is given.
    pub fn is_enabled(&self) -> bool {
        self.key_file.is_some() || self.key_pem.is_some()
    }

    /// Notes what is wrong. Nothing is required while no key is given.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("connections_per_lane", self.connections_per_lane, 1..=16);
        faults.range("streams_per_connection", self.streams_per_connection, 1..=1_000);
        faults.range("connect_timeout_ms", self.connect_timeout_ms, 100..=60_000);
        faults.range("request_timeout_ms", self.request_timeout_ms, 500..=120_000);
        faults.range("stream_wait_ms", self.stream_wait_ms, 100..=120_000);
        faults.range("ping_interval_ms", self.ping_interval_ms, 1_000..=7_200_000);
        faults.range("ping_timeout_ms", self.ping_timeout_ms, 500..=60_000);
        faults.range("token_renew_after_s", self.token_renew_after_s, 1_200..=3_300);
        let jitter_max = self.token_renew_after_s.saturating_sub(1_200).min(600);
        faults.range("token_renew_jitter_s", self.token_renew_jitter_s, 0..=jitter_max);
        faults.range("server_error_floor_ms", self.server_error_floor_ms, 0..=3_600_000);
        check_url(faults, "base_url", &self.base_url);
        if !self.is_enabled() {
            return;
        }
        if self.key_file.is_some() && self.key_pem.is_some() {
            faults.add("key_file", "give either key_file or key_pem");
        }
        for (field, id) in [("key_id", &self.key_id), ("team_id", &self.team_id)] {
            if id.len() != 10 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                faults.add(field, "must be Apple's id of 10 letters and digits");
            }
        }
        if self.topic.is_empty() || !self.topic.bytes().all(|byte| byte.is_ascii_graphic()) {
            faults.add("topic", "must be the app's bundle id");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let mut faults = Faults::default();
        toml::from_str::<Config>(text).unwrap().check(&mut faults);
        faults.list().iter().map(|fault| fault.field.clone()).collect()
    }

    #[test]
    fn the_default_is_off_and_valid() {
        assert!(faults("").is_empty());
        assert!(!Config::default().is_enabled());
    }

    #[test]
    fn with_a_key_the_ids_and_the_topic_are_required() {
        assert_eq!(faults("key_file = \"key.p8\""), ["key_id", "team_id", "topic"]);
        let complete =
            "key_file = \"key.p8\"\nkey_id = \"ABCDE12345\"\nteam_id = \"ABCDE12345\"\ntopic = \"app.x\"";
        assert!(faults(complete).is_empty());
        assert_eq!(faults(&format!("{complete}\nkey_pem = \"x\"")), ["key_file"]);
    }

    #[test]
    fn every_limit_is_checked() {
        let text = "connections_per_lane = 0\nstreams_per_connection = 0\nconnect_timeout_ms = 1\n\
            request_timeout_ms = 1\nstream_wait_ms = 1\nping_interval_ms = 1\nping_timeout_ms = 1\n\
            token_renew_after_s = 60\ntoken_renew_jitter_s = 900\nserver_error_floor_ms = 9999999\n\
            base_url = \"http://api.push.apple.com\"";
        assert_eq!(faults(text).len(), 11);
    }
}
