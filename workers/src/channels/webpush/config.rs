//! `[workers.webpush]`: how browsers' push services are used.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use service::Faults;
use service::reach::{HostPattern, Inside};

/// Browsers' push services: `[workers.webpush]` in `config/munadi.toml`. Used when a key is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The VAPID key: a P-256 key in PKCS#8 PEM (`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`).
    /// Browsers subscribe with its public half, so it must never change. Give this or `key_pem`. The API needs it,
    /// too, to tell pages that half; `public_key` will do there.
    pub key_file: Option<PathBuf>,
    /// The text of that file, for installations that keep secrets in the environment.
    pub key_pem: Option<SecretString>,
    /// The public half alone, for processes that only answer HTTP: 87 characters of base64url.
    pub public_key: Option<String>,
    /// Whom a push service may write to about us: `mailto:` or `https:`.
    pub contact: String,
    /// Hosts that subscriptions may name; `*.` stands for all below. Too few: browsers are refused. Too many:
    /// whoever registers a subscription decides where this machine sends requests.
    pub hosts: Vec<String>,
    /// Whether hosts may be addresses, have ports and be inside of this network; for rehearsals with stand-ins only.
    pub inside_permitted: bool,
    /// A PEM file with an authority to trust besides the system's; for rehearsals with stand-ins.
    pub ca_file: Option<PathBuf>,
    /// Requests open at once in each lane. 1 to 2,000. Too low: slow fan-out. Too high: push services throttle.
    pub requests_per_lane: u32,
    /// Of those, at once to the hosts of one entry of `hosts`. 1 to 1,000. Too low: slow fan-out. Too high: one slow
    /// service holds the whole lane.
    pub requests_per_host: u32,
    /// For connecting, in milliseconds. 100 to 60,000. Too low: slow networks never connect. Too high: a dead
    /// address delays the retry.
    pub connect_timeout_ms: u32,
    /// For a request and its answer, in milliseconds. 1,000 to 120,000. Too low: what was taken counts as unknown.
    /// Too high: a dead connection holds its deliveries.
    pub request_timeout_ms: u32,
    /// Wait for the right to a request, in milliseconds. 100 to 120,000. Too low: bursts go back to the queue. Too
    /// high: a stuck service keeps its work items.
    pub request_wait_ms: u32,
    /// Life of a signature, in seconds. 7,200 to 86,400, as RFC 8292 has it; renewed at half of it. Too low: Apple
    /// complains about more than one an hour. Too high: a stolen one serves longer.
    pub token_life_s: u32,
}

impl Default for Config {
    fn default() -> Self {
        let hosts = [
            "fcm.googleapis.com",
            "updates.push.services.mozilla.com",
            "*.push.services.mozilla.com",
            "web.push.apple.com",
            "*.push.apple.com",
            "*.notify.windows.com",
        ];
        Self {
            key_file: None,
            key_pem: None,
            public_key: None,
            contact: String::new(),
            hosts: hosts.map(ToOwned::to_owned).to_vec(),
            inside_permitted: false,
            ca_file: None,
            requests_per_lane: 100,
            requests_per_host: 50,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 15_000,
            request_wait_ms: 20_000,
            token_life_s: 43_200,
        }
    }
}

impl Config {
    /// Whether a key to send with is given.
    pub fn is_enabled(&self) -> bool {
        self.key_file.is_some() || self.key_pem.is_some()
    }

    /// Whether subscriptions may lead inside of this network.
    pub fn inside(&self) -> Inside {
        if self.inside_permitted { Inside::Permitted } else { Inside::Refused }
    }

    /// The hosts that subscriptions may name; what is malformed, which [`Config::check`] names, is left out.
    pub fn host_patterns(&self) -> Vec<HostPattern> {
        self.hosts.iter().filter_map(|text| text.parse().ok()).collect()
    }

    /// Notes what is wrong. Nothing is required while no key is given.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("requests_per_lane", self.requests_per_lane, 1..=2_000);
        faults.range("requests_per_host", self.requests_per_host, 1..=1_000);
        faults.range("connect_timeout_ms", self.connect_timeout_ms, 100..=60_000);
        faults.range("request_timeout_ms", self.request_timeout_ms, 1_000..=120_000);
        faults.range("request_wait_ms", self.request_wait_ms, 100..=120_000);
        faults.range("token_life_s", self.token_life_s, 7_200..=86_400);
        for text in &self.hosts {
            if let Err(error) = text.parse::<HostPattern>() {
                faults.add("hosts", error.to_string());
            }
        }
        if self.key_file.is_some() && self.key_pem.is_some() {
            faults.add("key_file", "give either key_file or key_pem");
        }
        let is_contact = self.contact.starts_with("mailto:") || self.contact.starts_with("https://");
        if self.is_enabled() && !is_contact {
            faults.add("contact", "must begin with mailto: or https://, or push services refuse us");
        }
        if self.public_key.as_ref().is_some_and(|key| key.len() != 87 || !key.starts_with('B')) {
            faults.add("public_key", "must be 87 characters of base64url that begin with B");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_off_and_valid_and_every_limit_is_checked() {
        let mut faults = Faults::default();
        let default = Config::default();
        default.check(&mut faults);
        assert!(faults.is_empty() && !default.is_enabled() && default.host_patterns().len() == 6);
        let text = "requests_per_lane = 0\nrequests_per_host = 0\nconnect_timeout_ms = 0\nrequest_timeout_ms = 1\n\
            request_wait_ms = 1\ntoken_life_s = 90000\nhosts = [\"*.com\", \"*\"]\nkey_file = \"a\"\nkey_pem = \"b\"\n\
            public_key = \"x\"";
        toml::from_str::<Config>(text).unwrap().check(&mut faults);
        assert_eq!(faults.list().len(), 11);
    }
}
