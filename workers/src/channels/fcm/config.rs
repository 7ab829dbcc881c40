//! `[workers.fcm]`: how Google's push service is used.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use service::Faults;

use crate::channels::check_url;

/// Google's push service: `[workers.fcm]` in `config/munadi.toml`. Used when a service account is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where FCM is.
    pub base_url: String,
    /// A PEM file with an authority to trust besides the system's; for rehearsals with stand-ins.
    pub ca_file: Option<PathBuf>,
    /// The JSON key file of a service account that may send. Give this or `service_account_json`.
    pub service_account_file: Option<PathBuf>,
    /// The text of that file, for installations that keep secrets in the environment.
    pub service_account_json: Option<SecretString>,
    /// Connections for each lane. 1 to 16. Too low: Google's 100 streams per connection hold a lane up. Too high:
    /// idle connections.
    pub connections_per_lane: u32,
    /// Requests open at once in each lane. 1 to 2,000. Too low: slow fan-out. Too high: requests wait inside the
    /// connection until they time out.
    pub streams_per_lane: u32,
    /// For connecting, in milliseconds. 100 to 60,000. Too low: slow networks never connect. Too high: a dead
    /// address delays the retry.
    pub connect_timeout_ms: u32,
    /// For a request and its answer, in milliseconds. 10,000 to 120,000. Google works up to 10 s on a request, so
    /// less makes duplicates. Too high: a dead connection holds its deliveries.
    pub request_timeout_ms: u32,
    /// Silence on a busy connection after which it is pinged, in milliseconds. 1,000 to 600,000. Too low: needless
    /// traffic. Too high: a dead connection swallows what is sent meanwhile.
    pub ping_interval_ms: u32,
    /// Wait for the answer to a ping, in milliseconds. 500 to 60,000. Too low: a slow moment closes a good
    /// connection. Too high: a dead one stays.
    pub ping_timeout_ms: u32,
    /// Wait for a free stream, for the pace and for the first access token, in milliseconds. 100 to 120,000. Too
    /// low: bursts go back to the queue. Too high: a stuck lane keeps its work items.
    pub stream_wait_ms: u32,
    /// Messages of the emergency lane per second. 1 to 10,000. Too low: a late emergency. Too high: Google's quota
    /// (10,000 a second for the project) answers 429.
    pub emergency_per_second: u32,
    /// Messages of the other lanes together per second. 1 to 8,000; with the emergency lane's pace it should stay
    /// under 80 % of the quota. Too low: slow fan-out. Too high: an emergency meets a quota that others have spent.
    pub bulk_per_second: u32,
    /// Shortest wait before a repetition, in milliseconds. 0 to 600,000; Google asks for 10 seconds.
    pub retry_floor_ms: u32,
    /// Longest pause between tries to get an access token, in milliseconds. 1,000 to 600,000; the first pause is a
    /// hundredth of it. Too low: Google blocks the account. Too high: slow to recover.
    pub token_retry_max_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            base_url: "https://fcm.googleapis.com".to_owned(),
            ca_file: None,
            service_account_file: None,
            service_account_json: None,
            connections_per_lane: 2,
            streams_per_lane: 200,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 15_000,
            ping_interval_ms: 15_000,
            ping_timeout_ms: 10_000,
            stream_wait_ms: 20_000,
            emergency_per_second: 2_000,
            bulk_per_second: 6_000,
            retry_floor_ms: 10_000,
            token_retry_max_ms: 60_000,
        }
    }
}

impl Config {
    /// Whether a service account is given.
    pub fn is_enabled(&self) -> bool {
        self.service_account_file.is_some() || self.service_account_json.is_some()
    }

    /// Notes what is wrong. Nothing is required while no service account is given.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("connections_per_lane", self.connections_per_lane, 1..=16);
        faults.range("streams_per_lane", self.streams_per_lane, 1..=2_000);
        faults.range("connect_timeout_ms", self.connect_timeout_ms, 100..=60_000);
        faults.range("request_timeout_ms", self.request_timeout_ms, 10_000..=120_000);
        faults.range("ping_interval_ms", self.ping_interval_ms, 1_000..=600_000);
        faults.range("ping_timeout_ms", self.ping_timeout_ms, 500..=60_000);
        faults.range("stream_wait_ms", self.stream_wait_ms, 100..=120_000);
        faults.range("emergency_per_second", self.emergency_per_second, 1..=10_000);
        faults.range("bulk_per_second", self.bulk_per_second, 1..=8_000);
        faults.range("retry_floor_ms", self.retry_floor_ms, 0..=600_000);
        faults.range("token_retry_max_ms", self.token_retry_max_ms, 1_000..=600_000);
        check_url(faults, "base_url", &self.base_url);
        if self.service_account_file.is_some() && self.service_account_json.is_some() {
            faults.add("service_account_file", "give either service_account_file or service_account_json");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_off_and_valid_and_every_limit_is_checked() {
        let mut faults = Faults::default();
        Config::default().check(&mut faults);
        assert!(faults.is_empty() && !Config::default().is_enabled());
        let text = "connections_per_lane = 0\nstreams_per_lane = 0\nconnect_timeout_ms = 0\n\
            request_timeout_ms = 3000\nping_interval_ms = 1\nping_timeout_ms = 1\nstream_wait_ms = 0\nemergency_per_second = 0\nbulk_per_second = 9000\n\
            retry_floor_ms = 9999999\ntoken_retry_max_ms = 1\nbase_url = \"fcm\"\n\
            service_account_file = \"a\"\nservice_account_json = \"b\"";
        toml::from_str::<Config>(text).unwrap().check(&mut faults);
        assert_eq!(faults.list().len(), 13);
    }
}
