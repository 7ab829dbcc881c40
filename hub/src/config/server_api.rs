//! `[hub.server_api]`: how back ends publish and look after connections, as with Centrifugo.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use service::Faults;
use service::config::read_secret;

/// The HTTP API for back ends at `/api/*`, in Centrifugo's shape. Off as long as there is no key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerApi {
    /// What back ends show (`X-API-Key`): better from the environment, `MUNADI__HUB__SERVER_API__KEY`. Whoever has it may
    /// publish anything and disconnect anybody. None, and no file: the API does not exist.
    pub key: Option<SecretString>,
    /// A file with that key, instead.
    pub key_file: Option<PathBuf>,
    /// Bytes of a request. 1,024 to 67,108,864. Too low: large messages and batches are refused with 413. Too high:
    /// memory.
    pub body_bytes_max: u32,
    /// Topics of one broadcast, and commands of one batch. 1 to 10,000. Too low: back ends send more requests. Too high:
    /// one request keeps the log busy.
    pub parts_max: u32,
    /// Whether refusals are told by the HTTP status, also to those who do not ask for it. Off: the status is 200 and the
    /// body has the error.
    pub errors_by_status: bool,
}

impl Default for ServerApi {
    fn default() -> Self {
        Self {
            key: None,
            key_file: None,
            body_bytes_max: 1_048_576,
            parts_max: 1_000,
            errors_by_status: false,
        }
    }
}

impl ServerApi {
    pub(super) fn check(&self, faults: &mut Faults) {
        faults.range("body_bytes_max", self.body_bytes_max, 1_024..=67_108_864);
        faults.range("parts_max", self.parts_max, 1..=10_000);
        self.read_key(faults);
    }

    /// The key, wherever it stands.
    pub(crate) fn read_key(&self, faults: &mut Faults) -> Option<SecretString> {
        use secrecy::ExposeSecret as _;
        match (&self.key, &self.key_file) {
            (Some(_), Some(_)) => {
                faults.add("key_file", "give the key or its file, not both");
                None
            }
            (Some(key), None) if key.expose_secret().is_empty() => {
                faults.add("key", "must not be empty");
                None
            }
            (key, None) => key.clone(),
            (None, Some(path)) => read_secret("key_file", path, faults),
        }
    }
}
