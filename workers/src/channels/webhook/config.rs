//! `[workers.webhooks]`: other systems that want to be told.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use service::Faults;
use service::reach::Inside;

/// Other systems that are told what happens: `[workers.webhooks]` in `config/munadi.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The endpoints by names that the operator chooses: lower-case letters, digits and `-`, at most 40.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// Whether endpoints may have addresses and ports and be inside of this network.
    pub inside_permitted: bool,
    /// A PEM file with an authority to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// For connecting, in milliseconds. 100 to 60,000. Too low: slow networks never connect. Too high: a dead
    /// endpoint holds its worker.
    pub connect_timeout_ms: u32,
    /// For a request and its answer, in milliseconds. 500 to 60,000. Too low: slow endpoints hear everything twice. Too
    /// high: they hold their worker.
    pub request_timeout_ms: u32,
    /// Requests at once to one endpoint. 1 to 100. Too low: a rush arrives late. Too high: the endpoint falls over.
    pub concurrency: usize,
    /// Milliseconds of the first wait after a failure; each is four times as long as the one before. 10 to 600,000.
    pub retry_floor_ms: u64,
    /// Milliseconds of the longest wait. 1,000 to 86,400,000.
    pub retry_ceiling_ms: u64,
    /// Tries in all. 1 to 50. Too low: an endpoint that is down for an hour misses things. Too high: the hopeless is
    /// repeated.
    pub attempts_max: u32,
}

/// `[workers.webhooks.endpoints.<name>]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// Where requests go; `https` only.
    pub url: String,
    /// `whsec_` and 24 to 64 bytes in base64. Give this or `secret_file`.
    #[serde(default)]
    pub secret: Option<SecretString>,
    /// A file with that secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// What it wants to hear: `announcement.published`, `announcement.withdrawn`, `event.changed`; empty: everything.
    #[serde(default)]
    pub kinds: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoints: BTreeMap::new(),
            inside_permitted: false,
            ca_file: None,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 15_000,
            concurrency: 8,
            retry_floor_ms: 5_000,
            retry_ceiling_ms: 28_800_000,
            attempts_max: 10,
        }
    }
}

impl Config {
    /// Whether endpoints may be inside of this network.
    pub fn inside(&self) -> Inside {
        if self.inside_permitted { Inside::Permitted } else { Inside::Refused }
    }

    /// Notes what is wrong.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("connect_timeout_ms", self.connect_timeout_ms, 100..=60_000);
        faults.range("request_timeout_ms", self.request_timeout_ms, 500..=60_000);
        faults.range("concurrency", self.concurrency, 1..=100);
        faults.range("retry_floor_ms", self.retry_floor_ms, 10..=600_000);
        faults.range("retry_ceiling_ms", self.retry_ceiling_ms, 1_000..=86_400_000);
        faults.range("attempts_max", self.attempts_max, 1..=50);
        for (name, endpoint) in &self.endpoints {
            let permitted = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let field = format!("endpoints.{name}");
            if name.is_empty() || name.len() > 40 || !name.bytes().all(permitted) {
                faults.add(&field, "must be lower-case letters, digits and -, at most 40");
            }
            if let Err(cause) = super::check_endpoint(&endpoint.url, self) {
                faults.add(&format!("{field}.url"), cause.to_string());
            }
            if endpoint.secret.is_some() == endpoint.secret_file.is_some() {
                faults.add(&format!("{field}.secret"), "give either secret or secret_file");
            }
            if let Some(kind) =
                endpoint.kinds.iter().find(|kind| !crate::webhooks::KINDS.contains(&kind.as_str()))
            {
                faults.add(
                    &format!("{field}.kinds"),
                    format!("\"{kind}\" is none of {:?}", crate::webhooks::KINDS),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_empty_and_valid_and_every_fault_is_named() {
        let mut faults = Faults::default();
        Config::default().check(&mut faults);
        assert!(faults.is_empty());
        let text = "connect_timeout_ms = 0\nrequest_timeout_ms = 0\nconcurrency = 0\nretry_floor_ms = 0\n\
            retry_ceiling_ms = 0\nattempts_max = 0\n[endpoints.inside]\nurl = \"https://10.0.0.1/\"\n\
            secret = \"x\"\nsecret_file = \"y\"\nkinds = [\"nonsense\"]\n[endpoints.UPPER]\n\
            url = \"https://hook.example/\"\nsecret = \"x\"";
        toml::from_str::<Config>(text).unwrap().check(&mut faults);
        assert_eq!(faults.list().len(), 10, "{:?}", faults.list());
    }
}
