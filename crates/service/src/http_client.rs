//! HTTP clients with the limits that every call of ours has.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, Client};
use serde::Deserialize;

use crate::Faults;

/// What every client of a role has in common.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Milliseconds until a connection must stand, TLS included. 100 to 60,000.
    /// Too low: slow networks never connect. Too high: a dead provider is noticed late.
    pub connect_timeout_ms: u64,
    /// Milliseconds for one request with its answer. 100 to 300,000.
    /// Too low: slow answers are taken for failures and repeated. Too high: a hanging provider holds its slots.
    pub request_timeout_ms: u64,
    /// Milliseconds that an unused connection stays open. 1,000 to 3,600,000.
    pub idle_timeout_ms: u64,
    /// PEM file with certificates of authorities that are believed besides the system's. None: the system's alone.
    pub extra_ca_file: Option<PathBuf>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file with additional authorities cannot be read.
    #[error("{0} cannot be read")]
    CaFile(PathBuf, #[source] std::io::Error),
    /// It holds no certificates, or TLS cannot be set up.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            request_timeout_ms: 15_000,
            idle_timeout_ms: 90_000,
            extra_ca_file: None,
        }
    }
}

impl Config {
    /// Notes what is wrong.
    pub fn check(&self, faults: &mut Faults) {
        faults.range("connect_timeout_ms", self.connect_timeout_ms, 100..=60_000);
        faults.range("request_timeout_ms", self.request_timeout_ms, 100..=300_000);
        faults.range("idle_timeout_ms", self.idle_timeout_ms, 1_000..=3_600_000);
        if let Some(path) = &self.extra_ca_file {
            crate::config::read_pem("extra_ca_file", path, faults);
        }
    }
}

/// A client over TLS or plain text, HTTP/2 where the server speaks it. Follows no redirects: a provider that moves
/// is a change of configuration.
///
/// # Errors
/// [`BuildError`] when the extra authorities cannot be used.
pub fn build(config: &Config) -> Result<Client, BuildError> {
    // whoever was first has installed the same provider
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
        .timeout(Duration::from_millis(config.request_timeout_ms))
        .pool_idle_timeout(Duration::from_millis(config.idle_timeout_ms))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("munadi/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &config.extra_ca_file {
        let pem = std::fs::read(path).map_err(|error| BuildError::CaFile(path.clone(), error))?;
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
    }
    Ok(builder.build()?)
}
